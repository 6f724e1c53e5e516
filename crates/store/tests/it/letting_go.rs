//! Stores that are let go of without a close, and what they may still do then.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Sequence, Store,
    disk::{Clock, SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, Span};

fn open(disk: &SimulatedDirectory, seed: u64) -> Store {
    let options =
        Options::new().create(true).segment_bytes(4096).background(Background::Manual).checkpoint_bytes(0);
    options.entropy(SeededEntropy::new(seed)).open_on(disk.clone()).unwrap()
}

fn append(store: &Store, durability: Durability) -> Result<(), Error> {
    let at = Coordinate::new("a:1", "scope").unwrap();
    store.append_with(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x"), durability).map(|_| ())
}

#[test]
fn what_was_written_is_durable_when_its_store_is_gone() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk, 1);
    append(&store, Durability::Written).unwrap();
    drop(store);
    assert_eq!(open(&disk.crash_subset(|_| false), 2).last_sequence(), Sequence(1));
}

#[test]
fn a_store_that_stopped_touches_nothing_when_it_is_let_go() {
    let mut stopped = 0;
    for at in 0..8 {
        let disk = SimulatedDirectory::new();
        let store = open(&disk, 1);
        append(&store, Durability::Written).unwrap();
        disk.inject(disk.operation_count() + at, Fault::Fail(Errno::Io), Span::Once);
        if (0..8).all(|_| append(&store, Durability::Written).is_ok()) {
            continue;
        }
        stopped += 1;
        let count = disk.operation_count();
        drop(store);
        assert_eq!(disk.operation_count(), count, "operation {at} failed, and more were tried after it");
    }
    assert!(stopped > 2, "{stopped}");
}

#[test]
fn a_store_that_stopped_does_nothing_more_whatever_it_is_asked() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk, 1);
    append(&store, Durability::Durable).unwrap();
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    append(&store, Durability::Durable).unwrap_err();
    let count = disk.operation_count();
    let stopped = |outcome: Result<(), Error>, what| {
        assert!(matches!(outcome, Err(Error::Stopped { .. })), "{what}: {outcome:?}");
        assert_eq!(disk.operation_count(), count, "{what}");
    };
    stopped(append(&store, Durability::Queued), "an append");
    stopped(store.kind("a name").map(|_| ()), "a name");
    stopped(store.pump(), "the work behind the appends");
    stopped(store.sync().map(|_| ()), "a sync");
    stopped(store.checkpoint(), "a checkpoint");
    stopped(store.clone().close(), "a close");
}

/// A clock that breaks when it is looked at for the time that this counts down to.
#[derive(Debug, Clone, Default)]
struct FusedClock(Arc<AtomicU64>);

impl Clock for FusedClock {
    fn now_millis(&self) -> u64 {
        let fuse = self.0.load(Ordering::SeqCst);
        assert!(fuse != 1, "the clock is broken");
        self.0.store(fuse.saturating_sub(1), Ordering::SeqCst);
        1_700_000_000_000
    }
}

#[test]
fn a_store_in_which_a_turn_panicked_binds_no_name() {
    let disk = SimulatedDirectory::new();
    let clock = FusedClock::default();
    let options = Options::new().create(true).background(Background::Manual).clock(clock.clone());
    let store = options.entropy(SeededEntropy::new(1)).open_on(disk).unwrap();
    clock.0.store(2, Ordering::SeqCst);
    catch_unwind(AssertUnwindSafe(|| append(&store, Durability::Durable))).unwrap_err();
    let outcome = store.kind("a name");
    assert!(matches!(outcome, Err(Error::Stopped { .. })), "{outcome:?}");
    assert_eq!(store.find_kind("a name"), None);
}

#[test]
fn a_reader_of_a_store_that_was_let_go_is_told_what_nothing_proves() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk, 1);
    append(&store, Durability::Durable).unwrap();
    append(&store, Durability::Written).unwrap();
    drop(store);
    let store = Options::new().open_read_only_on(disk).unwrap();
    let (from, to) = store.report().log.rewritten.unwrap();
    assert!(from < to, "{:?}", store.report());
}
