//! A directory of the operating system.
//!
//! Invariant: only regular files are opened, never what a link leads to, and no open waits for a pipe's
//! other end or for a lock. Nothing is created but by [`DiskDirectory::create`], [`Directory::create`] and
//! [`Directory::lock`], so that a directory opened for reading may lie on a read-only file system.

use std::{
    fs::{self, OpenOptions, TryLockError},
    io,
    ops::Range,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Access, Directory, Entry, File, Lock};
use crate::{map::Region, platform};

/// How long a lock is tried for that is not held but only looked at: whoever looks is done in microseconds,
/// unless the system stops the thread just then.
const LOOKS_TIME_MAX: Duration = Duration::from_secs(1);

/// A directory of the operating system.
#[derive(Debug, Clone)]
pub struct DiskDirectory {
    /// Absolute, so that the process may change its working directory.
    path: PathBuf,
}

impl DiskDirectory {
    /// Opens the directory `path`.
    ///
    /// # Errors
    /// `NotFound` where there is none, `NotADirectory` where the path is something else's, or what the
    /// system says.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if fs::metadata(&path)?.is_dir() {
            Ok(Self { path })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// Opens the directory `path`, and makes it and those above it where they are missing. Its name is
    /// durable when this returns.
    ///
    /// # Errors
    /// `NotADirectory` where the path is something else's, or what the system says; some of the levels may
    /// then have been made.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let mut missing = Vec::new();
        for level in path.ancestors() {
            // What cannot be looked at is not taken for missing.
            if level.try_exists()? {
                break;
            }
            missing.push(level);
        }
        if let Some(found) = path.ancestors().nth(missing.len()) {
            sync_found(found)?;
        }
        for level in missing.into_iter().rev() {
            make_level(level)?;
        }
        Self::open(path)
    }

    fn file_path(&self, name: &str) -> PathBuf {
        debug_assert!(
            !matches!(name, "" | "." | "..") && !name.contains(['/', '\\']),
            "{name:?} is not the name of a file"
        );
        self.path.join(name)
    }
}

/// Makes one directory, and its name durable before anything is put into it.
fn make_level(level: &Path) -> io::Result<()> {
    match fs::create_dir(level) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && level.is_dir() => {}
        other => other?,
    }
    level.parent().map_or(Ok(()), platform::sync_directory)
}

