//! The stage: appends that are collected outside of the log and committed as one.
//!
//! Invariant: before the commit nothing of it is in the log, whatever happens to the process; a commit that is refused
//! leaves the stage as it was.

use crate::{Condition, Durability, Error, NewEvent, Receipt, Store};

/// Appends that are collected, and committed as one atomic batch or not at all. Dropping it cancels it.
///
/// ```
/// # use annals::{*, consume::*, disk::*, report::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let moved = store.kind("moved")?;
/// let (from, to) = (Coordinate::new("account:1", "bank")?, Coordinate::new("account:2", "bank")?);
///
/// let mut stage = store.stage();
/// let out = stage.append(NewEvent::new(&from, moved, b"-70"))?;
/// stage.append(NewEvent::new(&to, moved, b"70").caused_by_item(out))?;
/// assert_eq!(store.all().count(), 0);
/// assert_eq!(stage.commit()?.len(), 2);
/// assert_eq!(store.all().count(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "what is staged is in no log before it is committed"]
pub struct Stage<'a> {
    store: Store,
    events: Vec<NewEvent<'a>>,
    condition: Condition,
}

impl Store {
    /// An empty stage.
    pub fn stage<'a>(&self) -> Stage<'a> {
        Stage { store: self.clone(), events: Vec::new(), condition: Condition::new() }
    }
}

impl<'a> Stage<'a> {
    /// Takes one more event; returns its place in the batch, from 0, which [`NewEvent::caused_by_item`] takes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where its payload alone is more than an event may have: it is not taken.
    pub fn append(&mut self, event: NewEvent<'a>) -> Result<usize, Error> {
        let (len, max) = (event.payload_len(), self.store.shared.options.event_bytes_max);
        if len > max {
            return Err(Error::TooLarge { what: "an event", len, max });
        }
        self.events.push(event);
        Ok(self.events.len() - 1)
    }

    /// What the commit demands beside what its events expect, instead of what was demanded before.
    pub fn demand(&mut self, condition: Condition) {
        self.condition = condition;
    }

    /// What was taken so far.
    #[must_use]
    pub fn events(&self) -> &[NewEvent<'a>] {
        &self.events
    }

    /// Appends everything as one batch, as durable as [`crate::Options::durability`] says, and leaves the stage empty.
    /// Where it is refused the stage is as it was: change what it demands, or let go of it.
    ///
    /// # Errors
    /// As [`Store::append_if`].
    pub fn commit(&mut self) -> Result<Vec<Receipt>, Error> {
        self.commit_with(self.store.shared.options.durability)
    }

    /// Appends everything as one batch, and returns when it is as durable as `durability` says.
    ///
    /// # Errors
    /// As [`Stage::commit`].
    pub fn commit_with(&mut self, durability: Durability) -> Result<Vec<Receipt>, Error> {
        let receipts = self.store.append_if_with(&self.events, &self.condition, durability)?;
        self.events.clear();
        self.condition = Condition::new();
        Ok(receipts)
    }

    /// Lets go of everything, which is what dropping it does as well.
    pub fn cancel(self) {}
}
