//! The files of published states: one for each, named by the last record that it contains.
//!
//! Invariant: a state's file is written under a temporary name, synced, renamed, and the directory synced; so it
//! is there whole or not at all, and what is not whole was damaged later.

use std::io;

use annals_segment::{Access, Directory, Error, TEMPORARY_SUFFIX};
use annals_wire::{LogPosition, STATE_HEADER_LEN, Sequence, StateHeader, StoreId};

use crate::Rejected;

const SUFFIX: &str = ".state";

/// A state that is whole, and not decoded yet.
#[derive(Debug)]
pub(crate) struct FoundState {
    pub(crate) name: String,
    pub(crate) position: LogPosition,
    pub(crate) bytes: Vec<u8>,
}

/// The name of the state that contains the log up to `sequence`.
pub(crate) fn state_name(sequence: Sequence) -> String {
    format!("{:020}{SUFFIX}", sequence.0)
}

fn sequence_of(name: &str) -> Option<Sequence> {
    let sequence = Sequence(name.strip_suffix(SUFFIX)?.parse().ok()?);
    (state_name(sequence) == name).then_some(sequence)
}

/// What the directory has of states.
#[derive(Debug, Default)]
pub(crate) struct StateFiles {
    /// The states, newest first.
    pub(crate) states: Vec<Sequence>,
    /// Unfinished ones, by name.
    pub(crate) temporary: Vec<String>,
}

impl StateFiles {
    pub(crate) fn list(directory: &dyn Directory) -> Result<Self, Error> {
        let mut files = Self::default();
        for entry in directory.list().map_err(Error::io("list", directory.path()))? {
            let Some(name) = entry.name.to_str() else { continue };
            if let Some(sequence) = sequence_of(name) {
                files.states.push(sequence);
            } else if name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|of| sequence_of(of).is_some()) {
                files.temporary.push(name.to_owned());
            }
        }
        files.states.sort_by(|one, other| other.cmp(one));
        Ok(files)
    }
}

/// Writes a state, durably.
///
/// # Errors
/// [`Error::Io`]; the state is then there whole or not at all, and the log is as it was.
pub(crate) fn write_state(
    directory: &dyn Directory,
    header: &StateHeader,
    state: &[u8],
) -> Result<(), Error> {
    let name = state_name(header.position.sequence);
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    remove(directory, &temporary)?;
    let path = directory.path().join(&temporary);
    let file = directory.create(&temporary).map_err(Error::io("create", &path))?;
    let written = file
        .write_all_at(&header.encode(), 0)
        .and_then(|()| file.write_all_at(state, STATE_HEADER_LEN as u64))
        .map_err(Error::io("write", &path));
    if let Err(error) = written {
        // It may have taken the last bytes that the disk had.
        drop(directory.remove(&temporary));
        return Err(error);
    }
    file.sync_data().map_err(Error::io("sync", &path))?;
    directory.rename(&temporary, &name).map_err(Error::io("rename", &path))?;
    directory.sync().map_err(Error::io("sync", directory.path()))
}

/// Removes a file, where it is there.
pub(crate) fn remove(directory: &dyn Directory, name: &str) -> Result<(), Error> {
    match directory.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", directory.path().join(name))(error))
        }
        _ => Ok(()),
    }
}

/// The state up to `sequence`, or why it cannot be used. `log` is the log's id, where it is known.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, or [`Error::Newer`].
pub(crate) fn find_state(
    directory: &dyn Directory,
    sequence: Sequence,
    log: Option<StoreId>,
) -> Result<Result<FoundState, Rejected>, Error> {
    let name = state_name(sequence);
    let path = directory.path().join(&name);
    let file = match directory.open(&name, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Ok(Err(Rejected::new(name, &error)));
        }
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let len = file.len().map_err(Error::io("look at", &path))?;
    let bytes = file.read_all(len).map_err(Error::io("read", &path))?;
    let (header, state) = match StateHeader::decode_file(&bytes) {
        Ok(found) => found,
        Err(source) if source.is_newer_version() => return Err(Error::Newer { path, source }),
        Err(error) => return Ok(Err(Rejected::new(name, &error))),
    };
    if log.is_some_and(|log| log != header.store) {
        return Ok(Err(Rejected::new(name, "it is another log's")));
    }
    if header.position.sequence != sequence {
        return Ok(Err(Rejected::new(name, "its name and its header disagree")));
    }
    Ok(Ok(FoundState { name, position: header.position, bytes: state.to_vec() }))
}
