//! A turn that panics while others wait for theirs to be written: what waits is not written after it.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use annals::{
    Background, Coordinate, Error, Kind, NewEvent, Options, Receipt, Sequence, Store,
    disk::{Clock, SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Access, Directory, DirectoryEntry, File, Lock, Region};

/// What happens under the next sync of a segment.
type Deed = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

#[derive(Clone)]
struct Eventful {
    disk: SimulatedDirectory,
    deed: Deed,
}

impl fmt::Debug for Eventful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Eventful {
    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(EventfulFile { inner, deed: Arc::clone(&self.deed) })
    }
}

impl Directory for Eventful {
    fn path(&self) -> &Path {
        self.disk.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.disk.open(name, access).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.create(name).map(|file| self.file(file))
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

struct EventfulFile {
    inner: Arc<dyn File>,
    deed: Deed,
}

impl fmt::Debug for EventfulFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl File for EventfulFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let deed = self.deed.lock().unwrap().take();
        deed.into_iter().for_each(|deed| deed());
        self.inner.sync_data()
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.inner.map(range)
    }
}

/// How many wait for the group. One is woken to lead it, and has to tell the others.
const WAITING: u64 = 3;

/// A clock that counts how often it is looked at, and breaks when who came after all that wait has its turn. An append
/// looks before its turn, and in it.
#[derive(Debug, Clone, Default)]
struct BreakingClock(Arc<AtomicU64>);

impl Clock for BreakingClock {
    fn now_millis(&self) -> u64 {
        assert_ne!(self.0.fetch_add(1, Ordering::SeqCst), 2 * (1 + WAITING) + 1, "the clock is broken");
        1_700_000_000_000
    }
}

fn append(store: &Store) -> Result<Receipt, Error> {
    let at = Coordinate::new("a:1", "scope").unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x"))
}

#[test]
fn who_waits_for_a_group_is_told_when_a_turn_panics_meanwhile() {
    let (disk, clock, waiting) =
        (SimulatedDirectory::new(), BreakingClock::default(), Arc::new(Mutex::new(Vec::new())));
    let eventful = Eventful { disk: disk.clone(), deed: Deed::default() };
    let options = Options::new().create(true).background(Background::Manual).clock(clock.clone());
    let store = options.entropy(SeededEntropy::new(1)).open_on(eventful.clone()).unwrap();
    clock.0.store(0, Ordering::SeqCst);
    let (ours, looks, waits) = (store.clone(), Arc::clone(&clock.0), Arc::clone(&waiting));
    *eventful.deed.lock().unwrap() = Some(Box::new(move || {
        for _ in 0..WAITING {
            let other = ours.clone();
            waits.lock().unwrap().push(thread::spawn(move || append(&other)));
        }
        // The last of them has its turn now, and lets go of it when it waits for the flight that is out.
        while looks.load(Ordering::SeqCst) < 2 * (1 + WAITING) {
            thread::yield_now();
        }
        thread::spawn(move || append(&ours)).join().unwrap_err();
    }));
    assert_eq!(append(&store).unwrap().sequence, Sequence(1), "its flight was out before");
    for waited in waiting.lock().unwrap().drain(..) {
        let told = waited.join().unwrap();
        assert!(matches!(told, Err(Error::Stopped { .. })), "{told:?}");
    }
    drop(store);
    let options = Options::new().background(Background::Manual).entropy(SeededEntropy::new(2));
    assert_eq!(options.open_on(disk.kill()).unwrap().last_sequence(), Sequence(1));
}
