//! The group commit: whoever finds the log free writes for all that wait, with one write and one sync, while
//! the next group forms. A lone caller pays no hand-over.
//!
//! Invariant: nobody returns before what was asked of durability holds. What becomes visible was durable
//! before (or written, where the store says so). After a failure nobody returns success.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use annals_index::ActiveIndex;
use annals_segment::{Flight, FrontierFile};
use annals_wire::{Frontier, Sequence};

use crate::{
    Durability, Error,
    append::log,
    metrics::{Landed, precise},
    part::{Frames, Part},
    store::{Shared, lock},
    sync::{Arc, Condvar, MutexGuard, PoisonError},
    turn::{Landing, Turn},
};

impl Shared {
    /// Waits until the first `bytes` of what was appended are as durable as `durability` says, writing for all
    /// where nobody else does.
    pub(crate) fn settle<'t>(
        &'t self,
        mut turn: MutexGuard<'t, Turn>,
        bytes: u64,
        durability: Durability,
    ) -> Result<MutexGuard<'t, Turn>, Error> {
        let is_in = |written: u64, durable: u64| match durability {
            Durability::Durable => durable >= bytes,
            Durability::Written => written >= bytes,
            Durability::Queued => true,
        };
        while !is_in(turn.written.bytes, turn.durable.bytes) {
            if let Err(error) = self.check_writing(&turn) {
                // One of the group was woken to lead; whoever it was, nobody will, and all of it are to know.
                self.landed(turn.group).notify_all();
                return Err(error);
            }
            if turn.is_led && is_in(turn.landing.written, turn.landing.durable) {
                // Somebody came first and took these bytes along: it is that flight to wait for, and not the next.
                let landed = self.landed(turn.group - 1);
                turn = landed.wait(turn).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            turn.wants_sync |= durability == Durability::Durable;
            if !turn.is_led {
                turn = self.lead(turn)?;
                continue;
            }
            let group = turn.group;
            turn.waiting += 1;
            let condvar = self.landed(group);
            turn = condvar.wait(turn).unwrap_or_else(PoisonError::into_inner);
            if turn.group == group {
                turn.waiting -= 1;
            }
        }
        Ok(turn)
    }

    /// Waits until the event with `sequence` is as durable as `durability` says.
    pub(crate) fn settle_sequence<'t>(
        &'t self,
        turn: MutexGuard<'t, Turn>,
        sequence: Sequence,
        durability: Durability,
    ) -> Result<MutexGuard<'t, Turn>, Error> {
        let reached = match durability {
            Durability::Durable => turn.durable.sequence,
            _ => turn.written.sequence,
        };
        if sequence <= reached {
            return Ok(turn);
        }
        let bytes = turn.appended.bytes;
        self.settle(turn, bytes, durability)
    }

    fn landed(&self, group: u64) -> &Condvar {
        let writer = self.writer.as_ref().expect("only a writer forms groups");
        if group.is_multiple_of(2) { &writer.landed[0] } else { &writer.landed[1] }
    }

    /// Writes for all that wait: everything that was staged, in one flight.
    fn lead<'t>(&'t self, mut turn: MutexGuard<'t, Turn>) -> Result<MutexGuard<'t, Turn>, Error> {
        let writer = self.writer()?;
        let sync = std::mem::take(&mut turn.wants_sync);
        let reach = turn.appended;
        let kind_count = self.kinds.read().unwrap_or_else(PoisonError::into_inner).count();
        let place = turn.place(turn.log.as_ref().ok_or(Error::Closed)?, kind_count);
        let failed = turn.failed();
        let Some(flight) = log(&mut turn)?.depart(sync).map_err(failed)? else {
            turn.written = reach;
            if sync {
                turn.durable = reach;
            }
            return Ok(turn);
        };
        let group = turn.group;
        turn.group += 1;
        turn.waiting = 0;
        turn.is_led = true;
        let durable = if sync { reach.bytes } else { turn.durable.bytes };
        turn.landing = Landing { written: reach.bytes, durable };
        drop(turn);
        let start = Instant::now();
        let outcome = self.flown(&flight);
        let took = start.elapsed();
        let mut turn = lock(&writer.turn);
        turn.is_led = false;
        // They go on when the turn is let go of, also where a panic does that: publishing calls a directory.
        self.landed(group).notify_all();
        if turn.waiting > 0 {
            self.landed(group + 1).notify_one();
        }
        let landed = log(&mut turn)?.land(flight, outcome);
        if landed.is_ok() {
            let before = std::mem::replace(&mut turn.written, reach);
            if sync {
                turn.durable = reach;
                turn.landmark = place;
                self.ask_for_checkpoint(&mut turn)?;
            }
            self.publish(&turn);
            let queue_bytes = turn.appended.bytes - turn.durable.bytes;
            self.note_landed(&mut turn, &Landed { before, reach, is_synced: sync, took, queue_bytes });
        }
        landed.map_err(|source| self.stopped(&turn, source))?;
        Ok(turn)
    }

    fn note_landed(&self, turn: &mut Turn, landed: &Landed) {
        turn.tally.note(landed);
        self.metrics.note(landed);
        tracing::trace!(?landed, "a group landed");
    }

    /// What becomes of a flight. A panic under it, in a directory of somebody else's making, is a failure like any
    /// other: who waits for the flight must not wait for ever.
    fn flown(&self, flight: &Flight) -> Result<(), annals_segment::Error> {
        catch_unwind(AssertUnwindSafe(|| flight.fly())).unwrap_or_else(|_| {
            let panicked = io::Error::other("a thread panicked");
            Err(annals_segment::Error::io("write to", self.directory.path())(panicked))
        })
    }

    /// Lets everybody see what is now durable enough.
    pub(crate) fn publish(&self, turn: &Turn) {
        let is_durable = self.options.visibility == Durability::Durable;
        let visible = if is_durable { turn.durable } else { turn.written };
        if visible.sequence > self.watch.visible() {
            self.watch.publish(visible.sequence);
            self.metrics.visible_sequence.set(precise(visible.sequence.0));
        }
        // Also where only the name of a kind was written: a checkpoint may end behind it, and who were let read less
        // far would take that for a loss.
        self.publish_frontier(turn, visible.sequence);
    }

    /// Opens the frontier's file before anything is written, so that readers in other processes know from then
    /// on that a writer lives. Without the file they do not see what is appended until it is closed.
    pub(crate) fn open_frontier(&self, turn: &mut Turn) {
        if std::mem::replace(&mut turn.has_frontier, true) {
            return;
        }
        self.start_worker();
        match FrontierFile::open(&*self.directory) {
            Ok(file) => turn.frontier = Some(file),
            Err(error) => {
                self.incident(format!("readers in other processes will not see what is appended: {error}"))
            }
        }
        self.publish_frontier(turn, turn.durable.sequence);
    }

    pub(crate) fn begin_frontier(&self) {
        if let Some(writer) = &self.writer {
            self.open_frontier(&mut lock(&writer.turn));
        }
    }

    /// Lets readers in other processes see as far as `visible`.
    pub(crate) fn publish_frontier(&self, turn: &Turn, visible: Sequence) {
        let (Some(frontier), Some(log)) = (&turn.frontier, &turn.log) else { return };
        let is_durable = self.options.visibility == Durability::Durable;
        frontier.publish(&Frontier {
            epoch: log.epoch(),
            segment: log.active().header().id,
            end: if is_durable { log.synced() } else { log.written() },
            visible,
            durable: turn.durable.sequence,
        });
    }

    /// Seals the active segment and begins the next, with nothing in flight and nothing staged. Where that had to
    /// be waited for, nothing more is done: somebody else may have rotated, and the caller looks again.
    pub(crate) fn rotate<'t>(
        &'t self,
        mut turn: MutexGuard<'t, Turn>,
    ) -> Result<MutexGuard<'t, Turn>, Error> {
        if turn.is_led {
            let landed = self.landed(turn.group - 1);
            return Ok(landed.wait(turn).unwrap_or_else(PoisonError::into_inner));
        }
        if turn.durable.bytes < turn.appended.bytes {
            let bytes = turn.appended.bytes;
            return self.settle(turn, bytes, Durability::Durable);
        }
        // At most one sealed segment is ahead of its footer: where that is still being built, the writer waits.
        self.seal_or_tell();
        let note = turn.note();
        let _span = tracing::debug_span!("rotate", store = %self.report.store).entered();
        let place = log(&mut turn)?.rotate(note);
        let place = place.map_err(|source| self.stopped(&turn, source))?;
        let sealed = Arc::new(self.sealed_segment(place));
        let active = Arc::clone(log(&mut turn)?.active());
        let next = log(&mut turn)?.next_sequence();
        self.change_view(|view| {
            for part in view.parts.iter_mut().filter(|part| part.frames.segment() == place.id) {
                part.frames = Frames::Sealed(Arc::clone(&sealed));
            }
            view.parts.push(Part::active(Frames::Active(active), ActiveIndex::new(next)));
        });
        let kind_count = self.kinds.read().unwrap_or_else(PoisonError::into_inner).count();
        turn.landmark = turn.place(turn.log.as_ref().ok_or(Error::Closed)?, kind_count);
        turn.segment_start_bytes = turn.appended.bytes;
        self.metrics.rotations.increment(1);
        self.publish_frontier(&turn, turn.durable.sequence);
        self.writer()?.worker.wake_to_work();
        Ok(turn)
    }

    /// Makes everything that was appended so far durable.
    pub(crate) fn sync(&self) -> Result<Sequence, Error> {
        let turn = lock(&self.writer()?.turn);
        self.check_writing(&turn)?;
        let bytes = turn.appended.bytes;
        let turn = self.settle(turn, bytes, Durability::Durable)?;
        Ok(turn.durable.sequence)
    }
}
