//! Results: how they and the group's move become one batch of the store's log.
//!
//! Invariant: moves are in the log in the order of their numbers, and each says what is true where it lies. What a move
//! takes for parked is durable in the small log before. Of an event that was parked before, no move can say that it is
//! done: the small log says by which event of the store that is known.

use annals_wire::{Consumer, ConsumerMove, GroupRecord, Sequence};

use super::Desk;
use crate::{Condition, Durability, Error, NewEvent, Receipt, append::Stay, consumer::NewMove, store::lock};

impl Desk {
    /// Gives `events`, the results of the event with `sequence`, their places in the log, and with that it is done.
    pub(in crate::workers) fn place(
        &self,
        sequence: Sequence,
        events: &[NewEvent<'_>],
    ) -> Result<Vec<Receipt>, Error> {
        self.store.shared.writer()?;
        let moving = lock(&self.moving);
        let (stay, condition) = (Stay::Placed { waits_for_room: true }, Condition::new());
        let shared = &self.store.shared;
        let (receipts, number) = if self.core().dispatch.is_replayed(sequence) {
            let events = self.mean(sequence, events)?;
            (shared.append(&events, &condition, stay)?, None)
        } else {
            let moved = self.next_move(sequence)?;
            let number = moved.number;
            (shared.append_moving(events, &condition, Some(&NewMove::new(moved)), stay)?, Some(number))
        };
        if receipts.iter().any(|receipt| receipt.is_repeat) {
            // No event's place says when the move is durable.
            self.store.sync()?;
        }
        let last = receipts.iter().map(|receipt| receipt.sequence).max().unwrap_or(sequence);
        let mut core = self.core();
        core.dispatch.finish(sequence);
        core.queue_records(last.max(sequence));
        if let Some(number) = number {
            core.number = number;
            core.queue_position(last.max(sequence), true);
        }
        self.note_done(core);
        drop(moving);
        Ok(receipts)
    }

    /// Waits until what was given its place is as durable as an append of the store.
    pub(in crate::workers) fn settle(&self, mut receipts: Vec<Receipt>) -> Result<Vec<Receipt>, Error> {
        let shared = &self.store.shared;
        let durability = shared.options.durability;
        let last = receipts.iter().map(|receipt| receipt.sequence).max().unwrap_or_default();
        if durability > Durability::Queued {
            let settled = shared.settle_sequence(lock(&shared.writer()?.turn), last, durability).map(drop);
            settled.map_err(|error| shared.name_frontier(error))?;
        }
        for receipt in &mut receipts {
            receipt.durability = durability;
        }
        self.save_if_due()?;
        Ok(receipts)
    }

    /// The move that says that the event is done. What it takes for parked is durable before.
    pub(super) fn next_move(&self, sequence: Sequence) -> Result<ConsumerMove, Error> {
        loop {
            let core = self.core();
            if core.parked_count > core.durable_count {
                drop(core);
                self.save()?;
                continue;
            }
            let (position, done) = core.dispatch.if_done(sequence);
            let number = core.number + 1;
            drop(core);
            let hash = self.hash_at(position)?;
            let (consumer, name, is_deleted) = (Consumer::Group, self.name.clone(), false);
            return Ok(ConsumerMove { consumer, name, number, sequence: position, hash, done, is_deleted });
        }
    }

    /// Notes durably that the results of an event that was parked before are about to be appended: the position has
    /// passed it, so that no move could say that it is done. The results have ids, by which they are found.
    pub(super) fn mean<'e>(
        &self,
        sequence: Sequence,
        events: &[NewEvent<'e>],
    ) -> Result<Vec<NewEvent<'e>>, Error> {
        let mut events = events.to_vec();
        let now = self.now();
        let made = || Ok::<_, Error>(self.store.shared.writer()?.ids.next(now));
        let first = events.first_mut().expect("there is at least one");
        let id = first.id_or_insert_with(made)?;
        self.core().queue_one(sequence, GroupRecord::Meant { sequence, id });
        self.save()?;
        Ok(events)
    }
}
