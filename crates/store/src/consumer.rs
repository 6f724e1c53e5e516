//! What cursors, groups and projections have in common: names, directories below the store's, and positions that are
//! of this store's history or refused.
//!
//! Invariant: a position is believed when the event that it names is there, durable, with the hash that stood there;
//! and where the consumer's own moves in the log are at least those that it stands on. Where both the log and the
//! consumer's own directory have a position, the one with the larger number holds.

mod deletion;
mod place;

use std::{collections::BTreeSet, io, time::Duration};

use annals_checkpoint::note_move;
use annals_segment::{CURSORS, Directory, GROUPS, LOCK, WriteAheadOptions};
use annals_wire::{Batch, Consumer, ConsumerMove, ConsumerName, Control, Digest, Sequence};
use serde::Serializer;

pub(crate) use self::{
    deletion::is_deleted,
    place::{Begin, Place},
};
use crate::{
    Error, Event,
    control::NewControl,
    store::{Shared, lock},
    sync::Arc,
    turn::Turn,
};

/// A consumer's move, encoded, before it has its place in the log.
pub(crate) struct NewMove {
    moved: ConsumerMove,
    record: NewControl,
}

impl NewMove {
    pub(crate) fn new(moved: ConsumerMove) -> Self {
        let record = NewControl::new(Control::ConsumerMove(moved.clone()));
        Self { moved, record }
    }

    /// How many bytes its frame takes at most.
    pub(crate) fn frame_len_max(&self) -> u64 {
        self.record.frame_len_max()
    }

    /// Whether it can follow what the log has of the consumer.
    pub(crate) fn check(&self, turn: &Turn) -> Result<(), Error> {
        let ConsumerMove { consumer, name, number, .. } = &self.moved;
        let last = turn.moves.get(&(*consumer, name.clone())).map_or(0, |last| last.number);
        if *number > last {
            return Ok(());
        }
        let why = format!("{} was moved {last} times, and this is move {number}", title(*consumer, name));
        Err(Error::Invalid { what: "move", why })
    }
}

/// What a consumer is called in messages.
pub(crate) fn title(consumer: Consumer, name: &ConsumerName) -> String {
    let sort = if consumer == Consumer::Cursor { "cursor" } else { "group" };
    format!("the {sort} {name}")
}

/// The name of the directory below the store's in which consumers of this sort have theirs.
fn outer_name(consumer: Consumer) -> &'static str {
    if consumer == Consumer::Cursor { CURSORS } else { GROUPS }
}

/// The most bytes of a record in a consumer's small log: of this version's, and room for those of newer ones, which are
/// refused as such.
const RECORD_BYTES_MAX: usize = 4 << 10;

/// How a consumer's small log is opened.
pub(crate) fn log_options(segment_bytes: u64, lock_timeout: Duration) -> WriteAheadOptions {
    let options = WriteAheadOptions::new().create(true).segment_bytes(segment_bytes);
    options.record_bytes_max(RECORD_BYTES_MAX).lock_timeout(lock_timeout)
}

/// Whether somebody holds the consumer in `directory`.
pub(crate) fn is_held(directory: &dyn Directory) -> Result<bool, annals_segment::Error> {
    let failed = annals_segment::Error::io("look at", directory.path().join(LOCK));
    directory.is_locked(LOCK).map_err(failed)
}

/// A hash as people read it, for `serde`.
pub(crate) fn as_text<S: Serializer>(hash: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

impl Shared {
    /// Stages a move as a part of a batch, or as all of it.
    pub(crate) fn stage_move(&self, turn: &mut Turn, new: &NewMove, batch: Batch) -> Result<(), Error> {
        self.stage_control(turn, &new.record, batch)?;
        note_move(Arc::make_mut(&mut turn.moves), &new.moved);
        Ok(())
    }

    /// The last move of a consumer that the log has.
    pub(crate) fn last_move(&self, consumer: Consumer, name: &ConsumerName) -> Option<ConsumerMove> {
        let key = (consumer, name.clone());
        match &self.writer {
            Some(writer) => lock(&writer.turn).moves.get(&key).cloned(),
            None => self.view().moves.get(&key).cloned(),
        }
    }

    /// The directory of a consumer; made, and its name durable, where `create` says so. `None` where there is none.
    pub(crate) fn consumer_directory(
        &self,
        consumer: Consumer,
        name: &ConsumerName,
        create: bool,
    ) -> Result<Option<Arc<dyn Directory>>, Error> {
        let outer = child(&*self.directory, outer_name(consumer), create)?;
        match outer {
            Some(outer) => child(&*outer, name.as_str(), create),
            None => Ok(None),
        }
    }

    /// The names of the consumers of this sort: of those that have a position in the log, and those that have a directory.
    pub(crate) fn consumer_names(&self, consumer: Consumer) -> Result<BTreeSet<ConsumerName>, Error> {
        let moves = match &self.writer {
            Some(writer) => Arc::clone(&lock(&writer.turn).moves),
            None => Arc::clone(&self.view().moves),
        };
        let moved = moves.keys().filter(|(sort, _)| *sort == consumer).map(|(_, name)| name.clone());
        let mut names: BTreeSet<_> = moved.collect();
        if let Some(outer) = child(&*self.directory, outer_name(consumer), false)? {
            let entries = outer.list().map_err(annals_segment::Error::io("list", outer.path()))?;
            let directories = entries.iter().filter(|entry| !entry.is_file);
            // What else lies there is nobody's.
            names.extend(directories.filter_map(|entry| ConsumerName::new(entry.name.to_str()?).ok()));
        }
        Ok(names)
    }

    /// The event with `sequence`, hidden or not, where it is there and visible.
    pub(crate) fn event_at(&self, sequence: Sequence) -> Result<Option<Event>, Error> {
        if sequence > self.visible_sequence() {
            return Ok(None);
        }
        let event = self.ask(|view| Ok(view.find(sequence)?.map(|found| found.read()).transpose()?))?;
        Ok(event.map(|event| event.with_kinds(&self.kinds)))
    }

    /// The first event that the log has, or will have.
    pub(crate) fn first_sequence(&self) -> Sequence {
        self.view().parts.first().map_or(Sequence(1), |part| part.first_sequence)
    }

    /// How many visible events lie behind `position`, and for how many milliseconds the first of them has been there.
    pub(crate) fn lag_behind(&self, position: Sequence) -> Result<(u64, u64), Error> {
        let events = self.visible_sequence().0.saturating_sub(position.0);
        let first = self.event_at(Sequence(position.0.saturating_add(1)))?;
        let since = first.map(|event| event.recorded().millis());
        let now = self.options.clock.now_millis();
        Ok((events, since.map_or(0, |since| now.saturating_sub(since))))
    }

    fn visible_sequence(&self) -> Sequence {
        self.watch.visible()
    }
}

/// The child `name` of `directory`; `None` where there is none and none is to be made.
pub(crate) fn child(
    directory: &dyn Directory,
    name: &str,
    create: bool,
) -> Result<Option<Arc<dyn Directory>>, Error> {
    let failed = |error| annals_segment::Error::io("open", directory.path().join(name))(error).into();
    match directory.child(name) {
        // Also where it is there: who made it may have died before the sync.
        Ok(child) if create => directory.sync().map(|()| Some(child)).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
            let made = directory.create_child(name).map_err(failed)?;
            directory.sync().map(|()| Some(made)).map_err(failed)
        }
        Ok(child) => Ok(Some(child)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) && !create =>
        {
            Ok(None)
        }
        Err(error) => Err(failed(error)),
    }
}
