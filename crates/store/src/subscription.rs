//! Subscriptions: the events that a query asks for, those that are there and then those that come, in one go.
//!
//! Invariant: each visible event that matches is delivered once, in order of sequence, and nothing that is not visible.
//! A subscription has no thread, nothing in the store knows it, and it keeps neither the store's thread nor its lock.

use std::{collections::VecDeque, time::Duration};

use annals_index::{Direction, Query};
use annals_wire::Sequence;

use crate::{
    Error, Event, Store,
    read::{Asked, ROWS_AHEAD_FIRST, ROWS_AHEAD_MAX, Walk},
    store::Shared,
    sync::{Arc, AtomicBool, Ordering},
    view::Found,
    watch::{Patience, Watch, Woken},
};

/// The events that a query asks for, from some position on and for as long as the store is open.
///
/// As an iterator it waits for the next event, and ends with `None` when the store was closed, or its last clone
/// dropped, and everything that can be read was delivered; or when it was [told to end](Self::ender). After an error it
/// ends too; [`Subscription::delivered`] says where to begin again. Whoever does not want to wait for ever asks
/// [`Subscription::next_within`] or [`Subscription::try_next`].
///
/// It takes from the store what it is asked for, so that a slow one holds up nobody, and takes no memory for what it
/// has not asked for yet.
#[derive(Debug)]
#[must_use = "nothing is read before it is asked for"]
pub struct Subscription {
    shared: Arc<Shared>,
    asked: Asked,
    /// Everything up to here was looked at.
    seen: Sequence,
    /// What was found and not delivered yet.
    ahead: VecDeque<Found>,
    rows_ahead: usize,
    is_ending: Arc<AtomicBool>,
}

/// Ends a subscription from another thread, also while it waits.
#[derive(Debug, Clone)]
pub struct Ender {
    watch: Arc<Watch>,
    is_ending: Arc<AtomicBool>,
}

impl Ender {
    /// Ends it: whoever waits for its next event is told that there is none.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
        self.watch.wake();
    }
}

impl Store {
    /// The events that `query` asks for: from the first on, and then those that are appended, as they become visible.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let (at, kind) = (Coordinate::new("account:7", "bank")?, store.kind("booked")?);
    /// store.append(&NewEvent::new(&at, kind, b"before"))?;
    ///
    /// let subscription = store.subscribe(Query::all());
    /// let reader = std::thread::spawn(move || subscription.map(|event| Ok(event?.sequence().0)).collect());
    ///
    /// store.append(&NewEvent::new(&at, kind, b"after"))?;
    /// store.close()?;
    /// let seen: Result<Vec<u64>, Error> = reader.join().expect("it did not panic");
    /// assert_eq!(seen?, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self, query: Query) -> Subscription {
        let query = query.trimmed();
        let keys = query.key_sets(self.id());
        self.shared.metrics.subscriptions.increment(1);
        Subscription {
            shared: Arc::clone(&self.shared),
            asked: Asked { query, keys, times: Vec::new() },
            seen: Sequence(0),
            ahead: VecDeque::new(),
            rows_ahead: ROWS_AHEAD_FIRST,
            is_ending: Arc::default(),
        }
    }

    /// Waits until an event behind `after` can be read, or `timeout` is over; returns the newest that can be. So one
    /// thread serves many subscriptions: it asks each by [`Subscription::try_next`], and then waits here.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Stopped`] where nothing behind `after` will come; as [`Store::refresh`] where the
    /// store was opened for reading only.
    pub fn wait_visible(&self, after: Sequence, timeout: Duration) -> Result<Sequence, Error> {
        match self.shared.wait(after, &AtomicBool::new(false), Patience::of(timeout))? {
            Woken::ToRead | Woken::Late => Ok(self.last_sequence()),
            Woken::ToEnd => Err(self.shared.watch.end()),
        }
    }
}

impl Subscription {
    /// Begins behind `sequence`, wherever it was before.
    pub fn after(mut self, sequence: Sequence) -> Self {
        self.seen = sequence;
        self.ahead = VecDeque::new();
        self
    }

    /// Begins behind what can be read now.
    pub fn from_now(self) -> Self {
        let visible = self.shared.watch.visible();
        self.after(visible)
    }

    /// Every event up to here was delivered, or does not match. It moves with each call that looks for an event,
    /// whether one is found or not.
    #[must_use]
    pub fn delivered(&self) -> Sequence {
        self.ahead.front().map_or(self.seen, |next| Sequence(next.sequence.0 - 1))
    }

