//! Sealing: a segment that is full gets its footer, off the path of the appends; and an index that turns out
//! damaged is built again from frames.
//!
//! Invariant: a footer is derived. Where it cannot be written, the index stays in memory and the reason is
//! told; no event depends on it.

use annals_checkpoint::{LazyIndex, Unopened, encode_index, index_segment};
use annals_index::ActiveIndex;
use annals_segment::{SealedPlace, SealedSegment};
use annals_wire::{Digest, FooterTrailer, SegmentId, Sequence};

use crate::{
    Error,
    part::{Frames, Part, PartIndex},
    store::{Shared, lock},
    sync::{Arc, Ordering, PoisonError},
};

impl Shared {
    pub(crate) fn sealed_segment(&self, place: SealedPlace) -> SealedSegment {
        SealedSegment::within(&self.files, place)
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
        let is_due = |part: &&Part| {
            !part.has_footer()
                && matches!(&part.frames, Frames::Sealed(segment) if !segment.is_footer_mapped())
        };
        let part = view.parts.iter().find(is_due)?;
        let Frames::Sealed(segment) = &part.frames else { return None };
        let id = segment.place().id;
        let parts = view.parts.iter().filter(|part| part.frames.segment() == id).cloned();
        Some((Arc::clone(segment), parts.collect()))
    }

    fn seal(&self, segment: &Arc<SealedSegment>, parts: &[Part]) -> Result<(), Error> {
        let _span = tracing::debug_span!("seal", segment = %segment.place().id).entered();
        let digest = segment.digest()?;
        let footer = match parts {
            [Part { index: PartIndex::Active(index), .. }] => {
                let index = index.read().unwrap_or_else(PoisonError::into_inner);
                encode(&index, segment.place(), digest)
            }
            [Part { index: PartIndex::Built(built), .. }] => {
                let mut footer = built.footer.to_vec();
                FooterTrailer::set_digest(&mut footer, digest)
                    .map_err(annals_segment::Error::bytes(segment.path(), segment.place().end))?;
                footer
            }
            _ => encode(&index_segment(segment)?.0, segment.place(), digest),
        };
        self.writer()?.space.check_derived(footer.len() as u64)?;
        segment.write_footer(&footer)?;
        let row_count = parts.iter().map(Part::row_count).sum();
        let file_len = segment.place().end + footer.len() as u64;
        let index = LazyIndex::footer(Arc::clone(segment), row_count, file_len, false);
        match index.index() {
            Ok(_) => {}
            Err(Unopened::Log(error)) => return Err(error.into()),
            Err(_) => return Err(unsound(segment)),
        }
        let part = Part::lazy(Frames::Sealed(Arc::clone(segment)), Arc::new(index));
        let id = segment.place().id;
        self.change_view(|view| {
            let first = view.parts.partition_point(|part| part.frames.segment() < id);
            view.parts.retain(|part| part.frames.segment() != id);
            view.parts.insert(first, part);
        });
        Ok(())
    }

    /// Builds the index of a part again whose tables are damaged, or cannot be opened.
    pub(crate) fn mend_index(&self, segment: SegmentId, first: Sequence, why: &str) -> Result<(), Error> {
        let view = self.view();
        let part =
            view.parts.iter().find(|part| part.frames.segment() == segment && part.first_sequence == first);
        let Some(Part { index: PartIndex::Lazy(index), frames, .. }) = part else { return Ok(()) };
        let why = match index.index() {
            Ok(_) => why.to_owned(),
            Err(Unopened::Log(error)) => return Err(error.into()),
            Err(why) => why.to_string(),
        };
        let prefix = SealedSegment::new(Arc::clone(&self.directory), *index.place(), false);
        let (rebuilt, _) = index_segment(&prefix)?;
        index.reject();
        let is_footer = index.file_len().is_some();
        if !is_footer {
            self.is_checkpoint_damaged.store(true, Ordering::Release);
        }
        let file = if is_footer { "the footer" } else { "the checkpoint's tables" };
        self.incident(format!("{file} of {} were damaged and built again: {why}", frames.path().display()));
        let mended = Part::active(frames.clone(), rebuilt);
        self.change_view(|view| {
            // Sealing may have replaced the part meanwhile, or another reader mended it.
            let is_damaged =
                |part: &Part| matches!(&part.index, PartIndex::Lazy(found) if Arc::ptr_eq(found, index));
            if let Some(part) = view.parts.iter_mut().find(|part| is_damaged(part)) {
                *part = Part { frames: part.frames.clone(), ..mended };
            }
        });
        self.wake_to_work();
        Ok(())
    }
}

/// The footer of a sealed segment whose frames are all in `index`.
pub(crate) fn encode(index: &ActiveIndex, place: &SealedPlace, digest: Digest) -> Vec<u8> {
    encode_index(index, place, digest)
}

/// What was written cannot be read back.
fn unsound(segment: &SealedSegment) -> Error {
    let source =
        annals_wire::Error::Invalid { what: "footer", why: "it was just written, and does not read back" };
    annals_segment::Error::bytes(segment.path(), segment.place().end)(source).into()
}
