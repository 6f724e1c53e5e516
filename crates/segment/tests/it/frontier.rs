//! What a reader takes of FRONTIER: what the living writer wrote, or an error, never another's; and a follower that
//! meets what it does not know.

use std::sync::Arc;

use annals_segment::{
    Errno, Error, Follower, FrontierFile, MemoryDirectory, ReadFault, SimulatedDirectory, Span, read_frontier,
};
use annals_wire::{FRONTIER_LEN, Frontier, MANIFEST_SLOT_LEN, SegmentId, Sequence};

use crate::write_ahead::hundred;

fn published() -> (SimulatedDirectory, Frontier) {
    let disk = SimulatedDirectory::new();
    let frontier =
        Frontier { epoch: 7, segment: SegmentId(1), end: 1024, visible: Sequence(3), durable: Sequence(3) };
    FrontierFile::open(&disk).unwrap().publish(&frontier);
    (disk, frontier)
}

#[test]
fn a_frontier_counts_for_the_writer_that_wrote_it() {
    let (disk, frontier) = published();
    assert_eq!(read_frontier(&disk, 7).unwrap(), Some(frontier));
    assert_eq!(read_frontier(&disk, 8).unwrap(), None, "that writer is gone");
    assert_eq!(read_frontier(&SimulatedDirectory::new(), 7).unwrap(), None);
}

#[test]
fn a_frontier_that_cannot_be_read_is_an_error() {
    for at in 0..2 {
        let (disk, _) = published();
        disk.inject_read(disk.read_count() + at, ReadFault::Fail(Errno::Io), Span::Once);
        assert!(read_frontier(&disk, 7).is_err(), "read {at}");
    }
}

#[test]
fn a_frontier_of_a_newer_version_is_an_error() {
    let (disk, _) = published();
    let mut bytes = disk.file("FRONTIER").unwrap();
    bytes[8] = 2;
    let crc = annals_wire::crc(&bytes[..FRONTIER_LEN - 4]);
    bytes[FRONTIER_LEN - 4..FRONTIER_LEN].copy_from_slice(&crc.to_le_bytes());
    disk.write_file("FRONTIER", bytes);
    assert!(matches!(read_frontier(&disk, 7), Err(Error::Newer { .. })));
}

#[test]
fn a_follower_refuses_a_newer_version_and_does_not_look_again() {
    let memory = MemoryDirectory::new();
    let (log, _) = hundred(&memory);
    let mut manifest = memory.file("MANIFEST").unwrap();
    manifest[8] = 2;
    let crc = annals_wire::crc(&manifest[..MANIFEST_SLOT_LEN - 4]);
    manifest[MANIFEST_SLOT_LEN - 4..MANIFEST_SLOT_LEN].copy_from_slice(&crc.to_le_bytes());
    memory.write_file("MANIFEST", manifest);
    let outcome = Follower::new(Arc::new(memory)).poll(|_| Ok::<_, Error>(()));
    assert!(matches!(outcome, Err(Error::Newer { .. })), "{outcome:?}");
    drop(log);
}
