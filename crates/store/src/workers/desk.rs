//! The desk of a group: where its workers come for events and bring back what became of them.
//!
//! Invariant: whatever is decided is decided under one lock, and queued for the small log in that order. A record is
//! written when what it speaks of is durable in the store's log: the small log never knows of an event that a loss of
//! power takes. Before an event is in a worker's hands, the system has the record that says so.
//!
//! Locks: `moving`, then `keeper`, then `core`. The core is not held while anything is written, or waited for.

mod core;
mod results;
mod saving;

use std::time::{Duration, Instant};

use annals_wire::{ConsumerName, Lane, Sequence};

pub(super) use self::core::Core;
use super::{
    dispatch::{Dispatch, Taken},
    keeper::Keeper,
    options::GroupOptions,
    tally::GroupMetrics,
};
use crate::{
    Coordinate, Error, Event, Store,
    store::lock,
    sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, PoisonError},
    watch::Patience,
};

/// A stream, as the dispatch tells them apart.
pub(super) type Stream = (Coordinate, Lane);

/// What all handles of a group share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) store: Store,
    pub(super) name: ConsumerName,
    pub(super) options: GroupOptions,
    pub(super) metrics: GroupMetrics,
    core: Mutex<Core>,
    /// The small log; `None` when it was closed.
    keeper: Mutex<Option<Keeper>>,
    /// Held from when a move is made until it has its place in the log, so that they are there in order.
    moving: Mutex<()>,
    /// Where all but one of those wait that have nothing to do. That one waits at the store, for all.
    freed: Condvar,
    /// Raised for the one at the store to look again.
    is_called: AtomicBool,
}

/// What a worker gets that asks.
pub(super) enum Handed {
    Event(Box<Event>, u32),
    /// Nothing is to be done now.
    Nothing,
    /// Nothing will be.
    Ended(Error),
}

