//! A directory that counts what is written into it, by what it is for; all else is another directory's.
//!
//! A segment's file is written by two: the log, through the handle that created the file, and whoever gives it its
//! footer, through one that was opened later. Zeros that the log writes ahead of its frames are counted apart.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals_segment::{Access, CHECKPOINT, Directory, DirectoryEntry, File, Lock, Region, TEMPORARY_SUFFIX};
use serde::Serialize;

use crate::disk::{RUN_SUFFIX, SEGMENT_SUFFIX};

/// What bytes are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Log,
    Footer,
    Checkpoint,
    Run,
    Other,
}

impl Purpose {
    fn of(name: &str, was_created: bool) -> Self {
        match name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name) {
            CHECKPOINT => Self::Checkpoint,
            name if name.ends_with(RUN_SUFFIX) => Self::Run,
            name if name.ends_with(SEGMENT_SUFFIX) && was_created => Self::Log,
            name if name.ends_with(SEGMENT_SUFFIX) => Self::Footer,
            _ => Self::Other,
        }
    }
}

/// Bytes that were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    pub(crate) log: u64,
    /// Zeros ahead of the log's frames.
    pub(crate) prepared: u64,
    pub(crate) footers: u64,
    pub(crate) checkpoints: u64,
    pub(crate) runs: u64,
    pub(crate) other: u64,
}

impl Written {
    /// All that can be made again from the log.
    pub(crate) fn derived(&self) -> u64 {
        self.footers + self.checkpoints + self.runs
    }

    /// Each kind with its bytes.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 6] {
        [
            ("log", self.log),
            ("prepared", self.prepared),
            ("footers", self.footers),
            ("checkpoints", self.checkpoints),
            ("runs", self.runs),
            ("other", self.other),
        ]
    }
}

#[derive(Debug, Default)]
struct Counts {
    log: AtomicU64,
    prepared: AtomicU64,
    footers: AtomicU64,
    checkpoints: AtomicU64,
    runs: AtomicU64,
    other: AtomicU64,
}

impl Counts {
    fn count(&self, purpose: Purpose, bytes: &[u8]) {
        let counter = match purpose {
            Purpose::Log if bytes.iter().all(|byte| *byte == 0) => &self.prepared,
            Purpose::Log => &self.log,
            Purpose::Footer => &self.footers,
            Purpose::Checkpoint => &self.checkpoints,
            Purpose::Run => &self.runs,
            Purpose::Other => &self.other,
        };
        counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

/// A directory that counts.
#[derive(Debug, Clone)]
pub(crate) struct CountingDirectory<D> {
    inner: D,
    counts: Arc<Counts>,
}

impl<D: Directory> CountingDirectory<D> {
    pub(crate) fn new(inner: D) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// What was written so far.
    pub(crate) fn written(&self) -> Written {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { log, prepared, footers, checkpoints, runs, other } = &*self.counts;
        Written {
            log: now(log),
            prepared: now(prepared),
            footers: now(footers),
            checkpoints: now(checkpoints),
            runs: now(runs),
            other: now(other),
        }
    }

    fn counted(&self, name: &str, was_created: bool, inner: Arc<dyn File>) -> Arc<dyn File> {
        let purpose = Purpose::of(name, was_created);
        Arc::new(CountingFile { inner, purpose, counts: Arc::clone(&self.counts) })
    }
}

impl<D: Directory> Directory for CountingDirectory<D> {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(name, false, self.inner.open(name, access)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(name, true, self.inner.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
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
        self.inner.sync()
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        self.inner.free_space()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.inner.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.inner.is_locked(name)
    }
}

/// A file whose writes are counted.
#[derive(Debug)]
struct CountingFile {
    inner: Arc<dyn File>,
    purpose: Purpose,
    counts: Arc<Counts>,
}

impl File for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.inner.write_at(bytes, offset)?;
        self.counts.count(self.purpose, bytes.get(..count).unwrap_or(bytes));
        Ok(count)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.inner.map(range)
    }
}

#[cfg(test)]
mod tests {
    use annals::disk::MemoryDirectory;

    use super::*;

    #[test]
    fn writes_are_counted_by_what_they_are_for() {
        let directory = CountingDirectory::new(MemoryDirectory::new());
        let created = |name: &str, bytes: &[u8]| {
            directory.create(name).unwrap().write_all_at(bytes, 0).unwrap();
        };
        created("000001.seg", &[0, 1, 0]);
        directory.open("000001.seg", Access::Write).unwrap().write_all_at(&[1; 5], 3).unwrap();
        created("000002.seg", &[0; 7]);
        created("CHECKPOINT.tmp", &[1; 11]);
        created("000001-000002.run", &[1; 13]);
        created("000001-000004.run.tmp", &[1; 17]);
        created("MANIFEST", &[0; 19]);
        let expected = Written { log: 3, prepared: 7, footers: 5, checkpoints: 11, runs: 13 + 17, other: 19 };
        assert_eq!(directory.written(), expected);
        assert_eq!(expected.derived(), 5 + 11 + 30);
    }

    #[test]
    fn a_store_on_it_is_as_on_any_other() {
        let directory = CountingDirectory::new(MemoryDirectory::new());
        let options = annals::Options::new().segment_bytes(8 << 10).create(true);
        let store = options.clone().open_on(directory.clone()).unwrap();
        let coordinate = annals::Coordinate::new("order:1", "shop").unwrap();
        let kind = store.kind("placed").unwrap();
        for _ in 0..100 {
            store.append(&annals::NewEvent::new(&coordinate, kind, &[7; 200])).unwrap();
        }
        store.close().unwrap();
        let written = directory.written();
        assert!(written.log > 100 * 200 && written.footers > 0, "{written:?}");
        assert_eq!(options.open_on(directory).unwrap().last_sequence().0, 100);
    }
}
