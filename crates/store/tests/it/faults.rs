//! Faults that meet a store while it runs: the disk refuses, lies or stays behind, a thread panics, the clock
//! jumps. What was acknowledged stays, what was not is never told as done, and who reads goes on.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    Coordinate, Durability, Error, Kind, NewEvent, Receipt, Sequence, Store,
    disk::{Clock, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, ReadFault, Span};

use crate::{
    groups::{check_recovers, check_stopped},
    history::{Draft, append, id, options},
};

/// How many events a store has before something happens.
const BEFORE: u64 = 3;

/// A disk with a store that was opened again, and has sealed segments and [`BEFORE`] events.
fn opened() -> (SimulatedDirectory, Store) {
    let disk = SimulatedDirectory::new();
    let store = options(1).create(true).open_on(disk.clone()).unwrap();
    for number in 0..BEFORE {
        event(&store, number, 2500).unwrap();
    }
    store.close().unwrap();
    let store = options(2).open_on(disk.clone()).unwrap();
    (disk, store)
}

/// Appends one event of `len` bytes, durably.
fn event(store: &Store, number: u64, len: usize) -> Result<Receipt, Error> {
    let drafts = [Draft::plain(0, len)];
    append(store, &drafts, Some(&vec![id(number)]), Durability::Durable).map(|receipts| receipts[0])
}

/// What the system said first, of a writer that stopped.
fn first_cause(error: &Error) -> &io::Error {
    let Error::Stopped { source: annals_segment::Error::Stopped { cause }, .. } = error else {
        panic!("{error:?}")
    };
    let annals_segment::Error::Io { source, .. } = &**cause else { panic!("{cause:?}") };
    source
}

/// Everything that a killed process leaves on `disk` is served, and what is served outlives a power loss right
/// after: also what a failed sync left in memory only.
fn check_served_is_durable(disk: &SimulatedDirectory, context: &str) {
    let killed = disk.kill();
    let store = options(8).open_on(killed.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let served = store.last_sequence();
    let lost = killed.crash_subset(|_| false);
    let store = options(9).open_on(lost).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(store.last_sequence(), served, "{context}: served, and then lost with the power");
}

/// What came of an operation's fault.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    NotReached,
    /// The append was told as done, and is.
    Done,
    Stopped,
}

/// Lets operation `at` of an append of `len` bytes have `fault`.
fn fail_operation(len: usize, fault: Fault, at: u64) -> Outcome {
    let (disk, store) = opened();
    let start = disk.operation_count();
    disk.inject(start + at, fault, Span::Once);
    let context = format!("{fault:?} at operation {at} of an append of {len} bytes");
    let error = match event(&store, BEFORE, len) {
        Ok(receipt) => {
            assert_eq!(receipt.sequence, Sequence(BEFORE + 1), "{context}");
            let is_reached = disk.operation_count() > start + at;
            // Before anything else is synced: it is durable, or success was told too early.
            check_recovers(&disk, BEFORE + 1, BEFORE + 1, &context);
            return if is_reached { Outcome::Done } else { Outcome::NotReached };
        }
        Err(error) => error,
    };
    check_stopped(&store, &error, Sequence(BEFORE));
    let said = first_cause(&error);
    match fault {
        Fault::Fail(errno) => {
            let expected = io::Error::from(errno);
            assert_eq!(said.raw_os_error(), expected.raw_os_error(), "{context}: {said}");
        }
        _ => assert_eq!(said.kind(), io::ErrorKind::WriteZero, "{context}: {said}"),
    }
    assert!(matches!(store.close(), Err(Error::Stopped { .. })), "{context}: closed");
    check_served_is_durable(&disk, &context);
    check_recovers(&disk, BEFORE, BEFORE + 1, &context);
    Outcome::Stopped
}

