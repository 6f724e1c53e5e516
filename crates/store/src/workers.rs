//! Groups of workers: several of them share what a query yields, in parallel, and in order within each stream.
//!
//! Invariant: of a stream at most one event is in somebody's hands. Each event is handed out until it is done or
//! parked; the saved position never passes one that is neither. What came of an event and was appended with it is there
//! exactly once.
//!
//! `dispatch.rs` decides, `ledger.rs` is what is known for good, `keeper.rs` has the small log, `desk.rs` the locks and
//! the waiting, and is where the store's log comes in. The records: docs/format.md, "Group record".

mod options;

mod delivery;
mod manage;

mod asked;
mod desk;
mod keeper;
mod opening;
mod tally;

mod dispatch;
mod ledger;

use std::time::Duration;

use annals_index::Query;
use annals_wire::Sequence;

pub use delivery::Delivery;
pub use manage::{GroupInfo, ParkedEvent, TriedEvent};
pub use options::{GroupOptions, ParkedStream};

use crate::{Error, Store, sync::Arc, watch::Patience};
use desk::{Desk, Handed};

/// Workers that share what a query yields. Clones are handles of the same group: each worker, a thread, has one.
///
/// One process has a group at a time; another that opens it waits, as [`GroupOptions::lock_timeout`] says, and takes over
/// when that one lets go or dies. What was in the hands of its workers is then handed out again. The group ends, and its
/// small log is closed, with the last handle and the last [`Delivery`].
///
/// ```
/// # use annals::{*, consume::*, disk::*, report::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (placed, billed) = (store.kind("order.placed")?, store.kind("order.billed")?);
/// let order = Coordinate::new("order:42", "shop")?;
/// store.append(&NewEvent::new(&order, placed, b"two chairs"))?;
///
/// let group = store.group("billing", Query::of(QueryItem::new().kind(placed)))?;
/// let mut delivery = group.try_next()?.expect("there is an order");
/// let bill = NewEvent::new(&order, billed, b"70").causation(delivery.event().id());
/// delivery.done_with(&[bill])?; // the bill and that the order is done: both or neither
/// assert!(group.try_next()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is handed out before somebody asks"]
pub struct Group {
    desk: Arc<Desk>,
}

impl Store {
    /// The group `name`, made where there is none, whose workers share what `query` yields. What a group reads may change
    /// from one opening to the next: where it is stays.
    ///
    /// # Errors
    /// As [`Store::group_with`].
    pub fn group(&self, name: &str, query: Query) -> Result<Group, Error> {
        self.group_with(name, query, &GroupOptions::default())
    }

    /// The group `name`, as `options` say. The store may be one that was opened for reading only, beside its writer: the
    /// group's small log, below the store's directory, is then all that is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is not 1 to 64 of `a-z 0-9 . _ -` with a letter or digit first;
    /// [`Error::Locked`] where another process, or this one, has the group; [`Error::Foreign`] where what it knows is
    /// none of this store's history; [`Error::Corrupt`] where its small log is damaged, [`Error::NoSpace`],
    /// [`Error::Environment`].
    pub fn group_with(&self, name: &str, query: Query, options: &GroupOptions) -> Result<Group, Error> {
        Ok(Group { desk: Arc::new(opening::open(self, name, query, options)?) })
    }
}

impl Group {
    /// The next event for this worker, for which it waits; `None` where the store or the group was closed.
    ///
    /// # Errors
    /// [`Error::Stopped`] where the store's writer stopped and nothing more can be handed out; [`Error::Corrupt`],
    /// [`Error::Environment`] where the event cannot be read, or the small log not be written.
    pub fn next(&self) -> Result<Option<Delivery>, Error> {
        match self.desk.hand_out(Some(Patience::Endless))? {
            Handed::Ended(Error::Closed) => Ok(None),
            handed => self.delivery(handed),
        }
    }

    /// The next event; `None` where none is to be handed out within `timeout`.
    ///
    /// # Errors
    /// As [`Group::next`], and [`Error::Closed`] where the store or the group was closed.
    pub fn next_within(&self, timeout: Duration) -> Result<Option<Delivery>, Error> {
        self.delivery(self.desk.hand_out(Some(Patience::of(timeout)))?)
    }

    /// The next event, where one is to be handed out now. Does not wait.
    ///
    /// # Errors
    /// As [`Group::next_within`].
    pub fn try_next(&self) -> Result<Option<Delivery>, Error> {
        self.delivery(self.desk.hand_out(None)?)
    }

    fn delivery(&self, handed: Handed) -> Result<Option<Delivery>, Error> {
        match handed {
            Handed::Event(event, attempt) => Ok(Some(Delivery::new(Arc::clone(&self.desk), *event, attempt))),
            Handed::Nothing => Ok(None),
            Handed::Ended(error) => Err(error),
        }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.desk.name.as_str()
    }

    /// Every event up to here is done, parked, waits behind a parked one, or is none of the group's. What is saved is at
    /// most that.
    #[must_use]
    pub fn position(&self) -> Sequence {
        self.desk.core().dispatch.position()
    }

    /// Makes everything durable that the group knows now, and what that rests on in the store's log; returns the
    /// position. It costs a write and a sync of a small file.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::NoSpace`], [`Error::Environment`]: what was saved before is safe all the same.
    pub fn save(&self) -> Result<Sequence, Error> {
        self.desk.save()
    }

    /// The events that are parked, and those that wait behind them, by sequence.
    ///
    /// # Errors
    /// As [`Group::save`].
    pub fn parked(&self) -> Result<Vec<ParkedEvent>, Error> {
        self.desk.parked()
    }

    /// Hands out the parked event `sequence` again, with all its attempts; it is then done, or parked again, and the
    /// later events of its stream that waited for it follow.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not parked, or waits behind a parked one; else as [`Group::save`].
    pub fn replay(&self, sequence: Sequence) -> Result<(), Error> {
        self.desk.replay(sequence)
    }

    /// Passes over the parked event `sequence`, or one that waits behind a parked one: it counts as done.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is neither; else as [`Group::save`].
    pub fn skip(&self, sequence: Sequence) -> Result<(), Error> {
        self.desk.skip(sequence)
    }

    /// Makes sure that nothing was left out: reads again what the query yields between the position and the newest event
    /// that was seen, and looks for each whether it is done, in somebody's hands, waits or is parked.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the event that has no place, which is a fault of this library; else as [`Store::query`].
    pub fn check(&self) -> Result<(), Error> {
        self.desk.check()
    }

    /// Hands out nothing more: whoever waits is told so. What is in somebody's hands can still be brought back. Saves
    /// what is known.
    ///
    /// # Errors
    /// As [`Group::save`].
    pub fn close(self) -> Result<(), Error> {
        self.desk.close();
        self.desk.save().map(drop)
    }
}
