//! A walk over the parts of a view: which part comes next, and what of it.
//!
//! Invariant: every part that is asked is left behind, or what was found in it is; so a walk ends. What forged tables
//! give out of order is damage.

use std::ops::Range;

use annals_index::{Direction, Hidden, Index, Known, Query, StreamView};
use annals_wire::{Recorded, Sequence, StoreId, StreamKey};

use crate::{
    part::Part,
    view::{Found, Trouble, View},
};

static NOTHING: Hidden = Hidden::new();

/// What is still to come.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    pub(crate) direction: Direction,
    /// The newest event that was visible when the iterator was made.
    pub(crate) visible: Sequence,
    /// The start is included and the end is not.
    pub(crate) sequences: Range<u64>,
    /// Of a stream; likewise.
    pub(crate) revisions: Range<u64>,
    /// Whether hidden events are found too.
    pub(crate) with_hidden: bool,
}

/// What a query is asked with.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) query: Query,
    /// By which runs are asked.
    pub(crate) keys: Vec<Vec<u32>>,
    /// Where the times lie that it names.
    pub(crate) times: Vec<(Recorded, Sequence)>,
}

impl Walk {
    /// The next events of a query, at most `limit`.
    pub(crate) fn find(&mut self, view: &View, asked: &Asked, limit: usize) -> Result<Vec<Found>, Trouble> {
        while let Some((part, rows)) = self.next_part(view, &asked.keys)? {
            let known = self.known(view.store, part, asked, &rows)?;
            let mut selected = Vec::new();
            let found = part.try_ask(|index| {
                let query = &asked.query;
                query.select(index, &known, rows.clone(), self.direction, limit, &mut selected)?;
                let offset = |row: &u32| Ok(index.row(*row)?.map(|found| part.found(*row, found.offset)));
                selected.iter().filter_map(|row| offset(row).transpose()).collect::<Result<Vec<_>, _>>()
            })?;
            self.leave(part, found.last().filter(|_| found.len() == limit));
            let shown = self.shown(view, found);
            if !shown.is_empty() {
                return Ok(shown);
            }
        }
        Ok(Vec::new())
    }

    /// Those of `found` that are not hidden.
    fn shown(&self, view: &View, mut found: Vec<Found>) -> Vec<Found> {
        let hidden = self.hidden(view);
        if !hidden.is_empty() {
            found.retain(|found| !hidden.contains(found.sequence));
        }
        found
    }

