//! When a checkpoint is written by itself, and how much is in it.

use std::time::{Duration, Instant};

use annals::{
    Background, Coordinate, Durability, Kind, NewEvent, Options, Store,
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory},
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

#[test]
fn who_appends_waits_where_the_index_would_be_more_than_32_mib_behind() {
    const LAG_MAX: u64 = 32 << 20;
    let memory = MemoryDirectory::new();
    let options = |seed| {
        let options = Options::new().create(true).background(Background::Manual).segment_bytes(1 << 30);
        options.entropy(SeededEntropy::new(seed))
    };
    let store = options(1).open_on(memory.clone()).unwrap();
    // Nobody pumps: all that is written is written by whoever appends.
    for _ in 0..35 {
        append(&store, 1 << 20, Durability::Written);
    }
    drop(store);
    let store = options(2).open_on(memory).unwrap();
    let report = store.report();
    assert!(
        report.events.checkpoint > 0 && report.events.checkpoint + report.events.tail == 35,
        "{report:?}"
    );
    assert!(report.tail_bytes <= LAG_MAX, "{} bytes", report.tail_bytes);
}

#[test]
fn one_that_is_durable_has_no_sealed_segment_without_a_footer_behind_it() {
    let disk = SimulatedDirectory::new();
    let options = |seed| {
        let options = Options::new().create(true).background(Background::Manual).segment_bytes(10_000);
        options.entropy(SeededEntropy::new(seed))
    };
    let store = options(1).open_on(disk.clone()).unwrap();
    // The first has tables of the segment that is sealed by the next events; the second has none of it.
    for _ in 0..2 {
        append(&store, 6_000, Durability::Durable);
        store.checkpoint().unwrap();
    }
    drop(store);
    let report = options(2).open_on(disk).unwrap().report().clone();
    assert_eq!((report.segment_count, report.events.frames, report.events.footers), (2, 0, 1), "{report:?}");
}

#[test]
fn enough_durable_appends_wake_the_thread_that_writes_one() {
    let memory = MemoryDirectory::new();
    let options = Options::new().create(true).checkpoint_bytes(100_000).entropy(SeededEntropy::new(1));
    let store = options.open_on(memory.clone()).unwrap();
    for _ in 0..3 {
        append(&store, 50_000, Durability::Durable);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while memory.file("CHECKPOINT").is_none() {
        assert!(Instant::now() < deadline, "no checkpoint, and nothing else wakes the thread");
        std::thread::yield_now();
    }
}
