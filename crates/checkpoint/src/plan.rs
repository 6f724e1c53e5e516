//! What an open uses. Pure: what was found goes in, what to do comes out.
//!
//! Invariant: decided segment by segment, never all or nothing. A checkpoint that contradicts the log is no
//! reason to build anything again in silence: it covers only what was durable, so where it reaches further
//! than the log, acknowledged events are lost and the open is refused.

use std::path::Path;

use annals_segment::{CHECKPOINT, Error, Layout, SealedPlace, segment_name};
use annals_wire::{CheckpointHead, SegmentId, Watermark};

use crate::{Rejected, Sources};

/// What to open from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The sealed segments, oldest first, and where the index of each comes from.
    pub segments: Vec<(SealedPlace, SegmentSource)>,
    /// Where the newest segment's index comes from.
    pub tail: TailSource,
    /// What is not used, and why.
    pub rejected: Vec<Rejected>,
}

/// Where a sealed segment's index comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentSource {
    /// Its footer.
    Footer,
    /// Its frames.
    Frames,
}

/// Where the newest segment's index comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailSource {
    /// The checkpoint's tables, and the frames behind its watermark.
    Checkpoint(Watermark),
    /// Its frames.
    Frames,
}

impl Plan {
    /// Decides. `directory` is for messages.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Mismatch`] where a sound checkpoint of this store contradicts the log.
    pub fn decide(layout: &Layout, sources: &Sources, directory: &Path) -> Result<Self, Error> {
        let mut plan = Self { segments: Vec::new(), tail: TailSource::Frames, rejected: Vec::new() };
        for place in &layout.sealed {
            let name = segment_name(place.id, place.generation);
            let source = match sources.footers.get(&place.id) {
                Some(Ok(_)) => SegmentSource::Footer,
                Some(Err(why)) => {
                    plan.rejected.push(Rejected::new(format!("{name} (its footer)"), why));
                    SegmentSource::Frames
                }
                None => SegmentSource::Frames,
            };
            plan.segments.push((*place, source));
        }
        match &sources.checkpoint {
            Some(Ok(found)) if found.head.store != layout.manifest.store => {
                plan.rejected.push(Rejected::new(CHECKPOINT, "it is another store's"));
            }
            Some(Ok(found)) => {
                check(&found.head, layout, directory)?;
                let watermark = found.head.watermark;
                let newest = layout.newest.as_ref().map(|newest| newest.header.id);
                if newest == Some(watermark.segment) {
                    plan.tail = TailSource::Checkpoint(watermark);
                }
            }
            Some(Err(why)) => plan.rejected.push(Rejected::new(CHECKPOINT, why)),
            None => {}
        }
        Ok(plan)
    }

    /// Compares a sound checkpoint of this store with the log. `directory` is for messages.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Mismatch`] where they contradict each other.
    pub fn check_checkpoint(head: &CheckpointHead, layout: &Layout, directory: &Path) -> Result<(), Error> {
        if head.store == layout.manifest.store { check(head, layout, directory) } else { Ok(()) }
    }
}

/// Compares a checkpoint with the log: everything that it stands on must be there, as it says.
fn check(head: &CheckpointHead, layout: &Layout, directory: &Path) -> Result<(), Error> {
    let watermark = &head.watermark;
    for covered in head.covered.iter().filter(|covered| covered.id >= layout.manifest.oldest) {
        let Some(place) = layout.sealed.iter().find(|place| place.id == covered.id) else {
            return lost(directory, layout, watermark, covered.id);
        };
        let expected = (covered.generation, covered.first_sequence, covered.end, covered.chain);
        let found = (place.generation, place.first_sequence, place.end, place.chain);
        if expected != found {
            let what = "the segment that the checkpoint stands on";
            return mismatch(directory, place, what, format!("{expected:?}"), format!("{found:?}"));
        }
    }
    if let Some(newest) = layout.newest.as_ref().filter(|newest| newest.header.id == watermark.segment) {
        let path = directory.join(segment_name(newest.header.id, newest.header.generation));
        if newest.header.generation != watermark.generation || newest.len < watermark.offset {
            let (end, proven) = (newest.len, watermark.offset);
            return Err(Error::Lost { path, end, proven, witness: "the checkpoint" });
        }
        return Ok(());
    }
    match layout.sealed.iter().find(|place| place.id == watermark.segment) {
        Some(place) if place.generation == watermark.generation && place.end < watermark.offset => {
            let (expected, found) = (format!("at least {}", watermark.offset), place.end.to_string());
            mismatch(directory, place, "the end of the frames, which the checkpoint proves", expected, found)
        }
        Some(_) => Ok(()),
        None if watermark.segment < layout.manifest.oldest => Ok(()),
        None => lost(directory, layout, watermark, watermark.segment),
    }
}

fn lost(directory: &Path, layout: &Layout, watermark: &Watermark, id: SegmentId) -> Result<(), Error> {
    let end = layout.newest.as_ref().map_or(0, |newest| newest.len);
    let path = directory.join(segment_name(id, watermark.generation));
    Err(Error::Lost { path, end, proven: watermark.offset, witness: "the checkpoint" })
}

fn mismatch(
    directory: &Path,
    place: &SealedPlace,
    what: &'static str,
    expected: String,
    found: String,
) -> Result<(), Error> {
    let path = directory.join(segment_name(place.id, place.generation));
    Err(Error::Mismatch { path, offset: place.end, what, expected, found })
}