    /// What this walk does not find.
    fn hidden<'v>(&self, view: &'v View) -> &'v Hidden {
        if self.with_hidden { &NOTHING } else { &view.hidden }
    }

    /// How many events of a query there are; at least `limit` where there are more.
    pub(super) fn count(&mut self, view: &View, asked: &Asked, limit: u64) -> Result<u64, Trouble> {
        let mut count = 0;
        while count < limit
            && let Some((part, rows)) = self.next_part(view, &asked.keys)?
        {
            // What is shown, stretch by stretch.
            let first = part.first_sequence.0;
            let mut left = first + u64::from(rows.start)..first + u64::from(rows.end);
            loop {
                let shown = self.hidden(view).first_shown(left.clone());
                if shown.is_empty() {
                    break;
                }
                let row = |sequence: u64| u32::try_from(sequence - first).unwrap_or(u32::MAX);
                count += self.count_rows(view, asked, part, row(shown.start)..row(shown.end))?;
                left.start = shown.end;
            }
            self.leave(part, None);
        }
        Ok(count)
    }

    fn count_rows(&self, view: &View, asked: &Asked, part: &Part, rows: Range<u32>) -> Result<u64, Trouble> {
        if asked.query.is_everything() {
            return Ok(rows.len() as u64);
        }
        let known = self.known(view.store, part, asked, &rows)?;
        part.try_ask(|index| asked.query.count(index, &known, rows.clone()))
    }

    fn known(&self, store: StoreId, part: &Part, asked: &Asked, rows: &Range<u32>) -> Result<Known, Trouble> {
        Ok(Known { begun: part.begun(store, &asked.query, rows.clone())?, times: asked.times.clone() })
    }

    /// The next events of the stream `key`, at most `limit`.
    pub(super) fn find_in_stream(
        &mut self,
        view: &View,
        key: StreamKey<'_>,
        limit: usize,
    ) -> Result<Vec<Found>, Trouble> {
        let hash = view.coordinate_hash(key);
        while let Some((part, rows)) = self.next_part(view, &[[hash]])? {
            let rows_of = |index: &dyn Index| match index.find_hashed_stream(key, hash)? {
                Some(stream) => self.stream_rows(part, index, &stream, rows, limit),
                None => Ok((Vec::new(), self.revisions.clone())),
            };
            let (found, revisions) = part.try_ask(rows_of)?;
            self.revisions = revisions;
            self.leave(part, found.last().filter(|_| found.len() == limit));
            let shown = self.shown(view, found);
            if !shown.is_empty() {
                return Ok(shown);
            }
        }
        Ok(Vec::new())
    }

    /// How many events of the stream `key` there are that are not hidden.
    pub(super) fn count_stream(&self, view: &View, key: StreamKey<'_>) -> Result<u64, Trouble> {
        let mut count = self.count_all_of_stream(view, key)?;
        for range in self.hidden(view).ranges() {
            if count == 0 {
                break;
            }
            let (start, end) = (range.first().0, range.last().0.saturating_add(1));
            let sequences = self.sequences.start.max(start)..self.sequences.end.min(end);
            if !sequences.is_empty() {
                let hidden = Self { sequences, ..self.clone() }.count_all_of_stream(view, key)?;
                count = count.saturating_sub(hidden);
            }
        }
        Ok(count)
    }

    /// The same with those that are hidden: its revisions have no gap, so the first and the last say it.
    fn count_all_of_stream(&self, view: &View, key: StreamKey<'_>) -> Result<u64, Trouble> {
        let [mut first, mut last] = [Direction::Forward, Direction::Backward].map(|direction| Self {
            direction,
            with_hidden: true,
            ..self.clone()
        });
        let is_there = !first.find_in_stream(view, key, 1)?.is_empty();
        if !is_there || last.find_in_stream(view, key, 1)?.is_empty() {
            return Ok(0);
        }
        // Each walk went on behind what it found.
        Ok((last.revisions.end + 2).saturating_sub(first.revisions.start))
    }

    /// The next events of `stream` among `rows` of `part`, and the revisions that come after them.
    fn stream_rows(
        &self,
        part: &Part,
        index: &dyn Index,
        stream: &StreamView<'_>,
        mut rows: Range<u32>,
        limit: usize,
    ) -> Result<(Vec<Found>, Range<u64>), annals_index::Error> {
        let mut left = self.revisions.clone();
        let first = stream.first_revision.0;
        let revision = |row| Ok(first + stream.rows.lower_bound(row)? as u64);
        let mut wanted = left.start.max(revision(rows.start)?)..left.end.min(revision(rows.end)?);
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(revision) = self.direction.step(&mut wanted)
        {
            let place = usize::try_from(revision - first).unwrap_or(usize::MAX);
            let placed = index.placed(&stream.rows, place)?.filter(|(row, _)| rows.contains(row));
            let (row, offset) =
                placed.ok_or(annals_index::Error::invalid("stream rows", "out of order, or not there"))?;
            match self.direction {
                Direction::Forward => (rows.start, left.start) = (row + 1, revision + 1),
                Direction::Backward => (rows.end, left.end) = (row, revision),
            }
            found.push(part.found(row, offset));
        }
        Ok((found, left))
    }

    /// Leaves out the parts before the one with the revision that the walk begins with, if it begins with one. Asks a
    /// number of parts that is logarithmic in all, as long as runs say where the stream is.
    pub(super) fn seek(&mut self, view: &View, key: StreamKey<'_>) -> Result<(), Trouble> {
        let revision = match self.direction {
            Direction::Forward => self.revisions.start,
            Direction::Backward => self.revisions.end.saturating_sub(1),
        };
        let is_bound = match self.direction {
            Direction::Forward => revision > 1,
            Direction::Backward => self.revisions.end < u64::MAX,
        };
        if !is_bound || self.sequences.is_empty() {
            return Ok(());
        }
        let place = self.last_part_upto(view, key, revision)?;
        let begin = |place: usize| view.parts.get(place).map(|part| part.first_sequence.0);
        match (self.direction, place) {
            (Direction::Forward, None) => {}
            (Direction::Forward, Some(place)) => {
                self.sequences.start = self.sequences.start.max(begin(place).unwrap_or(0));
            }
            (Direction::Backward, None) => self.sequences.end = self.sequences.start,
            (Direction::Backward, Some(place)) => {
                self.sequences.end = self.sequences.end.min(begin(place + 1).unwrap_or(u64::MAX));
            }
        }
        Ok(())
    }

    /// The place of the last part within the walk in which the stream `key` has `revision` or an earlier one.
    fn last_part_upto(
        &self,
        view: &View,
        key: StreamKey<'_>,
        revision: u64,
    ) -> Result<Option<usize>, Trouble> {
        let (mut low, mut last) = (view.part_of(Sequence(self.sequences.start)), None);
        let mut high = view.part_of(Sequence(self.sequences.end - 1)) + 1;
        while low < high {
            let middle = low + (high - low) / 2;
            match view.next_of_stream(key, middle..high)? {
                Some((place, first)) if first.0 <= revision => (last, low) = (Some(place), place + 1),
                _ => high = middle,
            }
        }
        Ok(last)
    }

    /// The next part that may hold events with `keys`, and which of its rows are wanted. The walk then begins with
    /// that part.
    fn next_part<'v>(
        &mut self,
        view: &'v View,
        keys: &[impl AsRef<[u32]>],
    ) -> Result<Option<(&'v Part, Range<u32>)>, Trouble> {
        if self.sequences.is_empty() {
            return Ok(None);
        }
        let edge = match self.direction {
            Direction::Forward => self.sequences.start,
            Direction::Backward => self.sequences.end - 1,
        };
        let place = view.next_part(keys, view.part_of(Sequence(edge)), self.direction)?;
        let Some((place, part)) = place.and_then(|place| Some((place, view.parts.get(place)?))) else {
            return Ok(None);
        };
        let range = &mut self.sequences;
        match self.direction {
            Direction::Forward => range.start = range.start.max(part.first_sequence.0),
            Direction::Backward => {
                let behind = view.parts.get(place + 1).map_or(u64::MAX, |next| next.first_sequence.0);
                range.end = range.end.min(behind);
            }
        }
        // Before the first part there may be events that are gone.
        if range.is_empty() || range.end <= part.first_sequence.0 {
            return Ok(None);
        }
        let (first, visible) = (part.first_sequence.0, part.visible_rows(self.visible));
        let row =
            |sequence: u64| u32::try_from(sequence.saturating_sub(first)).unwrap_or(u32::MAX).min(visible);
        Ok(Some((part, row(range.start)..row(range.end))))
    }

    /// Goes on behind the event `last` of `part`; or where there is none, behind all of the part.
    fn leave(&mut self, part: &Part, last: Option<&Found>) {
        let (before, first) = (self.sequences.clone(), part.first_sequence.0);
        let rows = u64::from(part.visible_rows(self.visible));
        match (self.direction, last) {
            (Direction::Forward, Some(last)) => self.sequences.start = last.sequence.0 + 1,
            (Direction::Backward, Some(last)) => self.sequences.end = last.sequence.0,
            (Direction::Forward, None) => {
                self.sequences.start = before.start.max(first.saturating_add(rows.max(1)));
            }
            (Direction::Backward, None) => self.sequences.end = before.end.min(first),
        }
        assert_ne!(self.sequences, before, "every part that is asked is left behind");
    }
}
