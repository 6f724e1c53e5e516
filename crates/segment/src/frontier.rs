//! The frontier's file: how far others may read, rewritten in place and never synced.
//!
//! Invariant: it is no evidence. A reader believes it only while the writer that wrote it holds the lock.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use annals_wire::{FRONTIER_LEN, Frontier};

use crate::{Access, Directory, Error, File, name};

/// A reader that meets a writer between two halves of a write looks again this often.
const ATTEMPTS: usize = 100;

/// The frontier, open for writing.
#[derive(Debug)]
pub struct FrontierFile {
    file: Arc<dyn File>,
    /// What stands in it, as far as this writer wrote it.
    published: Mutex<Option<Frontier>>,
}

impl FrontierFile {
    /// Opens the frontier's file, making it where there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(directory: &dyn Directory) -> Result<Self, Error> {
        let path = directory.path().join(name::FRONTIER);
        let file = match directory.open(name::FRONTIER, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => directory.create(name::FRONTIER),
            opened => opened,
        };
        let file = file.map_err(Error::io("open", path))?;
        Ok(Self { file, published: Mutex::default() })
    }

    /// Lets others read as far as `frontier` says. Where that fails, they go on seeing what they saw.
    /// What stands there already is not written again.
    pub fn publish(&self, frontier: &Frontier) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if *published == Some(*frontier) {
            return;
        }
        match self.file.write_all_at(&frontier.encode(), 0) {
            Ok(()) => *published = Some(*frontier),
            Err(error) => tracing::warn!(%error, "readers in other processes do not see what was appended"),
        }
    }
}

/// The frontier that the writer with `epoch` published; `None` where it has not published any yet.
///
/// # Errors
/// [`Error::Io`], or [`Error::Newer`].
pub fn read_frontier(directory: &dyn Directory, epoch: u64) -> Result<Option<Frontier>, Error> {
    Ok(find_frontier(directory)?.filter(|frontier| frontier.epoch == epoch))
}

/// The frontier that stands there, whoever published it, alive or not; `None` where nobody did.
///
/// # Errors
/// As [`read_frontier`].
pub fn find_frontier(directory: &dyn Directory) -> Result<Option<Frontier>, Error> {
    let path = directory.path().join(name::FRONTIER);
    let file = match directory.open(name::FRONTIER, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    for _ in 0..ATTEMPTS {
        let mut bytes = [0; FRONTIER_LEN];
        let read = file.read_full_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        match Frontier::decode(bytes.get(..read).unwrap_or_default()) {
            Ok(frontier) => return Ok(Some(frontier)),
            Err(source) if source.is_newer_version() => return Err(Error::Newer { path, source }),
            Err(_) => {}
        }
    }
    Ok(None)
}
