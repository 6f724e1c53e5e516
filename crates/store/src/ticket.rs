//! Appends that return when they have their place, so that one thread keeps many of them on their way to the disk.
//!
//! Invariant: places are given in the order of the calls, and what has one becomes durable in that order. A ticket
//! never says durable before it is.

use annals_wire::Sequence;

use crate::{
    Condition, Durability, Error, NewEvent, Receipt, Store,
    append::Stay,
    store::{Shared, lock},
    turn::Turn,
};

/// An append that has its place, and may not be durable yet. It becomes so whether anybody waits or not.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (sensor, read) = (Coordinate::new("sensor:1", "plant")?, store.kind("read")?);
/// let ticket = store.submit(&[NewEvent::new(&sensor, read, b"20.1")], &Condition::new())?;
/// assert_eq!(ticket.wait()?[0].durability, Durability::Durable);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nobody knows whether it became durable unless the ticket is asked"]
pub struct Ticket {
    store: Store,
    receipts: Vec<Receipt>,
    last: Sequence,
}

/// How far a store is in each respect; each is at most the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frontiers {
    /// The newest event that has a place.
    pub appended: Sequence,
    /// The newest event that the operating system has, and which so outlives the process.
    pub written: Sequence,
    /// The newest event that outlives a loss of power.
    pub durable: Sequence,
    /// The newest event that can be read.
    pub visible: Sequence,
}

impl Ticket {
    /// The receipts, as they were when the events got their places.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// Whether the append is durable by now. Does not wait.
    ///
    /// # Errors
    /// [`Error::Stopped`] where a write failed first: whether it was appended is unknown until the store is opened
    /// again.
    pub fn is_durable(&self) -> Result<bool, Error> {
        let Some(writer) = &self.store.shared.writer else { return Ok(true) };
        let turn = lock(&writer.turn);
        if self.last <= turn.durable.sequence {
            return Ok(true);
        }
        self.store.shared.check_writing(&turn)?;
        Ok(false)
    }

    /// Waits until the append is durable, and writes for all that wait where nobody else does.
    ///
    /// # Errors
    /// As [`Ticket::is_durable`].
    pub fn wait(mut self) -> Result<Vec<Receipt>, Error> {
        self.store.shared.wait_durable(self.last)?;
        for receipt in &mut self.receipts {
            receipt.durability = Durability::Durable;
        }
        Ok(self.receipts)
    }
}

impl Store {
    /// Appends all of `events` or none, if `condition` holds, and returns when they have their places: what follows
    /// is behind them. They become durable as soon as the disk can, many appends with one sync. Where more than
    /// [`crate::Options::queue_bytes_max`] are on their way, this waits for some of them first.
    ///
    /// # Errors
    /// As [`Store::append_if`]; what goes wrong afterwards, the ticket says.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let measured = store.kind("measured")?;
    /// let sensor = Coordinate::new("sensor:1", "plant")?;
    /// let mut tickets = Vec::new();
    /// for value in 0..1_000_u32 {
    ///     let payload = value.to_le_bytes();
    ///     let event = NewEvent::new(&sensor, measured, &payload);
    ///     tickets.push(store.submit(&[event], &Condition::new())?);
    /// }
    /// for ticket in tickets {
    ///     assert_eq!(ticket.wait()?[0].durability, Durability::Durable);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit(&self, events: &[NewEvent<'_>], condition: &Condition) -> Result<Ticket, Error> {
        self.place(events, condition, true)
    }

    /// As [`Store::submit`], but where that would wait for others it is refused. A new segment is still begun when
    /// one is full and nothing is on its way.
    ///
    /// # Errors
    /// As [`Store::submit`], and [`Error::Busy`]: nothing was appended, and later there is room again.
    pub fn try_submit(&self, events: &[NewEvent<'_>], condition: &Condition) -> Result<Ticket, Error> {
        self.place(events, condition, false)
    }

    fn place(
        &self,
        events: &[NewEvent<'_>],
        condition: &Condition,
        waits_for_room: bool,
    ) -> Result<Ticket, Error> {
        let receipts = self.shared.append(events, condition, Stay::Placed { waits_for_room });
        let receipts = receipts.map_err(|error| self.shared.name_frontier(error))?;
        let last = receipts.iter().map(|receipt| receipt.sequence).max().unwrap_or_default();
        Ok(Ticket { store: self.clone(), receipts, last })
    }

    /// Waits until the event with `sequence`, and so every one before it, is durable.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no event has it yet; else as [`Store::sync`].
    pub fn wait_durable(&self, sequence: Sequence) -> Result<(), Error> {
        self.shared.wait_durable(sequence).map_err(|error| self.shared.name_frontier(error))
    }

    /// How far the store is. Of a store that only reads, all are what can be read.
    #[must_use]
    pub fn frontiers(&self) -> Frontiers {
        let visible = self.last_sequence();
        let of = |turn: &Turn| Frontiers {
            appended: turn.appended.sequence,
            written: turn.written.sequence,
            durable: turn.durable.sequence,
            visible: self.last_sequence(),
        };
        let read_only = Frontiers { appended: visible, written: visible, durable: visible, visible };
        self.shared.writer.as_ref().map_or(read_only, |writer| of(&lock(&writer.turn)))
    }
}

impl Shared {
    fn wait_durable(&self, sequence: Sequence) -> Result<(), Error> {
        let turn = lock(&self.writer()?.turn);
        if sequence <= turn.durable.sequence {
            return Ok(());
        }
        if sequence > turn.appended.sequence {
            let why = format!("{sequence} is not appended yet: the newest is {}", turn.appended.sequence);
            return Err(Error::Invalid { what: "sequence", why });
        }
        self.check_writing(&turn)?;
        drop(self.settle_sequence(turn, sequence, Durability::Durable)?);
        Ok(())
    }
}
