//! Reading all that can be read of structures that decode, so that whatever their bytes say is acted upon. The
//! fuzz targets include this file.

use annals_wire::{
    Block, CheckpointHead, CheckpointPrefix, Control, Digest, Error, Event, EventId, Footer, Frame,
    FrameType, Kind, Lane, Publication, Recorded, StreamKey,
};

/// Reads what the frame holds: a control record, a mark, or an event.
pub(crate) fn read_frame(frame: &Frame<'_>) -> Result<(), Error> {
    match frame.header.frame_type {
        FrameType::CONTROL => read_control(frame),
        FrameType::MARK => Publication::decode(frame.body).map(drop),
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
    let footer = Footer::decode(bytes)?;
    let (id, text) = (EventId([0x80; 16]), "mm");
    let rows = (0..footer.row_count()).try_for_each(|row| footer.row(bytes, row).map(drop));
    let streams = (0..footer.stream_count()).try_for_each(|stream| footer.stream(bytes, stream).map(drop));
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

fn read_scope(footer: &Footer, bytes: &[u8], place: usize) -> Result<(), Error> {
    let scope = footer.scope(bytes, place)?;
    let key = StreamKey { scope: scope.text, entity: "mm", lane: Lane(1) };
    assert!((0..scope.rows.len()).all(|index| scope.rows.at(index) != Ok(None)));
    footer.find_stream(bytes, key).map(drop)
}

/// Reads a checkpoint and its tables.
pub(crate) fn read_checkpoint(bytes: &[u8]) -> Result<(), Error> {
    let prefix = CheckpointPrefix::decode(bytes)?;
    CheckpointHead::decode(bytes)?;
    let start = usize::try_from(prefix.tables_offset()).expect("32 and a u32");
    read_footer(bytes.get(start..).unwrap_or_default())
}
