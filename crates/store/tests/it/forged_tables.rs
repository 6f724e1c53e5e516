//! Tables that are whole and of the wrong frames: those of a checkpoint, and those of a footer.

use std::sync::Arc;

use annals::{
    Background, Coordinate, Error, Kind, NewEvent, Options, Sequence, Store,
    disk::{SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_checkpoint::{FRAME_TYPES, index_segment};
use annals_index::ActiveIndex;
use annals_segment::{Directory, FoundFooter, Inventory, Layout, SealedPlace, SealedSegment};
use annals_wire::{
    Chain, CheckpointHead, Digest, FooterTrailer, Generation, SEGMENT_HEADER_LEN, SegmentHeader, SegmentId,
    StoreId,
};

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

fn append(store: &Store, entity: &str) {
    let at = Coordinate::new(entity, "scope").unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), &[7; 1500])).unwrap();
}

/// The tables of the frames at `place`, with the trailer that `change` makes of theirs.
fn tables(disk: &SimulatedDirectory, place: SealedPlace, change: impl Fn(&mut FooterTrailer)) -> Vec<u8> {
    let segment = SealedSegment::new(Arc::new(disk.clone()), place, false);
    let (index, _) = index_segment(&segment).unwrap();
    let mut trailer = FooterTrailer {
        store: place.store,
        segment: place.id,
        generation: place.generation,
        chain: place.chain,
        frames_end: place.end,
        first_sequence: place.first_sequence,
        row_count: annals_index::Index::row_count(&index),
        digest: segment.digest().unwrap(),
    };
    change(&mut trailer);
    index.encode(&trailer)
}

/// What a trailer may say that is not so.
const LIES: [fn(&mut FooterTrailer); 5] = [
    |trailer| trailer.store = StoreId([9; 16]),
    |trailer| trailer.segment = SegmentId(9),
    |trailer| trailer.generation = Generation(9),
    |trailer| trailer.chain = Chain(9),
    |trailer| trailer.frames_end -= 8,
];

/// What is told of files that were not used, when all was read.
fn rejected(disk: &SimulatedDirectory) -> Vec<String> {
    let store = options(9).open_on(disk.kill()).unwrap();
    assert_eq!(store.all().count(), 4);
    let rejected = store.report().rejected.iter();
    let rejected = rejected.map(|rejected| format!("{}: {}", rejected.file, rejected.why));
    rejected.chain(store.incidents()).collect()
}

/// A store with a sealed segment, and a checkpoint in the newest.
fn closed() -> SimulatedDirectory {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    for entity in ["a:1", "a:2", "a:3", "a:4"] {
        append(&store, entity);
    }
    store.checkpoint().unwrap();
    store.close().unwrap();
    assert_eq!(rejected(&disk), [""; 0]);
    disk
}

fn layout(disk: &SimulatedDirectory) -> Layout {
    Layout::decide(&Inventory::take(disk).unwrap(), disk.path(), None).unwrap()
}

#[test]
fn a_checkpoints_tables_are_those_of_its_own_frames() {
    let disk = closed();
    let head = CheckpointHead::decode(&disk.file("CHECKPOINT").unwrap()).unwrap();
    let newest = layout(&disk).newest.unwrap().header;
    let place = SealedPlace {
        store: head.store,
        id: newest.id,
        generation: newest.generation,
        first_sequence: newest.first_sequence,
        end: head.watermark.offset,
        chain: head.watermark.chain,
    };
    let forged = |change: &dyn Fn(&mut FooterTrailer)| {
        let disk = disk.kill();
        let tables = tables(&disk, place, |trailer| {
            trailer.digest = Digest::NONE;
            change(trailer);
        });
        disk.write_file("CHECKPOINT", head.encode(&tables));
        rejected(&disk)
    };
    assert_eq!(forged(&|_| {}), [""; 0]);
    for (number, lie) in LIES.iter().enumerate() {
        let rejected = forged(lie);
        assert!(
            rejected.len() == 1 && rejected[0].contains("its tables are of another"),
            "{number}: {rejected:?}"
        );
    }
}

#[test]
fn a_footer_is_of_the_frames_before_it_and_has_their_digest() {
    let disk = closed();
    let place = layout(&disk).sealed[0];
    let forged = |change: &dyn Fn(&mut FooterTrailer)| {
        let disk = disk.kill();
        let mut bytes = disk.file("000001.seg").unwrap();
        bytes.truncate(usize::try_from(place.end).unwrap());
        bytes.extend(tables(&disk, place, change));
        disk.write_file("000001.seg", bytes);
        rejected(&disk)
    };
    assert_eq!(forged(&|_| {}), [""; 0]);
    for (number, lie) in LIES.iter().enumerate() {
        let rejected = forged(lie);
        assert!(
            rejected.len() == 1 && rejected[0].contains("built from other frames"),
            "{number}: {rejected:?}"
        );
    }
    let undigested = forged(&|trailer| trailer.digest = Digest::NONE);
    assert!(undigested.len() == 1 && undigested[0].contains("no digest"), "{undigested:?}");
}

