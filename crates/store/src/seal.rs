//! Sealing: a segment that is full gets its footer, off the path of the appends; and an index that turns out
//! damaged is built again from frames.
//!
//! Invariant: a footer is derived. Where it cannot be written, the index stays in memory and the reason is
//! told; no event depends on it.

use annals_checkpoint::index_segment;
use annals_index::{ActiveIndex, Index, SealedIndex};
use annals_segment::{FoundFooter, SealedPlace, SealedSegment};
use annals_wire::{Digest, FooterTrailer, SegmentId, Sequence};

use crate::{
    Error,
    part::{Frames, Part, PartIndex},
    store::{Shared, lock},
    sync::{Arc, PoisonError},
};

impl Shared {
    pub(crate) fn sealed_segment(&self, place: SealedPlace) -> SealedSegment {
        SealedSegment::new(Arc::clone(&self.directory), place, self.options.sources.maps)
    }

    /// Gives every sealed segment that has none its footer.
    pub(crate) fn seal_all(&self) -> Result<(), Error> {
        let writer = self.writer()?;
        let _one_at_a_time = lock(&writer.sealing);
        while let Some((segment, parts)) = self.next_to_seal() {
            self.seal(&segment, &parts)?;
        }
        Ok(())
    }

    /// Seals; where that fails nothing is lost, and the index stays in memory.
    pub(crate) fn seal_or_tell(&self) {
        if let Err(error) = self.seal_all() {
            self.incident(format!("a footer could not be written: {error}"));
        }
    }

    /// The oldest sealed segment without a footer, with its parts.
    fn next_to_seal(&self) -> Option<(Arc<SealedSegment>, Vec<Part>)> {
        let view = self.view();
        let part =
            view.parts.iter().find(|part| matches!(part.frames, Frames::Sealed(_)) && !part.has_footer())?;
        let Frames::Sealed(segment) = &part.frames else { return None };
        let id = segment.place().id;
        let parts = view.parts.iter().filter(|part| part.frames.segment() == id).cloned();
        Some((Arc::clone(segment), parts.collect()))
    }

    fn seal(&self, segment: &Arc<SealedSegment>, parts: &[Part]) -> Result<(), Error> {
        let footer = match parts {
            [Part { index: PartIndex::Active(index), .. }] => {
                let index = index.read().unwrap_or_else(PoisonError::into_inner);
                encode(&index, segment.place(), segment.digest()?)
            }
            _ => encode(&index_segment(segment)?.0, segment.place(), segment.digest()?),
        };
        self.writer()?.space.check_derived(footer.len() as u64)?;
        segment.write_footer(&footer)?;
        let FoundFooter::Sound(region) = segment.footer()? else { return Err(unsound(segment)) };
        let index = SealedIndex::new(Arc::new(region)).map_err(|_| unsound(segment))?;
        let part = Part::sealed(Frames::Sealed(Arc::clone(segment)), Arc::new(index));
        let id = segment.place().id;
        self.change_view(|view| {
            let first = view.parts.partition_point(|part| part.frames.segment() < id);
            view.parts.retain(|part| part.frames.segment() != id);
            view.parts.insert(first, part);
        });
        Ok(())
    }

    /// Builds the index of a part again whose tables are damaged.
    pub(crate) fn mend_index(&self, segment: SegmentId, first: Sequence, why: &str) -> Result<(), Error> {
        let view = self.view();
        let part =
            view.parts.iter().find(|part| part.frames.segment() == segment && part.first_sequence == first);
        let Some(Part { index: PartIndex::Sealed(index), frames, .. }) = part else { return Ok(()) };
        let trailer = *index.trailer();
        let place = SealedPlace {
            store: trailer.store,
            id: trailer.segment,
            generation: trailer.generation,
            first_sequence: trailer.first_sequence,
            end: trailer.frames_end,
            chain: trailer.chain,
        };
        let prefix = SealedSegment::new(Arc::clone(&self.directory), place, false);
        let (rebuilt, _) = index_segment(&prefix)?;
        let file = if trailer.digest == Digest::NONE { "the checkpoint's tables" } else { "the footer" };
        self.incident(format!("{file} of {} were damaged and built again: {why}", frames.path().display()));
        let mended = Part::active(frames.clone(), rebuilt);
        self.change_view(|view| {
            // Sealing may have replaced the part meanwhile, or another reader mended it.
            let is_damaged =
                |part: &Part| matches!(&part.index, PartIndex::Sealed(found) if Arc::ptr_eq(found, index));
            if let Some(part) = view.parts.iter_mut().find(|part| is_damaged(part)) {
                *part = Part { frames: part.frames.clone(), ..mended };
            }
        });
        Ok(())
    }
}

/// The footer of a sealed segment whose frames are all in `index`.
pub(crate) fn encode(index: &ActiveIndex, place: &SealedPlace, digest: Digest) -> Vec<u8> {
    index.encode(&FooterTrailer {
        store: place.store,
        segment: place.id,
        generation: place.generation,
        chain: place.chain,
        frames_end: place.end,
        first_sequence: place.first_sequence,
        row_count: index.row_count(),
        digest,
    })
}

/// What was written cannot be read back.
fn unsound(segment: &SealedSegment) -> Error {
    let source =
        annals_wire::Error::Invalid { what: "footer", why: "it was just written, and does not read back" };
    annals_segment::Error::bytes(segment.path(), segment.place().end)(source).into()
}
