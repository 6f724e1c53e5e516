//! A directory that breaks its word in one way, and keeps it otherwise.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use annals::disk::{Directory, SimulatedDirectory};
use annals_segment::{Access, DirectoryEntry, File, Lock, Region};

/// What it says that it did, and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// A sync of files whose names end so.
    FileSync(&'static str),
    /// A sync of the directory, where the last that was done to a name before it is this.
    DirectorySync(&'static str),
    /// A length of files whose names end so.
    Cut(&'static str),
    /// A removal of files whose names end so.
    Remove(&'static str),
    /// Every failing write and sync is a success.
    Success,
}

#[derive(Debug)]
pub(crate) struct Broken {
    inner: SimulatedDirectory,
    lie: Lie,
    /// What was done to a name last.
    last: Mutex<String>,
}

#[derive(Debug)]
struct BrokenFile {
    inner: Arc<dyn File>,
    name: String,
    lie: Lie,
}

impl Broken {
    pub(crate) fn new(inner: SimulatedDirectory, lie: Lie) -> Self {
        Self { inner, lie, last: Mutex::default() }
    }

    fn file(&self, name: &str, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(BrokenFile { inner, name: name.to_owned(), lie: self.lie })
    }

    fn note(&self, what: &str, name: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = format!("{what} {name}");
    }
}

impl Directory for Broken {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.inner.open(name, access).map(|file| self.file(name, file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.note("create", name);
        self.inner.create(name).map(|file| self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.note("rename", to);
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.note("remove", name);
        match self.lie {
            Lie::Remove(end) if name.ends_with(end) => Ok(()),
            _ => self.inner.remove(name),
        }
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.inner.child(name)
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.inner.create_child(name)
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.inner.remove_child(name)
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.inner.list()
    }

    fn sync(&self) -> io::Result<()> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match self.lie {
            Lie::DirectorySync(after) if last.starts_with(after) => Ok(()),
            _ => self.inner.sync(),
        }
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
        match self.lie {
            Lie::Cut(end) if self.name.ends_with(end) => Ok(()),
            _ => self.inner.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.lie {
            Lie::FileSync(end) if self.name.ends_with(end) => Ok(()),
            Lie::Success => self.inner.sync_data().or(Ok(())),
            _ => self.inner.sync_data(),
        }
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.inner.map(range)
    }
}
