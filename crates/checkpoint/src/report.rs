//! What an open did: nothing that was dropped, rejected or mended is left unsaid.

use annals_segment::LogReport;
use annals_wire::{Sequence, StoreId};
use serde::Serialize;

/// What opening a store found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use = "it may tell of bytes that were cut off"]
pub struct OpenReport {
    /// The store.
    pub store: StoreId,
    /// Whether the store was made by this open.
    pub was_created: bool,
    /// Whether it was opened for reading only.
    pub is_read_only: bool,
    /// Why it was opened for reading only although it was to be written: putting it in order takes space that is
    /// not there.
    pub no_space: Option<String>,
    /// Whether another process was writing it; it was then read as far as that writer shows.
    pub has_live_writer: bool,
    /// Whether that process said how far others may read. Otherwise only what is proven durable was read.
    pub has_frontier: bool,
    /// How many segments it has.
    pub segment_count: u64,
    /// How many index runs are used.
    pub run_count: u64,
    /// Where the events' index came from.
    pub events: EventCounts,
    /// How many bytes of frames were walked behind the checkpoint.
    pub tail_bytes: u64,
    /// What recovery did to the log's files; for a read-only open, what it would do.
    pub log: LogReport,
    /// Derived files that were not used, and why.
    pub rejected: Vec<Rejected>,
    /// Footers that were built again from frames and written.
    pub rebuilt: Vec<String>,
    /// The last event that is proven durable, where a read-only open shows later ones that are not.
    pub proven: Option<Sequence>,
    /// What was found that a sound store does not have.
    pub oddities: Vec<String>,
    /// Files of bytes that earlier recoveries cut off.
    pub torn_files: Vec<String>,
    /// How many files are nothing of the store's.
    pub foreign_count: u64,
    /// How many frames of unknown types were passed over.
    pub passed_over: u64,
    /// How long each part of the open took.
    pub phases: Vec<Phase>,
}

/// How many events came from which source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventCounts {
    /// From the checkpoint's tables.
    pub checkpoint: u64,
    /// From footers.
    pub footers: u64,
    /// From frames, because there was no sound footer.
    pub frames: u64,
    /// From frames behind the checkpoint.
    pub tail: u64,
}

/// A derived file that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rejected {
    /// Its name.
    pub file: String,
    /// Why.
    pub why: String,
}

impl Rejected {
    /// The rejection of `file`.
    #[must_use]
    pub fn new(file: impl Into<String>, why: &(impl ToString + ?Sized)) -> Self {
        Self { file: file.into(), why: why.to_string() }
    }
}

/// A part of the open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a name and a time are all there is")]
pub struct Phase {
    /// Which part.
    pub name: &'static str,
    /// How long it took, in microseconds.
    pub micros: u64,
}

impl OpenReport {
    /// Whether there is nothing to tell: the store was closed cleanly, and every source was sound.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.log.was_unclean
            && self.log.torn.is_none()
            && self.log.removed.is_empty()
            && self.rejected.is_empty()
            && self.rebuilt.is_empty()
            && self.oddities.is_empty()
            && self.passed_over == 0
            && self.proven.is_none()
            && self.no_space.is_none()
    }
}
