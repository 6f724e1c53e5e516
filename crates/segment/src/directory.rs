//! The disk as the log sees it: one directory of files, read and written at offsets, and at most a few child
//! directories, each for itself.
//!
//! Three implementations: [`DiskDirectory`] (the operating system's), [`MemoryDirectory`] (for tests and
//! for stores that need not outlive the process) and [`SimulatedDirectory`] (a disk that loses what was not
//! synced). All input and output of every crate goes through this trait.
//!
//! Invariant: a write is durable only after [`File::sync_data`] of that file returned `Ok`; a name (made,
//! renamed, removed) only after [`Directory::sync`] did. Nothing else makes anything durable.

#[cfg(test)]
mod conformance;
mod disk;
mod memory;
mod simulated;

use std::{any::Any, ffi::OsString, fmt, io, ops::Range, path::Path, sync::Arc};

pub use disk::DiskDirectory;
pub use memory::MemoryDirectory;
pub use simulated::{CrashProfile, Errno, Fault, ReadFault, SimulatedDirectory, Span};

use crate::map::Region;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// One entry of a directory's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name as the system has it; not always UTF-8.
    pub name: OsString,
    /// The length in bytes; 0 for what is not a regular file.
    pub len: u64,
    /// Whether it is a regular file, and not a directory, link, pipe or device.
    pub is_file: bool,
}

/// One directory of files. What is in a child of it is the child's own: its names, its locks and its sync.
pub trait Directory: Send + Sync + fmt::Debug {
    /// Where the directory is, for messages.
    fn path(&self) -> &Path;

    /// Opens the regular file `name`; links are not followed and nothing else is waited for.
    ///
    /// # Errors
    /// `NotFound` where there is none, `InvalidInput` where the name is not a regular file's, or what the
    /// system says.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>>;

    /// Creates the file `name`, empty, open for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` where the name is taken, or what the system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives the file `from` the name `to`, replacing what had it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Where the directory is in the operating system's file system; `None` where it is not in it.
    fn system_path(&self) -> Option<&Path> {
        None
    }

    /// Gives the file `_name` of the directory `_from` the name `_to` here as well: one file, two names. Whoever asks
    /// can copy where that is refused.
    ///
    /// # Errors
    /// `Unsupported` where these two directories cannot share files, `AlreadyExists` where the name is taken, or what
    /// the system says: another file system, one without links, too many of them.
    fn link(&self, _from: &dyn Directory, _name: &str, _to: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the name `name`. Who has the file open keeps it.
    ///
    /// # Errors
    /// What the system says; `NotFound` where there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The child directory `name`.
    ///
    /// # Errors
    /// `NotFound` where there is none, `NotADirectory` where the name is something else's (a link that leads to a
    /// directory too), `Unsupported` where directories have no children, or what the system says.
    fn child(&self, _name: &str) -> io::Result<Arc<dyn Directory>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The child directory `name`, made where it is missing. Its name is durable after [`Directory::sync`] of this
    /// one, and nothing in it is before that.
    ///
    /// # Errors
    /// As [`Directory::child`].
    fn create_child(&self, _name: &str) -> io::Result<Arc<dyn Directory>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the child directory `name`, which has to be empty.
    ///
    /// # Errors
    /// `NotFound` where there is none, `DirectoryNotEmpty`, or as [`Directory::child`].
    fn remove_child(&self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Everything in the directory, in no order; of its children their names.
    ///
    /// # Errors
    /// What the system says, for the listing or for any one entry: none is left out.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// Makes all names in it durable, those in its children not.
    ///
    /// # Errors
    /// What the system says; the names are then as before, as wanted, or anything between.
    fn sync(&self) -> io::Result<()>;

    /// How many bytes may still be written to the file system that the directory is on; `None` where nobody
    /// knows.
    ///
    /// # Errors
    /// What the system says.
    fn free_space(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Takes the exclusive lock on the file `name`, creating it if need be; `None` where somebody has it.
    /// The lock is on the file behind the name: one whose name was removed or replaced meanwhile is let go
    /// and taken anew.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, name: &str) -> io::Result<Option<Lock>>;

    /// Whether somebody holds the exclusive lock on `name`. Creates and writes nothing.
    ///
    /// # Errors
    /// What the system says; a file that is not there is not locked.
    fn is_locked(&self, name: &str) -> io::Result<bool>;
}

/// One open file.
pub trait File: Send + Sync + fmt::Debug {
    /// The length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads into `buffer` from `offset`; says how many bytes came, 0 at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes `bytes` at `offset`; says how many were written, which may be fewer.
    ///
    /// # Errors
    /// What the system says; any part of the bytes may then have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `len` bytes, or lengthens it with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable.
    ///
    /// # Errors
    /// What the system says; the bytes written since the last sync may then be lost although they can
    /// still be read, and a later sync that succeeds says nothing about them. An interruption that gets here is
    /// a failure too: asking again is for whoever talks to the system and knows what that would mean.
    fn sync_data(&self) -> io::Result<()>;

    /// The bytes at `range` as one slice: a map where the system has them, a copy elsewhere. The caller
    /// promises that these bytes are neither written nor cut while the region lives.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` where the file is shorter.
    fn map(&self, range: Range<u64>) -> io::Result<Region>;
}

impl dyn File + '_ {
    /// Reads exactly `buffer.len()` bytes from `offset`, resuming after interruptions and short reads.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends before that, or what the system says.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_full_at(buffer, offset)? == buffer.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads until `buffer` is full or the file ends; says how many bytes came.
    ///
    /// # Errors
    /// What the system says, and at which offset.
    pub fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = offset + filled as u64;
                    return Err(io::Error::new(source.kind(), Unreadable { offset, source }));
                }
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes` at `offset`, resuming after interruptions and short writes.
    ///
    /// # Errors
    /// `WriteZero` where the system takes no more, or what it says; part of the bytes may have been written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write_at(rest, offset + written as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The whole file.
    ///
    /// # Errors
    /// What the system says; `InvalidData` where the file has more than `len_max` bytes.
    pub fn read_all(&self, len_max: u64) -> io::Result<Vec<u8>> {
        let len = self.len()?;
        let len = usize::try_from(len).ok().filter(|_| len <= len_max).ok_or(io::ErrorKind::InvalidData)?;
        let mut bytes = vec![0; len];
        let count = self.read_full_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

/// What the system said of a read, and where in the file: a sector that cannot be read is to be found again.
#[derive(Debug, thiserror::Error)]
#[error("offset {offset}: {source}")]
struct Unreadable {
    offset: u64,
    source: io::Error,
}

/// A lock that is held, and let go when dropped.
pub struct Lock {
    file: Arc<dyn File>,
    _held: Box<dyn Any + Send + Sync>,
}

impl Lock {
    /// A lock on `file` that `held` keeps until it is dropped.
    pub fn new(file: Arc<dyn File>, held: impl Any + Send + Sync) -> Self {
        Self { file, _held: Box::new(held) }
    }

    /// The locked file, to write the holder's name into.
    #[must_use]
    pub fn file(&self) -> &dyn File {
        &*self.file
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("file", &self.file).finish_non_exhaustive()
    }
}
