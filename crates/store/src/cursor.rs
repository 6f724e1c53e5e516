//! Durable cursors: a reader of a query that remembers by name how far it has come.
//!
//! Invariant: an event counts as processed when the next one is asked for, when the position is saved, or when what
//! came of it is appended. What is saved is durable, and lies at or below what is durable of the log. So each event
//! is delivered at least once; and what is appended with [`Cursor::append`] is there once for each event.
//!
//! A cursor is in one of two places: in a small log of its own, below the store's directory, and where it appends, in
//! the log of the store: see `cursor/saved.rs`.

mod manage;
mod options;
mod saved;

use std::time::{Duration, Instant};

use annals_index::Query;
use annals_wire::{Consumer, ConsumerMove, ConsumerName, Sequence};

pub use self::{manage::CursorInfo, options::CursorOptions};
use self::{
    options::Saves,
    saved::{SavedLog, Standing},
};
use crate::{
    Condition, Durability, Error, Event, NewEvent, Receipt, Store,
    append::Stay,
    consumer::{NewMove, title},
    metrics::CursorMetrics,
    subscription::{Ender, Subscription},
};

/// A reader of a query that remembers how far it has come, through crashes too. One holds a cursor, in all processes.
///
/// Delivers as a [`Subscription`] does, history and then what comes. An event counts as processed when the next one is
/// asked for, so whoever fails in the middle of one gets it again: **at least once**. Whoever appends what came of an
/// event, by [`Cursor::append`], has it **once**, whatever happens: the results and the cursor's move are one batch.
///
/// ```
/// # use annals::{*, consume::*, disk::*, report::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// for item in ["chair", "table"] {
///     store.append(&NewEvent::new(&order, placed, item.as_bytes()))?;
/// }
/// let mut cursor = store.cursor("mail", Query::all())?;
/// let first = cursor.try_next()?.expect("two are there");
/// assert_eq!(first.sequence().0, 1);
/// cursor.save()?;
/// drop(cursor); // or the process is killed
///
/// let mut cursor = store.cursor("mail", Query::all())?;
/// assert_eq!(cursor.try_next()?.expect("one is left").payload(), Some(&b"table"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is read before it is asked for"]
pub struct Cursor {
    store: Store,
    name: ConsumerName,
    subscription: Subscription,
    log: SavedLog,
    standing: Standing,
    /// Whether a move in the store's log may not be durable yet.
    owes_sync: bool,
    saves: Option<Saves>,
    /// How many events were delivered since the position was saved.
    unsaved: u64,
    /// When the position was first behind what was delivered.
    unsaved_since: Option<Instant>,
    metrics: CursorMetrics,
}

impl Store {
    /// The cursor `name`, made where there is none, which delivers what `query` asks for. What a cursor reads may
    /// change from one opening to the next: its position is one in the log, and stays.
    ///
    /// # Errors
    /// As [`Store::cursor_with`].
    pub fn cursor(&self, name: &str, query: Query) -> Result<Cursor, Error> {
        self.cursor_with(name, query, &CursorOptions::default())
    }

    /// The cursor `name`, as `options` say. The store may be one that was opened for reading only, beside its writer:
    /// the cursor's small log, below the store's directory, is then all that is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is not 1 to 64 of `a-z 0-9 . _ -` with a letter or digit first, or where the
    /// cursor has its position in the log and the store was opened for reading only; [`Error::Locked`] where another
    /// holds it; [`Error::Foreign`] where its position is none of this store's history; [`Error::Corrupt`] where its
    /// small log is damaged, [`Error::NoSpace`], [`Error::Environment`].
    pub fn cursor_with(&self, name: &str, query: Query, options: &CursorOptions) -> Result<Cursor, Error> {
        let name = ConsumerName::new(name)?;
        let log = self.hold_cursor(&name, options.lock_timeout)?;
        // Whoever had the cursor before may have seen more.
        self.refresh()?;
        let logged = self.shared.last_move(Consumer::Cursor, &name);
        let standing = Standing::decide(&name, self.id(), log.last.as_ref(), logged.as_ref())?;
        if standing.is_in_log && self.shared.writer.is_none() {
            let why = format!("{name} has its position in the log: open it where the store is written");
            return Err(Error::Invalid { what: "cursor", why });
        }
        self.shared.check_place(&title(Consumer::Cursor, &name), standing.place)?;
        let metrics = CursorMetrics::of(self.id(), &name);
        let subscription = self.subscribe(query);
        let mut cursor = Cursor {
            store: self.clone(),
            name,
            subscription,
            log,
            standing,
            owes_sync: standing.moved > 0,
            saves: options.saves,
            unsaved: 0,
            unsaved_since: None,
            metrics,
        };
        if standing.number == 0 {
            // So that it is there from now on.
            let place = self.place_to_begin(options.begin)?;
            cursor.write(Standing { number: 1, place, ..standing })?;
        }
        let saved = cursor.saved();
        Ok(Cursor { subscription: cursor.subscription.after(saved), ..cursor })
    }
}

impl Cursor {
    /// The cursor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Every event up to here was delivered, or does not match.
    #[must_use]
    pub fn delivered(&self) -> Sequence {
        self.subscription.delivered()
    }

    /// Every event up to here counts as processed, also after a crash; but that a move in the log is as durable as
    /// [`crate::Options::durability`] says.
    #[must_use]
    pub fn saved(&self) -> Sequence {
        self.standing.place.sequence
    }

