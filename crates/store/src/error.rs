//! What can go wrong, sorted by what a caller can do about it.

use annals_index::Query;
use annals_wire::{Digest, EventId, Revision, Sequence};

use crate::{Expected, sync::Arc, typed::DecodeError};

/// Why an operation on a store failed.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// let event = NewEvent::new(&order, placed, b"").expected(Expected::Exists);
/// match store.append(&event) {
///     Err(error) if error.is_conflict() => println!("read again and decide anew: {error}"),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream is not where the append expected it. Nothing was appended: read it again and decide anew.
    #[error("{stream} was expected {expected}, and {}", Expected::describe(*actual))]
    Conflict {
        /// The stream.
        stream: String,
        /// What the append demanded.
        expected: Expected,
        /// The revision that the stream has; `None` where it has no event.
        actual: Option<Revision>,
    },
    /// There is an event that the append's condition rules out. Nothing was appended: read again and decide anew.
    #[error("after {after} no event was to match {query}, and {found} does")]
    ConditionFailed {
        /// Which events were not to be there.
        query: Box<Query>,
        /// After which sequence.
        after: Sequence,
        /// The first one that is.
        found: Sequence,
    },
    /// The id belongs to another event already. Nothing was appended.
    #[error("the id {id} belongs to another event already, at sequence {sequence}")]
    IdTaken {
        /// The id.
        id: EventId,
        /// The event that has it.
        sequence: Sequence,
    },
    /// Some events of a batch were appended before and others were not. Nothing was appended.
    #[error(
        "{known} of the batch's {count} events are in the store already: a batch is wholly new or wholly a repeat"
    )]
    PartlyRepeated {
        /// How many are there.
        known: usize,
        /// How many the batch has.
        count: usize,
    },
    /// An argument that no store can take.
    #[error("{what}: {why}")]
    Invalid {
        /// The argument.
        what: &'static str,
        /// The rule that it breaks.
        why: String,
    },
    /// An event is not of the type that was asked for, or its payload is no value of it.
    #[error("event {sequence}: {source}")]
    Decode {
        /// The event.
        sequence: Sequence,
        /// Why it is not.
        source: DecodeError,
    },
    /// More than the format or the options allow. Nothing was appended.
    #[error("{what} has {len} bytes; at most {max} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// There is no room: on the disk, or within the limits of the options. Nothing was appended, and reads go on.
    /// Where the store had to be opened without room for putting it in order, it only reads until it is opened
    /// again.
    #[error("{source}")]
    NoSpace {
        /// Where, how much was needed, and how much there is.
        source: Arc<annals_segment::Error>,
    },
    /// A consumer's position is none of this store's history: it is of another store, or of a past that was replaced
    /// by a restored one. Nothing was delivered: reset the consumer to where it is to begin, or restore the store
    /// that it belongs to.
    #[error(
        "{consumer} stands at event {sequence} of another history: {what} is expected to be {expected}, and here \
         it is {found}; reset it, or restore the store that it belongs to"
    )]
    Foreign {
        /// What sort of consumer it is, and its name.
        consumer: String,
        /// The event up to which it has processed everything.
        sequence: Sequence,
        /// What is compared.
        what: &'static str,
        /// What the consumer knows.
        expected: String,
        /// What the store has.
        found: String,
    },
    /// There is no room just now, and the append was not to wait for it. Nothing was appended: try again later.
    #[error("{what} has {len} bytes on their way; at most {max} are allowed")]
    Busy {
        /// What is full.
        what: &'static str,
        /// How many bytes it would have.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// There is no store in the directory, and none was to be made.
    #[error("{path} holds no store")]
    NotFound {
        /// The directory.
        path: String,
    },
    /// Another writer has the store: wait for it, or open for reading only.
    #[error("{source}")]
    Locked {
        /// Which lock, and who has it.
        source: annals_segment::Error,
    },
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// An earlier write or sync failed. What was acknowledged is safe, reads go on, and nothing more is written
    /// until the store is opened again.
    #[error("the store writes no more; events up to {durable} are durable: {source}")]
    Stopped {
        /// The last durable event.
        durable: Sequence,
        /// The first failure.
        source: annals_segment::Error,
    },
    /// The system refused or failed an operation.
    #[error("{source}")]
    Environment {
        /// Which operation, on which file, and what the system said.
        source: annals_segment::Error,
    },
    /// The directory is a backup, or a restored store, that was not finished. It is left as it is.
    #[error("{source}")]
    Unfinished {
        /// What says so.
        source: annals_segment::Error,
    },
    /// The store's bytes are wrong: restore it from a backup. Nothing was changed.
    #[error("{source}")]
    Corrupt {
        /// Which file, at which offset, what was expected and what found.
        source: annals_segment::Error,
    },
    /// The store that was opened for reading is not the one any more that was read: another one, or its past, was put
    /// in its place. Nothing of it is shown. Open it again.
    #[error(
        "event {sequence} was read with the hash {expected}, and {}: this is another history",
        found.map_or_else(|| "it is not there any more".to_owned(), |found| format!("now has {found}"))
    )]
    OtherHistory {
        /// The newest event that was read.
        sequence: Sequence,
        /// Its hash.
        expected: Digest,
        /// The hash that it has now; `None` where it is not there.
        found: Option<Digest>,
    },
    /// The store was written by a newer version, and left as it is.
    #[error("{source}; open it with the version that wrote it, or a newer one")]
    NewerVersion {
        /// Which file, and which version it has.
        source: annals_segment::Error,
    },
}

impl Error {
    /// Whether an append was refused because the store is not where it expected it: read again and decide anew.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::ConditionFailed { .. })
    }

    /// Whether there was no room for what was to be written, on the disk or within the limits of the options.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Stopped { source, .. } | Self::Environment { source } => source.is_out_of_space(),
            _ => false,
        }
    }
}

impl From<annals_segment::Error> for Error {
    fn from(source: annals_segment::Error) -> Self {
        use annals_segment::Error as Log;
        match source {
            Log::TooLarge { what, len, max } => Self::TooLarge { what, len, max },
            Log::NotFound { path } => Self::NotFound { path: path.display().to_string() },
            Log::Locked { .. } => Self::Locked { source },
            Log::NoSpace { .. } => Self::NoSpace { source: Arc::new(source) },
            Log::Stopped { .. } => Self::Stopped { durable: Sequence(0), source },
            Log::Unfinished { .. } => Self::Unfinished { source },
            Log::Newer { .. } => Self::NewerVersion { source },
            source if source.is_damage() => Self::Corrupt { source },
            source => Self::Environment { source },
        }
    }
}

impl From<annals_checkpoint::Error> for Error {
    fn from(error: annals_checkpoint::Error) -> Self {
        match error {
            annals_checkpoint::Error::Log(error) => error.into(),
            error => Self::Invalid { what: "store", why: error.to_string() },
        }
    }
}

impl From<annals_wire::Error> for Error {
    fn from(error: annals_wire::Error) -> Self {
        match error {
            annals_wire::Error::Invalid { what, why } => Self::Invalid { what, why: why.to_owned() },
            error => Self::Invalid { what: "argument", why: error.to_string() },
        }
    }
}
