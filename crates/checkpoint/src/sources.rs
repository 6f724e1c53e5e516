//! What an open can be made from: the checkpoint and the footers that are there. Looks, decides nothing.

use std::collections::BTreeMap;

use annals_index::SealedIndex;
use annals_segment::{Directory, Error, FoundFooter, Layout, Region, SealedPlace, SealedSegment};
use annals_wire::{CheckpointHead, Digest, FooterTrailer, SegmentId};

use std::sync::Arc;

use crate::file::find_checkpoint;

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

/// A checkpoint whose head is sound.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundCheckpoint {
    /// Its head.
    pub head: CheckpointHead,
    /// The bytes of its tables, with which it ends.
    pub tables_len: u64,
    /// The whole file.
    pub region: Region,
}

/// What was found beside the log.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// The checkpoint, or why it cannot be used; `None` where there is none or it is switched off.
    pub checkpoint: Option<Result<FoundCheckpoint, String>>,
    /// The footers of sealed segments, or why they cannot be used; nothing for a segment that has none yet, or
    /// where they are switched off.
    pub footers: BTreeMap<SegmentId, Result<Arc<SealedIndex>, String>>,
}

impl Sources {
    /// Looks at the checkpoint and at the footers of the segments in `layout`. Who is going to write is refused
    /// where a newer version wrote one of them, which would be lost; a reader does without it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Newer`], and what a segment's header may have.
    pub fn look(
        directory: &Arc<dyn Directory>,
        layout: &Layout,
        options: SourceOptions,
        is_read_only: bool,
    ) -> Result<Self, Error> {
        let mut sources = Self::default();
        if options.checkpoint {
            sources.checkpoint = match find_checkpoint(&**directory, options.maps) {
                Err(Error::Newer { source, .. }) if is_read_only => Some(Err(source.to_string())),
                found => found?,
            };
        }
        for place in layout.sealed.iter().filter(|_| options.footers) {
            let footer = match find_footer(directory, place, options.maps) {
                Err(Error::Newer { source, .. }) if is_read_only => Some(Err(source.to_string())),
                found => found?,
            };
            sources.footers.extend(footer.map(|footer| (place.id, footer)));
        }
        Ok(sources)
    }
}

/// The footer behind the frames of the segment at `place`; `None` where nothing but zeros is there.
fn find_footer(
    directory: &Arc<dyn Directory>,
    place: &SealedPlace,
    maps: bool,
) -> Result<Option<Result<Arc<SealedIndex>, String>>, Error> {
    let segment = SealedSegment::new(Arc::clone(directory), *place, maps);
    let region = match segment.footer()? {
        FoundFooter::Sound(region) => region,
        FoundFooter::Unusable(why) => return Ok(Some(Err(why))),
        _ => return Ok(None),
    };
    let index = match SealedIndex::new(Arc::new(region)) {
        Ok(index) => index,
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    Ok(Some(match contradiction(index.trailer(), place) {
        None => Ok(Arc::new(index)),
        Some(why) => Err(why.to_owned()),
    }))
}

/// In what a footer's trailer differs from what is known of its segment.
fn contradiction(trailer: &FooterTrailer, place: &SealedPlace) -> Option<&'static str> {
    let expected = FooterTrailer {
        store: place.store,
        segment: place.id,
        generation: place.generation,
        chain: place.chain,
        frames_end: place.end,
        first_sequence: place.first_sequence,
        row_count: trailer.row_count,
        digest: trailer.digest,
    };
    if *trailer != expected {
        Some("the footer was built from other frames")
    } else if trailer.digest == Digest::NONE {
        Some("the footer has no digest of its frames")
    } else {
        None
    }
}
