//! A delivery: an event in a worker's hands, until he says what became of it.
//!
//! Invariant: each delivery ends once: done, put off, parked, or let go of, which counts as a failed attempt.

use std::time::Duration;

use super::desk::Desk;
use crate::{
    Error, Event, NewEvent, Receipt,
    sync::{Arc, thread},
};

/// What is said of an event that a worker let go of.
const LET_GO: &str = "its worker let go of it";
const PANICKED: &str = "its worker panicked";

/// An event that is in a worker's hands. Until it is brought back, no other event of its stream is handed out.
///
/// Dropping it gives the event back at once. That counts as a failed attempt, also where the worker panics: an event
/// that no worker survives is parked in the end, as one whose worker says why.
#[derive(Debug)]
#[must_use = "an event that is let go of counts as failed"]
pub struct Delivery {
    desk: Arc<Desk>,
    event: Event,
    attempt: u32,
    is_open: bool,
}

impl Delivery {
    pub(super) fn new(desk: Arc<Desk>, event: Event, attempt: u32) -> Self {
        Self { desk, event, attempt, is_open: true }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The how manyth attempt this is, from 1. What came of the ones before is not known where a process died.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The event is done, **at least once**: what is done is made durable now and then, as
    /// [`super::GroupOptions::save_every`] says, and what a loss of power takes of that is handed out again.
    ///
    /// # Errors
    /// Where what is known was to be made durable now, and could not be: as [`super::Group::save`]. The event is done all
    /// the same, as long as the process lives.
    pub fn done(mut self) -> Result<(), Error> {
        self.is_open = false;
        self.desk.finish(self.event.sequence())
    }

    /// Appends `events`, which came of this one, and with that the event is done: **exactly once in effect**. The results
    /// and the group's move are one batch, so that neither is there without the other, whatever happens. It is as
    /// durable as [`crate::Options::durability`] says when this returns. Where the append is refused the event stays in
    /// these hands. Without events it is as [`Delivery::done`].
    ///
    /// # Errors
    /// As [`crate::Store::append_batch`]; [`Error::ReadOnly`] where the store was opened for reading only;
    /// [`Error::Invalid`] where the event is done already.
    pub fn done_with(&mut self, events: &[NewEvent<'_>]) -> Result<Vec<Receipt>, Error> {
        if !self.is_open {
            let why = format!("event {} is done already", self.event.sequence());
            return Err(Error::Invalid { what: "delivery", why });
        }
        if events.is_empty() {
            // A move by itself has no event whose place says when it is durable.
            self.is_open = false;
            return self.desk.finish(self.event.sequence()).map(|()| Vec::new());
        }
        let placed = self.desk.place(self.event.sequence(), events)?;
        // The event is done, whatever is known of its durability.
        self.is_open = false;
        self.desk.settle(placed)
    }

    /// The attempt failed: there is another when `after` is over, or the event is parked where there were as many as
    /// [`super::GroupOptions::attempts_max`] allows. The later events of its stream wait.
    ///
    /// # Errors
    /// As [`Delivery::done`].
    pub fn retry_after(mut self, after: Duration, reason: &str) -> Result<(), Error> {
        self.is_open = false;
        self.desk.metrics.retries.increment(1);
        self.desk.fail(self.event.sequence(), after, reason);
        self.desk.save_if_due()
    }

    /// The event is of no use: it is not handed out again until somebody asks for it. What becomes of the later events
    /// of its stream, [`super::GroupOptions::parked_stream`] says.
    ///
    /// # Errors
    /// As [`Delivery::done`].
    pub fn park(mut self, reason: &str) -> Result<(), Error> {
        self.is_open = false;
        self.desk.park(self.event.sequence(), reason);
        self.desk.save_if_due()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.is_open {
            let reason = if thread::panicking() { PANICKED } else { LET_GO };
            self.desk.metrics.retries.increment(1);
            self.desk.fail(self.event.sequence(), Duration::ZERO, reason);
        }
    }
}
