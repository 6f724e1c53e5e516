//! Reading all that can be read of structures that decode, so that whatever their bytes say is acted upon. The
//! fuzz targets include this file.

use annals_wire::{
    Block, CheckpointHead, CheckpointPrefix, Control, CursorRecord, Digest, Error, Event, EventId, Footer,
    Frame, FrameType, GroupRecord, Key, Kind, Lane, Publication, RUN_ENTRIES_PER_PAGE, RUN_LINES_PER_PAGE,
    RUN_PAGE_LEN, Recorded, RunEntry, RunHeader, RunPage, RunSeed, SIEVE_LINE_LEN, SieveBuilder, StreamKey,
    TableBytes, find_run_entry,
};

/// Reads what the frame holds: a control record, a mark, a consumer's record, or an event.
pub(crate) fn read_frame(frame: &Frame<'_>) -> Result<(), Error> {
    match frame.header.frame_type {
        FrameType::CONTROL => read_control(frame),
        FrameType::MARK => Publication::decode(frame.body).map(drop),
        FrameType::RECORD => {
            let is_group = GroupRecord::decode(frame.body).is_ok();
            if is_group { Ok(()) } else { CursorRecord::decode(frame.body).map(drop) }
        }
        _ => read_event(frame),
    }
}

fn read_control(frame: &Frame<'_>) -> Result<(), Error> {
    let (stamp, _) = Control::decode(frame)?;
    let _ = stamp.expected_hash(frame.header.batch, Digest::NONE, frame.body);
    Ok(())
}

fn read_event(frame: &Frame<'_>) -> Result<(), Error> {
    let event = Event::decode(frame)?;
    assert_eq!(event.tags.iter().count(), event.tags.count());
    assert_eq!(event.extensions.iter().count(), event.extensions.count());
    assert_eq!(event.extensions.find("none of them"), None);
    assert!(event.head().len() <= frame.body.len());
    let _ = event.expected_hash(Digest::NONE);
    let _ = (event.depth(), event.correlation_or_id());
    Ok(())
}

/// Reads a footer to its end, whatever error comes first.
pub(crate) fn read_footer(bytes: &[u8]) -> Result<(), Error> {
    let bytes = TableBytes::from(bytes);
    let footer = Footer::decode(bytes)?;
    let (id, text) = (EventId([0x80; 16]), "mm");
    let rows = (0..footer.row_count()).try_for_each(|row| footer.row(bytes, row).map(drop));
    let streams = (0..footer.stream_count()).try_for_each(|stream| read_stream(&footer, bytes, stream));
    let scopes = (0..footer.scope_count()).try_for_each(|scope| read_scope(&footer, bytes, scope));
    let found = [
        footer.check_all(bytes),
        rows,
        streams,
        scopes,
        footer.kinds(bytes).map(drop),
        footer.find_kind(bytes, Kind::new(0x8000).unwrap()).map(drop),
        footer.find_id(bytes, id).map(drop),
        footer.find_correlation(bytes, id).map(drop),
        footer.find_causation(bytes, id).map(drop),
        footer.find_tag(bytes, text).map(drop),
        footer.rows_at(bytes, Recorded(7)).map(drop),
        footer.id_hashes(bytes).map(drop),
        footer.tags(bytes).try_for_each(|tag| tag.map(drop)),
        footer.correlations(bytes).chain(footer.causations(bytes)).try_for_each(|id| id.map(drop)),
        (0..footer.stream_count()).try_for_each(|stream| footer.scope_of(bytes, stream).map(drop)),
        footer.find_scope(bytes, text).map(drop),
        footer.controls(bytes).map(drop),
    ];
    assert!(Block::ALL.into_iter().all(|block| footer.block_range(block).end <= bytes.len()));
    found.into_iter().collect()
}

fn read_stream(footer: &Footer, bytes: TableBytes<'_>, place: usize) -> Result<(), Error> {
    let stream = footer.stream(bytes, place)?;
    (0..stream.rows.len()).try_for_each(|index| stream.rows.placed_at(index).map(drop))
}

