//! A part: one stretch of the log with its index and the segment that its frames lie in.

use annals_checkpoint::{Built, LazyIndex, OpenedIndex, Unopened};
use annals_index::{ActiveIndex, Index, SealedIndex};
use annals_segment::{ActiveSegment, FrameBytes, SealedSegment};
use annals_wire::{SegmentId, Sequence, SieveLook};

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
    /// A footer, or the checkpoint's tables: used in place, and opened when first asked.
    Lazy(Arc<LazyIndex>),
    /// Built from frames and encoded, until the footer is written.
    Built(Built),
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

    pub(crate) fn lazy(frames: Frames, index: Arc<LazyIndex>) -> Self {
        let first_sequence = index.place().first_sequence;
        Self { frames, index: PartIndex::Lazy(index), first_sequence }
    }

    pub(crate) fn built(frames: Frames, built: Built) -> Self {
        let first_sequence = built.index.first_sequence();
        Self { frames, index: PartIndex::Built(built), first_sequence }
    }

    /// The index, opened now where it is not open.
    ///
    /// # Errors
    /// Where it cannot be opened because the log itself failed.
    pub(crate) fn open(&self) -> Result<OpenPart<'_>, annals_segment::Error> {
        Ok(match &self.index {
            PartIndex::Active(index) => OpenPart::Active(index),
            PartIndex::Built(built) => OpenPart::Built(&built.index),
            PartIndex::Lazy(lazy) => match lazy.index() {
                Ok(index) => OpenPart::Lazy(index),
                Err(Unopened::Log(error)) => return Err(error),
                Err(_) => OpenPart::WithoutTables(lazy),
            },
        })
    }

    /// The index, where it is open already.
    pub(crate) fn open_before(&self) -> Option<OpenPart<'_>> {
        match &self.index {
            PartIndex::Active(index) => Some(OpenPart::Active(index)),
            PartIndex::Built(built) => Some(OpenPart::Built(&built.index)),
            PartIndex::Lazy(lazy) => lazy.open_before().map(OpenPart::Lazy),
        }
    }

    /// Asks the index, which answers as one whose tables are damaged where it cannot be opened.
    pub(crate) fn ask<R>(&self, question: impl FnOnce(&dyn Index) -> R) -> R {
        match (self.open(), &self.index) {
            (Ok(open), _) => open.ask(question),
            (Err(_), PartIndex::Lazy(lazy)) => OpenPart::WithoutTables(lazy).ask(question),
            (Err(_), _) => unreachable!("only what is opened when asked fails to open"),
        }
    }

    /// As [`Part::ask`]; but where the index cannot be opened because the log itself failed, that is said.
    pub(crate) fn ask_opened<R>(
        &self,
        question: impl FnOnce(&dyn Index) -> R,
    ) -> Result<R, annals_segment::Error> {
        Ok(self.open()?.ask(question))
    }

    /// How many events it has. Opens nothing.
    pub(crate) fn row_count(&self) -> u32 {
        match &self.index {
            PartIndex::Lazy(lazy) => lazy.row_count(),
            _ => self.ask(|index| index.row_count()),
        }
    }

    /// Whether the index is its segment's footer.
    pub(crate) fn has_footer(&self) -> bool {
        self.file_len() != 0
    }

    /// The length of the segment's file where the index is its footer, and 0 elsewhere.
    pub(crate) fn file_len(&self) -> u64 {
        match &self.index {
            PartIndex::Lazy(lazy) => lazy.file_len().unwrap_or_default(),
            _ => 0,
        }
    }

    /// How many of the rows are visible when `visible` is the newest visible event.
    pub(crate) fn visible_rows(&self, visible: Sequence) -> u32 {
        let shown = (visible.0 + 1).saturating_sub(self.first_sequence.0);
        u32::try_from(shown).unwrap_or(u32::MAX).min(self.row_count())
    }
}

/// A part's index that is open, and stays so as long as this is held.
#[derive(Debug)]
pub(crate) enum OpenPart<'a> {
    Active(&'a RwLock<ActiveIndex>),
    Built(&'a SealedIndex),
    Lazy(OpenedIndex<'a>),
    WithoutTables(&'a LazyIndex),
}

impl OpenPart<'_> {
    /// The look that says whether an id with `hash` may be here; `None` where there is none to take.
    #[inline]
    pub(crate) fn look_for_id(&self, hash: u32) -> Option<SieveLook<'_>> {
        match self {
            Self::Built(index) => index.look_for_id(hash).ok()?,
            Self::Lazy(index) => index.look_for_id(hash).ok()?,
            Self::Active(_) | Self::WithoutTables(_) => None,
        }
    }

    /// Asks the index. What grows is held for as long as the question takes, so questions are short.
    pub(crate) fn ask<R>(&self, question: impl FnOnce(&dyn Index) -> R) -> R {
        match self {
            Self::Active(index) => question(&*index.read().unwrap_or_else(PoisonError::into_inner)),
            Self::Built(index) => question(*index),
            Self::Lazy(index) => question(&**index),
            Self::WithoutTables(lazy) => question(&lazy.without_tables()),
        }
    }
}
