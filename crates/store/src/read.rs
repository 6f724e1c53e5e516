//! Reading: lazy iterators over a stream or a query, forwards and backwards.
//!
//! Invariant: an iterator shows what was visible when it was made, each event once, in order; it looks ahead
//! by a bounded number of rows. After an error it ends: no event behind it is shown as if nothing were.

use std::{collections::VecDeque, ops::Range};

use annals_index::{Direction, Query};
use annals_wire::{Coordinate, Lane, Revision, Sequence};

use crate::{
    Error, Event,
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
    /// The events of a query within a range of sequences, of which the start is included and the end is not.
    Query(Query, Range<u64>),
    /// The events of a stream within a range of revisions.
    Stream(Coordinate, Lane, Range<u64>),
}

impl Events {
    pub(crate) fn query(shared: Arc<Shared>, query: Query) -> Self {
        let visible = shared.visible.load(Ordering::Acquire);
        Self::new(shared, Source::Query(query, 1..visible.saturating_add(1)), Sequence(visible))
    }

    pub(crate) fn stream(shared: Arc<Shared>, coordinate: &Coordinate, lane: Lane) -> Self {
        let visible = shared.visible.load(Ordering::Acquire);
        Self::new(shared, Source::Stream(coordinate.clone(), lane, 1..u64::MAX), Sequence(visible))
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
        if let Source::Query(_, range) = &mut self.source {
            range.start = range.start.max(sequence.0.saturating_add(1));
        }
        self
    }

    /// Only events up to and including `sequence`. For a stream, nothing changes.
    pub fn until(mut self, sequence: Sequence) -> Self {
        if let Source::Query(_, range) = &mut self.source {
            range.end = range.end.min(sequence.0.saturating_add(1));
        }
        self
    }

    /// Begins at `revision`: forwards with it and what follows, backwards with it and what came before. For a
    /// query, nothing changes. Call it after [`Events::backwards`].
    pub fn from(mut self, revision: Revision) -> Self {
        if let Source::Stream(_, _, range) = &mut self.source {
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
                Source::Query(query, range) => self.query_rows(view, query, range, limit)?,
                Source::Stream(coordinate, lane, range) => {
                    self.stream_rows(view, coordinate, *lane, range, limit)?
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
        range: &mut Range<u64>,
        limit: usize,
    ) -> Result<Vec<Found>, Trouble> {
        while !range.is_empty() && !view.parts.is_empty() {
            let edge = match self.direction {
                Direction::Forward => range.start,
                Direction::Backward => range.end - 1,
            };
            let Some(part) = view.parts.get(view.part_of(Sequence(edge))) else { break };
            let first = part.first_sequence.0;
            let visible = part.visible_rows(self.visible);
            let row = |sequence: u64| {
                u32::try_from(sequence.saturating_sub(first)).unwrap_or(u32::MAX).min(visible)
            };
            let rows = row(range.start)..row(range.end);
            let begun = part.begun(query, rows.clone())?;
            let mut selected = Vec::new();
            let found = part.try_ask(|index| {
                query.select(index, &begun, rows.clone(), self.direction, limit, &mut selected)?;
                let offset = |row: &u32| Ok(index.row(*row)?.map(|found| part.found(*row, found.offset)));
                selected.iter().filter_map(|row| offset(row).transpose()).collect::<Result<Vec<_>, _>>()
            })?;
            let before = range.clone();
            let is_whole = found.len() < limit;
            match (self.direction, found.last()) {
                (Direction::Forward, Some(last)) if !is_whole => range.start = last.sequence.0 + 1,
                (Direction::Backward, Some(last)) if !is_whole => range.end = last.sequence.0,
                (Direction::Forward, _) => {
                    range.start = range.start.max(first.saturating_add(u64::from(rows.end).max(1)));
                }
                (Direction::Backward, _) => range.end = range.end.min(first),
            }
            assert_ne!(*range, before, "every part that is asked is left behind");
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    fn stream_rows(
        &self,
        view: &View,
        coordinate: &Coordinate,
        lane: Lane,
        range: &mut Range<u64>,
        limit: usize,
    ) -> Result<Vec<Found>, Trouble> {
        let key = coordinate.stream(lane);
        let mut parts: Vec<_> = view.parts.iter().collect();
        if self.direction == Direction::Backward {
            parts.reverse();
        }
        for part in parts {
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
        Some(event.map_err(Error::from))
    }
}
