//! Looking up an id: of all keys the one that is asked for most often, and nearly always in a single segment.
//!
//! Invariant: an event is found by the whole of its id, also where the index has only the hashes of ids.

use annals_checkpoint::LazyRun;
use annals_wire::{EventId, Key, SieveLook, StoreId};

use super::{Found, Trouble, View};
use crate::{
    part::{OpenPart, Part},
    sync::Arc,
};

/// How many parts are held open at once.
const PARTS_AT_ONCE: usize = 8;

/// At how many runs is looked at once; there are more in a log of over 10^8 events.
const RUNS_AT_ONCE: usize = 16;

/// An id and its hash in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedId {
    pub(crate) id: EventId,
    hash: u32,
}

impl HashedId {
    pub(crate) fn new(id: EventId, store: StoreId) -> Self {
        Self { id, hash: Key::Id(id).hash(store) }
    }
}

impl Part {
    /// The event with `id`, which is read where the index has only the hashes of ids.
    pub(crate) fn find_id(&self, id: HashedId) -> Result<Option<Found>, Trouble> {
        self.find_id_in(&self.open()?, id)
    }

    /// As [`Part::find_id`], where this part is `open`.
    fn find_id_in(
        &self,
        open: &OpenPart<'_>,
        HashedId { id, hash }: HashedId,
    ) -> Result<Option<Found>, Trouble> {
        for candidate in 0.. {
            let found = open.ask(|index| {
                let found = index.find_hashed_id(id, hash)?.at(candidate)?;
                let Some((row, is_known)) = found else { return Ok(None) };
                Ok(index.row(row)?.map(|found| (self.found(row, found.offset), is_known)))
            });
            let found = found.map_err(|error: annals_index::Error| self.trouble(error.to_string()))?;
            let Some((found, is_known)) = found else { break };
            if is_known {
                return Ok(Some(found));
            }
            let event = found.read()?;
            if event.id() == id {
                return Ok(Some(found.with(event)));
            }
        }
        Ok(None)
    }
}

impl View {
    /// The event with `id`.
    pub(crate) fn find_id(&self, id: EventId) -> Result<Option<Found>, Trouble> {
        self.newest_with_id(HashedId::new(id, self.store), self.parts.len())
    }

    /// The event with `id` in the parts before the last.
    pub(crate) fn find_older_id(&self, id: EventId) -> Result<Option<Found>, Trouble> {
        self.newest_with_id(HashedId::new(id, self.store), self.parts.len() - 1)
    }

    /// The event with `id` in the newest of the first `count` parts that has it.
    ///
    /// Nearly all of the time goes by waiting for memory. So the looks at runs, and at parts that no run covers, are
    /// first all made ready, and then taken with nothing in between: the processor fetches what they need at once.
    fn newest_with_id(&self, id: HashedId, count: usize) -> Result<Option<Found>, Trouble> {
        let parts = self.parts.get(..count).unwrap_or_default();
        let (older, newer) = parts.split_at(self.covered_count(parts));
        let mut looks = [None; RUNS_AT_ONCE];
        for (run, look) in self.runs.iter().zip(&mut looks) {
            *look = run.index().ok().and_then(|index| index.look_for(id.hash).ok()?);
        }
        for parts in newer.rchunks(PARTS_AT_ONCE) {
            let found = newest_of(parts, id)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        let may_have = taken(looks);
        let may_have = self.runs.iter().zip(0..).any(|(_, place)| may_have.get(place) != Some(&false));
        if may_have || !self.have_all_runs(older) {
            return self.newest(id.hash, older.len(), |part| part.find_id(id));
        }
        Ok(None)
    }

    /// How many of `parts` lie before the end of the newest run.
    fn covered_count(&self, parts: &[Part]) -> usize {
        let Some(run) = self.runs.last() else { return 0 };
        let is_covered = |part: &Part| part.frames.segment() <= run.range().last;
        parts.iter().rposition(is_covered).map_or(0, |last| last + 1)
    }

    /// Whether each of `parts`, which end where the newest run does, is covered by a run.
    fn have_all_runs(&self, parts: &[Part]) -> bool {
        let first = self.runs.first().map(|run| run.range().first);
        let is_next = |pair: &[Arc<LazyRun>]| match pair {
            [run, next] => run.range().last.next() == Some(next.range().first),
            _ => true,
        };
        parts.first().is_none_or(|part| first.is_some_and(|first| first <= part.frames.segment()))
            && self.runs.windows(2).all(is_next)
    }
}

/// The event with `id` in the newest of a few `parts` that has it.
fn newest_of(parts: &[Part], id: HashedId) -> Result<Option<Found>, Trouble> {
    let mut open = [const { None }; PARTS_AT_ONCE];
    for (part, open) in parts.iter().zip(&mut open) {
        *open = part.open_before();
    }
    let mut looks = [None; PARTS_AT_ONCE];
    for (open, look) in open.iter().zip(&mut looks) {
        *look = open.as_ref().and_then(|open| open.look_for_id(id.hash));
    }
    let may_have = taken(looks);
    for (part, (open, may_have)) in parts.iter().zip(open.iter().zip(may_have)).rev() {
        let found = match open {
            _ if !may_have => None,
            Some(open) => part.find_id_in(open, id)?,
            None => part.find_id(id)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What the looks say: where there is none to take, there may be something.
fn taken<const N: usize>(looks: [Option<SieveLook<'_>>; N]) -> [bool; N] {
    looks.map(|look| look.is_none_or(SieveLook::take))
}