    /// How many visible events lie behind what was delivered, of which some may not match.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.subscription.lag()
    }

    /// What ends this cursor from another thread, also while it waits.
    #[must_use]
    pub fn ender(&self) -> Ender {
        self.subscription.ender()
    }

    /// The next event, where it can be read already. Those before it count as processed.
    ///
    /// # Errors
    /// As [`Cursor::next_within`].
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        self.save_if_due()?;
        let found = self.subscription.try_next()?;
        Ok(self.deliver(found))
    }

    /// The next event; `None` where none came within `timeout`. Those before it count as processed.
    ///
    /// # Errors
    /// As [`Subscription::next_within`], and as [`Cursor::save`] where it is to save by itself.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let end = Instant::now().checked_add(timeout);
        loop {
            self.save_if_due()?;
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            let wait = self.due_within().map_or(left, |due| due.min(left));
            let found = self.subscription.next_within(wait)?;
            self.note_unsaved();
            if found.is_some() || wait == left {
                return Ok(self.deliver(found));
            }
        }
    }

    /// Saves the position: every event that was delivered counts as processed from here on, through a crash or a loss
    /// of power. Returns how far that is: where the newest events are not durable yet, up to the last that is.
    ///
    /// Costs nothing where the position did not move, and else one write and one sync of a small file. A move in the
    /// store's log that is not durable yet is made so first.
    ///
    /// # Errors
    /// [`Error::NoSpace`] where there is no room for it: nothing was saved, and the cursor goes on. [`Error::Stopped`]
    /// or [`Error::Environment`] where a write or sync failed: open the cursor again.
    pub fn save(&mut self) -> Result<Sequence, Error> {
        if self.owes_sync {
            self.store.sync()?;
            self.owes_sync = false;
        }
        let place = self.store.shared.durable_place(self.delivered())?;
        if place.sequence > self.standing.place.sequence {
            let number = self.standing.number + 1;
            self.write(Standing { number, place, ..self.standing })?;
        }
        if self.standing.place.sequence >= self.delivered() {
            (self.unsaved, self.unsaved_since) = (0, None);
        }
        Ok(self.standing.place.sequence)
    }

    /// Appends `events`, and in the same batch that everything delivered so far is processed: both or neither, through
    /// every crash, as durable as [`crate::Options::durability`] says. With no event, only the cursor moves.
    ///
    /// # Errors
    /// As [`Store::append_batch`], and [`Error::ReadOnly`] where the store was opened for reading only: neither
    /// happened.
    pub fn append(&mut self, events: &[NewEvent<'_>]) -> Result<Vec<Receipt>, Error> {
        self.append_if(events, &Condition::new())
    }

    /// As [`Cursor::append`], if `condition` holds.
    ///
    /// # Errors
    /// As [`Cursor::append`], and [`Error::ConditionFailed`].
    pub fn append_if(
        &mut self,
        events: &[NewEvent<'_>],
        condition: &Condition,
    ) -> Result<Vec<Receipt>, Error> {
        self.store.shared.writer()?;
        if !self.standing.is_in_log {
            // Before the first move, so that nobody who does not see the log's newest moves takes an old position.
            let number = self.standing.number + 1;
            self.write(Standing { number, is_in_log: true, ..self.standing })?;
        }
        let place = self.store.shared.place(self.delivered())?;
        let number = self.standing.number + 1;
        let moved = NewMove::new(ConsumerMove {
            consumer: Consumer::Cursor,
            name: self.name.clone(),
            number,
            sequence: place.sequence,
            hash: place.hash,
            done: Vec::new(),
            is_deleted: false,
        });
        let durability = self.store.shared.options.durability;
        let receipts =
            self.store.shared.append_moving(events, condition, Some(&moved), Stay::Until(durability));
        let receipts = receipts.map_err(|error| self.store.shared.name_frontier(error))?;
        self.owes_sync = durability != Durability::Durable;
        self.standing = Standing { number, moved: number, place, is_in_log: true };
        (self.unsaved, self.unsaved_since) = (0, None);
        self.note_move();
        Ok(receipts)
    }

    /// Saves the position and lets the cursor go, so that another may hold it.
    ///
    /// # Errors
    /// As [`Cursor::save`].
    pub fn close(mut self) -> Result<(), Error> {
        self.save()?;
        self.log.close()
    }

    fn deliver(&mut self, found: Option<Event>) -> Option<Event> {
        if found.is_some() {
            self.unsaved += 1;
            self.metrics.deliveries.increment(1);
        }
        self.note_unsaved();
        found
    }

    fn note_unsaved(&mut self) {
        if self.saves.is_some() && self.delivered() > self.standing.place.sequence {
            self.unsaved_since.get_or_insert_with(Instant::now);
        }
    }

    /// When the position is to be saved next, where it is to be.
    fn due_within(&self) -> Option<Duration> {
        let Saves { events, time } = self.saves?;
        let since = self.unsaved_since?;
        if self.unsaved >= events {
            return Some(Duration::ZERO);
        }
        Some(time.saturating_sub(since.elapsed()))
    }

    fn save_if_due(&mut self) -> Result<(), Error> {
        if self.due_within() == Some(Duration::ZERO) {
            self.save()?;
            // What is not durable yet is tried again when it has become so.
            self.unsaved_since = None;
            self.unsaved = 0;
        }
        Ok(())
    }

    fn write(&mut self, standing: Standing) -> Result<(), Error> {
        self.log.save(self.store.id(), standing)?;
        self.standing = standing;
        self.metrics.saves.increment(1);
        self.note_move();
        Ok(())
    }

    fn note_move(&self) {
        self.metrics.progress.note(&self.store.shared, self.standing.place.sequence);
    }
}

impl Iterator for Cursor {
    type Item = Result<Event, Error>;

    /// Waits for the next event; ends as a [`Subscription`] does. The cursor itself keeps its store open.
    fn next(&mut self) -> Option<Self::Item> {
        match self.next_within(Duration::MAX) {
            Err(Error::Closed) => None,
            outcome => outcome.transpose(),
        }
    }
}
