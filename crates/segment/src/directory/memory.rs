//! A directory in memory, for tests and for stores that need not outlive the process.
//!
//! Invariant: clones share their files, so that a store can be closed and opened again; a file lives as long
//! as its name or whoever holds it open. Everything is as durable as it will ever be, at once.

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Access, Directory, Entry, File, Lock};
use crate::map::Region;

/// A directory in memory.
#[derive(Clone)]
pub struct MemoryDirectory {
    path: Arc<Path>,
    entries: Arc<Mutex<Entries>>,
}

/// What has a name in one directory.
#[derive(Default)]
struct Entries {
    files: BTreeMap<String, Arc<Contents>>,
    children: BTreeMap<String, MemoryDirectory>,
    /// Whether the directory has lost its own name: nothing is made in it any more.
    is_removed: bool,
}

/// One file, whatever its name.
#[derive(Default)]
struct Contents {
    bytes: RwLock<Vec<u8>>,
    is_locked: AtomicBool,
}

impl Default for MemoryDirectory {
    fn default() -> Self {
        Self::at(Path::new("(memory)"))
    }
}

impl MemoryDirectory {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn at(path: &Path) -> Self {
        Self { path: path.into(), entries: Arc::default() }
    }

    /// A directory with these files; the name of one in a child has the child's before it, and a `/`.
    #[must_use]
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let directory = Self::new();
        for (name, bytes) in files {
            directory.write_file(&name, bytes);
        }
        directory
    }

    /// The bytes of the file `name`, or `child/name`.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let entries = self.guard();
        match name.split_once('/') {
            Some((child, rest)) => entries.children.get(child).and_then(|child| child.file(rest)),
            None => entries.files.get(name).map(|contents| contents.read().clone()),
        }
    }

    /// Replaces the bytes of the file `name`, or `child/name`, also for those who hold it open, or makes it.
    pub fn write_file(&self, name: &str, bytes: Vec<u8>) {
        let mut entries = self.guard();
        match name.split_once('/') {
            Some((child, rest)) => self.child_of(&mut entries, child).write_file(rest, bytes),
            None => *entries.files.entry(name.to_owned()).or_default().write() = bytes,
        }
    }

    /// The names of all files, those in children as `child/name`, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = self.guard();
        let mut names: Vec<String> = entries.files.keys().cloned().collect();
        for (child, directory) in &entries.children {
            names.extend(directory.names().iter().map(|name| format!("{child}/{name}")));
        }
        names.sort();
        names
    }

    /// A panic elsewhere leaves the maps whole, so that a poisoned lock is no reason to stop. Whoever holds a
    /// directory's takes that of a child, and never the other way around.
    fn guard(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn child_of(&self, entries: &mut Entries, name: &str) -> Self {
        let made = || Self::at(&self.path.join(name));
        entries.children.entry(name.to_owned()).or_insert_with(made).clone()
    }

    fn find(&self, name: &str) -> io::Result<Arc<Contents>> {
        self.guard().file(name).cloned()
    }
}

