//! Following a log that somebody else writes, in this process or another: what is durable, in order, once.
//!
//! Invariant: writes nothing and takes no lock. Only what is durable is shown: as far as the live writer says,
//! or where none lives, as far as there is proof.

use std::sync::Arc;

use annals_wire::{Chain, Frontier, LogPosition, Sequence};

use super::{
    FRAME_TYPES, Replayed,
    replay::{Stretch, enter, read, start_of},
};
use crate::{
    Directory, Error, Inventory, Layout, Newest, Outside, Position, SealedPlace, Tail, live_epoch,
    read_frontier,
};

/// A reader that meets a writer in the middle of a rotation or a recovery looks again this often.
const ATTEMPTS: usize = 20;

/// A reader of a log that others write.
#[derive(Debug)]
pub struct Follower {
    directory: Arc<dyn Directory>,
    at: Option<LogPosition>,
    /// The segment that it lies in, where that was the newest when it was read.
    newest: Option<SealedPlace>,
    /// The last record that was shown.
    shown: Sequence,
}

impl Follower {
    /// A follower from the log's first record on.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory, at: None, newest: None, shown: Sequence(0) }
    }

    /// A follower from `position` on, which the log's writer or another follower has returned.
    #[must_use]
    pub fn from(directory: Arc<dyn Directory>, position: LogPosition) -> Self {
        Self { directory, at: Some(position), newest: None, shown: position.sequence }
    }

    /// The position behind what was shown; `None` before the first poll.
    #[must_use]
    pub fn position(&self) -> Option<LogPosition> {
        self.at
    }

    /// Shows `visit` every record and mark that became durable since the last poll; returns how many records.
    /// Does not wait: where nothing new is there, two small reads tell.
    ///
    /// # Errors
    /// [`Error::NotHeld`] where records were dropped before they were shown; [`Error::Corrupt`],
    /// [`Error::Mismatch`] or [`Error::Io`] where the log cannot be read; whatever `visit` returns. Polling again
    /// goes on behind the last record that was shown.
    pub fn poll<E: From<Error>>(
        &mut self,
        mut visit: impl FnMut(Replayed<'_>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let Some(stretches) = self.look()? else { return Ok(0) };
        let Some(first) = stretches.first() else { return Ok(0) };
        let from = match self.at {
            Some(at) => self.enter(&stretches, at)?,
            None => start_of(&first.place),
        };
        let (mut count, shown) = (0, &mut self.shown);
        let at = read(&*self.directory, &stretches, from, &mut |replayed| {
            if let Replayed::Record { sequence, .. } = replayed {
                if sequence <= *shown {
                    return Ok(());
                }
                visit(replayed)?;
                *shown = sequence;
                count += 1;
                return Ok(());
            }
            visit(replayed)
        })?;
        self.at = Some(at);
        self.newest = stretches.last().map(|stretch| stretch.place).filter(|place| place.id == at.segment);
        Ok(count)
    }

    /// A position within a segment that is still there was read up to by this follower; another is checked.
    fn enter(&self, stretches: &[Stretch], at: LogPosition) -> Result<LogPosition, Error> {
        let is_read =
            self.shown == at.sequence && stretches.iter().any(|stretch| stretch.place.id == at.segment);
        if is_read { Ok(at) } else { enter(&*self.directory, stretches, at) }
    }

    /// What there is to read; `None` where there is nothing new.
    fn look(&self) -> Result<Option<Vec<Stretch>>, Error> {
        let mut attempt = 0;
        loop {
            let epoch = live_epoch(&*self.directory)?;
            let frontier = match epoch {
                Some(epoch) => read_frontier(&*self.directory, epoch)?,
                None => None,
            };
            let has_news = |frontier: Frontier| self.at.is_none() || frontier.visible > self.shown;
            if frontier.is_some_and(|frontier| !has_news(frontier)) {
                return Ok(None);
            }
            let found = self.stretches(frontier);
            let has_changed = live_epoch(&*self.directory)? != epoch;
            match found {
                Ok(found) if !has_changed => return Ok(Some(found)),
                Err(error) if epoch.is_none() && !has_changed => return Err(error),
                Err(error) if attempt >= ATTEMPTS => return Err(error),
                _ if attempt >= ATTEMPTS => return Ok(None),
                _ => attempt += 1,
            }
        }
    }

    /// The segments from where this follower stands, the newest as far as it may be read.
    fn stretches(&self, frontier: Option<Frontier>) -> Result<Vec<Stretch>, Error> {
        if let (Some(newest), Some(frontier)) = (self.newest, frontier)
            && newest.id == frontier.segment
        {
            // The writer is where it was: no need to look at the others.
            let place = SealedPlace { end: frontier.end, ..newest };
            return Ok(vec![Stretch { place, is_chain_known: false }]);
        }
        let inventory = Inventory::take(&*self.directory)?;
        let upto = frontier.map(|frontier| frontier.segment);
        let layout = Layout::decide(&inventory, self.directory.path(), upto)?;
        let sealed = layout.sealed.iter().map(|place| Stretch { place: *place, is_chain_known: true });
        let mut stretches: Vec<_> = sealed.collect();
        if let Some(newest) = &layout.newest {
            let end = match frontier.filter(|frontier| frontier.segment == newest.header.id) {
                Some(frontier) => frontier.end,
                None => self.proven_end(newest)?,
            };
            stretches.push(Stretch { place: place_of(newest, end), is_chain_known: false });
        }
        Ok(stretches)
    }

    /// How far there is proof that the newest segment is durable.
    fn proven_end(&self, newest: &Newest) -> Result<u64, Error> {
        let at = self.at.filter(|at| at.segment == newest.header.id && at.sequence == self.shown);
        let start = at.map(|at| Position {
            offset: at.offset,
            chain: at.chain,
            next_sequence: Sequence(at.sequence.0 + 1),
        });
        let checkpoint_end = at.map_or(0, |at| at.offset);
        let outside = Outside { start, checkpoint_end, frontier_end: None };
        let tail = Tail::walk(&*self.directory, newest, outside, FRAME_TYPES, &mut |_, _| Ok(()))?;
        Ok(tail.proven)
    }
}

fn place_of(newest: &Newest, end: u64) -> SealedPlace {
    SealedPlace {
        store: newest.header.store,
        id: newest.header.id,
        generation: newest.header.generation,
        first_sequence: newest.header.first_sequence,
        end,
        chain: Chain::default(),
    }
}
