//! A part: one stretch of the log with its index and the segment that its frames lie in.

use annals_index::{ActiveIndex, Index, SealedIndex};
use annals_segment::{ActiveSegment, FrameBytes, SealedSegment};
use annals_wire::{Digest, SegmentId, Sequence};

use crate::sync::{Arc, PoisonError, RwLock};

/// Where a part's frames lie.
#[derive(Debug, Clone)]
pub(crate) enum Frames {
    /// In the segment that is being written.
    Active(Arc<ActiveSegment>),
    /// In a segment that does not change.
    Sealed(Arc<SealedSegment>),
}

impl Frames {
    pub(crate) fn segment(&self) -> SegmentId {
        match self {
            Self::Active(segment) => segment.header().id,
            Self::Sealed(segment) => segment.place().id,
        }
    }

    pub(crate) fn read(&self, offset: u64) -> Result<FrameBytes, annals_segment::Error> {
        match self {
            Self::Active(segment) => segment.frame(offset),
            Self::Sealed(segment) => segment.frame(offset),
        }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        match self {
            Self::Active(segment) => segment.path(),
            Self::Sealed(segment) => segment.path(),
        }
    }
}

/// A part's index.
#[derive(Debug, Clone)]
pub(crate) enum PartIndex {
    /// In memory. Only the last part's grows.
    Active(Arc<RwLock<ActiveIndex>>),
    /// Used in place.
    Sealed(Arc<SealedIndex>),
}

/// One stretch of the log.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) frames: Frames,
    pub(crate) index: PartIndex,
    pub(crate) first_sequence: Sequence,
}

impl Part {
    pub(crate) fn active(frames: Frames, index: ActiveIndex) -> Self {
        let first_sequence = index.first_sequence();
        Self { frames, index: PartIndex::Active(Arc::new(RwLock::new(index))), first_sequence }
    }

    pub(crate) fn sealed(frames: Frames, index: Arc<SealedIndex>) -> Self {
        let first_sequence = index.first_sequence();
        Self { frames, index: PartIndex::Sealed(index), first_sequence }
    }

    /// Asks the index. What grows is held for as long as the question takes, so questions are short.
    pub(crate) fn ask<R>(&self, question: impl FnOnce(&dyn Index) -> R) -> R {
        match &self.index {
            PartIndex::Active(index) => question(&*index.read().unwrap_or_else(PoisonError::into_inner)),
            PartIndex::Sealed(index) => question(&**index),
        }
    }

    /// Whether the index is its segment's footer.
    pub(crate) fn has_footer(&self) -> bool {
        matches!(&self.index, PartIndex::Sealed(index) if index.trailer().digest != Digest::NONE)
    }

    /// How many of the rows are visible when `visible` is the newest visible event.
    pub(crate) fn visible_rows(&self, visible: Sequence) -> u32 {
        let shown = (visible.0 + 1).saturating_sub(self.first_sequence.0);
        self.ask(|index| u64::from(index.row_count()).min(shown)).try_into().unwrap_or(u32::MAX)
    }
}