/// An append into the open segment, and one that begins the next: each of their writes and syncs, of files and of
/// the directory, with each thing that the system may say. (The frontier, footers and prepared space may fail.)
#[test]
fn whatever_the_system_says_once_no_later_success_is_told() {
    let mut faults = Errno::ALL.map(Fault::Fail).to_vec();
    faults.extend([Fault::ShortWrite(0), Fault::ShortWrite(7)]);
    for fault in faults {
        for (len, stopped_min) in [(100, 4), (3500, 10)] {
            let outcomes = (0..).map(|at| fail_operation(len, fault, at));
            let outcomes: Vec<_> = outcomes.take_while(|outcome| *outcome != Outcome::NotReached).collect();
            let stopped = outcomes.iter().filter(|outcome| **outcome == Outcome::Stopped).count();
            let row = format!("{fault:?}, {len} bytes: {outcomes:?}");
            match fault {
                Fault::ShortWrite(7) => assert_eq!(stopped, 0, "{row}"),
                Fault::ShortWrite(_) | Fault::Fail(Errno::Interrupted) => assert!(stopped >= 2, "{row}"),
                _ => assert!(stopped >= stopped_min, "{row}"),
            }
        }
    }
}

/// A disk that is full, read-only or bad from some operation on: the writer ends, with the events that it
/// acknowledged, and all of them can be read, then and later.
#[test]
fn a_disk_that_takes_no_more_ends_the_writer_and_not_the_readers() {
    for errno in [Errno::Io, Errno::NoSpace, Errno::ReadOnly] {
        for at in 0..40 {
            let (disk, store) = opened();
            disk.inject(disk.operation_count() + at, Fault::Fail(errno), Span::Forever);
            let context = format!("{errno:?} from operation {at} on");
            let lens = [300, 2700, 700, 3500, 1100].into_iter().cycle();
            let outcomes = (BEFORE..).zip(lens).map(|(number, len)| event(&store, number, len));
            let mut acknowledged = BEFORE;
            let error = outcomes
                .map(|outcome| outcome.map(|receipt| acknowledged = receipt.sequence.0))
                .find_map(Result::err)
                .unwrap();
            check_stopped(&store, &error, Sequence(acknowledged));
            assert_eq!(
                first_cause(&error).raw_os_error(),
                io::Error::from(errno).raw_os_error(),
                "{context}"
            );
            for number in 0..acknowledged {
                let found = store.get(id(number)).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(found.unwrap().sequence(), Sequence(number + 1), "{context}");
            }
            drop(store);
            check_recovers(&disk, acknowledged, acknowledged + 1, &context);
        }
    }
}

/// Reads event 1 from a sealed segment while the read with number `at` fails; whether there was such a read.
fn fail_read(maps: bool, errno: Errno, at: u64) -> bool {
    let (disk, store) = opened();
    drop(store);
    let store = options(5).maps(maps).open_segments_max(1).open_on(disk.clone()).unwrap();
    disk.inject_read(disk.read_count() + at, ReadFault::Fail(errno), Span::Once);
    let before = disk.read_count();
    let read = store.get(id(0));
    let is_reached = disk.read_count() > before + at;
    let context = format!("{errno:?} at read {at}, maps {maps}: {read:?}");
    match &read {
        Err(Error::Environment { source }) => {
            assert!(is_reached && source.to_string().contains("(simulated)/000001.seg"), "{context}");
        }
        Ok(Some(_)) => assert!(!is_reached || errno == Errno::Interrupted, "{context}"),
        _ => panic!("{context}"),
    }
    if !is_reached {
        return false;
    }
    assert!(store.get(id(0)).unwrap().is_some() && store.incidents().is_empty(), "{context}: and later");
    assert_eq!(store.all().map(Result::unwrap).count() as u64, BEFORE, "{context}: and other reads");
    event(&store, BEFORE, 100).unwrap();
    true
}

#[test]
fn a_segment_that_cannot_be_opened_or_read_fails_that_read_and_no_other() {
    for errno in [Errno::TooManyFiles, Errno::Io, Errno::Interrupted] {
        for maps in [false, true] {
            let count = (0..).take_while(|at| fail_read(maps, errno, *at)).count();
            assert!(count >= 3, "{errno:?}, maps {maps}: an open, its header, a frame: {count}");
        }
    }
}

/// A clock that shows what it is told, and panics when it was told so.
#[derive(Debug, Clone, Default)]
struct SetClock {
    millis: Arc<AtomicU64>,
    /// Panics when it is looked at for the time that this counts down to.
    fuse: Arc<AtomicU64>,
}

