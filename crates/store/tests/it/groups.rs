//! Groups: concurrent callers share writes and syncs, nothing is seen before it is durable, and a sync that
//! failed is the end of the writer, for everybody.
//!
//! The directory under the store is watched: it counts syncs, knows which events each made durable, can hold a
//! sync up until everybody has come, and can fail one.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Receipt, Sequence, Store,
    disk::{Directory, SimulatedDirectory, verify_on},
};
use annals_segment::{Access, CrashProfile, DirectoryEntry, File, Lock, Region};
use annals_wire::{FrameHeader, SEGMENT_HEADER_LEN, SegmentHeader};

use crate::history::{Draft, append, id, options};

/// A simulated disk that is watched.
#[derive(Clone)]
struct Watched {
    disk: SimulatedDirectory,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    /// Syncs of files and of the directory, those that failed among them.
    sync_count: AtomicU64,
    /// Syncs of the segments.
    segment_sync_count: AtomicU64,
    /// Which sync fails, counted from 1; and only that one.
    failing: AtomicU64,
    /// Which sync panics, counted alike.
    panicking: AtomicU64,
    /// The file whose sync failed, empty for the directory.
    failed: Mutex<Option<String>>,
    /// The last event of which a sync made sure.
    durable: AtomicU64,
    /// How many threads append, and how many appends of one event they have begun.
    thread_count: AtomicU64,
    begun_count: AtomicU64,
    /// Whether somebody did not come back whose event was durable.
    is_late: AtomicBool,
    store: OnceLock<Mutex<Option<Store>>>,
}

impl Watched {
    fn new(disk: &SimulatedDirectory) -> Self {
        Self { disk: disk.clone(), watch: Arc::default() }
    }

    /// Looks at the store itself from now on, whenever it writes or syncs.
    fn look_at(&self, store: &Store) {
        let slot = self.watch.store.get_or_init(Mutex::default);
        *slot.lock().unwrap() = Some(store.clone());
    }

    fn look_away(&self) {
        if let Some(slot) = self.watch.store.get() {
            *slot.lock().unwrap() = None;
        }
    }

    /// Nothing is visible that was not durable before.
    fn check_visible(&self) {
        let Some(slot) = self.watch.store.get() else { return };
        let visible = slot.lock().unwrap().as_ref().map(Store::last_sequence);
        let durable = self.watch.durable.load(Ordering::SeqCst);
        assert!(visible.is_none_or(|visible| visible.0 <= durable), "{visible:?} visible, {durable} durable");
    }

    fn sync_with(&self, name: &str, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.check_visible();
        let number = self.watch.sync_count.fetch_add(1, Ordering::SeqCst) + 1;
        let is_segment = name.ends_with(".seg");
        let reached = if is_segment { self.last_sequence_in(name) } else { 0 };
        if is_segment {
            self.watch.segment_sync_count.fetch_add(1, Ordering::SeqCst);
        }
        if reached > self.watch.durable.load(Ordering::SeqCst) {
            self.wait_for_everybody();
        }
        assert_ne!(self.watch.panicking.load(Ordering::SeqCst), number, "no luck at all");
        if self.watch.failing.load(Ordering::SeqCst) == number {
            *self.watch.failed.lock().unwrap() = Some(name.to_owned());
            return Err(io::Error::other("no such luck"));
        }
        sync()?;
        self.watch.durable.fetch_max(reached, Ordering::SeqCst);
        Ok(())
    }