impl Desk {
    pub(super) fn new(
        store: Store,
        name: ConsumerName,
        options: GroupOptions,
        core: Core,
        keeper: Keeper,
    ) -> Self {
        let (_, _, parked_count) = core.dispatch.counts();
        let metrics = GroupMetrics::of(&store, &name, parked_count);
        metrics.progress.note(&store.shared, core.dispatch.position());
        Self {
            store,
            name,
            options,
            metrics,
            core: Mutex::new(core),
            keeper: Mutex::new(Some(keeper)),
            moving: Mutex::new(()),
            freed: Condvar::default(),
            is_called: AtomicBool::new(false),
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    fn now(&self) -> u64 {
        self.store.shared.options.clock.now_millis()
    }

    /// Hands out the next event, for which whoever has patience waits.
    pub(super) fn hand_out(&self, patience: Option<Patience>) -> Result<Handed, Error> {
        let handed = self.find_next(patience);
        if handed.is_err() {
            // He may have been the one who was called, or who watched: the others look for themselves.
            self.freed.notify_all();
        }
        handed
    }

    fn find_next(&self, patience: Option<Patience>) -> Result<Handed, Error> {
        loop {
            self.save_if_due()?;
            let mut core = self.core();
            let end = core.look(self.now())?;
            if let Some(taken) = core.take(self.now()) {
                let event = core.seen.take_if(|event| event.sequence() == taken.sequence);
                self.rouse(&core);
                drop(core);
                if let Some(handed) = self.deliver(taken, event)? {
                    return Ok(handed);
                }
            } else if let Some(end) = end {
                self.freed.notify_all();
                return Ok(Handed::Ended(end));
            } else {
                let Some(patience) = patience.filter(|patience| !patience.is_over()) else {
                    // Who leaves may have been called to watch.
                    self.rouse(&core);
                    return Ok(Handed::Nothing);
                };
                self.rest(core, patience)?;
            }
        }
    }

    /// Writes that the event is handed out, and reads it where it was not read just now. `None` where it was hidden
    /// since it was seen: then it is done.
    fn deliver(&self, taken: Taken, event: Option<Event>) -> Result<Option<Handed>, Error> {
        let sequence = taken.sequence;
        let read = || self.store.all().after(Sequence(sequence.0 - 1)).until(sequence).next().transpose();
        // It may have waited for long since it was seen.
        let event = event.filter(|_| !self.store.shared.view().hidden.contains(sequence));
        let outcome = self.write().and_then(|()| event.map_or_else(read, |event| Ok(Some(event))));
        match outcome {
            Ok(Some(event)) => {
                self.metrics.deliveries.increment(1);
                Ok(Some(Handed::Event(Box::new(event), taken.attempt)))
            }
            Ok(None) => self.finish(sequence).map(|()| None),
            Err(error) => {
                self.core().dispatch.untake(sequence);
                Err(error)
            }
        }
    }

    /// Waits until there may be something to do: one at the store, the others until somebody calls them.
    fn rest(&self, mut core: MutexGuard<'_, Core>, patience: Patience) -> Result<(), Error> {
        let patience = self.limit(&core, patience);
        let has_room = core.dispatch.room() > 0;
        if !core.is_watched && (has_room || core.subscription.end().is_none()) {
            (core.is_watched, core.is_blind) = (true, !has_room);
            let after = if has_room { core.subscription.delivered() } else { Sequence(u64::MAX) };
            drop(core);
            let woken = self.store.shared.wait(after, &self.is_called, patience);
            let mut core = self.core();
            (core.is_watched, core.is_blind) = (false, false);
            self.is_called.store(false, Ordering::SeqCst);
            return woken.map(drop);
        }
        self.let_see(&core);
        core.sleeping += 1;
        let mut core = match patience {
            Patience::Endless => self.freed.wait(core).unwrap_or_else(PoisonError::into_inner),
            Patience::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.freed.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        core.sleeping -= 1;
        Ok(())
    }

    /// How long there is nothing to do at most, within `patience`.
    fn limit(&self, core: &Core, patience: Patience) -> Patience {
        let until_due = core.dispatch.due().map(|due| Duration::from_millis(due.saturating_sub(self.now())));
        let until_save =
            core.unsaved_since.map(|since| self.options.save_time.saturating_sub(since.elapsed()));
        let soonest = until_due.into_iter().chain(until_save).min();
        match (soonest.map(Patience::of), patience) {
            (Some(Patience::Until(soonest)), Patience::Until(deadline)) => {
                Patience::Until(soonest.min(deadline))
            }
            (Some(soonest), Patience::Endless) => soonest,
            (_, patience) => patience,
        }
    }

    /// Calls somebody who waits, where there is something to do for him, or nobody who watches.
    fn rouse(&self, core: &Core) {
        self.let_see(core);
        let has_ready = core.dispatch.has_ready(self.now());
        if core.sleeping > 0 && (!core.is_watched || has_ready) {
            self.freed.notify_one();
        } else if core.is_watched && has_ready {
            self.call();
        }
    }

    /// Calls who watches, where there was no room for what comes and now there is.
    fn let_see(&self, core: &Core) {
        if core.is_blind && core.dispatch.room() > 0 {
            self.call();
        }
    }

    /// Calls somebody who waits, and has to wake earlier than he thought: an event was put off.
    fn call_for_later(&self, core: &Core) {
        if core.dispatch.due().is_none() {
            return;
        }
        if core.is_watched {
            self.call();
        } else if core.sleeping > 0 {
            self.freed.notify_one();
        }
    }

    /// Calls the one who waits at the store.
    fn call(&self) {
        self.is_called.store(true, Ordering::SeqCst);
        self.store.shared.watch.wake();
    }

    pub(super) fn finish(&self, sequence: Sequence) -> Result<(), Error> {
        let mut core = self.core();
        core.dispatch.finish(sequence);
        core.queue_records(sequence);
        self.note_done(core);
        self.save_if_due()
    }

    pub(super) fn fail(&self, sequence: Sequence, after: Duration, reason: &str) {
        let now = self.now();
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let not_before = if after == 0 { 0 } else { now.saturating_add(after) };
        self.change(sequence, |dispatch| dispatch.fail(sequence, not_before, reason, now));
    }

    pub(super) fn park(&self, sequence: Sequence, reason: &str) {
        let now = self.now();
        self.change(sequence, |dispatch| dispatch.park(sequence, reason, now));
    }

    /// Changes what becomes of an event that is not done.
    pub(super) fn change<R>(&self, sequence: Sequence, change: impl FnOnce(&mut Dispatch<Stream>) -> R) -> R {
        let mut core = self.core();
        let (_, _, parked) = core.dispatch.counts();
        let changed = change(&mut core.dispatch);
        core.queue_records(sequence);
        let (_, _, now_parked) = core.dispatch.counts();
        self.metrics.note_parked(parked, now_parked);
        self.note_unsaved(&mut core);
        self.rouse(&core);
        self.call_for_later(&core);
        changed
    }

    /// An event is done.
    fn note_done(&self, mut core: MutexGuard<'_, Core>) {
        self.note_unsaved(&mut core);
        self.rouse(&core);
    }

    fn note_unsaved(&self, core: &mut Core) {
        core.unsaved += 1;
        core.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// Nothing is handed out any more; what is in somebody's hands can be brought back.
    pub(super) fn close(&self) {
        let mut core = self.core();
        core.is_closed = true;
        drop(core);
        self.freed.notify_all();
        self.call();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let saved = self.save();
        let keeper = lock(&self.keeper).take();
        let closed = keeper.map_or(Ok(()), |keeper| keeper.close());
        if let Err(error) = saved.and(closed) {
            tracing::warn!(group = %self.name, %error, "what was done since is handed out again");
        }
    }
}
