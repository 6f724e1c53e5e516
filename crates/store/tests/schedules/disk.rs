//! A simulated disk of which every operation is a point where another thread may go on, and that knows which events
//! are durable.
//!
//! Invariant: the watch is the standard library's and never held across such a point; what it says belongs to the
//! moment at which it is asked.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::disk::{Directory, SimulatedDirectory};
use annals_segment::{Access, DirectoryEntry, File, Lock, Region};
use annals_wire::{FrameHeader, SEGMENT_HEADER_LEN, SegmentHeader};
use shuttle::sync as shuttled;

/// The disk under a model's store. Clones share it.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) simulated: SimulatedDirectory,
    watch: Arc<Watch>,
}

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    Fails,
    Panics,
}

/// The operations that may have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    SegmentSync,
    FrontierWrite,
}

/// What a mishap panics with: the one panic that is no failure of the model.
pub(crate) struct Wanted;

#[derive(Default)]
struct Watch {
    /// A point where others may go on.
    point: shuttled::atomic::AtomicU64,
    /// The last event that a sync made durable.
    durable: AtomicU64,
    /// What has a mishap: which sync of a segment or write to FRONTIER, counted from 0 from now on.
    plan: Mutex<Option<(Operation, u64, Mishap)>>,
    has_failed: AtomicU64,
    /// Whoever waits for events to become durable.
    reached: shuttled::Mutex<u64>,
    grown: shuttled::Condvar,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::with(SimulatedDirectory::new())
    }

    /// The disk with what `simulated` has, all of it durable.
    pub(crate) fn with(simulated: SimulatedDirectory) -> Self {
        Self { simulated, watch: Arc::default() }
    }

    /// The last event of which a sync made sure.
    pub(crate) fn durable(&self) -> u64 {
        self.watch.durable.load(Ordering::SeqCst)
    }

    /// Lets the operation of this sort that is `number` ahead have a mishap.
    pub(crate) fn plan(&self, operation: Operation, number: u64, mishap: Mishap) {
        *self.watch.plan.lock().unwrap() = Some((operation, number, mishap));
    }

    /// Whether the mishap has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.watch.has_failed.load(Ordering::SeqCst) > 0
    }

    /// Waits until a sync made the event `sequence` durable.
    pub(crate) fn wait_for(&self, sequence: u64) {
        let mut reached = self.watch.reached.lock().unwrap();
        while *reached < sequence {
            reached = self.watch.grown.wait(reached).unwrap();
        }
    }

    fn point(&self) {
        self.watch.point.fetch_add(1, Ordering::SeqCst);
    }

    fn file(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(DiskFile { disk: self.clone(), name: name.to_owned(), file })
    }

    /// Has the mishap, where it is planned for this operation.
    fn may_fail(&self, operation: Operation) -> io::Result<()> {
        let mut mishap = None;
        if let Some((_, left, planned)) =
            self.watch.plan.lock().unwrap().as_mut().filter(|(planned, ..)| *planned == operation)
        {
            mishap = (*left == 0).then_some(*planned);
            *left = left.wrapping_sub(1);
        }
        let Some(mishap) = mishap else { return Ok(()) };
        self.watch.has_failed.store(1, Ordering::SeqCst);
        match mishap {
            Mishap::Fails => Err(io::Error::other("no such luck")),
            Mishap::Panics => std::panic::panic_any(Wanted),
        }
    }

    fn sync_segment(&self, name: &str, file: &dyn File) -> io::Result<()> {
        self.may_fail(Operation::SegmentSync)?;
        let last = last_sequence(&self.simulated.file(name).unwrap());
        file.sync_data()?;
        self.watch.durable.fetch_max(last, Ordering::SeqCst);
        let mut reached = self.watch.reached.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = last.max(*reached);
        self.watch.grown.notify_all();
        Ok(())
    }
}

/// The last event in a segment.
fn last_sequence(bytes: &[u8]) -> u64 {
    let Ok(header) = SegmentHeader::decode(bytes) else { return 0 };
    let (mut offset, mut last) = (SEGMENT_HEADER_LEN, header.first_sequence.0 - 1);
    while let Some(rest) = bytes.get(offset..) {
        let Ok(frame) = FrameHeader::decode(rest, header.seed(), offset as u64) else { break };
        last = last.max(frame.sequence.0);
        offset += usize::try_from(frame.frame_len()).unwrap();
    }
    last
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.simulated.fmt(f)
    }
}

impl Directory for Disk {
    fn path(&self) -> &Path {
        self.simulated.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.point();
        self.simulated.open(name, access).map(|file| self.file(name, file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.point();
        self.simulated.create(name).map(|file| self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.point();
        self.simulated.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.point();
        self.simulated.remove(name)
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.point();
        self.simulated.child(name)
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.point();
        self.simulated.create_child(name)
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.point();
        self.simulated.remove_child(name)
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.point();
        self.simulated.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.point();
        self.simulated.sync()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.point();
        self.simulated.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.point();
        self.simulated.is_locked(name)
    }
}

struct DiskFile {
    disk: Disk,
    name: String,
    file: Arc<dyn File>,
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.point();
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.point();
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.point();
        if self.name == "FRONTIER" {
            self.disk.may_fail(Operation::FrontierWrite)?;
        }
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.point();
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.point();
        if self.name.ends_with(".seg") {
            self.disk.sync_segment(&self.name, &*self.file)
        } else {
            self.file.sync_data()
        }
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.disk.point();
        self.file.map(range)
    }
}
