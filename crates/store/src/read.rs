//! Reading: lazy iterators over a stream or a query, forwards and backwards.
//!
//! Invariant: an iterator shows what was visible when it was made, each event once, in order; it looks ahead
//! by a bounded number of rows. After an error it ends: no event behind it is shown as if nothing were.

use std::{collections::VecDeque, ops::Range};

use annals_index::{Direction, Query};
use annals_wire::{Coordinate, Key, Lane, Revision, Sequence, StreamKey};

use crate::{
    Error, Event,
    part::Part,
    store::Shared,
    sync::{Arc, Ordering},
    view::{Found, Trouble, View},
};

const ROWS_AHEAD_FIRST: usize = 16;
const ROWS_AHEAD_MAX: usize = 512;

/// Events, read as they are asked for.
#[derive(Debug)]
#[must_use = "nothing is read before it is asked for"]
pub struct Events {
    shared: Arc<Shared>,
    source: Source,
    direction: Direction,
    /// The newest event that was visible when the iterator was made.
    visible: Sequence,
    remaining: u64,
    ahead: VecDeque<Found>,
    rows_ahead: usize,
    is_done: bool,
}

/// What is read, and what of it is still to come.
#[derive(Debug, Clone)]
enum Source {
    /// The events of a query within a range of sequences, of which the start is included and the end is not; and
    /// its keys, by which runs are asked.
    Query(Query, Vec<Vec<u32>>, Range<u64>),
    /// The events of a stream within a range of revisions and a range of sequences.
    Stream(Coordinate, Lane, Range<u64>, Range<u64>),
}

impl Events {
    pub(crate) fn query(shared: Arc<Shared>, query: Query) -> Self {
        let visible = shared.visible.load(Ordering::Acquire);
        let keys = query.key_sets(shared.report.store);
        Self::new(shared, Source::Query(query, keys, 1..visible.saturating_add(1)), Sequence(visible))
    }

    pub(crate) fn stream(shared: Arc<Shared>, coordinate: &Coordinate, lane: Lane) -> Self {
        let visible = shared.visible.load(Ordering::Acquire);
        let sequences = 1..visible.saturating_add(1);
        let source = Source::Stream(coordinate.clone(), lane, 1..u64::MAX, sequences);
        Self::new(shared, source, Sequence(visible))
    }

    fn new(shared: Arc<Shared>, source: Source, visible: Sequence) -> Self {
        Self {
            shared,
            source,
            direction: Direction::Forward,
            visible,
            remaining: u64::MAX,
            ahead: VecDeque::new(),
            rows_ahead: ROWS_AHEAD_FIRST,
            is_done: false,
        }
    }

