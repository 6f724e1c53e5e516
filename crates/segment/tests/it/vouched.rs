//! Which headers are read: those that no checkpoint vouches for.

use std::{path::Path, sync::Arc};

use annals_segment::{Directory, Inventory, Layout, MemoryDirectory};
use annals_wire::{
    CheckpointHead, CoveredSegment, Digest, Generation, Recorded, SegmentId, StoreId, Watermark,
};

use crate::user::{Sent, open};

/// A log of four sealed segments and a newest one, and a checkpoint that stands on the four.
fn log() -> (MemoryDirectory, CheckpointHead) {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    for _ in 0..4 {
        sent.stage(&mut log, 2, 100).unwrap();
        sent.rotate(&mut log).unwrap();
    }
    sent.close(log).unwrap();
    let layout = Layout::decide(&Inventory::take(&memory).unwrap(), Path::new(""), None).unwrap();
    let covered = layout.sealed.iter().map(|place| CoveredSegment {
        id: place.id,
        generation: place.generation,
        first_sequence: place.first_sequence,
        end: place.end,
        chain: place.chain,
        len: 0,
    });
    let newest = layout.newest.as_ref().unwrap();
    let watermark = Watermark {
        segment: newest.header.id,
        generation: newest.header.generation,
        offset: 512,
        chain: Default::default(),
        sequence: annals_wire::Sequence(8),
        recorded: Recorded(0),
        mark: Digest::NONE,
    };
    let (store, covered) = (layout.manifest.store, covered.collect());
    let (kind_names, hidden, moves) = (Vec::new(), Vec::new(), Vec::new());
    (memory, CheckpointHead { store, watermark, covered, kind_names, hidden, moves, control: Digest::NONE })
}

/// The segments whose headers are read, beside a checkpoint that `change` was done to.
fn read(change: impl FnOnce(&mut CheckpointHead), upto: Option<u64>) -> Vec<u64> {
    let (memory, mut head) = log();
    change(&mut head);
    let mut inventory = Inventory::list(&memory).unwrap();
    assert!(inventory.segments.values().all(|file| file.header.is_none()));
    inventory.read_headers(&memory, Some(&head), upto.map(SegmentId)).unwrap();
    let read = inventory.segments.iter().filter(|(_, file)| file.header.is_some()).map(|(id, _)| id.0);
    let read = read.collect();
    let layout = Layout::decide(&inventory, Path::new(""), upto.map(SegmentId)).unwrap();
    let whole = Layout::decide(&Inventory::take(&memory).unwrap(), Path::new(""), upto.map(SegmentId));
    assert_eq!(layout, whole.unwrap());
    read
}

#[test]
fn a_header_is_read_where_the_checkpoint_does_not_vouch_for_the_segment() {
    assert_eq!(read(|_| {}, None), [5]);
    assert_eq!(read(|head| head.store = StoreId([9; 16]), None), [1, 2, 3, 4, 5], "another log's");
    assert_eq!(read(|head| head.covered.clear(), None), [1, 2, 3, 4, 5], "it covers none");
    for index in 0..4 {
        let id = index as u64 + 1;
        let len =
            |head: &mut CheckpointHead, more: u64| head.covered[index].len = head.covered[index].end + more;
        assert_eq!(read(|head| len(head, 0), None), [5], "the length that it has");
        assert_eq!(read(|head| len(head, 8), None), [id, 5], "it had a footer, and has none");
        let generation = |head: &mut CheckpointHead| head.covered[index].generation = Generation(1);
        let behind = if id == 4 { vec![4, 5] } else { vec![id, id + 1, 5] };
        assert_eq!(read(generation, None), behind, "another generation");
    }
    let later = |head: &mut CheckpointHead| drop(head.covered.drain(..2));
    assert_eq!(
        read(later, None),
        [1, 2, 3, 5],
        "what it begins with is read, to know where that one before ends"
    );
}

#[test]
fn the_newest_that_counts_has_its_header_read() {
    assert_eq!(read(|_| {}, Some(5)), [5]);
    assert_eq!(read(|_| {}, Some(3)), [3, 4, 5]);
    assert_eq!(read(|_| {}, Some(1)), [1, 2, 3, 4, 5]);
}