    /// How many visible events lie behind what was delivered, of which some may not match.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.shared.watch.visible().0.saturating_sub(self.delivered().0)
    }

    /// What ends this subscription from another thread.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender { watch: Arc::clone(&self.shared.watch), is_ending: Arc::clone(&self.is_ending) }
    }

    /// The next event, where it can be read already. Does not wait.
    ///
    /// # Errors
    /// As [`Subscription::next_within`].
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        self.next_within(Duration::ZERO)
    }

    /// The next event; `None` where none came within `timeout`.
    ///
    /// # Errors
    /// [`Error::Closed`] where the subscription has ended, [`Error::Stopped`] where the writer stopped and everything
    /// that can be read was delivered, [`Error::Invalid`] where events behind its position were removed from the log,
    /// and [`Error::Corrupt`] or [`Error::Environment`] where the next event cannot be read; of a store that was opened
    /// for reading only also what [`Store::refresh`] says. After any of them it has ended.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        self.next_with(Patience::of(timeout))
    }

    /// Goes on after an error where it was, with an end of its own.
    pub(crate) fn revive(&mut self) {
        self.is_ending = Arc::default();
    }

    /// Why nothing more will become visible, where that is so.
    pub(crate) fn end(&self) -> Option<Error> {
        self.shared.watch.is_over().then(|| self.shared.watch.end())
    }

    fn next_with(&mut self, patience: Patience) -> Result<Option<Event>, Error> {
        let outcome = self.find_next(patience);
        if outcome.is_err() {
            self.is_ending.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn find_next(&mut self, patience: Patience) -> Result<Option<Event>, Error> {
        loop {
            if self.is_ending.load(Ordering::SeqCst) {
                return Err(Error::Closed);
            }
            if let Some(event) = self.look()? {
                return Ok(Some(event));
            }
            match self.shared.wait(self.seen, &self.is_ending, patience)? {
                Woken::ToRead => {}
                Woken::Late => return Ok(None),
                Woken::ToEnd if self.is_ending.load(Ordering::SeqCst) => return Err(Error::Closed),
                Woken::ToEnd => return Err(self.shared.watch.end()),
            }
        }
    }

    /// The next event of those that can be read now.
    fn look(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(found) = self.ahead.front() {
                // It may have been hidden since it was found.
                let event = if self.shared.view().hidden.contains(found.sequence) {
                    None
                } else {
                    Some(found.read()?)
                };
                self.ahead.pop_front();
                match event {
                    Some(event) => return Ok(Some(event.with_kinds(&self.shared.kinds))),
                    None => continue,
                }
            }
            let visible = self.shared.watch.visible();
            if visible <= self.seen {
                // Who waits has no room.
                self.ahead = VecDeque::new();
                self.rows_ahead = ROWS_AHEAD_FIRST;
                return Ok(None);
            }
            self.look_ahead(visible)?;
        }
    }

    /// Finds the next events up to `visible`, some of them where there are many.
    fn look_ahead(&mut self, visible: Sequence) -> Result<(), Error> {
        // Where the times lie that a query names is another matter each time: what is later may have come since.
        self.asked.times = self.shared.ask(|view| view.times(&self.asked.query))?;
        let outer = self.asked.query.sequences(&self.asked.times);
        self.refuse_lost(outer.start, outer.end)?;
        let sequences = outer.start.max(self.seen.0 + 1)..outer.end.min(visible.0.saturating_add(1));
        let revisions = 1..u64::MAX;
        let walk = Walk { direction: Direction::Forward, visible, sequences, revisions, with_hidden: false };
        let (found, walk) = self.shared.ask(|view| {
            let mut walk = walk.clone();
            Ok((walk.find(view, &self.asked, self.rows_ahead)?, walk))
        })?;
        let looked = Sequence(walk.sequences.start.saturating_sub(1)).min(visible);
        self.seen = if found.is_empty() { visible } else { looked };
        self.rows_ahead = (self.rows_ahead * 2).min(ROWS_AHEAD_MAX);
        self.ahead = found.into();
        Ok(())
    }

    /// Makes sure that the log still has what comes next of the sequences from `start` to before `end`.
    fn refuse_lost(&self, start: u64, end: u64) -> Result<(), Error> {
        let first = self.shared.first_sequence();
        if start.max(self.seen.0 + 1) >= end.min(first.0) {
            return Ok(());
        }
        let behind = first.0 - 1;
        let why =
            format!("the events before {first} were removed from the log; what is left is behind {behind}");
        Err(Error::Invalid { what: "position", why })
    }
}

impl Iterator for Subscription {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_with(Patience::Endless) {
            Err(Error::Closed) => None,
            outcome => outcome.transpose(),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.metrics.subscriptions.decrement(1);
    }
}