    /// The newest first.
    pub fn backwards(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// At most `count` events.
    pub fn limit(mut self, count: u64) -> Self {
        self.remaining = count;
        self
    }

    /// Only events after `sequence`: those with a larger one, whichever direction they are read in. For a
    /// stream, nothing changes.
    pub fn after(mut self, sequence: Sequence) -> Self {
        if let Source::Query(_, _, range) = &mut self.source {
            range.start = range.start.max(sequence.0.saturating_add(1));
        }
        self
    }

    /// Only events up to and including `sequence`. For a stream, nothing changes.
    pub fn until(mut self, sequence: Sequence) -> Self {
        if let Source::Query(_, _, range) = &mut self.source {
            range.end = range.end.min(sequence.0.saturating_add(1));
        }
        self
    }

    /// Begins at `revision`: forwards with it and what follows, backwards with it and what came before. For a
    /// query, nothing changes. Call it after [`Events::backwards`].
    pub fn from(mut self, revision: Revision) -> Self {
        if let Source::Stream(_, _, range, _) = &mut self.source {
            match self.direction {
                Direction::Forward => range.start = range.start.max(revision.0),
                Direction::Backward => range.end = range.end.min(revision.0.saturating_add(1)),
            }
        }
        self
    }

    /// Finds the next events; false where there are none.
    fn look_ahead(&mut self) -> Result<bool, Error> {
        let shared = Arc::clone(&self.shared);
        let limit = self.rows_ahead.min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let (found, source) = shared.ask(|view| {
            let mut source = self.source.clone();
            let found = match &mut source {
                Source::Query(query, keys, range) => self.query_rows(view, query, keys, range, limit)?,
                Source::Stream(coordinate, lane, range, sequences) => {
                    let key = coordinate.stream(*lane);
                    self.stream_rows(view, key, range, sequences, limit)?
                }
            };
            Ok((found, source))
        })?;
        self.source = source;
        self.rows_ahead = (self.rows_ahead * 2).min(ROWS_AHEAD_MAX);
        self.ahead = found.into();
        Ok(!self.ahead.is_empty())
    }

    fn query_rows(
        &self,
        view: &View,
        query: &Query,
        keys: &[Vec<u32>],
        range: &mut Range<u64>,
        limit: usize,
    ) -> Result<Vec<Found>, Trouble> {
        while let Some(part) = self.next_part(view, keys, range)? {
            let first = part.first_sequence.0;
            let visible = part.visible_rows(self.visible);
            let row = |sequence: u64| {
                u32::try_from(sequence.saturating_sub(first)).unwrap_or(u32::MAX).min(visible)
            };
            let rows = row(range.start)..row(range.end);
            let begun = part.begun(view.store, query, rows.clone())?;
            let mut selected = Vec::new();
            let found = part.try_ask(|index| {
                query.select(index, &begun, rows.clone(), self.direction, limit, &mut selected)?;
                let offset = |row: &u32| Ok(index.row(*row)?.map(|found| part.found(*row, found.offset)));
                selected.iter().filter_map(|row| offset(row).transpose()).collect::<Result<Vec<_>, _>>()
            })?;
            self.leave(part, &found, found.len() < limit, visible, range);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// The next part that may hold events of `range` with `keys`; `range` begins or ends with it then.
    fn next_part<'v>(
        &self,
        view: &'v View,
        keys: &[impl AsRef<[u32]>],
        range: &mut Range<u64>,
    ) -> Result<Option<&'v Part>, Trouble> {
        if range.is_empty() {
            return Ok(None);
        }
        let edge = match self.direction {
            Direction::Forward => range.start,
            Direction::Backward => range.end - 1,
        };
        let place = view.next_part(keys, view.part_of(Sequence(edge)), self.direction)?;
        let Some((place, part)) = place.and_then(|place| Some((place, view.parts.get(place)?))) else {
            return Ok(None);
        };
        match self.direction {
            Direction::Forward => range.start = range.start.max(part.first_sequence.0),
            Direction::Backward => {
                let behind = view.parts.get(place + 1).map_or(u64::MAX, |next| next.first_sequence.0);
                range.end = range.end.min(behind);
            }
        }
        Ok(Some(part).filter(|_| !range.is_empty()))
    }

    /// Takes what was `found` in `part` out of `range`; or where that is all that it has, the whole part, of which
    /// `visible` rows can be seen.
    fn leave(&self, part: &Part, found: &[Found], is_whole: bool, visible: u32, range: &mut Range<u64>) {
        let (before, first) = (range.clone(), part.first_sequence.0);
        match (self.direction, found.last()) {
            (Direction::Forward, Some(last)) if !is_whole => range.start = last.sequence.0 + 1,
            (Direction::Backward, Some(last)) if !is_whole => range.end = last.sequence.0,
            (Direction::Forward, _) => {
                range.start = range.start.max(first.saturating_add(u64::from(visible).max(1)));
            }
            (Direction::Backward, _) => range.end = range.end.min(first),
        }
        assert_ne!(*range, before, "every part that is asked is left behind");
    }

    fn stream_rows(
        &self,
        view: &View,
        key: StreamKey<'_>,
        range: &mut Range<u64>,
        sequences: &mut Range<u64>,
        limit: usize,
    ) -> Result<Vec<Found>, Trouble> {
        let keys = [[Key::Coordinate { scope: key.scope, entity: key.entity }.hash(view.store)]];
        while let Some(part) = self.next_part(view, &keys, sequences)? {
            let visible = part.visible_rows(self.visible);
            let found = part.try_ask(|index| {
                let Some(stream) = index.find_stream(key)? else { return Ok(Vec::new()) };
                let first = stream.first_revision.0;
                let count = stream.rows.lower_bound(visible)? as u64;
                let wanted = range.start.max(first)..range.end.min(first + count);
                let mut found = Vec::new();
                let mut take = |revision: u64| {
                    let place = usize::try_from(revision - first).unwrap_or(usize::MAX);
                    let Some(row) = stream.rows.at(place)? else { return Ok(()) };
                    found.extend(index.row(row)?.map(|place| part.found(row, place.offset)));
                    Ok::<_, annals_index::Error>(())
                };
                match self.direction {
                    Direction::Forward => wanted.take(limit).try_for_each(&mut take)?,
                    Direction::Backward => wanted.rev().take(limit).try_for_each(&mut take)?,
                }
                match self.direction {
                    Direction::Forward => range.start = range.start.max(first) + found.len() as u64,
                    Direction::Backward => range.end = range.end.min(first + count) - found.len() as u64,
                }
                Ok(found)
            })?;
            self.leave(part, &found, found.len() < limit, visible, sequences);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done || self.remaining == 0 {
            return None;
        }
        if self.ahead.is_empty() {
            match self.look_ahead() {
                Ok(true) => {}
                Ok(false) => {
                    self.is_done = true;
                    return None;
                }
                Err(error) => {
                    self.is_done = true;
                    return Some(Err(error));
                }
            }
        }
        let found = self.ahead.pop_front()?;
        self.remaining -= 1;
        let event = found.read();
        self.is_done = event.is_err();
        Some(event.map(|event| event.with_kinds(&self.shared.kinds)).map_err(Error::from))
    }
}
