//! The writer's state: what only the one whose turn it is may touch.
//!
//! Invariant: `visible <= durable <= written <= appended`, by sequence and by bytes; visible is written instead
//! of durable where the store's visibility says so.

use annals_checkpoint::ConsumerMoves;
use annals_index::Hidden;
use annals_segment::{FrontierFile, Log, Note, SealedPlace, Space};
use annals_wire::{Chain, Digest, Generation, Recorded, SegmentId, Sequence, StoreId};

use crate::{
    Error,
    background::{Worker, WorkerThread},
    ids::IdSource,
    metrics::Tally,
    sync::{Arc, Condvar, Mutex},
};

/// Everything that a store opened for writing has beside the others.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) turn: Mutex<Turn>,
    /// Where the members of a group wait: those of even groups at one, those of odd ones at the other.
    pub(crate) landed: [Condvar; 2],
    /// What the log and its index may take of the disk.
    pub(crate) space: Arc<Space>,
    pub(crate) ids: IdSource,
    pub(crate) worker: Arc<Worker>,
    pub(crate) thread: Mutex<WorkerThread>,
    /// Held while segments are sealed, while a checkpoint is written, and while runs are merged: one at a time of
    /// each.
    pub(crate) sealing: Mutex<()>,
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) merging: Mutex<()>,
}

/// What only the one whose turn it is may touch.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None` when the store was closed.
    pub(crate) log: Option<Log>,
    /// What readers in other processes go by; opened before the first byte is written.
    pub(crate) frontier: Option<FrontierFile>,
    pub(crate) has_frontier: bool,
    pub(crate) recorded: Recorded,
    pub(crate) mark: Digest,
    pub(crate) control: Digest,
    /// The events that are hidden, as far as that is written or to be written.
    pub(crate) hidden: Arc<Hidden>,
    /// Where the consumers are whose positions are in the log, as far as that is written or to be written.
    pub(crate) moves: Arc<ConsumerMoves>,
    /// The group that is forming.
    pub(crate) group: u64,
    /// How many callers wait for the forming group.
    pub(crate) waiting: u32,
    /// Whether one of them wants it durable.
    pub(crate) wants_sync: bool,
    /// Whether somebody is writing for the group before.
    pub(crate) is_led: bool,
    /// What that will come to.
    pub(crate) landing: Landing,
    pub(crate) appended: Reach,
    pub(crate) written: Reach,
    pub(crate) durable: Reach,
    /// The place up to which everything is durable.
    pub(crate) landmark: Landmark,
    /// How many bytes of log there were at the last checkpoint, written or tried.
    pub(crate) checkpointed_bytes: u64,
    /// The same of the last one that is not being written any more.
    pub(crate) covered_bytes: u64,
    /// Whether the thread was woken for the next one.
    pub(crate) is_checkpoint_asked: bool,
    /// How many bytes of log there were when the newest segment was begun.
    pub(crate) segment_start_bytes: u64,
    /// Whether the checkpoint that was found was rejected, and not yet replaced.
    pub(crate) owes_checkpoint: bool,
    pub(crate) tally: Tally,
}

/// How far the log reaches in some respect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Bytes of frames since the store was opened, over all segments.
    pub(crate) bytes: u64,
    /// The last event.
    pub(crate) sequence: Sequence,
}

/// How many bytes of frames are written and durable once the flight that is out has landed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Landing {
    pub(crate) written: u64,
    pub(crate) durable: u64,
}

/// A place in the log with all that a checkpoint says of it.
#[derive(Debug, Clone)]
pub(crate) struct Landmark {
    pub(crate) segment: SegmentId,
    pub(crate) generation: Generation,
    pub(crate) first_sequence: Sequence,
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
    pub(crate) sequence: Sequence,
    pub(crate) recorded: Recorded,
    pub(crate) mark: Digest,
    pub(crate) control: Digest,
    pub(crate) kind_count: usize,
    pub(crate) hidden: Arc<Hidden>,
    pub(crate) moves: Arc<ConsumerMoves>,
}

impl Landmark {
    /// The segment before the place.
    pub(crate) fn prefix(&self, store: StoreId) -> SealedPlace {
        SealedPlace {
            store,
            id: self.segment,
            generation: self.generation,
            first_sequence: self.first_sequence,
            end: self.offset,
            chain: self.chain,
        }
    }
}

impl Turn {
    /// A failure of the log, with how far everything is durable; for `map_err`.
    pub(crate) fn failed(&self) -> impl FnOnce(annals_segment::Error) -> Error + use<> {
        let durable = self.durable.sequence;
        move |source| match source {
            annals_segment::Error::Stopped { .. } => Error::Stopped { durable, source },
            _ => source.into(),
        }
    }

    /// The owner's note for headers and the manifest.
    pub(crate) fn note(&self) -> Note {
        Note { recorded: self.recorded, mark: self.mark }
    }

    /// The place behind all that was staged.
    pub(crate) fn place(&self, log: &Log, kind_count: usize) -> Landmark {
        let header = log.active().header();
        Landmark {
            segment: header.id,
            generation: header.generation,
            first_sequence: header.first_sequence,
            offset: log.end(),
            chain: log.chain(),
            sequence: self.appended.sequence,
            recorded: self.recorded,
            mark: self.mark,
            control: self.control,
            kind_count,
            hidden: Arc::clone(&self.hidden),
            moves: Arc::clone(&self.moves),
        }
    }
}
