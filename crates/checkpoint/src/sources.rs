//! What an open can be made from: the checkpoint and the footers that are there. Looks, decides nothing.
//!
//! Invariant: the footer of a segment that a checkpoint vouches for is not looked at before it is asked.

use std::{collections::BTreeMap, sync::Arc};

use annals_segment::{Directory, Error, Inventory, Layout, OpenFiles, SealedPlace, SealedSegment};
use annals_wire::{SegmentId, Sequence};

use crate::{FoundCheckpoint, LazyIndex, Unopened, file::find_checkpoint};

/// Which derived files may be used. All agree with the frames, so switching one off costs time only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain switches")]
pub struct SourceOptions {
    /// Footers.
    pub footers: bool,
    /// The checkpoint.
    pub checkpoint: bool,
    /// Index runs.
    pub runs: bool,
    /// Whether files are mapped, rather than read.
    pub maps: bool,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { footers: true, checkpoint: true, runs: true, maps: true }
    }
}

/// What was found beside the log.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// The checkpoint, or why it cannot be used; `None` where there is none or it is switched off.
    pub checkpoint: Option<Result<FoundCheckpoint, String>>,
    /// The footers of sealed segments, or why they cannot be used; nothing for a segment that has none yet, or
    /// where they are switched off.
    pub footers: BTreeMap<SegmentId, Result<Arc<LazyIndex>, String>>,
}

impl Sources {
    /// Looks at the checkpoint's head. Who is going to write is refused where a newer version wrote it, for it would
    /// be lost; a reader does without it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Newer`].
    pub fn look(
        directory: &dyn Directory,
        options: SourceOptions,
        is_read_only: bool,
    ) -> Result<Self, Error> {
        let mut sources = Self::default();
        if options.checkpoint {
            sources.checkpoint = match find_checkpoint(directory) {
                Err(Error::Newer { source, .. }) if is_read_only => Some(Err(source.to_string())),
                found => found?,
            };
        }
        Ok(sources)
    }

    /// The checkpoint, where its head is sound.
    #[must_use]
    pub fn sound_checkpoint(&self) -> Option<&FoundCheckpoint> {
        self.checkpoint.as_ref()?.as_ref().ok()
    }

    /// Looks at the footers of the segments in `layout`, but for those of which the checkpoint says in `inventory`
    /// that they have one: these are taken to be there until they are asked. A newer version's is refused or done
    /// without as in [`Sources::look`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Newer`], and what a segment's header may have.
    pub fn look_at_footers(
        &mut self,
        files: &Arc<OpenFiles>,
        inventory: &Inventory,
        layout: &Layout,
        is_read_only: bool,
    ) -> Result<(), Error> {
        let newest = layout.newest.as_ref().map(|newest| newest.header.first_sequence);
        let behind = layout.sealed.iter().skip(1).map(|place| place.first_sequence).chain(newest);
        for (place, behind) in layout.sealed.iter().zip(behind) {
            let Some(file) = inventory.segments.get(&place.id) else { continue };
            let vouched = file.covered.filter(|covered| file.header.is_none() && covered.len != 0);
            let candidate = candidate(files, place, behind, file.len, is_read_only);
            let footer = match candidate {
                Some(footer) if vouched.is_some() => Some(Ok(Arc::new(footer))),
                Some(footer) => find_footer(footer)?,
                None => Some(Err("its segment has a number of events that none has".to_owned())),
            };
            self.footers.extend(footer.map(|footer| (place.id, footer)));
        }
        Ok(())
    }
}

/// The footer of the segment at `place`, if it has one; `None` where nothing can be one.
fn candidate(
    files: &Arc<OpenFiles>,
    place: &SealedPlace,
    behind: Sequence,
    file_len: u64,
    is_read_only: bool,
) -> Option<LazyIndex> {
    let row_count = u32::try_from(behind.0.checked_sub(place.first_sequence.0)?).ok()?;
    let segment = Arc::new(SealedSegment::within(files, *place));
    Some(LazyIndex::footer(segment, row_count, file_len, is_read_only))
}

/// The footer, looked at: `None` where nothing but zeros is there.
fn find_footer(footer: LazyIndex) -> Result<Option<Result<Arc<LazyIndex>, String>>, Error> {
    match footer.index() {
        Ok(_) => Ok(Some(Ok(Arc::new(footer)))),
        Err(Unopened::Absent) => Ok(None),
        Err(Unopened::Unusable(why)) => {
            footer.reject();
            Ok(Some(Err(why)))
        }
        Err(Unopened::Log(error)) => Err(error),
    }
}