    /// A sync of events takes its time: every thread that appends comes meanwhile with one that is not durable yet,
    /// and gets round to handing it in. One that does not come back although its event is durable is waited for,
    /// but not for ever.
    fn wait_for_everybody(&self) {
        let is_missed = |watch: &Watch| {
            let threads = watch.thread_count.load(Ordering::SeqCst);
            let settled = watch.durable.load(Ordering::SeqCst) + threads;
            threads > 0 && watch.begun_count.load(Ordering::SeqCst) < settled
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while is_missed(&self.watch) && !self.watch.is_late.load(Ordering::SeqCst) {
            if Instant::now() > deadline {
                self.watch.is_late.store(true, Ordering::SeqCst);
            }
            thread::yield_now();
        }
        (0..HANDING_IN).for_each(|_| thread::yield_now());
    }

    /// The last event that was written to the segment `name`.
    fn last_sequence_in(&self, name: &str) -> u64 {
        let bytes = self.disk.file(name).unwrap();
        let Ok(header) = SegmentHeader::decode(&bytes) else { return 0 };
        let (mut offset, mut last) = (SEGMENT_HEADER_LEN, header.first_sequence.0 - 1);
        while let Some(rest) = bytes.get(offset..) {
            let Ok(frame) = FrameHeader::decode(rest, header.seed(), offset as u64) else { break };
            last = last.max(frame.sequence.0);
            offset += usize::try_from(frame.frame_len()).unwrap();
        }
        last
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Directory for Watched {
    fn path(&self) -> &Path {
        self.disk.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(name, access)?;
        Ok(Arc::new(WatchedFile { directory: self.clone(), name: Mutex::new(name.to_owned()), file }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.disk.create(name)?;
        Ok(Arc::new(WatchedFile { directory: self.clone(), name: Mutex::new(name.to_owned()), file }))
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
        self.sync_with("", || self.disk.sync())
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.disk.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.disk.is_locked(name)
    }
}

struct WatchedFile {
    directory: Watched,
    name: Mutex<String>,
    file: Arc<dyn File>,
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl File for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.directory.check_visible();
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.directory.sync_with(&name, || self.file.sync_data())
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.file.map(range)
    }
}

const THREADS: u64 = 16;

/// How often a sync lets others run at least.
const HANDING_IN: u32 = 300;

fn stream_of(number: u64) -> Coordinate {
    Coordinate::new(&format!("entity:{}", number % 5), "scope").unwrap()
}

/// What one thread got: receipts with the numbers of their events, and the error that ended it.
type Outcome = (Vec<(u64, Receipt)>, Option<Error>);

/// Lets sixteen threads append `count` events each, one by one, durably; each ends at its first error. Returns
/// what each got: receipts with the number of the event, and the error.
fn append_at_once(store: &Store, watch: &Watch, count: u64) -> Vec<Outcome> {
    watch.thread_count.store(THREADS, Ordering::SeqCst);
    let append_all = |thread: u64| {
        let mut receipts = Vec::new();
        let mut error = None;
        for number in (0..count).map(|index| index * THREADS + thread) {
            let at = stream_of(number);
            let payload = number.to_le_bytes();
            let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), &payload).id(id(number));
            watch.begun_count.fetch_add(1, Ordering::SeqCst);
            match store.append(&event) {
                Ok(receipt) => receipts.push((number, receipt)),
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
        watch.thread_count.fetch_sub(1, Ordering::SeqCst);
        (receipts, error)
    };
    let outcomes = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || append_all(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(!watch.is_late.load(Ordering::SeqCst), "who was done waited for others");
    outcomes
}

/// Receipts of concurrent appends: sequences without a gap, and revisions in their order.
fn check_receipts(receipts: &BTreeMap<Sequence, (u64, Receipt)>) {
    let mut revisions = BTreeMap::new();
    for (expected, (sequence, (number, receipt))) in (1..).zip(receipts) {
        assert_eq!((sequence.0, receipt.id), (expected, id(*number)));
        let revision = revisions.entry(number % 5).or_insert(0);
        *revision += 1;
        assert_eq!(receipt.revision.0, *revision);
        assert!(!receipt.is_repeat && receipt.durability == Durability::Durable);
    }
}

#[test]
fn sixteen_threads_share_syncs_and_see_nothing_too_early() {
    let disk = SimulatedDirectory::new();
    let watched = Watched::new(&disk);
    let store = options(1).create(true).segment_bytes(16 << 10).open_on(watched.clone()).unwrap();
    watched.look_at(&store);
    let before = watched.watch.segment_sync_count.load(Ordering::SeqCst);
    let outcomes = append_at_once(&store, &watched.watch, 40);
    watched.look_away();
    let syncs = watched.watch.segment_sync_count.load(Ordering::SeqCst) - before;
    let mut receipts = BTreeMap::new();
    for (own, error) in outcomes {
        assert!(error.is_none(), "{error:?}");
        assert!(own.is_sorted_by_key(|(_, receipt)| receipt.sequence), "each thread waited for its own");
        receipts.extend(own.into_iter().map(|(number, receipt)| (receipt.sequence, (number, receipt))));
    }
    assert_eq!(receipts.len() as u64, THREADS * 40);
    check_receipts(&receipts);
    assert!(syncs * 4 < THREADS * 40, "{syncs} syncs of segments for {} events", THREADS * 40);
    for (event, (sequence, (number, receipt))) in store.all().map(Result::unwrap).zip(&receipts) {
        assert_eq!((event.sequence(), event.hash()), (*sequence, receipt.hash));
        assert_eq!(event.payload(), Some(&number.to_le_bytes()[..]));
    }
    store.close().unwrap();
    assert!(verify_on(disk, &mut |_| {}).unwrap().is_sound());
}

/// After a failure, `store` shows what was durable, and writes no more.
pub(crate) fn check_stopped(store: &Store, error: &Error, acknowledged: Sequence) {
    let Error::Stopped { durable, .. } = *error else { panic!("{error:?}") };
    assert!(durable >= acknowledged, "{durable} durable, {acknowledged} acknowledged");
    assert_eq!(store.last_sequence(), durable, "reads stay at what was visible");
    assert_eq!(store.all().map(|event| event.unwrap().sequence()).last().unwrap_or_default(), durable);
    assert!(error.to_string().contains(&format!("events up to {durable} are durable")), "{error}");
    let is_same = |error: Error| matches!(error, Error::Stopped { durable: again, .. } if again == durable);
    let at = stream_of(0);
    for durability in [Durability::Durable, Durability::Written, Durability::Queued] {
        let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"late");
        assert!(is_same(store.append_with(&event, durability).unwrap_err()));
    }
    assert!(is_same(store.kind("late").unwrap_err()));
    assert!(is_same(store.sync().unwrap_err()));
    assert!(is_same(store.checkpoint().unwrap_err()));
    assert_eq!(store.last_sequence(), durable);
}

/// What the disk is left with, killed or without power, holds what was acknowledged and goes on from there.
pub(crate) fn check_recovers(disk: &SimulatedDirectory, acknowledged: u64, appended: u64, context: &str) {
    let mut images = vec![disk.kill()];
    images.extend(
        CrashProfile::ALL.into_iter().flat_map(|profile| [disk.crash(profile, 1), disk.crash(profile, 7)]),
    );
    for image in images {
        let store = options(9).open_on(image.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
        let last = store.last_sequence().0;
        assert!(
            acknowledged <= last && last <= appended,
            "{context}: {acknowledged} <= {last} <= {appended}"
        );
        assert_eq!(store.all().map(Result::unwrap).count() as u64, last);
        let next = append(&store, &[Draft::plain(0, 10)], None, Durability::Durable).unwrap();
        assert_eq!(next[0].sequence.0, last + 1);
        store.close().unwrap();
        let report = verify_on(image, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{context}: {:?}", report.damage);
    }
}

#[test]
fn a_failed_sync_stops_all_sixteen_threads() {
    for failing in 1..24 {
        let disk = SimulatedDirectory::new();
        let watched = Watched::new(&disk);
        let store = options(1).create(true).segment_bytes(16 << 10).open_on(watched.clone()).unwrap();
        let first = watched.watch.sync_count.load(Ordering::SeqCst);
        watched.watch.failing.store(first + failing, Ordering::SeqCst);
        watched.look_at(&store);
        let outcomes = append_at_once(&store, &watched.watch, 20);
        watched.look_away();
        let durable = watched.watch.durable.load(Ordering::SeqCst);
        let receipts: BTreeMap<_, _> = outcomes
            .iter()
            .flat_map(|(own, _)| own.iter().map(|(number, receipt)| (receipt.sequence, (*number, *receipt))))
            .collect();
        check_receipts(&receipts);
        let acknowledged = receipts.keys().last().copied().unwrap_or_default();
        assert!(acknowledged.0 <= durable, "success after a sync that failed");
        for (_, error) in &outcomes {
            check_stopped(&store, error.as_ref().expect("the writer stopped"), acknowledged);
        }
        assert!(
            matches!(store.clone().close(), Err(Error::Stopped { durable: last, .. }) if last == store.last_sequence())
        );
        drop(store);
        check_recovers(
            &disk,
            acknowledged.0,
            acknowledged.0 + 2 * THREADS,
            &format!("sync {failing} failed"),
        );
    }
}

/// A directory of somebody else's making may panic. Nobody waits for ever for the one whom it happened to.
#[test]
fn a_panic_under_a_flight_stops_all_sixteen_threads() {
    for panicking in [1, 3, 9] {
        let disk = SimulatedDirectory::new();
        let watched = Watched::new(&disk);
        let store = options(1).create(true).segment_bytes(1 << 20).open_on(watched.clone()).unwrap();
        let first = watched.watch.sync_count.load(Ordering::SeqCst);
        watched.watch.panicking.store(first + panicking, Ordering::SeqCst);
        let (store_there, watched_there) = (store.clone(), watched.clone());
        let (done, outcomes) = mpsc::channel();
        thread::spawn(move || {
            done.send(append_at_once(&store_there, &watched_there.watch, 20)).unwrap();
        });
        let outcomes = outcomes.recv_timeout(Duration::from_secs(60)).expect("somebody waits for ever");
        let acknowledged = outcomes.iter().map(|(receipts, _)| receipts.len() as u64).sum();
        for (_, error) in &outcomes {
            check_stopped(&store, error.as_ref().expect("the writer stopped"), Sequence(acknowledged));
        }
        drop(store);
        check_recovers(&disk, acknowledged, acknowledged + 2 * THREADS, &format!("sync {panicking}"));
    }
}

/// What one caller does, each a step that may fail.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Append(Durability, usize),
    Name,
    Sync,
    Pump,
    Checkpoint,
    Close,
}

const DEEDS: [Deed; 15] = [
    Deed::Append(Durability::Durable, 100),
    Deed::Name,
    Deed::Append(Durability::Queued, 100),
    Deed::Append(Durability::Written, 100),
    Deed::Sync,
    Deed::Append(Durability::Durable, 3500),
    Deed::Append(Durability::Durable, 1500),
    Deed::Checkpoint,
    Deed::Append(Durability::Durable, 3500),
    Deed::Pump,
    Deed::Append(Durability::Written, 3500),
    Deed::Append(Durability::Durable, 3500),
    Deed::Name,
    Deed::Append(Durability::Durable, 100),
    Deed::Close,
];

/// What was appended and how much of it is promised.
#[derive(Debug, Default)]
struct Promised {
    appended: u64,
    durable: u64,
    name_count: u64,
}

fn do_deed(store: &Store, deed: Deed, promised: &mut Promised) -> Result<(), Error> {
    match deed {
        Deed::Append(durability, len) => {
            let receipt = append(store, &[Draft::plain(0, len)], None, durability)?[0];
            promised.appended += 1;
            assert_eq!(
                receipt.sequence.0, promised.appended,
                "what failed and was not stopped took no sequence"
            );
            if durability == Durability::Durable {
                promised.durable = promised.appended;
            }
        }
        Deed::Name => {
            promised.name_count += 1;
            store.kind(&format!("name {}", promised.name_count))?;
        }
        Deed::Sync => promised.durable = store.sync()?.0,
        Deed::Pump => store.pump()?,
        Deed::Checkpoint => {
            store.checkpoint()?;
            promised.durable = promised.appended;
        }
        Deed::Close => {
            store.clone().close()?;
            promised.durable = promised.appended;
        }
    }
    Ok(())
}

/// Does all deeds on a store of three events that was closed cleanly, while one sync fails. Returns whether it came
/// to that.
fn fail_sync(failing: u64) -> bool {
    let disk = SimulatedDirectory::new();
    let store = options(1).create(true).open_on(disk.clone()).unwrap();
    append(&store, &[0, 1, 2].map(|number| Draft::rich(number, 10)), None, Durability::Durable).unwrap();
    store.close().unwrap();
    let watched = Watched::new(&disk);
    watched.watch.durable.store(3, Ordering::SeqCst);
    let store = options(2).open_on(watched.clone()).unwrap();
    let before = watched.watch.sync_count.load(Ordering::SeqCst);
    watched.watch.failing.store(before + failing, Ordering::SeqCst);
    watched.look_at(&store);
    let mut promised = Promised { appended: 3, durable: 3, name_count: 0 };
    let mut stopped = false;
    for deed in DEEDS {
        let outcome = do_deed(&store, deed, &mut promised);
        let context = format!("sync {failing}, {deed:?}: {outcome:?}");
        let may_be_done = matches!(deed, Deed::Pump) || !stopped;
        assert!(outcome.is_err() || may_be_done, "{context}: after the writer stopped");
        assert!(promised.durable <= watched.watch.durable.load(Ordering::SeqCst), "{context}: too early");
        match outcome {
            Ok(()) => {}
            Err(Error::Environment { .. }) if !stopped => {
                let failed = watched.watch.failed.lock().unwrap().clone();
                assert!(is_derived(deed, &failed.unwrap_or_default()), "{context}");
            }
            Err(error) => {
                check_stopped(&store, &error, Sequence(promised.durable));
                stopped = true;
            }
        }
    }
    watched.look_away();
    let context = format!("sync {failing} of {:?}", watched.watch.failed.lock().unwrap());
    drop(store);
    check_recovers(&disk, promised.durable, promised.appended + 1, &context);
    watched.watch.sync_count.load(Ordering::SeqCst) >= before + failing
}

/// Whether the writer may go on when the sync of `failed` failed (the directory's has no name): what it was for is
/// only derived, or the last thing that a writer does.
fn is_derived(deed: Deed, failed: &str) -> bool {
    match deed {
        Deed::Checkpoint => ["CHECKPOINT.tmp", ""].contains(&failed),
        Deed::Pump => failed.ends_with(".seg"),
        Deed::Close => failed == "MANIFEST",
        _ => false,
    }
}

#[test]
fn whichever_sync_fails_no_success_is_told_and_nothing_acknowledged_is_lost() {
    let failed = (1..).take_while(|failing| fail_sync(*failing)).count();
    assert!(failed > 30, "only {failed} syncs");
}

/// A store is closed under the hands of those who append: each event was acknowledged and is there, or was refused.
#[test]
fn closing_leaves_nothing_half_done_while_others_append() {
    for round in 0..8 {
        let disk = SimulatedDirectory::new();
        let background = if round % 2 == 0 { Background::Thread } else { Background::Manual };
        let options = || options(1).create(true).background(background).durability(Durability::Durable);
        let store = options().open_on(disk.clone()).unwrap();
        let acknowledged: Vec<_> = thread::scope(|scope| {
            let append_all = |thread: u64| {
                let mut receipts = Vec::new();
                for number in (0..).map(|index| index * THREADS + thread) {
                    let at = stream_of(number);
                    let payload = vec![7; usize::try_from(number % 300).unwrap()];
                    let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), &payload).id(id(number));
                    let levels = [Durability::Durable, Durability::Written, Durability::Queued];
                    match store.append_with(&event, levels[usize::try_from(number % 3).unwrap()]) {
                        Ok(receipt) => receipts.push((number, receipt)),
                        Err(error) => {
                            assert!(matches!(error, Error::Closed), "{error:?}");
                            return receipts;
                        }
                    }
                }
                receipts
            };
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || append_all(thread))).collect();
            while store.last_sequence().0 < 40 * round {
                thread::yield_now();
            }
            store.clone().close().unwrap();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(store.incidents().is_empty(), "{:?}", store.incidents());
        drop(store);
        let receipts = acknowledged.iter().map(|(number, receipt)| (receipt.sequence, (*number, *receipt)));
        let receipts: BTreeMap<_, _> = receipts.collect();
        let store = options().open_on(disk.crash(CrashProfile::StrictPosix, round)).unwrap();
        assert!(!store.report().log.was_unclean && store.report().log.torn.is_none());
        assert_eq!(store.last_sequence().0, receipts.len() as u64);
        for (event, (sequence, (_, receipt))) in store.all().map(Result::unwrap).zip(&receipts) {
            assert_eq!((event.sequence(), event.hash()), (*sequence, receipt.hash));
        }
    }
}