/// The footer of the segment at `place`, whose first row leads to the second frame.
fn shifted(disk: &SimulatedDirectory, place: SealedPlace) -> Vec<u8> {
    let segment = SealedSegment::new(Arc::new(disk.clone()), place, false);
    let (mut offsets, mut index) = (Vec::new(), ActiveIndex::new(place.first_sequence));
    let mut note = |offset, _: &annals_wire::Frame<'_>| {
        offsets.push(u32::try_from(offset).unwrap());
        Ok(())
    };
    segment.scan(FRAME_TYPES, &mut note).unwrap();
    let mut offsets = [offsets[1], offsets[1] + 8].into_iter();
    let mut insert = |_: u64, frame: &annals_wire::Frame<'_>| {
        let event = annals_wire::Event::decode(frame).unwrap();
        let entry = annals_index::Entry {
            offset: offsets.next().unwrap(),
            id: event.id,
            correlation: event.correlation,
            causation: event.causation,
            stream: event.stream,
            kind: event.stamp.kind,
            revision: event.stamp.revision,
            fork_depth: annals_wire::Depth(0),
            recorded: event.stamp.recorded,
            hash: event.stamp.hash,
        };
        index.insert(&entry, event.tags.iter());
        Ok(())
    };
    segment.scan(FRAME_TYPES, &mut insert).unwrap();
    index.encode(&FooterTrailer {
        store: place.store,
        segment: place.id,
        generation: place.generation,
        chain: place.chain,
        frames_end: place.end,
        first_sequence: place.first_sequence,
        row_count: annals_index::Index::row_count(&index),
        digest: segment.digest().unwrap(),
    })
}

#[test]
fn a_row_that_leads_to_another_event_is_told() {
    let disk = closed();
    let place = layout(&disk).sealed[0];
    let mut bytes = disk.file("000001.seg").unwrap();
    bytes.truncate(usize::try_from(place.end).unwrap());
    bytes.extend(shifted(&disk, place));
    disk.write_file("000001.seg", bytes);
    let store = options(9).open_read_only_on(disk).unwrap();
    let Some(Err(error)) = store.all().next() else { panic!("another event was given for the first") };
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("the sequence"), "{error}");
}

#[test]
fn a_footer_lies_where_the_frames_end() {
    let disk = closed();
    let place = layout(&disk).sealed[0];
    let footer =
        |end| SealedSegment::new(Arc::new(disk.clone()), SealedPlace { end, ..place }, false).footer();
    assert!(matches!(footer(place.end), Ok(FoundFooter::Sound(_))));
    let fork = footer(place.end - 8).unwrap_err();
    assert!(fork.to_string().contains("which the next segment's header gives"), "{fork}");
    let Ok(FoundFooter::Unusable(why)) = footer(place.end + 8) else { panic!("it begins before the end") };
    assert!(why.contains("does not begin where the frames end"), "{why}");
}

/// A store with a sealed segment and an empty one behind it, just let go of.
fn begun_anew() -> SimulatedDirectory {
    let disk = SimulatedDirectory::new();
    append(&options(1).open_on(disk.clone()).unwrap(), "a:1");
    drop(options(2).open_on(disk.clone()).unwrap());
    disk
}

fn check_refused(disk: &SimulatedDirectory, what: &str) {
    match options(9).open_on(disk.kill()) {
        Err(Error::Corrupt { source }) => assert!(source.to_string().contains(what), "{source}"),
        other => panic!("{what} is not refused: {:?}", other.map(|store| store.report().clone())),
    }
}

#[test]
fn verification_compares_a_segments_header_with_the_last_event_before_it() {
    let disk = closed();
    let mut bytes = disk.file("000002.seg").unwrap();
    let mut header = SegmentHeader::decode(&bytes).unwrap();
    header.previous.as_mut().unwrap().mark = Digest([7; 32]);
    bytes[..SEGMENT_HEADER_LEN].copy_from_slice(&header.encode());
    disk.write_file("000002.seg", bytes);
    let report = verify_on(disk.kill(), &mut |_| {}).unwrap();
    let told: Vec<_> = report.damage.iter().map(|damage| (damage.offset, damage.what.as_str())).collect();
    assert!(
        told.iter().any(|(offset, what)| *offset == Some(96) && what.contains("the last event before it")),
        "{told:?}"
    );
}

#[test]
fn an_empty_segment_goes_on_where_the_one_before_it_ended() {
    let disk = begun_anew();
    let mut bytes = disk.file("000002.seg").unwrap();
    let header = SegmentHeader::decode(&bytes).unwrap();
    assert_eq!(header.first_sequence, Sequence(2));
    let forged = SegmentHeader { first_sequence: Sequence(9), ..header };
    bytes[..SEGMENT_HEADER_LEN].copy_from_slice(&forged.encode());
    disk.write_file("000002.seg", bytes);
    check_refused(&disk, "the sequence behind its last event");
}

#[test]
fn a_checkpoint_of_an_empty_segment_knows_the_last_event_before_it() {
    let disk = begun_anew();
    let store = options(3).open_on(disk.clone()).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    assert_eq!(options(9).open_on(disk.kill()).unwrap().last_sequence(), Sequence(1));
    let bytes = disk.file("CHECKPOINT").unwrap();
    let mut head = CheckpointHead::decode(&bytes).unwrap();
    head.watermark.mark = Digest([7; 32]);
    let prefix = annals_wire::CheckpointPrefix::decode(&bytes).unwrap();
    let tables = &bytes[usize::try_from(prefix.tables_offset()).unwrap()..];
    disk.write_file("CHECKPOINT", head.encode(tables));
    check_refused(&disk, "the last event before the segment");
}