impl Entries {
    fn file(&self, name: &str) -> io::Result<&Arc<Contents>> {
        if self.children.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file but a directory"));
        }
        self.files.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether something new can have the name `name`.
    fn check_new(&self, name: &str) -> io::Result<()> {
        if self.is_removed {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.files.contains_key(name) || self.children.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryDirectory").field(&self.names()).finish()
    }
}

impl Directory for MemoryDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(MemoryFile { contents: self.find(name)?, access }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut entries = self.guard();
        entries.check_new(name)?;
        let contents = Arc::clone(entries.files.entry(name.to_owned()).or_default());
        Ok(Arc::new(MemoryFile { contents, access: Access::Write }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut entries = self.guard();
        entries.file(from)?;
        if entries.children.contains_key(to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let contents = entries.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        entries.files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut entries = self.guard();
        entries.file(name)?;
        entries.files.remove(name);
        Ok(())
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        let entries = self.guard();
        match entries.children.get(name) {
            Some(child) => Ok(Arc::new(child.clone())),
            None if entries.files.contains_key(name) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        let mut entries = self.guard();
        match entries.check_new(name) {
            Err(_) if entries.files.contains_key(name) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Arc::new(self.child_of(&mut entries, name))),
        }
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.child(name)?;
        let mut entries = self.guard();
        let child = entries.children.get(name).ok_or(io::ErrorKind::NotFound)?;
        let mut inner = child.guard();
        if !inner.files.is_empty() || !inner.children.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        inner.is_removed = true;
        drop(inner);
        entries.children.remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let entries = self.guard();
        let file = |(name, contents): (&String, &Arc<Contents>)| Entry {
            name: name.into(),
            len: contents.read().len() as u64,
            is_file: true,
        };
        let child = |name: &String| Entry { name: name.into(), len: 0, is_file: false };
        Ok(entries.files.iter().map(file).chain(entries.children.keys().map(child)).collect())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        // Kept to the end, so that the file locked is the one that has the name.
        let mut entries = self.guard();
        let contents = match entries.check_new(name) {
            Ok(()) => Arc::clone(entries.files.entry(name.to_owned()).or_default()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Arc::clone(entries.file(name)?),
            Err(error) => return Err(error),
        };
        if contents.is_locked.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let file = MemoryFile { contents: Arc::clone(&contents), access: Access::Write };
        Ok(Some(Lock::new(Arc::new(file), HeldLock(contents))))
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        match self.find(name) {
            Ok(contents) => Ok(contents.is_locked.load(Ordering::Acquire)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Contents {
    fn read(&self) -> RwLockReadGuard<'_, Vec<u8>> {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<u8>> {
        self.bytes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the lock go when dropped.
struct HeldLock(Arc<Contents>);

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.0.is_locked.store(false, Ordering::Release);
    }
}

/// One open file.
struct MemoryFile {
    contents: Arc<Contents>,
    access: Access,
}

impl MemoryFile {
    fn writable(&self) -> io::Result<RwLockWriteGuard<'_, Vec<u8>>> {
        match self.access {
            Access::Write => Ok(self.contents.write()),
            Access::Read => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryFile({:?}, {} bytes)", self.access, self.contents.read().len())
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.read().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.contents.read();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(source);
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut contents = self.writable()?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if !bytes.is_empty() && end > contents.len() {
            resize(&mut contents, end)?;
        }
        if let Some(target) = contents.get_mut(start..end) {
            target.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut contents = self.writable()?;
        resize(&mut contents, usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, range: Range<u64>) -> io::Result<Region> {
        let [start, end] = [range.start, range.end].map(|place| usize::try_from(place).unwrap_or(usize::MAX));
        let bytes = self.contents.read();
        let part = bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Region::from(part.to_vec()))
    }
}

/// Cuts or lengthens `bytes`; a length that memory can't hold is an error and no abort.
fn resize(bytes: &mut Vec<u8>, len: usize) -> io::Result<()> {
    bytes.try_reserve(len.saturating_sub(bytes.len()))?;
    bytes.resize(len, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_files_and_holders_see_what_a_test_writes() {
        let directory = MemoryDirectory::from_files([("b".to_owned(), vec![2]), ("a".to_owned(), vec![1])]);
        let file = directory.open("a", Access::Read).unwrap();
        directory.clone().write_file("a", vec![7, 8]);
        assert_eq!(file.read_all(10).unwrap(), [7, 8]);
        assert_eq!(directory.file("a").unwrap(), [7, 8]);
        assert_eq!(directory.file("c"), None);
        assert_eq!(directory.names(), ["a", "b"]);
    }

    #[test]
    fn a_length_that_memory_cannot_hold_is_an_error() {
        let file = MemoryDirectory::new().create("a").unwrap();
        file.set_len(u64::MAX).unwrap_err();
        file.write_at(b"x", u64::MAX).unwrap_err();
        assert_eq!(file.len().unwrap(), 0);
    }
}
