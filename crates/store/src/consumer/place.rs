//! Places in the log: where consumers are, where they begin, and whether that is of this store's history.
//!
//! Invariant: a place that is given out is one of an event that is there, with its hash, or before all events. None is
//! given out to keep that a loss of power may take.

use annals_segment::{live_epoch, read_frontier};
use annals_wire::{Digest, Sequence};

use crate::{
    Error, Store,
    follow::Following,
    store::{Shared, lock},
};

/// Everything up to an event is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The event; 0 for none.
    pub(crate) sequence: Sequence,
    /// Its hash.
    pub(crate) hash: Digest,
}

/// Where a consumer begins that nobody opened before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Begin {
    #[default]
    Start,
    Now,
    After(Sequence),
}

impl Store {
    /// The place where a consumer begins.
    pub(crate) fn place_to_begin(&self, begin: Begin) -> Result<Place, Error> {
        match begin {
            Begin::Start => Ok(Place::default()),
            Begin::Now => self.shared.durable_place(self.last_sequence()),
            Begin::After(sequence) => self.place_to_reset(sequence),
        }
    }

    /// The place behind `after`, made durable where it is not.
    pub(crate) fn place_to_reset(&self, after: Sequence) -> Result<Place, Error> {
        let newest = self.refresh()?;
        if after > newest {
            let why = format!("{after} is behind the newest event, {newest}");
            return Err(Error::Invalid { what: "position", why });
        }
        if after > self.shared.durable_sequence()? {
            self.sync()?;
        }
        self.shared.place(after)
    }
}

impl Shared {
    /// The newest event that can be read and that no loss of power takes.
    pub(crate) fn durable_sequence(&self) -> Result<Sequence, Error> {
        let visible = self.visible_sequence();
        if let Some(writer) = &self.writer {
            return Ok(lock(&writer.turn).durable.sequence.min(visible));
        }
        let frontier = match live_epoch(&*self.directory)? {
            Some(epoch) => read_frontier(&*self.directory, epoch)?,
            None => None,
        };
        // Where no writer lives, what the last one said is all that is known.
        let said = frontier.map(|frontier| frontier.durable).unwrap_or_default();
        let known = self.following.as_ref().map_or(Sequence(0), Following::durable);
        Ok(said.max(known).min(visible))
    }

    /// The place behind `sequence`, or behind the newest durable event where that is before.
    pub(crate) fn durable_place(&self, sequence: Sequence) -> Result<Place, Error> {
        self.place(sequence.min(self.durable_sequence()?))
    }

    /// The place behind `sequence`, an event that is visible.
    pub(crate) fn place(&self, sequence: Sequence) -> Result<Place, Error> {
        if sequence == Sequence(0) {
            return Ok(Place::default());
        }
        let event = self.event_at(sequence)?.ok_or_else(|| {
            let why = format!("there is no event {sequence}");
            Error::Invalid { what: "position", why }
        })?;
        Ok(Place { sequence, hash: event.hash() })
    }

    /// Makes sure that `place` is one of this store's history. `consumer` is what a message calls its owner.
    ///
    /// # Errors
    /// [`Error::Foreign`].
    pub(crate) fn check_place(&self, consumer: &str, place: Place) -> Result<(), Error> {
        let Place { sequence, hash } = place;
        if sequence == Sequence(0) {
            return Ok(());
        }
        let found = match self.event_at(sequence)? {
            Some(event) if event.hash() == hash => return Ok(()),
            Some(event) => event.hash().to_string(),
            None if sequence < self.first_sequence() => {
                format!("not there: the events before {} were removed from the log", self.first_sequence())
            }
            None => format!("not there: the newest event is {}", self.visible_sequence()),
        };
        let (consumer, expected) = (consumer.to_owned(), hash.to_string());
        Err(Error::Foreign { consumer, sequence, what: "its hash", expected, found })
    }
}
