//! A sealed segment is the one that was sealed, from its header to its last frame; a new one has space prepared.

use std::sync::Arc;

use annals_segment::{
    Directory, Error, Inventory, Layout, LogOptions, MemoryDirectory, Outside, Position, SealedPlace,
    SealedSegment, Tail,
};
use annals_wire::{Chain, Generation, SegmentId, Sequence, StoreId};

use crate::user::{Sent, TYPES, open, open_with, options};

/// A directory with a sealed segment of three frames, the last of which is long.
fn sealed() -> (MemoryDirectory, SealedPlace, u64) {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let options = LogOptions { segment_bytes: 1 << 20, ..options() };
    let (mut log, mut sent) = (open_with(&directory, options).unwrap().log, Sent::default());
    sent.stage(&mut log, 2, 10).unwrap();
    let last = log.end();
    sent.stage(&mut log, 1, 5000).unwrap();
    let place = sent.rotate(&mut log).unwrap();
    sent.close(log).unwrap();
    (memory, place, last)
}

fn segment(memory: &MemoryDirectory, place: SealedPlace) -> SealedSegment {
    SealedSegment::new(Arc::new(memory.clone()), place, false)
}

fn mismatch<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    match outcome {
        Err(Error::Mismatch { what, .. }) => what,
        other => panic!("no mismatch: {other:?}"),
    }
}

#[test]
fn another_segment_in_its_place_is_told_by_each_part_of_the_header() {
    let (memory, place, _) = sealed();
    assert!(segment(&memory, place).header().is_ok());
    let header = |place| mismatch(segment(&memory, place).header().map(|_| ()));
    assert_eq!(header(SealedPlace { store: StoreId([9; 16]), ..place }), "the store's id");
    assert_eq!(header(SealedPlace { first_sequence: Sequence(9), ..place }), "the first sequence");
    let bytes = memory.file("000001.seg").unwrap();
    memory.write_file("000009.seg", bytes.clone());
    assert_eq!(header(SealedPlace { id: SegmentId(9), ..place }), "the segment's id");
    let other = SealedPlace { generation: Generation(2), ..place };
    let name = segment(&memory, other).path().file_name().unwrap().to_str().unwrap().to_owned();
    memory.write_file(&name, bytes);
    assert_eq!(header(other), "the generation");
}

#[test]
fn its_frames_are_walked_to_its_end_and_are_those_that_were_sealed() {
    let (memory, place, last) = sealed();
    let scan = |place| segment(&memory, place).scan(TYPES, &mut |_, _| Ok(())).map(|_| ());
    scan(place).unwrap();
    assert_eq!(mismatch(scan(SealedPlace { chain: Chain(9), ..place })), "the chain");
    let mut bytes = memory.file("000001.seg").unwrap().to_vec();
    bytes[usize::try_from(last).unwrap() + 200] ^= 1;
    memory.write_file("000001.seg", bytes);
    assert!(matches!(scan(place), Err(Error::Corrupt { offset, .. }) if offset == last));
}

#[test]
fn a_frame_that_was_cut_short_is_damage_and_takes_no_memory_for_what_is_gone() {
    let (memory, place, last) = sealed();
    let bytes = memory.file("000001.seg").unwrap();
    for kept in [1100, 3000] {
        memory.write_file("000001.seg", bytes[..usize::try_from(last).unwrap() + kept].to_vec());
        let error = segment(&memory, place).frame(last).unwrap_err();
        assert!(error.is_damage(), "{kept}: {error}");
    }
}

#[test]
fn a_new_segment_has_space_prepared() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    drop(open(&directory).unwrap());
    assert_eq!(memory.file("000001.seg").unwrap().len(), 2 << 16, "header, and the least that is prepared");
}

#[test]
fn a_walk_does_not_begin_behind_the_end_of_the_file() {
    let (memory, _, _) = sealed();
    let newest =
        Layout::decide(&Inventory::take(&memory).unwrap(), memory.path(), None).unwrap().newest.unwrap();
    let start =
        Position { offset: 1 << 20, chain: Chain::default(), next_sequence: newest.header.first_sequence };
    let outside = Outside { start: Some(start), ..Outside::default() };
    let outcome = Tail::walk(&memory, &newest, outside, TYPES, &mut |_, _| Ok(()));
    assert!(matches!(outcome, Err(Error::Lost { witness: "the checkpoint", .. })), "{outcome:?}");
}

#[test]
fn what_a_later_frame_proves_durable_is_not_written_again() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    sent.stage(&mut log, 1, 100).unwrap();
    sent.flush(&mut log, true).unwrap();
    let synced = log.end();
    sent.stage(&mut log, 1, 100).unwrap();
    sent.flush(&mut log, false).unwrap();
    let end = log.end();
    drop(log);
    assert_eq!(open(&directory).unwrap().report.rewritten, Some((synced, end)));
}
