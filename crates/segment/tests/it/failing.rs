//! A directory whose n-th operation fails, once: all others do what they always do.
//!
//! Counted are creations, renames, removals, writes, lengths and syncs.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals_segment::{Access, Directory, DirectoryEntry, File, Lock, Region};

/// What becomes of the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and a write has then written half of its bytes.
    Error(io::ErrorKind),
    /// Every write from there on takes half of its bytes, and at least one.
    Short,
    /// A write is interrupted, and a sync fails as if it were.
    Interrupted,
}

#[derive(Debug)]
struct Faults {
    fault: Fault,
    at: u64,
    count: AtomicU64,
}

#[derive(Debug, Clone)]
pub(crate) struct FailingDirectory {
    inner: Arc<dyn Directory>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FailingFile {
    inner: Arc<dyn File>,
    faults: Arc<Faults>,
}

impl FailingDirectory {
    pub(crate) fn new(inner: Arc<dyn Directory>, fault: Fault, at: u64) -> Self {
        Self { inner, faults: Arc::new(Faults { fault, at, count: AtomicU64::new(0) }) }
    }

    /// Whether the operation was reached.
    pub(crate) fn has_failed(&self) -> bool {
        self.faults.count.load(Ordering::Relaxed) > self.faults.at
    }

    fn beside(&self, inner: Arc<dyn Directory>) -> Arc<dyn Directory> {
        Arc::new(Self { inner, faults: Arc::clone(&self.faults) })
    }

    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FailingFile { inner, faults: Arc::clone(&self.faults) })
    }
}

impl Faults {
    /// The fault of the operation that begins.
    fn next(&self) -> Option<Fault> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        (count == self.at || (count > self.at && self.fault == Fault::Short)).then_some(self.fault)
    }

    fn run<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.next() {
            Some(Fault::Error(kind)) => Err(kind.into()),
            _ => operation(),
        }
    }
}

impl Directory for FailingDirectory {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.inner.open(name, access).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.faults.run(|| self.inner.create(name)).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.run(|| self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.faults.run(|| self.inner.remove(name))
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.inner.child(name).map(|inner| self.beside(inner))
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.faults.run(|| self.inner.create_child(name)).map(|inner| self.beside(inner))
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.faults.run(|| self.inner.remove_child(name))
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.inner.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.run(|| self.inner.sync())
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.inner.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.inner.is_locked(name)
    }
}

impl File for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let half = &bytes[..bytes.len().div_ceil(2)];
        match self.faults.next() {
            None => self.inner.write_at(bytes, offset),
            Some(Fault::Short) => self.inner.write_at(half, offset),
            Some(Fault::Interrupted) => Err(io::ErrorKind::Interrupted.into()),
            Some(Fault::Error(kind)) => {
                self.inner.write_at(half, offset)?;
                Err(kind.into())
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.run(|| self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.run(|| self.inner.sync_data())
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.inner.map(range)
    }
}
