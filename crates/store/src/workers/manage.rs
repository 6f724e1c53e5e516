//! Looking at groups, and taking them elsewhere or away, by name.
//!
//! Invariant: looking takes no lock and writes nothing. A group is changed by whoever holds it.

use annals_checkpoint::peek;
use annals_wire::{Consumer, ConsumerMove, ConsumerName, Digest, Sequence};
use serde::Serialize;

use super::{
    ledger::{Ledger, Parked},
    opening,
    options::GroupOptions,
};
use crate::{Error, Store, consumer};

/// A group, as its small log and the store's log have it: as of when it was last saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// Every event up to here is done, parked, waits behind a parked one, or is none of the group's.
    pub position: Sequence,
    /// The hash of the event there; zeros where the position is before all events.
    #[serde(serialize_with = "consumer::as_text")]
    pub hash: Digest,
    /// How many moves of the group the store's log has.
    pub move_count: u64,
    /// Whether somebody holds it.
    pub is_held: bool,
    /// How many visible events lie behind the position, of which some may be done, or may not match.
    pub lag_events: u64,
    /// For how many milliseconds the first of them has been there; 0 where there is none.
    pub lag_millis: u64,
    /// How many events beyond the position are done.
    pub done_count: u64,
    /// The events that were handed out and are not done, by sequence.
    pub tried: Vec<TriedEvent>,
    /// The events that are parked, and those that wait behind them, by sequence.
    pub parked: Vec<ParkedEvent>,
    /// Why it would not be opened, where that is so: its position is of another history, or its files are damaged.
    pub refused: Option<String>,
}

/// An event that was handed out and is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TriedEvent {
    /// The event.
    pub sequence: Sequence,
    /// How often it was handed out.
    pub attempts: u32,
    /// When it may be handed out again, in Unix milliseconds; 0 for at once.
    pub not_before: u64,
    /// Why the last attempt that failed did; empty where none did.
    pub reason: String,
}

/// An event that is not handed out until somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// The event.
    pub sequence: Sequence,
    /// How often it was handed out.
    pub attempts: u32,
    /// When it was parked, in Unix milliseconds; 0 for one that only waits.
    pub at: u64,
    /// Why the last attempt failed.
    pub reason: String,
    /// Whether nothing is wrong with it but that it waits behind a parked event of its stream.
    pub is_aside: bool,
    /// Whether somebody asked for it, and it is to be handed out again.
    pub is_replayed: bool,
}

impl Store {
    /// All groups, by name.
    ///
    /// # Errors
    /// [`Error::Environment`] where the directory cannot be listed. What is wrong with one group stands in
    /// [`GroupInfo::refused`].
    pub fn groups(&self) -> Result<Vec<GroupInfo>, Error> {
        let names = self.shared.consumer_names(Consumer::Group)?;
        names.iter().filter_map(|name| self.look_at_group(name).transpose()).collect()
    }

    /// The group `name`; `None` where there is none.
    ///
    /// # Errors
    /// As [`Store::groups`], and [`Error::Invalid`] where no group can have the name.
    pub fn find_group(&self, name: &str) -> Result<Option<GroupInfo>, Error> {
        self.look_at_group(&ConsumerName::new(name)?)
    }

    /// Takes the group `name` to behind `after`: 0 for the start, [`Store::last_sequence`] for now. Every event up to
    /// there counts as done, those behind it are handed out, again where they were before, and nothing is parked any
    /// more. A group that is refused, as one of another history, is this store's from then on. What it appended before
    /// stays in the log.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no group with that name, or `after` is behind the newest event;
    /// [`Error::Locked`] where somebody holds it; else as [`Store::group_with`].
    pub fn reset_group(&self, name: &str, after: Sequence) -> Result<(), Error> {
        let name = ConsumerName::new(name)?;
        if self.look_at_group(&name)?.is_none() {
            return Err(Error::Invalid { what: "group", why: format!("there is none with the name {name}") });
        }
        let place = self.place_to_reset(after)?;
        opening::hold(self, &name, &GroupOptions::new())?.reset(self, &name, place)
    }

