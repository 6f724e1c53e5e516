//! Faults that met at an unlucky moment: each was found by looking for it, and lost or hid something once.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use annals::{
    Background, Coordinate, Durability, Error, EventId, Kind, NewEvent, Options, Query, QueryItem, Sequence,
    Tag,
    disk::{Clock, SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_segment::{Access, Directory, DirectoryEntry, File, Lock, ReadFault, Span};

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

fn kind() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn coordinate(number: u32) -> Coordinate {
    Coordinate::new(&format!("entity:{number}"), "scope").unwrap()
}

/// Everything on the disk, durable.
fn settled(disk: &SimulatedDirectory) -> SimulatedDirectory {
    disk.crash_subset(|_| true)
}

/// A clock that goes back by so much at every look.
#[derive(Debug)]
struct FallingClock {
    millis: AtomicU64,
    by: u64,
}

impl Clock for FallingClock {
    fn now_millis(&self) -> u64 {
        self.millis.fetch_sub(self.by, Ordering::SeqCst)
    }
}

/// Opens at `millis`, by a clock that falls, and appends `count` events; then the store is gone.
fn live(disk: &SimulatedDirectory, (millis, by): (u64, u64), count: u32) {
    let clock = FallingClock { millis: AtomicU64::new(millis), by };
    let store = options(millis).clock(clock).open_on(disk.clone()).unwrap();
    for number in 0..count {
        store.append(&NewEvent::new(&coordinate(number), kind(), b"x")).unwrap();
    }
    store.checkpoint().unwrap();
}

#[test]
fn no_event_is_older_than_its_segments_header_however_the_clock_falls() {
    for by in [0, 1000] {
        let disk = SimulatedDirectory::new();
        // The second life has a header of its own and no event, the third a checkpoint behind that header.
        for (millis, count) in [(100_000, 3), (500_000, 0), (200_000, 2)] {
            live(&disk, (millis, by), count);
        }
        let report = verify_on(disk, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "falling by {by}: {:?}", report.damage);
    }
}

#[test]
fn a_damaged_manifest_of_a_first_life_loses_nothing() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    store.append(&NewEvent::new(&coordinate(1), kind(), b"acknowledged")).unwrap();
    drop(store);
    for slot in [0, 4096] {
        let disk = disk.kill();
        let mut manifest = disk.file("MANIFEST").unwrap();
        manifest[slot + 100] ^= 1;
        disk.write_file("MANIFEST", manifest);
        let store = options(2).open_on(disk.clone()).unwrap();
        assert_eq!(store.last_sequence(), Sequence(1), "slot at {slot}: {:?}", store.report());
        assert!(!store.report().is_clean());
    }
}

#[test]
fn a_creation_that_was_killed_is_made_durable_before_it_is_used() {
    for stop in 0.. {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        if options(1).open_on(disk.clone()).is_ok() {
            break;
        }
        let killed = disk.kill();
        let store = options(2).open_on(killed.clone()).unwrap();
        store.append(&NewEvent::new(&coordinate(1), kind(), b"acknowledged")).unwrap();
        let lost = killed.crash_subset(|_| false);
        let store = options(3).open_on(lost).unwrap_or_else(|error| panic!("stopped before {stop}: {error}"));
        assert_eq!(store.last_sequence(), Sequence(1), "stopped before {stop}: {:?}", store.report());
    }
}

#[test]
fn a_manifest_that_a_kill_left_unsynced_outlives_a_power_loss_with_the_first_segment() {
    let disk = SimulatedDirectory::new();
    disk.remember();
    drop(options(1).open_on(disk.clone()).unwrap());
    for (stop, killed) in disk.moments().iter().enumerate() {
        killed.remember();
        drop(options(2).open_on(killed.clone()).unwrap());
        for (again, moment) in killed.moments().iter().enumerate() {
            let units = moment.pending_units(&["LOCK", "FRONTIER"]);
            for subset in 0..1_u64 << units.len().min(8) {
                let kept =
                    |unit| units.iter().position(|of| *of == unit).is_some_and(|at| subset >> at & 1 == 1);
                if let Err(error) = options(3).open_on(moment.crash_subset(kept)) {
                    panic!("killed before {stop}, again before {again}, subset {subset:b} survives: {error}");
                }
            }
        }
    }
}

