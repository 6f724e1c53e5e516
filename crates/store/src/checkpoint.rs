//! Writing a checkpoint while appends go on.
//!
//! Invariant: it covers durable bytes only. While others append it is made from what lies on the disk.

use std::{collections::BTreeSet, io, time::Instant};

use annals_checkpoint::{index_segment, index_segment_while, write_checkpoint};
use annals_index::{ActiveIndex, Index};
use annals_segment::SealedSegment;
use annals_wire::{CheckpointHead, CoveredSegment, Digest, SegmentId, Watermark};

use crate::{
    Error,
    part::{Frames, PartIndex},
    seal,
    store::{Shared, lock},
    sync::{Arc, Ordering, PoisonError},
    turn::{Landmark, Turn},
};

/// At most this much of the log is ahead of its index; where it would be more, who appends waits.
pub(crate) const LAG_BYTES_MAX: u64 = 32 << 20;

/// A tail that is longer than this is worth a checkpoint when the store is closed.
const CLOSING_TAIL_BYTES: u64 = 64 << 10;

/// When a checkpoint is written.
#[derive(Debug)]
enum Moment {
    /// Behind the appends: given up where the store is closed meanwhile, which writes one itself.
    Behind,
    /// While somebody waits for it.
    Asked,
    /// When nobody appends any more. Its tables may be there already.
    Last(Option<Ready>),
}

/// The tables of the newest segment's frames before a place.
#[derive(Debug)]
pub(crate) struct Ready {
    segment: SegmentId,
    offset: u64,
    tables: Vec<u8>,
}

impl Turn {
    /// How many bytes of the newest segment's frames are in no checkpoint. One that is being written counts when it is
    /// there: until then an open walks what it will hold.
    pub(crate) fn lag(&self) -> u64 {
        self.appended.bytes - self.covered_bytes.max(self.segment_start_bytes)
    }
}

impl Shared {
    /// Whether more than `bytes` of log came since the last checkpoint, or half of that and a new segment was begun,
    /// or the last one is damaged.
    pub(crate) fn is_checkpoint_due(&self, bytes: u64) -> bool {
        let Some(writer) = &self.writer else { return false };
        let turn = lock(&writer.turn);
        let behind = turn.durable.bytes.saturating_sub(turn.checkpointed_bytes);
        let is_behind =
            behind > bytes || turn.segment_start_bytes > turn.checkpointed_bytes && behind > bytes / 2;
        let is_damaged = turn.owes_checkpoint || self.is_checkpoint_damaged.load(Ordering::Acquire);
        turn.log.is_some() && (is_behind || is_damaged)
    }

    /// Wakes the thread where enough was appended, once for each checkpoint.
    pub(crate) fn ask_for_checkpoint(&self, turn: &mut Turn) -> Result<(), Error> {
        let behind = turn.durable.bytes.saturating_sub(turn.checkpointed_bytes);
        if behind > self.options.checkpoint_bytes && !std::mem::replace(&mut turn.is_checkpoint_asked, true) {
            self.writer()?.worker.wake_to_work();
        }
        Ok(())
    }

    /// Whether the index is so far behind that whoever appends has to wait.
    pub(crate) fn is_index_behind(&self, turn: &Turn) -> bool {
        turn.lag() > LAG_BYTES_MAX
    }

    /// Brings the index up to the log, where nobody else does.
    pub(crate) fn catch_up(&self) -> Result<(), Error> {
        let writer = self.writer()?;
        let _one_at_a_time = lock(&writer.checkpointing);
        if !self.is_index_behind(&lock(&writer.turn)) {
            return Ok(());
        }
        if let Err(error) = self.write_next_checkpoint(Moment::Asked) {
            self.check_writing(&lock(&writer.turn))?;
            self.incident(format!(
                "no checkpoint was written, and the next open walks more of the log: {error}"
            ));
        }
        Ok(())
    }

    /// Writes a checkpoint of all that is durable.
    pub(crate) fn write_checkpoint(&self) -> Result<(), Error> {
        let _one_at_a_time = lock(&self.writer()?.checkpointing);
        self.write_next_checkpoint(Moment::Asked)
    }

    /// The same behind the appends.
    pub(crate) fn write_checkpoint_behind(&self) -> Result<(), Error> {
        let _one_at_a_time = lock(&self.writer()?.checkpointing);
        self.write_next_checkpoint(Moment::Behind)
    }

