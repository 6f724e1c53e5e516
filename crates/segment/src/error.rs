//! What can go wrong with a log: the environment failed, or the bytes are wrong. Never one for the other.

use std::{io, path::PathBuf, sync::Arc};

use annals_wire::{SegmentId, Sequence};

/// Why an operation on a log failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused or failed an operation.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that were once whole are not any more.
    #[error("{} is damaged at offset {offset}: {source}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        source: annals_wire::Error,
    },
    /// A file contradicts what another proves of it.
    #[error("{} is not what it was at offset {offset}: {what} should be {expected} and is {found}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What differs.
        what: &'static str,
        /// What the evidence says.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The log ends before a place that was durable: acknowledged entries are gone.
    #[error("{} ends at offset {end}, but {witness} proves that it was durable to {proven}: acknowledged data is lost", path.display())]
    Lost {
        /// The segment's file.
        path: PathBuf,
        /// Where its whole batches end.
        end: u64,
        /// How far it was durable.
        proven: u64,
        /// What says so.
        witness: &'static str,
    },
    /// A segment of the log is not there.
    #[error("segment {id} is missing: {} is not there", path.display())]
    MissingSegment {
        /// Its file.
        path: PathBuf,
        /// Its id.
        id: SegmentId,
    },
    /// A file that stands where it does not belong.
    #[error("{}: {why}", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Why it does not belong there.
        why: &'static str,
    },
    /// The manifest is gone or unreadable and there are segments: this is no new log.
    #[error("{} {why}, although the directory holds a log's segments; restore it from a backup", path.display())]
    ManifestLost {
        /// The manifest's file.
        path: PathBuf,
        /// What is the matter with it.
        why: String,
    },
    /// The file was written by a newer version, and left as it is.
    #[error("{}: {source}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it is and which version it has.
        source: annals_wire::Error,
    },
    /// There is no log in the directory.
    #[error("{} holds no log", path.display())]
    NotFound {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is a copy of a log that was not finished.
    #[error(
        "{} says that this is a backup that was not finished: run the same backup or restore again, which completes it, \
         or remove the directory",
        path.display()
    )]
    Unfinished {
        /// The file that says so.
        path: PathBuf,
    },
    /// Another writer has the log.
    #[error("{} is held by another writer: {holder}", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// What the holder wrote in it.
        holder: String,
    },
    /// An earlier write or sync failed, and nothing more is written until the log is opened again.
    #[error("the log stopped writing when an operation failed; open it again. The cause: {cause}")]
    Stopped {
        /// The first failure.
        cause: Arc<Self>,
    },
    /// A log is used in a forked child of the process that opened it. Nothing was written.
    #[error(
        "{} was opened by process {opened_by}, and this is its child {process}: open it after the fork",
        path.display()
    )]
    Forked {
        /// The directory.
        path: PathBuf,
        /// The process that opened it.
        opened_by: u32,
        /// This process.
        process: u32,
    },
    /// There is no room for what was to be written. Nothing was, and the log goes on.
    #[error(
        "{} has no room for {len} bytes: {room} are left of {limit} beyond the headroom; make room, or allow more",
        path.display()
    )]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// How many bytes were to be written.
        len: u64,
        /// How many may be.
        room: u64,
        /// What limits them.
        limit: &'static str,
    },
    /// A record is asked for, or said to be covered, that the log does not hold, or not as durable.
    #[error("record {asked} is not there: the log holds {first} to {last} durably")]
    NotHeld {
        /// The record.
        asked: Sequence,
        /// The first that the log holds.
        first: Sequence,
        /// The last that is durable.
        last: Sequence,
    },
    /// More than the format or the options allow.
    #[error("{what} has {len} bytes; at most {max} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A number of the format has no successor.
    #[error("{what} cannot grow any further")]
    Exhausted {
        /// Which number.
        what: &'static str,
    },
}

impl Error {
    /// The failure of `operation` on `path`; for `map_err`.
    pub fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.into(), source }
    }

    /// Wrong bytes at `offset` of `path`, or bytes of a newer version; for `map_err`.
    pub fn bytes(path: impl Into<PathBuf>, offset: u64) -> impl FnOnce(annals_wire::Error) -> Self {
        // Only then: for most this is asked for, nothing is wrong.
        move |source| {
            let path = path.into();
            if source.is_newer_version() {
                Self::Newer { path, source }
            } else {
                Self::Corrupt { path, offset, source }
            }
        }
    }

    /// Whether there is no room for what was to be written: on the disk, within a quota, a limit of the process or
    /// the log's own.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } => is_full(source),
            Self::Stopped { cause } => cause.is_out_of_space(),
            _ => false,
        }
    }

    /// Whether the bytes are wrong, rather than the environment or the call.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. }
                | Self::Mismatch { .. }
                | Self::Lost { .. }
                | Self::MissingSegment { .. }
                | Self::Misplaced { .. }
                | Self::ManifestLost { .. }
        )
    }
}

/// Whether the system had no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::WriteZero
    )
}