#[test]
fn a_manifest_slot_is_durable_before_the_other_is_written() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    store.append(&NewEvent::new(&coordinate(1), kind(), b"x")).unwrap();
    store.close().unwrap();
    let base = disk.operation_count();
    for stop in base..base + 12 {
        let disk = settled(&disk);
        let store = options(2).open_on(disk.clone()).unwrap();
        disk.stop_before(stop - base);
        drop(store.append(&NewEvent::new(&coordinate(1), kind(), b"x")));
        drop(store);
        for again in 0..40 {
            let disk = disk.kill();
            disk.stop_before(again);
            let opened = options(3).open_on(disk.clone());
            let (old, new) =
                (disk.crash_subset(|_| false).file("MANIFEST").unwrap(), disk.file("MANIFEST").unwrap());
            let pending =
                [0, 4096].iter().filter(|slot| old[**slot..**slot + 4096] != new[**slot..**slot + 4096]);
            assert!(
                pending.count() < 2,
                "killed before {}, again before {again}: both slots can tear",
                stop - base
            );
            if opened.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_segment_of_a_fork_does_not_cut_the_one_before_it() {
    let disk = SimulatedDirectory::new();
    let at = coordinate(1);
    let small = || NewEvent::new(&at, kind(), b"x");
    let large = vec![7; 3500];
    let store = options(1).open_on(disk.clone()).unwrap();
    for _ in 0..3 {
        store.append(&small()).unwrap();
    }
    store.close().unwrap();
    let (ours, theirs) = (settled(&disk), settled(&disk));
    let store = options(2).open_on(ours.clone()).unwrap();
    for _ in 0..3 {
        store.append(&small()).unwrap();
    }
    store.append(&NewEvent::new(&at, kind(), &large)).unwrap();
    let without_footer = settled(&ours);
    store.pump().unwrap();
    drop(store);
    let store = options(3).open_on(theirs.clone()).unwrap();
    store.append(&NewEvent::new(&at, kind(), &large)).unwrap();
    drop(store);
    for mixed in [settled(&ours), without_footer] {
        mixed.write_file("000002.seg", theirs.file("000002.seg").unwrap());
        let error = options(4).open_on(mixed.clone()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("000001.seg"), "{error}");
    }
}

#[test]
fn other_peoples_temporary_files_are_left_alone() {
    let disk = SimulatedDirectory::new();
    options(1).open_on(disk.clone()).unwrap().close().unwrap();
    disk.write_file("thesis.tmp", b"mine");
    let store = options(2).open_on(disk.clone()).unwrap();
    assert!(store.report().is_clean());
    assert_eq!(disk.file("thesis.tmp").as_deref(), Some(&b"mine"[..]));
}

#[test]
fn a_full_segment_is_rotated_once_however_many_wait() {
    let directory = tempfile::tempdir().unwrap();
    let store = Options::new().create(true).segment_bytes(64 << 10).open(directory.path()).unwrap();
    thread::scope(|scope| {
        for number in 0..16 {
            let store = &store;
            scope.spawn(move || {
                let at = coordinate(number);
                for _ in 0..32 {
                    store.append(&NewEvent::new(&at, kind(), &vec![1; 900])).unwrap();
                }
            });
        }
    });
    store.close().unwrap();
    let store = Options::new().open_read_only(directory.path()).unwrap();
    let needed = 16 * 32 * 1_100 / (64 << 10) + 1;
    assert!(store.report().segment_count <= needed + 3, "{} segments", store.report().segment_count);
}

/// A directory in which the thread `reader` stops when it opens the first segment, until it is let go.
#[derive(Debug, Clone)]
struct Gate {
    disk: SimulatedDirectory,
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum GateState {
    #[default]
    Nobody,
    Waiting,
    Open,
}

impl Gate {
    fn new(disk: &SimulatedDirectory) -> Self {
        Self { disk: disk.clone(), state: Arc::default() }
    }

    fn set(&self, state: GateState) {
        *self.state.0.lock().unwrap() = state;
        self.state.1.notify_all();
    }

    fn wait_until(&self, is_it: impl Fn(GateState) -> bool) {
        let state = self.state.0.lock().unwrap();
        drop(self.state.1.wait_while(state, |state| !is_it(*state)).unwrap());
    }
}

impl Directory for Gate {
    fn path(&self) -> &Path {
        self.disk.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        if thread::current().name() == Some("reader") && name == "000001.seg" {
            let is_first = *self.state.0.lock().unwrap() == GateState::Nobody;
            if is_first {
                self.set(GateState::Waiting);
            }
            self.wait_until(|state| state == GateState::Open);
        }
        self.disk.open(name, access)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.disk.child(name)
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.disk.create_child(name)
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.disk.remove_child(name)
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.disk.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.disk.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.disk.is_locked(name)
    }
}

fn reader<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().name("reader".to_owned()).spawn(work).unwrap()
}

#[test]
fn an_index_that_is_mended_late_does_not_replace_a_newer_one() {
    let disk = SimulatedDirectory::new();
    let at = coordinate(1);
    let store = options(1).open_on(disk.clone()).unwrap();
    for _ in 0..2 {
        store.append(&NewEvent::new(&at, kind(), b"x").tag(Tag::new("needle").unwrap())).unwrap();
    }
    store.checkpoint().unwrap();
    store.close().unwrap();
    let mut checkpoint = disk.file("CHECKPOINT").unwrap();
    let place = checkpoint.windows(6).position(|bytes| bytes == b"needle").unwrap();
    checkpoint[place] ^= 1;
    disk.write_file("CHECKPOINT", checkpoint);
    let gate = Gate::new(&disk);
    let store = options(2).open_on(gate.clone()).unwrap();
    let clone = store.clone();
    let query = Query::of(QueryItem::new().tag("needle"));
    let reading = reader(move || clone.query(query).next().map(|event| event.unwrap().sequence()));
    gate.wait_until(|state| state == GateState::Waiting);
    let given = EventId([9; 16]);
    for _ in 0..2 {
        store.append(&NewEvent::new(&at, kind(), b"y")).unwrap();
    }
    store.append(&NewEvent::new(&at, kind(), b"y").id(given)).unwrap();
    store.append(&NewEvent::new(&coordinate(2), kind(), &vec![1; 3500])).unwrap();
    store.pump().unwrap();
    gate.set(GateState::Open);
    assert_eq!(reading.join().unwrap(), Some(Sequence(1)));
    assert_eq!(store.stream(&at).count(), 5);
    assert!(store.get(given).unwrap().is_some());
    assert!(store.append(&NewEvent::new(&at, kind(), b"y").id(given)).unwrap().is_repeat);
    store.close().unwrap();
    assert!(verify_on(disk, &mut |_| {}).unwrap().is_sound());
}

#[test]
fn a_reader_that_meets_a_writers_first_append_does_not_see_what_is_not_durable() {
    let disk = SimulatedDirectory::new();
    let at = coordinate(1);
    let store = options(1).open_on(disk.clone()).unwrap();
    store.append(&NewEvent::new(&at, kind(), b"x")).unwrap();
    store.close().unwrap();
    let store = options(2).open_on(disk.clone()).unwrap();
    let gate = Gate::new(&disk);
    let gated = gate.clone();
    let reading = reader(move || Options::new().open_read_only_on(gated).unwrap().last_sequence());
    gate.wait_until(|state| state == GateState::Waiting);
    store.append_with(&NewEvent::new(&at, kind(), b"unsynced"), Durability::Written).unwrap();
    gate.set(GateState::Open);
    assert_eq!(reading.join().unwrap(), Sequence(1));
}

#[test]
fn a_bit_read_wrong_while_a_tail_is_written_again_does_not_get_onto_the_disk() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    for number in 0..6 {
        store.append(&NewEvent::new(&coordinate(number), kind(), &[7; 200])).unwrap();
    }
    let killed = disk.kill();
    let reads = {
        let disk = killed.kill();
        drop(options(2).open_on(disk.clone()).unwrap());
        disk.read_count()
    };
    for (at, bit) in (0..reads).flat_map(|at| [3, 4000, 9999].map(|bit| (at, bit))) {
        let disk = killed.kill();
        disk.inject_read(at, ReadFault::FlipBit { bit }, Span::Once);
        let opened = options(2).open_on(disk.clone());
        // What looked torn was cut off, and told.
        if opened.is_ok_and(|store| store.report().log.torn.is_some()) {
            continue;
        }
        let store = options(3).open_on(disk.kill()).unwrap_or_else(|error| panic!("read {at}: {error}"));
        assert_eq!(store.all().map(Result::unwrap).count(), 6, "read {at}, bit {bit}");
    }
}