    /// The tables of the last checkpoint, as far as is known by now, for the thread may still be busy; `None` where they
    /// are not worth it.
    pub(crate) fn tables_ahead(&self) -> Option<Ready> {
        if !self.is_checkpoint_due(CLOSING_TAIL_BYTES) {
            return None;
        }
        let landmark = lock(&self.writer().ok()?.turn).landmark.clone();
        let tables = self.tables_in_memory(&landmark)?;
        Some(Ready { segment: landmark.segment, offset: landmark.offset, tables })
    }

    /// Writes a checkpoint when nobody appends any more, where that is worth it; of `ready`, where nothing came since.
    pub(crate) fn write_last_checkpoint(&self, ready: Option<Ready>) -> Result<(), Error> {
        if !self.is_checkpoint_due(CLOSING_TAIL_BYTES) {
            return Ok(());
        }
        let _one_at_a_time = lock(&self.writer()?.checkpointing);
        self.write_next_checkpoint(Moment::Last(ready))
    }

    fn write_next_checkpoint(&self, moment: Moment) -> Result<(), Error> {
        let writer = self.writer()?;
        let (landmark, durable, before) = {
            let mut turn = lock(&writer.turn);
            self.check_writing(&turn)?;
            // Tried once: where it cannot be written, that is told, and the store does without it.
            turn.owes_checkpoint = false;
            turn.is_checkpoint_asked = false;
            self.is_checkpoint_damaged.store(false, Ordering::Release);
            let durable = turn.durable.bytes;
            (turn.landmark.clone(), durable, std::mem::replace(&mut turn.checkpointed_bytes, durable))
        };
        // The one before may have tables of a segment that was sealed since, and this one has none of it.
        self.seal_or_tell();
        let _span = tracing::debug_span!("checkpoint", store = %self.report.store).entered();
        let start = Instant::now();
        let written = self.write_checkpoint_at(&landmark, moment);
        let mut turn = lock(&writer.turn);
        if matches!(written, Ok(false)) {
            turn.checkpointed_bytes = before;
            return Ok(());
        }
        // Also where it failed: the next is tried when as much came again, and nobody waits for it before that.
        turn.covered_bytes = turn.covered_bytes.max(durable);
        drop(turn);
        self.metrics.checkpoint_seconds.record(start.elapsed());
        written.map(drop)
    }

    /// Writes the checkpoint of all that is before `landmark`; false where that was given up.
    fn write_checkpoint_at(&self, landmark: &Landmark, moment: Moment) -> Result<bool, Error> {
        let Some(tables) = self.tables(landmark, moment)? else { return Ok(false) };
        let checkpoint = self.head(landmark).encode(&tables);
        self.writer()?.space.check_derived(checkpoint.len() as u64)?;
        write_checkpoint(&*self.directory, &checkpoint)?;
        Ok(true)
    }

    /// The tables of the newest segment's frames before `landmark`. They are walked again, off the path of the
    /// appends; but the last time the index in memory is encoded, where it has just these events. `None` where the walk
    /// was given up.
    fn tables(&self, landmark: &Landmark, moment: Moment) -> Result<Option<Vec<u8>>, Error> {
        let (is_behind, in_memory) = match moment {
            Moment::Last(Some(ready))
                if (ready.segment, ready.offset) == (landmark.segment, landmark.offset) =>
            {
                (false, Some(ready.tables))
            }
            Moment::Last(_) => (false, self.tables_in_memory(landmark)),
            Moment::Asked => (false, None),
            Moment::Behind => (true, None),
        };
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        let place = landmark.prefix(self.report.store);
        let prefix = SealedSegment::new(Arc::clone(&self.directory), place, false);
        let index = if is_behind { self.index_behind(&prefix)? } else { Some(index_segment(&prefix)?.0) };
        Ok(index.map(|index| seal::encode(&index, &place, Digest::NONE)))
    }

    /// The same of the index in memory, where that has just these events.
    fn tables_in_memory(&self, landmark: &Landmark) -> Option<Vec<u8>> {
        let view = self.view();
        let PartIndex::Active(index) = &view.last().index else { return None };
        let index = index.read().unwrap_or_else(PoisonError::into_inner);
        is_of(&index, landmark)
            .then(|| seal::encode(&index, &landmark.prefix(self.report.store), Digest::NONE))
    }

