//! Writing a checkpoint while appends go on.
//!
//! Invariant: it covers durable bytes only, and is made from what lies on the disk: the segment's frames up to
//! the landmark are walked again, off the path of the appends.

use std::collections::BTreeSet;

use annals_checkpoint::{index_segment, write_checkpoint};
use annals_segment::{SealedPlace, SealedSegment};
use annals_wire::{CheckpointHead, CoveredSegment, Digest, Watermark};

use crate::{
    Error,
    part::Frames,
    seal,
    store::{Shared, lock},
    sync::{Arc, PoisonError},
    turn::Landmark,
};

impl Shared {
    /// Whether more than `bytes` of log came since the last checkpoint, or it is damaged.
    pub(crate) fn is_checkpoint_due(&self, bytes: u64) -> bool {
        let Some(writer) = &self.writer else { return false };
        let turn = lock(&writer.turn);
        let is_behind = turn.durable.bytes.saturating_sub(turn.checkpointed_bytes) > bytes;
        turn.log.is_some() && (is_behind || turn.owes_checkpoint)
    }

    /// Writes a checkpoint of all that is durable.
    pub(crate) fn write_checkpoint(&self) -> Result<(), Error> {
        let writer = self.writer()?;
        let _one_at_a_time = lock(&writer.checkpointing);
        let (landmark, bytes) = {
            let mut turn = lock(&writer.turn);
            self.check_writing(&turn)?;
            // Tried once: where it cannot be written, that is told, and the store does without it.
            turn.owes_checkpoint = false;
            (turn.landmark, turn.durable.bytes)
        };
        let place = SealedPlace {
            store: self.report.store,
            id: landmark.segment,
            generation: landmark.generation,
            first_sequence: landmark.first_sequence,
            end: landmark.offset,
            chain: landmark.chain,
        };
        let prefix = SealedSegment::new(Arc::clone(&self.directory), place, false);
        let (index, _) = index_segment(&prefix)?;
        let tables = seal::encode(&index, &place, Digest::NONE);
        let checkpoint = self.head(&landmark).encode(&tables);
        writer.space.check_derived(checkpoint.len() as u64)?;
        write_checkpoint(&*self.directory, &checkpoint)?;
        lock(&writer.turn).checkpointed_bytes = bytes;
        Ok(())
    }

    fn head(&self, landmark: &Landmark) -> CheckpointHead {
        let view = self.view();
        let mut seen = BTreeSet::new();
        let sealed = view.parts.iter().filter_map(|part| match &part.frames {
            Frames::Sealed(segment) => Some(*segment.place()),
            Frames::Active(_) => None,
        });
        let covered = sealed.filter(|place| place.id < landmark.segment && seen.insert(place.id));
        let covered = covered.map(|place| CoveredSegment {
            id: place.id,
            generation: place.generation,
            first_sequence: place.first_sequence,
            end: place.end,
            chain: place.chain,
        });
        CheckpointHead {
            store: self.report.store,
            watermark: Watermark {
                segment: landmark.segment,
                generation: landmark.generation,
                offset: landmark.offset,
                chain: landmark.chain,
                sequence: landmark.sequence,
                recorded: landmark.recorded,
                mark: landmark.mark,
            },
            covered: covered.collect(),
            kind_names: self.kinds.read().unwrap_or_else(PoisonError::into_inner).first(landmark.kind_count),
            control: landmark.control,
        }
    }
}
