//! The checkpoint, beside what the frames up to its watermark give.
//!
//! Invariant: a checkpoint that is older than the log, or another store's, is no damage; one that the frames contradict
//! is.

use annals_checkpoint::{Fold, FoundCheckpoint, Plan, find_checkpoint};
use annals_index::ActiveIndex;
use annals_segment::{CHECKPOINT, Directory, SealedPlace, segment_name};
use annals_wire::{Chain, Digest, SegmentId, StoreId};

use super::{VerifyReport, Walk, compare::first_difference, frames::Frames};
use crate::{Error, seal};

/// Finds the checkpoint; says where one is damaged.
pub(super) fn look_at_checkpoint(
    directory: &dyn Directory,
    report: &mut VerifyReport,
) -> Result<Option<FoundCheckpoint>, Error> {
    match find_checkpoint(directory)? {
        Some(Ok(found)) => Ok(Some(found)),
        Some(Err(why)) => {
            let file = directory.path().join(CHECKPOINT).display().to_string();
            report.damaged_derived(file, None, why);
            Ok(None)
        }
        None => Ok(None),
    }
}

impl Walk<'_> {
    /// Compares what the checkpoint's head says of the segments with the log.
    pub(super) fn compare_head(&self, report: &mut VerifyReport) {
        let Some(found) = self.checkpoint else { return };
        let path = self.directory.path();
        if let Err(error) = Plan::check_checkpoint(&found.head, self.layout, path) {
            report.damaged(&error, None);
        } else if report.checkpoint.is_none() {
            report.checkpoint = Some("older than the log, or another store's, and not used".to_owned());
        }
    }

    /// Where the checkpoint's watermark lies in the segment `id`, if it is that segment's.
    pub(super) fn watermark(&self, store: StoreId, id: SegmentId) -> Option<u64> {
        let head = self.checkpoint.map(|found| &found.head);
        let own = head.filter(|head| head.store == store && head.watermark.segment == id);
        own.map(|head| head.watermark.offset)
    }

    /// Compares the checkpoint with what the frames up to its watermark give, in the segment where that lies.
    pub(super) fn compare_checkpoint(&self, prefix: &Prefix, report: &mut VerifyReport) -> Result<(), Error> {
        let Some(found) = self.checkpoint.filter(|_| prefix.offset.is_some()) else { return Ok(()) };
        let watermark = &found.head.watermark;
        let Some(reached) = &prefix.reached else {
            // The log went another way since, or these are other frames than those that the checkpoint saw.
            let name = segment_name(watermark.segment, watermark.generation);
            let (path, offset) = (self.directory.path().join(name), watermark.offset);
            let (expected, found) = ("the end of a frame".to_owned(), "within one".to_owned());
            let what = "the place where the checkpoint ends";
            let error = annals_segment::Error::Mismatch { path, offset, what, expected, found };
            report.damaged(&error, None);
            return Ok(());
        };
        let file = self.directory.path().join(CHECKPOINT).display().to_string();
        let tables_start = found.tables_offset;
        let tables = found.tables(false)?;
        if let Some(place) = first_difference(&reached.tables, tables.read_all()?) {
            let what =
                "the tables are not those that the frames give; the next open does without them".to_owned();
            report.damaged_derived(file.clone(), Some(tables_start + place), what);
        }
        let told = Fold::of(&found.head);
        let mut told = if reached.is_cut { told.seen_behind_a_cut(&reached.fold) } else { told };
        told.recorded = reached.fold.recorded;
        if told != reached.fold || watermark.chain != reached.chain {
            let what = "the head is not what the frames give: names, hidden events, consumers, chain, or the \
                        last event's hash";
            let what = what.to_owned();
            report.damaged_derived(file, Some(0), what);
        }
        report.checkpoint = Some(format!(
            "head and tables, up to sequence {} at offset {} of {}",
            watermark.sequence,
            watermark.offset,
            segment_name(watermark.segment, watermark.generation)
        ));
        Ok(())
    }
}

/// What the frames give up to a checkpoint's watermark.
pub(super) struct Prefix {
    offset: Option<u64>,
    place: SealedPlace,
    pub(super) chain: Chain,
    reached: Option<Reached>,
}

struct Reached {
    tables: Vec<u8>,
    fold: Fold,
    chain: Chain,
    /// Whether the log's beginning is gone.
    is_cut: bool,
}

impl Prefix {
    pub(super) fn new(offset: Option<u64>, place: SealedPlace) -> Self {
        Self { offset, place, chain: Chain::default(), reached: None }
    }

    /// Keeps what the frames gave when the walk reaches the watermark.
    pub(super) fn reach(&mut self, offset: u64, index: &ActiveIndex, frames: &Frames) {
        if self.reached.is_some() || self.offset != Some(offset) {
            return;
        }
        let place = SealedPlace { end: offset, chain: self.chain, ..self.place };
        let tables = seal::encode(index, &place, Digest::NONE);
        self.reached =
            Some(Reached { tables, fold: frames.fold.clone(), chain: self.chain, is_cut: frames.is_cut });
    }
}