/// Makes the name of a directory that was there already durable: who made it may have died before its sync.
/// [`make_level`] goes from above, so that of several levels only the deepest can be in that state.
fn sync_found(level: &Path) -> io::Result<()> {
    let synced = level.parent().map_or(Ok(()), platform::sync_directory);
    match synced {
        // Who may not read the parent can't sync it, and did not make directories in it either.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

impl Directory for DiskDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Write);
        Ok(Arc::new(DiskFile { file: open_regular(&self.file_path(name), &mut options)? }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        Ok(Arc::new(DiskFile { file: open_regular(&self.file_path(name), &mut options)? }))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place: Directory::sync makes it durable")]
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.file_path(from), self.file_path(to))
    }

    fn system_path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn link(&self, from: &dyn Directory, name: &str, to: &str) -> io::Result<()> {
        let from = from.system_path().ok_or(io::ErrorKind::Unsupported)?;
        fs::hard_link(from.join(name), self.file_path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.file_path(name))
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        let path = self.file_path(name);
        if fs::symlink_metadata(&path)?.is_dir() {
            Ok(Arc::new(Self { path }))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        match fs::create_dir(self.file_path(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.child(name),
        }
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.file_path(name))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Removed since it was listed, so it is not there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let is_file = metadata.is_file();
            let len = if is_file { metadata.len() } else { 0 };
            entries.push(Entry { name: entry.file_name(), len, is_file });
        }
        Ok(entries)
    }

    fn sync(&self) -> io::Result<()> {
        platform::sync_directory(&self.path)
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        fs4::available_space(&self.path).map(Some)
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        let path = self.file_path(name);
        let mut options = OpenOptions::new();
        platform::hold_name(options.read(true).write(true).create(true).truncate(false));
        loop {
            let file = open_regular(&path, &mut options)?;
            if !try_lock_exclusive(&file)? {
                return Ok(None);
            }
            let held = HeldLock { file: Arc::new(DiskFile { file }), process: process::id() };
            if platform::is_named(&held.file.file, &path)? {
                return Ok(Some(Lock::new(Arc::clone(&held.file) as Arc<dyn File>, held)));
            }
        }
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        match open_regular(&self.file_path(name), OpenOptions::new().read(true)) {
            Ok(file) => Ok(!try_lock_shared(&file)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Opens a file and refuses all but a regular one.
fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<fs::File> {
    let file = match platform::do_not_follow(options).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Links, directories and sockets don't open at all, each with another error: say what is there.
        Err(error) => {
            return match fs::symlink_metadata(path) {
                Ok(metadata) if !metadata.is_file() => Err(not_regular(metadata.file_type())),
                _ => Err(error),
            };
        }
    };
    let file_type = file.metadata()?.file_type();
    if file_type.is_file() { Ok(file) } else { Err(not_regular(file_type)) }
}

fn not_regular(file_type: fs::FileType) -> io::Error {
    let message = format!("not a regular file but {}", platform::kind(file_type));
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Whether the exclusive lock was free and is now held by `file`.
fn try_lock_exclusive(file: &fs::File) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // `is_locked` looks by taking the lock shared for a moment, and only a holder hinders that: what
        // does not hinder it was somebody looking, and the next try may succeed.
        if !try_lock_shared(file)? || start.elapsed() > LOOKS_TIME_MAX {
            return Ok(false);
        }
        thread::yield_now();
    }
}

/// Whether nobody holds the exclusive lock; takes and lets go the shared one to know.
fn try_lock_shared(file: &fs::File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A held lock, let go on drop and not only on close: a child process between its fork and its exec has the
/// file open as well, and would keep the lock for that long.
#[derive(Debug)]
struct HeldLock {
    file: Arc<DiskFile>,
    /// Who took it: a forked child that drops its copy must not let the parent's lock go.
    process: u32,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if self.process == process::id() {
            // Where this fails, closing the file lets the lock go.
            let _ = self.file.file.unlock();
        }
    }
}

/// One open regular file of the operating system.
#[derive(Debug)]
struct DiskFile {
    file: fs::File,
}

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        platform::read_at(&self.file, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        platform::write_at(&self.file, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// `fdatasync`, which on Linux carries the length along; `F_FULLFSYNC` on macOS.
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn map(&self, range: Range<u64>) -> io::Result<Region> {
        Region::map(&self.file, range)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn new_directory() -> (tempfile::TempDir, DiskDirectory) {
        let outer = tempfile::tempdir().unwrap();
        let directory = DiskDirectory::open(outer.path()).unwrap();
        (outer, directory)
    }

    #[test]
    fn all_missing_levels_are_made_and_those_there_are_taken() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b/c");
        assert_eq!(DiskDirectory::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(DiskDirectory::create(&path).unwrap().path(), path);
        assert!(path.is_dir());
        DiskDirectory::create(&path).unwrap().create("file").unwrap();
        DiskDirectory::create("/").unwrap();
    }

    #[test]
    fn a_directory_is_not_made_where_a_file_is() {
        let (outer, directory) = new_directory();
        directory.create("file").unwrap();
        let path = outer.path().join("file");
        assert_eq!(DiskDirectory::open(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(DiskDirectory::create(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        DiskDirectory::create(path.join("below")).unwrap_err();
    }

    #[test]
    fn a_linked_file_is_the_same_under_both_names() {
        let ((_one, one), (_other, other)) = (new_directory(), new_directory());
        one.create("a").unwrap().write_all_at(b"bytes", 0).unwrap();
        other.link(&one, "a", "b").unwrap();
        one.open("a", Access::Write).unwrap().write_all_at(b"by", 3).unwrap();
        assert_eq!(other.open("b", Access::Read).unwrap().read_all(10).unwrap(), b"bytby");
        one.remove("a").unwrap();
        assert_eq!(other.open("b", Access::Read).unwrap().read_all(10).unwrap(), b"bytby");
        let kind = |outcome: io::Result<()>| outcome.unwrap_err().kind();
        assert_eq!(kind(other.link(&one, "a", "c")), io::ErrorKind::NotFound);
        one.create("a").unwrap();
        assert_eq!(kind(other.link(&one, "a", "b")), io::ErrorKind::AlreadyExists);
        let memory = crate::MemoryDirectory::new();
        assert_eq!(kind(other.link(&memory, "a", "c")), io::ErrorKind::Unsupported);
        assert_eq!(kind(memory.link(&one, "a", "c")), io::ErrorKind::Unsupported);
    }

    #[cfg(unix)]
    #[test]
    fn a_level_that_cannot_be_looked_at_is_not_taken_for_missing() {
        let outer = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("loop", outer.path().join("loop")).unwrap();
        let error = DiskDirectory::create(outer.path().join("loop/below")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{error}");
    }

    /// Checks that nothing opens or locks `name`, and that the message says what it is.
    #[cfg(unix)]
    fn assert_refused(directory: &DiskDirectory, name: &str, what: &str) {
        let errors = [
            directory.open(name, Access::Read).unwrap_err(),
            directory.open(name, Access::Write).unwrap_err(),
            directory.lock(name).unwrap_err(),
            directory.is_locked(name).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(what), "{error}");
        }
        assert_eq!(directory.create(name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let (outer, directory) = new_directory();
        directory.create("file").unwrap();
        std::os::unix::fs::symlink("file", outer.path().join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", outer.path().join("dangling")).unwrap();
        fs::create_dir(outer.path().join("directory")).unwrap();
        assert!(process::Command::new("mkfifo").arg(outer.path().join("pipe")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(outer.path().join("socket")).unwrap();

        assert_refused(&directory, "link", "a symbolic link");
        assert_refused(&directory, "dangling", "a symbolic link");
        assert_refused(&directory, "directory", "a directory");
        assert_refused(&directory, "pipe", "a pipe");
        assert_refused(&directory, "socket", "a socket");
        let regular: Vec<Entry> =
            directory.list().unwrap().into_iter().filter(|entry| entry.is_file).collect();
        assert_eq!(regular, [Entry { name: "file".into(), len: 0, is_file: true }]);
        assert_eq!(directory.list().unwrap().len(), 6);
    }

    #[test]
    fn a_look_at_a_lock_keeps_nobody_from_it() {
        let (_outer, directory) = new_directory();
        directory.create("lock").unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        directory.is_locked("lock").unwrap();
                    }
                });
            }
            let taken = (0..500).filter(|_| directory.lock("lock").unwrap().is_some()).count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(taken, 500);
        });
    }

    #[test]
    fn one_of_many_threads_has_the_lock_even_while_its_name_is_replaced() {
        let (_outer, directory) = new_directory();
        let holder = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Some(_lock) = directory.lock("lock").unwrap() else { continue };
                        assert!(!holder.swap(true, Ordering::SeqCst), "two hold the lock");
                        // Free before the name goes: from then on another may make and lock a new file.
                        holder.store(false, Ordering::SeqCst);
                        directory.remove("lock").unwrap();
                    }
                });
            }
        });
    }
}