fn read_scope(footer: &Footer, bytes: TableBytes<'_>, place: usize) -> Result<(), Error> {
    let scope = footer.scope(bytes, place)?;
    let key = StreamKey { scope: scope.text, entity: "mm", lane: Lane(1) };
    assert!((0..scope.rows.len()).all(|index| scope.rows.at(index) != Ok(None)));
    let hash = Key::Coordinate { scope: key.scope, entity: key.entity }.hash(footer.trailer().store);
    footer.entities(bytes, scope.streams)?.try_for_each(|entity| entity.map(drop))?;
    footer.find_hashed_stream(bytes, key, hash).map(drop)?;
    footer.find_stream(bytes, key).map(drop)
}

/// Reads an index run: its header and all of its entries.
pub(crate) fn read_run(bytes: &[u8]) -> Result<(RunHeader, Vec<RunEntry>), Error> {
    let (header, seed) = RunHeader::decode(bytes)?;
    let invalid = |why| Error::Invalid { what: "index run", why };
    if header.file_len() != Some(bytes.len() as u64) {
        return Err(invalid("another length"));
    }
    let count = usize::try_from(header.entry_count).expect("no more than bytes");
    let mut entries = Vec::with_capacity(count);
    let (pages, sieve) = bytes[RunHeader::len(header.segments.len())..]
        .split_at(usize::try_from(header.page_count()).unwrap() * RUN_PAGE_LEN);
    for (number, bytes) in (0..).zip(pages.chunks(RUN_PAGE_LEN)) {
        let page = RunPage::decode(bytes, seed, number)?;
        let on_page = RUN_ENTRIES_PER_PAGE.min(count - entries.len());
        entries.extend((0..on_page).map(|index| page.entry(index)));
        if (on_page..RUN_ENTRIES_PER_PAGE).any(|index| page.entry(index) != RunEntry { hash: 0, place: 0 }) {
            return Err(invalid("more entries"));
        }
    }
    read_sieve(&header, seed, &entries, sieve)?;
    for wanted in [0, 1 << 31, u32::MAX].map(|hash| RunEntry { hash, place: 0 }) {
        let at = |place: usize| Ok::<_, Error>(entries[place]);
        assert!(find_run_entry(count, 7, wanted, &mut { at })? <= count);
    }
    Ok((header, entries))
}

/// Makes sure that the sieve is that of the entries.
fn read_sieve(header: &RunHeader, seed: RunSeed, entries: &[RunEntry], bytes: &[u8]) -> Result<(), Error> {
    let (mut builder, mut lines) = (SieveBuilder::new(header.entry_count), Vec::new());
    entries.iter().for_each(|entry| builder.push(entry.hash, &mut lines));
    builder.finish(&mut lines);
    let mut lines = lines.as_chunks().0.iter();
    for (number, bytes) in (header.page_count()..).zip(bytes.chunks(RUN_PAGE_LEN)) {
        let page = RunPage::decode(bytes, seed, number)?;
        let is_expected = |index| page.line(index) == lines.next().unwrap_or(&[0; SIEVE_LINE_LEN]);
        if !(0..RUN_LINES_PER_PAGE).all(is_expected)
            || bytes[RUN_LINES_PER_PAGE * SIEVE_LINE_LEN..][..60] != [0; 60]
        {
            return Err(Error::Invalid { what: "index run", why: "a sieve of other entries" });
        }
    }
    Ok(())
}

/// Reads a checkpoint and its tables.
pub(crate) fn read_checkpoint(bytes: &[u8]) -> Result<(), Error> {
    let prefix = CheckpointPrefix::decode(bytes)?;
    CheckpointHead::decode(bytes)?;
    let start = usize::try_from(prefix.tables_offset()).expect("32 and a u32");
    read_footer(bytes.get(start..).unwrap_or_default())
}
