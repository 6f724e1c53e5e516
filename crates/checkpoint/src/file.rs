//! The checkpoint's file: replaced as a whole, read head first, and its tables when they are asked.
//!
//! Invariant: a checkpoint covers durable bytes only. It is written under a temporary name, synced, renamed,
//! and the directory synced; so there is the old or the new, or after an unlucky crash neither.

use std::{io, path::PathBuf, sync::Arc};

use annals_segment::{Access, CHECKPOINT, Directory, Error, File, FilePart, TEMPORARY_SUFFIX};
use annals_wire::{CHECKPOINT_PREFIX_LEN, CheckpointHead, CheckpointPrefix};

/// A checkpoint whose head is sound.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundCheckpoint {
    /// Its head.
    pub head: CheckpointHead,
    /// The bytes before its tables.
    pub tables_offset: u64,
    /// The bytes of its tables, with which it ends.
    pub tables_len: u64,
    file: Arc<dyn File>,
    path: PathBuf,
}

impl FoundCheckpoint {
    /// Its tables; with `maps`, mapped once much of them was asked.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn tables(&self, maps: bool) -> Result<FilePart, Error> {
        let range = self.tables_offset..self.tables_offset.saturating_add(self.tables_len);
        let part = FilePart::new(Arc::clone(&self.file), self.path.clone(), range, maps);
        part.map_err(Error::io("make room for", &self.path))
    }
}

/// `len` bytes at `offset` of `file`, which has that many.
fn read(file: &dyn File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Replaces the checkpoint by `bytes`, which [`CheckpointHead::encode`] made, durably.
///
/// # Errors
/// [`Error::Io`]; the checkpoint is then the old or the new one.
pub fn write_checkpoint(directory: &dyn Directory, bytes: &[u8]) -> Result<(), Error> {
    let temporary = format!("{CHECKPOINT}{TEMPORARY_SUFFIX}");
    let path = directory.path().join(&temporary);
    match directory.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", path)(error));
        }
        _ => {}
    }
    let file = directory.create(&temporary).map_err(Error::io("create", &path))?;
    file.write_all_at(bytes, 0).map_err(Error::io("write", &path))?;
    file.sync_data().map_err(Error::io("sync", &path))?;
    directory.rename(&temporary, CHECKPOINT).map_err(Error::io("rename", &path))?;
    directory.sync().map_err(Error::io("sync", directory.path()))
}

/// The checkpoint that is there, of which only the head is read: `None` where there is none, and why it cannot be
/// used where it is damaged.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, or [`Error::Newer`].
pub fn find_checkpoint(directory: &dyn Directory) -> Result<Option<Result<FoundCheckpoint, String>>, Error> {
    let path = directory.path().join(CHECKPOINT);
    let file = match directory.open(CHECKPOINT, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(Some(Err(error.to_string()))),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let len = file.len().map_err(Error::io("look at", &path))?;
    let mut prefix = [0; CHECKPOINT_PREFIX_LEN];
    let count = file.read_full_at(&mut prefix, 0).map_err(Error::io("read", &path))?;
    let prefix = match CheckpointPrefix::decode(prefix.get(..count).unwrap_or_default()) {
        Ok(prefix) if prefix.file_len() == Some(len) => prefix,
        Ok(prefix) => {
            let expected = prefix.file_len().map_or_else(|| "too many".to_owned(), |len| len.to_string());
            return Ok(Some(Err(format!("it has {len} bytes, and its prefix says {expected}"))));
        }
        Err(source) if source.is_newer_version() => return Err(Error::Newer { path, source }),
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    // The file is as long as the prefix says, so its head is no longer than what is there.
    let tables_offset = prefix.tables_offset();
    let head_len = usize::try_from(tables_offset).unwrap_or(usize::MAX);
    let head = read(&*file, 0, head_len).map_err(Error::io("read", &path))?;
    let head = CheckpointHead::decode(&head).map_err(|error| error.to_string());
    let tables_len = prefix.tables_len;
    Ok(Some(head.map(|head| FoundCheckpoint { head, tables_offset, tables_len, file, path })))
}