impl Clock for SetClock {
    fn now_millis(&self) -> u64 {
        let fuse = self.fuse.load(Ordering::SeqCst);
        assert!(fuse != 1, "the clock is broken");
        self.fuse.store(fuse.saturating_sub(1), Ordering::SeqCst);
        self.millis.load(Ordering::SeqCst)
    }
}

#[test]
fn a_panic_in_its_turn_ends_the_writer_and_extends_nothing() {
    for fuse in 1.. {
        let (disk, store) = opened();
        drop(store);
        let clock = SetClock::default();
        let store = options(3).clock(clock.clone()).open_on(disk.clone()).unwrap();
        clock.fuse.store(fuse, Ordering::SeqCst);
        let outcome = catch_unwind(AssertUnwindSafe(|| event(&store, BEFORE, 100)));
        clock.fuse.store(0, Ordering::SeqCst);
        if outcome.is_ok() {
            assert!(fuse > 2, "an append looks at the clock before its turn and in it");
            break;
        }
        let context = format!("the clock broke at look {fuse}");
        let written = disk.file("000003.seg");
        match event(&store, BEFORE + 1, 100) {
            // Before its turn a panic has touched nothing.
            Ok(receipt) => assert_eq!((fuse, receipt.sequence.0), (1, BEFORE + 1), "{context}"),
            Err(error) => {
                check_stopped(&store, &error, Sequence(BEFORE));
                assert_eq!(store.all().map(Result::unwrap).count() as u64, BEFORE, "{context}");
                drop(store);
                assert_eq!(disk.file("000003.seg"), written, "{context}: a frame was written by the drop");
                check_recovers(&disk, BEFORE, BEFORE, &context);
            }
        }
    }
}

/// Times that no clock should show after one another.
const JUMPS: [u64; 8] =
    [1_700_000_000_000, 1_600_000_000_000, 0, 1, 1_700_000_000_000, 1 << 47, 1_700_000_000_000, u64::MAX];

#[test]
fn sequences_and_recorded_times_go_up_wherever_the_clock_goes() {
    let disk = SimulatedDirectory::new();
    let clock = SetClock::default();
    let at = Coordinate::new("entity", "scope").unwrap();
    let mut receipts = Vec::new();
    for (life, millis) in (1..).zip(JUMPS) {
        clock.millis.store(millis, Ordering::SeqCst);
        let store = options(life).create(true).clock(clock.clone()).open_on(disk.clone()).unwrap();
        for millis in [millis, millis / 2, 0, millis] {
            clock.millis.store(millis, Ordering::SeqCst);
            let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x");
            receipts.push(store.append(&event).unwrap());
        }
        if life % 2 == 0 {
            store.close().unwrap();
        }
    }
    assert!(receipts.is_sorted_by(|one, next| one.recorded < next.recorded && one.sequence < next.sequence));
    let store = options(99).clock(clock).open_on(disk.clone()).unwrap();
    let sequences: Vec<_> = store.all().map(|event| event.unwrap().sequence().0).collect();
    assert!(sequences.iter().copied().eq(1..=receipts.len() as u64), "{sequences:?}");
    let read = store.stream(&at).map(|event| event.unwrap().recorded());
    assert!(read.eq(receipts.iter().map(|receipt| receipt.recorded)), "by sequence, never by time");
    assert!(annals::disk::verify_on(disk, &mut |_| {}).unwrap().is_sound());
}

/// Who trusts a device that lies is lost; but what it lost is told where later frames say what was durable.
#[test]
fn a_device_that_lies_is_found_out_by_frames_that_came_later() {
    let (disk, store) = opened();
    disk.inject(disk.operation_count(), Fault::LoseSync, Span::Forever);
    for number in BEFORE..BEFORE + 3 {
        event(&store, number, 100).unwrap();
    }
    drop(store);
    let pending = disk.pending_count();
    assert!(pending < 100, "{pending} units that only seem durable");
    let mut found = 0;
    for lost in 0..pending {
        let lossy = disk.crash_subset(|unit| unit != lost);
        match options(4).open_on(lossy) {
            Ok(store) => assert!(store.last_sequence().0 >= BEFORE, "unit {lost}"),
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "unit {lost}: {error}");
                found += 1;
            }
        }
    }
    assert!(found >= 2, "two events lie below what the last one says was durable: {found} of {pending}");
}
