//! A directory that breaks its word in one way, and keeps it otherwise.

use std::{io, path::Path, sync::Arc};

use annals::{Directory, SimulatedDirectory};
use annals_segment::{Access, DirectoryEntry, File, Lock, Region};

/// What it says that it did, and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    DirectorySync,
    FileSync,
    Cut,
    Remove,
    /// Every failing write and sync is a success.
    Success,
}

#[derive(Debug)]
pub(crate) struct Broken {
    inner: SimulatedDirectory,
    lie: Lie,
}

#[derive(Debug)]
struct BrokenFile {
    inner: Arc<dyn File>,
    lie: Lie,
}

impl Broken {
    pub(crate) fn new(inner: SimulatedDirectory, lie: Lie) -> Self {
        Self { inner, lie }
    }

    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(BrokenFile { inner, lie: self.lie })
    }
}

impl Directory for Broken {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.inner.open(name, access).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.inner.create(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.lie == Lie::Remove { Ok(()) } else { self.inner.remove(name) }
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.inner.list()
    }

    fn sync(&self) -> io::Result<()> {
        if self.lie == Lie::DirectorySync { Ok(()) } else { self.inner.sync() }
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.inner.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.inner.is_locked(name)
    }
}

impl File for BrokenFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.inner.write_at(bytes, offset);
        if self.lie == Lie::Success { Ok(bytes.len()) } else { written }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.lie == Lie::Cut { Ok(()) } else { self.inner.set_len(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.lie {
            Lie::FileSync => Ok(()),
            Lie::Success => self.inner.sync_data().or(Ok(())),
            _ => self.inner.sync_data(),
        }
    }

    fn map(&self, len: u64) -> io::Result<Region> {
        self.inner.map(len)
    }
}