    /// Deletes the group `name`; returns whether there was one. What it appended stays in the log.
    ///
    /// # Errors
    /// [`Error::Locked`] where somebody holds it; [`Error::ReadOnly`] where its position is in the log and the store
    /// was opened for reading only; [`Error::Invalid`], [`Error::Environment`]. Where it was cut short, the group is
    /// gone all the same, or deleting it again finishes.
    pub fn delete_group(&self, name: &str) -> Result<bool, Error> {
        let name = ConsumerName::new(name)?;
        let is_there =
            self.shared.is_deletion_begun(Consumer::Group, &name)? || self.look_at_group(&name)?.is_some();
        if is_there {
            self.shared.delete_consumer(Consumer::Group, &name)?;
        }
        Ok(is_there)
    }

    fn look_at_group(&self, name: &ConsumerName) -> Result<Option<GroupInfo>, Error> {
        let directory = self.shared.consumer_directory(Consumer::Group, name, false)?;
        let mut info = GroupInfo::new(name);
        let mut ledger = None;
        if let Some(directory) = &directory {
            if consumer::is_deleted(&**directory)? {
                return Ok(None);
            }
            match peek(directory, Ledger::default, opening::apply) {
                Ok(found) => ledger = found.filter(|ledger| ledger.store.is_some()),
                Err(error) => info.refused = Some(opening::unreadable(name, error).to_string()),
            }
            // Whoever has the group may have seen more.
            self.refresh()?;
            info.is_held = consumer::is_held(&**directory)?;
        }
        let moved = self.shared.last_move(Consumer::Group, name);
        if ledger.is_none() && moved.is_none() && info.refused.is_none() {
            return Ok(None);
        }
        self.judge_group(&mut info, name, ledger.unwrap_or_default(), moved.as_ref())?;
        Ok(Some(info))
    }

    /// Where the group is, and whether it would be opened there.
    fn judge_group(
        &self,
        info: &mut GroupInfo,
        name: &ConsumerName,
        mut ledger: Ledger,
        moved: Option<&ConsumerMove>,
    ) -> Result<(), Error> {
        let lost = if ledger.store.is_none() { opening::refuse_lost(name, moved) } else { Ok(()) };
        match lost.and_then(|()| opening::judge(self, name, &ledger, moved)) {
            Ok(Some(moved)) => drop(opening::catch_up(&mut ledger, moved)),
            Ok(None) => {}
            Err(error @ Error::Foreign { .. }) => {
                info.refused = info.refused.take().or(Some(error.to_string()))
            }
            Err(error) => return Err(error),
        }
        (info.lag_events, info.lag_millis) = self.shared.lag_behind(ledger.position)?;
        info.take(ledger);
        Ok(())
    }
}

impl GroupInfo {
    fn new(name: &ConsumerName) -> Self {
        Self {
            name: name.to_string(),
            position: Sequence(0),
            hash: Digest::NONE,
            move_count: 0,
            is_held: false,
            lag_events: 0,
            lag_millis: 0,
            done_count: 0,
            tried: Vec::new(),
            parked: Vec::new(),
            refused: None,
        }
    }

    fn take(&mut self, ledger: Ledger) {
        (self.position, self.hash, self.move_count) = (ledger.position, ledger.hash, ledger.number);
        self.done_count = ledger.done.len() as u64;
        self.tried = ledger
            .tried
            .into_iter()
            .map(|(sequence, tried)| TriedEvent {
                sequence,
                attempts: tried.attempts,
                not_before: tried.not_before,
                reason: tried.reason.into(),
            })
            .collect();
        self.parked =
            ledger.parked.iter().map(|(sequence, parked)| ParkedEvent::of(*sequence, parked)).collect();
    }
}

impl ParkedEvent {
    pub(super) fn of(sequence: Sequence, parked: &Parked) -> Self {
        Self {
            sequence,
            attempts: parked.attempts,
            at: parked.at,
            reason: parked.reason.to_string(),
            is_aside: parked.is_aside,
            is_replayed: parked.is_replayed,
        }
    }
}
