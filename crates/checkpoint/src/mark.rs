//! Whether the frames under a checkpoint are those that it saw.
//!
//! Invariant: a segment that went another way since, or an older copy of it, has another event before the watermark,
//! or another control record, or nothing there. That is told, and never passed over.

use std::path::Path;

use annals_index::Index;
use annals_segment::{Error, FrameBytes};
use annals_wire::{CheckpointHead, Control, Digest, Event};

/// The frames of the segment that a watermark lies in.
pub(crate) struct Marked<'a> {
    /// Its file.
    pub(crate) path: &'a Path,
    /// The hash of the last event before it, as its header says.
    pub(crate) before: Digest,
    /// Reads the frame at an offset.
    pub(crate) read: &'a dyn Fn(u64) -> Result<FrameBytes, Error>,
}

impl Marked<'_> {
    /// Compares the last event and the last control record before the watermark with what the checkpoint saw.
    /// `index` has all of the segment up to there. False where its tables are damaged, so that nobody can tell.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where they are others; what reading a frame may have.
    pub(crate) fn check(&self, index: &dyn Index, head: &CheckpointHead) -> Result<bool, Error> {
        let watermark = &head.watermark;
        let count = (watermark.sequence.0 + 1).saturating_sub(index.first_sequence().0);
        match u32::try_from(count).unwrap_or(u32::MAX).checked_sub(1) {
            Some(last) => {
                let Ok(row) = index.row(last) else { return Ok(false) };
                let Some(offset) = row.map(|row| u64::from(row.offset)) else { return Ok(false) };
                let frame = (self.read)(offset)?;
                let event = Event::decode(&frame.frame()).map_err(Error::bytes(self.path, offset))?;
                let what = "the event that the checkpoint ends with";
                compare(self.path, what, offset, watermark.mark, event.stamp.hash)?;
            }
            None => compare(self.path, "the last event before the segment", 96, watermark.mark, self.before)?,
        }
        let Ok(controls) = index.control_offsets() else { return Ok(false) };
        let before = controls.into_iter().map(u64::from).rfind(|offset| *offset < watermark.offset);
        if let Some(offset) = before {
            let frame = (self.read)(offset)?;
            let (stamp, _) = Control::decode(&frame.frame()).map_err(Error::bytes(self.path, offset))?;
            let what = "the control record that the checkpoint saw last";
            compare(self.path, what, offset, head.control, stamp.hash)?;
        }
        Ok(true)
    }
}

fn compare(
    path: &Path,
    what: &'static str,
    offset: u64,
    expected: Digest,
    found: Digest,
) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    let (path, expected, found) = (path.to_owned(), expected.to_string(), found.to_string());
    Err(Error::Mismatch { path, offset, what, expected, found })
}
