//! Saving: how what the desk has decided gets into the small log.
//!
//! Invariant: records are written in the order in which they were queued, each when what it speaks of is durable in the
//! store's log.

use std::time::Instant;

use annals_wire::{Digest, GroupRecord, Sequence};

use super::Desk;
use crate::{
    Error,
    store::lock,
    workers::{keeper::Keeper, ledger::Ledger},
};

impl Desk {
    /// Writes what may be written, so that it outlives the process.
    pub(super) fn write(&self) -> Result<(), Error> {
        let mut keeper = lock(&self.keeper);
        self.write_with(keeper.as_mut().ok_or(Error::Closed)?)
    }

    pub(super) fn write_with(&self, keeper: &mut Keeper) -> Result<(), Error> {
        let durable = self.durable()?;
        let mut records: Vec<_> = {
            let core = self.core();
            let may_be_written = core.queue.iter().take_while(|(needs, _)| *needs <= durable);
            may_be_written.map(|(_, record)| record.clone()).collect()
        };
        for record in &mut records {
            if let GroupRecord::Position { sequence, hash, .. } = record {
                *hash = self.hash_at(*sequence)?;
            }
        }
        keeper.write(&records)?;
        let mut core = self.core();
        core.queue.drain(..records.len());
        core.written_count += records.len() as u64;
        Ok(())
    }

    /// What the records make, those included that are queued.
    pub(in crate::workers) fn with_ledger<R>(&self, look: impl FnOnce(&Ledger) -> R) -> Result<R, Error> {
        let keeper = lock(&self.keeper);
        let mut ledger = keeper.as_ref().ok_or(Error::Closed)?.kept().clone();
        for (_, record) in &self.core().queue {
            ledger.apply(record).expect("a group writes what it can read");
        }
        Ok(look(&ledger))
    }

    /// The newest event that outlives a loss of power.
    pub(super) fn durable(&self) -> Result<Sequence, Error> {
        self.store.shared.durable_sequence()
    }

    pub(super) fn hash_at(&self, sequence: Sequence) -> Result<Digest, Error> {
        if sequence == Sequence(0) {
            return Ok(Digest::NONE);
        }
        match self.store.shared.event_at(sequence)? {
            Some(event) => Ok(event.hash()),
            None => {
                let why = format!("the group {} is at event {sequence}, which is not there", self.name);
                Err(Error::Invalid { what: "group", why })
            }
        }
    }

    /// Makes everything durable that is known now; returns the position.
    pub(in crate::workers) fn save(&self) -> Result<Sequence, Error> {
        let mut keeper = lock(&self.keeper);
        let keeper = keeper.as_mut().ok_or(Error::Closed)?;
        let (needs, position) = {
            let mut core = self.core();
            core.queue_position(Sequence(0), false);
            (core.unsaved, core.unsaved_since) = (0, None);
            let needs = core.queue.iter().map(|(needs, _)| *needs).max().unwrap_or_default();
            (needs, core.dispatch.position())
        };
        if self.store.shared.writer.is_some() && needs > self.durable()? {
            self.store.wait_durable(needs)?;
        }
        self.write_with(keeper)?;
        let written_count = self.core().written_count;
        keeper.sync()?;
        let mut core = self.core();
        core.durable_count = written_count;
        if !core.queue.is_empty() {
            // What is not durable yet is tried again when it has become so.
            core.unsaved_since.get_or_insert_with(Instant::now);
        }
        drop(core);
        self.metrics.progress.note(&self.store.shared, position);
        Ok(position)
    }

    pub(in crate::workers) fn save_if_due(&self) -> Result<(), Error> {
        let is_due = {
            let core = self.core();
            let is_late = |since: Instant| since.elapsed() >= self.options.save_time;
            core.unsaved >= self.options.save_count || core.unsaved_since.is_some_and(is_late)
        };
        if is_due { self.save().map(drop) } else { Ok(()) }
    }
}
