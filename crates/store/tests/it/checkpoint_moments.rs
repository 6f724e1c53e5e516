//! When a checkpoint is written by itself, and how much is in it.

use annals::{
    Background, Coordinate, Durability, Kind, NewEvent, Options, SeededEntropy, SimulatedDirectory, Store,
};

fn open(disk: &SimulatedDirectory, seed: u64) -> Store {
    let options = Options::new().create(true).background(Background::Manual).checkpoint_bytes(1000);
    options.entropy(SeededEntropy::new(seed)).open_on(disk.clone()).unwrap()
}

fn append(store: &Store, len: usize, durability: Durability) {
    let at = Coordinate::new("a:1", "scope").unwrap();
    let payload = vec![7; len];
    store.append_with(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), &payload), durability).unwrap();
}

#[test]
fn a_round_of_the_work_behind_the_appends_writes_one_that_is_due() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk, 1);
    append(&store, 10, Durability::Durable);
    store.pump().unwrap();
    assert!(disk.file("CHECKPOINT").is_none(), "none is due yet");
    append(&store, 2000, Durability::Durable);
    store.pump().unwrap();
    drop(store);
    assert_eq!(open(&disk, 2).report().events.checkpoint, 2);
}

#[test]
fn a_close_writes_one_of_all_that_there_is_where_that_is_much() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk, 1);
    append(&store, 10, Durability::Queued);
    store.close().unwrap();
    assert!(disk.file("CHECKPOINT").is_none(), "a short tail is read in no time");
    let store = open(&disk, 2);
    append(&store, 100_000, Durability::Queued);
    store.close().unwrap();
    assert_eq!(open(&disk, 3).report().events.checkpoint, 2);
}

#[test]
fn one_that_is_asked_for_has_all_that_was_appended() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk, 1);
    append(&store, 10, Durability::Queued);
    store.checkpoint().unwrap();
    drop(store);
    assert_eq!(open(&disk.crash_subset(|_| false), 2).report().events.checkpoint, 1);
}
