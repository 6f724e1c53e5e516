//! Looking at cursors, and taking them elsewhere or away, by name.
//!
//! Invariant: looking takes no lock and writes nothing. A cursor is changed by whoever holds it. One that is being
//! deleted is gone: its directory says so before anything of it goes, and whoever comes next finishes.

use std::time::Duration;

use annals_wire::{Consumer, ConsumerMove, ConsumerName, CursorRecord, Digest, Sequence};
use serde::Serialize;

use super::saved::{self, SavedLog, Standing};
use crate::{
    Error, Store,
    consumer::{self, title},
};

/// A cursor, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CursorInfo {
    /// Its name.
    pub name: String,
    /// Every event up to here counts as processed.
    pub position: Sequence,
    /// The hash of the event there; zeros where the position is before all events.
    #[serde(serialize_with = "consumer::as_text")]
    pub hash: Digest,
    /// How many times it was moved.
    pub move_count: u64,
    /// Whether it is moved in the log, with what came of the events.
    pub is_in_log: bool,
    /// Whether somebody holds it.
    pub is_held: bool,
    /// How many visible events lie behind the position, of which some may not match.
    pub lag_events: u64,
    /// For how many milliseconds the first of them has been there; 0 where there is none.
    pub lag_millis: u64,
    /// Why it would not be opened, where that is so: its position is of another history, or its files are damaged.
    pub refused: Option<String>,
}

impl Store {
    /// All cursors, by name.
    ///
    /// # Errors
    /// [`Error::Environment`] where the directory cannot be listed. What is wrong with one cursor stands in
    /// [`CursorInfo::refused`].
    pub fn cursors(&self) -> Result<Vec<CursorInfo>, Error> {
        let names = self.shared.consumer_names(Consumer::Cursor)?;
        names.iter().filter_map(|name| self.look_at_cursor(name).transpose()).collect()
    }

    /// The cursor `name`; `None` where there is none.
    ///
    /// # Errors
    /// As [`Store::cursors`], and [`Error::Invalid`] where no cursor can have the name.
    pub fn find_cursor(&self, name: &str) -> Result<Option<CursorInfo>, Error> {
        self.look_at_cursor(&ConsumerName::new(name)?)
    }

    /// Takes the cursor `name` to behind `after`: 0 for the start, [`Store::last_sequence`] for now. Every event up to
    /// there counts as processed, those behind it are delivered, again where they were before. A cursor that is refused,
    /// as one of another history, is this store's from then on. What it appended before stays in the log.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no cursor with that name, or `after` is behind the newest event;
    /// [`Error::Locked`] where somebody holds it; else as [`Store::cursor_with`].
    pub fn reset_cursor(&self, name: &str, after: Sequence) -> Result<(), Error> {
        let name = ConsumerName::new(name)?;
        if self.look_at_cursor(&name)?.is_none() {
            return Err(Error::Invalid {
                what: "cursor",
                why: format!("there is none with the name {name}"),
            });
        }
        let place = self.place_to_reset(after)?;
        let mut log = self.hold_cursor(&name, Duration::ZERO)?;
        let logged = self.shared.last_move(Consumer::Cursor, &name);
        let standing = Standing::newest(log.last.as_ref(), logged.as_ref());
        if standing.is_in_log && self.shared.writer.is_none() {
            return Err(Error::ReadOnly);
        }
        let is_in_log = logged.is_some();
        if is_in_log {
            // The moves that it stands on from now on.
            self.sync()?;
        }
        log.save(
            self.id(),
            Standing { number: standing.number + 1, moved: standing.moved, place, is_in_log },
        )?;
        log.close()
    }

    /// Deletes the cursor `name`; returns whether there was one. What it appended stays in the log.
    ///
    /// # Errors
    /// [`Error::Locked`] where somebody holds it; [`Error::ReadOnly`] where its position is in the log and the store
    /// was opened for reading only; [`Error::Invalid`], [`Error::Environment`]. Where it was cut short, the cursor is
    /// gone all the same, or deleting it again finishes.
    pub fn delete_cursor(&self, name: &str) -> Result<bool, Error> {
        let name = ConsumerName::new(name)?;
        let is_begun = self.shared.is_deletion_begun(Consumer::Cursor, &name)?;
        let found = if is_begun { None } else { self.look_at_cursor(&name)? };
        if found.as_ref().is_some_and(|found| found.is_in_log) {
            // Its last move may be one that cannot be seen yet.
            self.shared.writer()?;
        }
        let is_there = is_begun || found.is_some();
        if is_there {
            self.shared.delete_consumer(Consumer::Cursor, &name)?;
        }
        Ok(is_there)
    }

    /// The small log of the cursor `name`, held.
    pub(super) fn hold_cursor(&self, name: &ConsumerName, lock_timeout: Duration) -> Result<SavedLog, Error> {
        let directory = self.shared.hold_directory(Consumer::Cursor, name)?;
        SavedLog::open(directory, lock_timeout)
    }

    fn look_at_cursor(&self, name: &ConsumerName) -> Result<Option<CursorInfo>, Error> {
        let directory = self.shared.consumer_directory(Consumer::Cursor, name, false)?;
        if let Some(directory) = &directory
            && consumer::is_deleted(&**directory)?
        {
            return Ok(None);
        }
        let mut info = CursorInfo::new(name);
        let saved = match directory.as_ref().map(saved::look) {
            Some(Ok(saved)) => saved,
            Some(Err(error)) => {
                info.refused = Some(error.to_string());
                None
            }
            None => None,
        };
        // Behind that: what is saved stands on moves, and on events that somebody else may have seen first.
        self.refresh()?;
        let logged = self.shared.last_move(Consumer::Cursor, name);
        if saved.is_none() && logged.is_none() && info.refused.is_none() {
            return Ok(None);
        }
        info.is_held = match &directory {
            Some(directory) => consumer::is_held(&**directory)?,
            None => false,
        };
        self.judge_cursor(&mut info, name, saved.as_ref(), logged.as_ref())?;
        Ok(Some(info))
    }

    /// Where the cursor is, and whether it would be opened there.
    fn judge_cursor(
        &self,
        info: &mut CursorInfo,
        name: &ConsumerName,
        saved: Option<&CursorRecord>,
        logged: Option<&ConsumerMove>,
    ) -> Result<(), Error> {
        let standing = Standing::newest(saved, logged);
        let place = standing.place;
        info.position = place.sequence;
        info.hash = place.hash;
        info.move_count = standing.number;
        info.is_in_log = standing.is_in_log;
        (info.lag_events, info.lag_millis) = self.shared.lag_behind(place.sequence)?;
        let decided = Standing::decide(name, self.id(), saved, logged);
        let checked = decided.and_then(|_| self.shared.check_place(&title(Consumer::Cursor, name), place));
        match checked {
            Err(error @ Error::Foreign { .. }) => info.refused = Some(error.to_string()),
            other => other?,
        }
        Ok(())
    }
}

impl CursorInfo {
    fn new(name: &ConsumerName) -> Self {
        Self {
            name: name.to_string(),
            position: Sequence(0),
            hash: Digest::NONE,
            move_count: 0,
            is_in_log: false,
            is_held: false,
            lag_events: 0,
            lag_millis: 0,
            refused: None,
        }
    }
}