    /// The index of `prefix`; `None` where the thread is to stop.
    fn index_behind(&self, prefix: &SealedSegment) -> Result<Option<ActiveIndex>, Error> {
        let worker = &self.writer()?.worker;
        let indexed = index_segment_while(prefix, &mut || {
            if worker.is_stopping() {
                let given_up = io::ErrorKind::Interrupted.into();
                return Err(annals_segment::Error::io("walk", prefix.path())(given_up));
            }
            Ok(())
        });
        match indexed {
            Ok((index, _)) => Ok(Some(index)),
            Err(_) if worker.is_stopping() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn head(&self, landmark: &Landmark) -> CheckpointHead {
        let view = self.view();
        let mut seen = BTreeSet::new();
        let sealed = view.parts.iter().filter_map(|part| match &part.frames {
            Frames::Sealed(segment) => Some((*segment.place(), part.file_len())),
            Frames::Active(_) => None,
        });
        let covered = sealed.filter(|(place, _)| place.id < landmark.segment && seen.insert(place.id));
        let covered = covered.map(|(place, len)| CoveredSegment {
            id: place.id,
            generation: place.generation,
            first_sequence: place.first_sequence,
            end: place.end,
            chain: place.chain,
            len,
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
            hidden: landmark.hidden.ranges().to_vec(),
            moves: landmark.moves.values().cloned().collect(),
            control: landmark.control,
        }
    }
}

/// Whether `index` has all of the newest segment's events and control records before `landmark`, and no others.
fn is_of(index: &ActiveIndex, landmark: &Landmark) -> bool {
    let behind = landmark.first_sequence.0 + u64::from(index.row_count());
    let last_control = index.control_offsets().ok().and_then(|offsets| offsets.last().copied());
    index.first_sequence() == landmark.first_sequence
        && behind == landmark.sequence.0 + 1
        && last_control.is_none_or(|offset| u64::from(offset) < landmark.offset)
}

#[cfg(test)]
mod tests {
    use crate::{Background, Coordinate, Kind, NewEvent, Options, disk::MemoryDirectory, store::lock};

    #[test]
    fn one_that_is_begun_when_the_store_is_closed_is_left_to_the_close() {
        let memory = MemoryDirectory::new();
        let options = || Options::new().create(true).background(Background::Manual);
        let store = options().open_on(memory.clone()).unwrap();
        let at = Coordinate::new("a:1", "scope").unwrap();
        store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), &[7; 100_000])).unwrap();
        store.shared.writer().unwrap().worker.stop();
        store.shared.write_checkpoint_behind().unwrap();
        assert!(memory.file("CHECKPOINT").is_none() && store.shared.is_checkpoint_due(1_000));
        store.close().unwrap();
        assert_eq!(options().open_on(memory).unwrap().report().events.checkpoint, 1);
    }

    #[test]
    fn one_that_is_being_written_is_waited_for() {
        let options = Options::new().create(true).background(Background::Manual);
        let store = options.open_on(MemoryDirectory::new()).unwrap();
        let at = Coordinate::new("a:1", "scope").unwrap();
        let append = || {
            store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), &[7; 1000])).unwrap();
            let turn = lock(&store.shared.writer().unwrap().turn);
            (turn.lag(), turn.appended.bytes)
        };
        let (lag, bytes) = append();
        assert_eq!(lag, bytes);
        let worker = &store.shared.writer().unwrap().worker;
        let mut turn = lock(&store.shared.writer().unwrap().turn);
        turn.checkpointed_bytes = turn.durable.bytes;
        drop(turn);
        let (lag, bytes) = append();
        assert_eq!(lag, bytes, "one was begun, and is not there");
        store.shared.write_checkpoint().unwrap();
        let before = bytes;
        let (lag, bytes) = append();
        assert_eq!(lag, bytes - before);
        worker.stop();
        store.shared.write_checkpoint_behind().unwrap();
        let (lag, bytes) = append();
        assert_eq!(lag, bytes - before, "one was given up");
    }

    #[test]
    fn tables_that_were_made_ahead_are_used_where_nothing_came_since() {
        for is_late in [false, true] {
            let memory = MemoryDirectory::new();
            let options = || Options::new().create(true).background(Background::Manual);
            let store = options().open_on(memory.clone()).unwrap();
            let at = Coordinate::new("a:1", "scope").unwrap();
            let append = || {
                let kind = Kind::new(0x2001).unwrap();
                store.append(&NewEvent::new(&at, kind, &[7; 100_000])).unwrap();
            };
            append();
            let mut ready = store.shared.tables_ahead().unwrap();
            if is_late {
                append();
            } else {
                // To be told from what is made again.
                ready.tables.clear();
            }
            store.shared.write_last_checkpoint(Some(ready)).unwrap();
            store.shared.let_go();
            drop(store);
            let report = options().open_on(memory).unwrap().report().clone();
            let expected = if is_late { (2, 0) } else { (0, 1) };
            assert_eq!((report.events.checkpoint, report.events.tail), expected, "{report:?}");
        }
    }
}
