//! The checkpoint's file: replaced as a whole, read head first.
//!
//! Invariant: a checkpoint covers durable bytes only. It is written under a temporary name, synced, renamed,
//! and the directory synced; so there is the old or the new, or after an unlucky crash neither.

use std::io;

use annals_segment::{Access, CHECKPOINT, Directory, Error, TEMPORARY_SUFFIX};
use annals_wire::{CHECKPOINT_PREFIX_LEN, CheckpointHead, CheckpointPrefix};

use crate::FoundCheckpoint;

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

/// The checkpoint that is there: `None` where there is none, and why it cannot be used where it is damaged.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, or [`Error::Newer`].
pub fn find_checkpoint(
    directory: &dyn Directory,
    maps: bool,
) -> Result<Option<Result<FoundCheckpoint, String>>, Error> {
    let path = directory.path().join(CHECKPOINT);
    let file = match directory.open(CHECKPOINT, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(Some(Err(error.to_string()))),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let len = file.len().map_err(Error::io("look at", &path))?;
    let mut prefix = [0; CHECKPOINT_PREFIX_LEN];
    let read = file.read_full_at(&mut prefix, 0).map_err(Error::io("read", &path))?;
    let prefix = match CheckpointPrefix::decode(prefix.get(..read).unwrap_or_default()) {
        Ok(prefix) if prefix.file_len() == Some(len) => prefix,
        Ok(prefix) => {
            let expected = prefix.file_len().map_or_else(|| "too many".to_owned(), |len| len.to_string());
            return Ok(Some(Err(format!("it has {len} bytes, and its prefix says {expected}"))));
        }
        Err(source) if source.is_newer_version() => return Err(Error::Newer { path, source }),
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    let region = if maps {
        file.map(len).map_err(Error::io("map", &path))?
    } else {
        file.read_all(len).map_err(Error::io("read", &path))?.into()
    };
    let head = CheckpointHead::decode(&region).map_err(|error| error.to_string());
    Ok(Some(head.map(|head| FoundCheckpoint { head, tables_len: prefix.tables_len, region })))
}
