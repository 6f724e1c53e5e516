//! Moments: which events were there at a time.
//!
//! Invariant: the clock grows with the sequence, so that a time is a place in the log. It is found by the tables of a
//! logarithmic number of parts; in the one where it lies, fewer than nine events are read.

use annals_index::Query;
use annals_wire::{Recorded, Sequence};

use crate::{
    Error, Store,
    part::Part,
    view::{Trouble, View},
};

impl Store {
    /// The newest event that was recorded at `time` or earlier, of those that can be read; 0 where there is none. The
    /// times of a store grow with its sequences.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let at = Coordinate::new("account:7", "bank")?;
    /// let opened = store.append(&NewEvent::new(&at, store.kind("booked")?, b"opened"))?;
    /// store.append(&NewEvent::new(&at, store.kind("paid")?, b"paid"))?;
    /// assert_eq!(store.sequence_at(opened.recorded)?, Sequence(1));
    /// assert_eq!(store.sequence_at(Recorded::end_of_millis(0))?, Sequence(0), "in 1970");
    /// assert_eq!(store.stream(&at).recorded_until(opened.recorded).count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`].
    pub fn sequence_at(&self, time: Recorded) -> Result<Sequence, Error> {
        let visible = self.last_sequence();
        let (first, behind) = self.shared.ask(|view| {
            let first = view.parts.first().map_or(Sequence(1), |part| part.first_sequence);
            Ok((first, view.first_recorded_after(time)?))
        })?;
        Ok(if behind <= first { Sequence(0) } else { Sequence(behind.0 - 1).min(visible) })
    }
}

impl View {
    /// Where the times lie that `query` names: for each, the first event that was recorded later.
    pub(crate) fn times(&self, query: &Query) -> Result<Vec<(Recorded, Sequence)>, Trouble> {
        query.times().map(|time| Ok((time, self.first_recorded_after(time)?))).collect()
    }

    /// The sequence of the first event that was recorded later than `time`, or of the next event where there is none.
    pub(crate) fn first_recorded_after(&self, time: Recorded) -> Result<Sequence, Trouble> {
        // The first part that begins later than that; it lies in the one before.
        let (mut low, mut high) = (0, self.parts.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.begins_later(middle, time)? { high = middle } else { low = middle + 1 }
        }
        match low.checked_sub(1).and_then(|before| self.parts.get(before)) {
            Some(part) => part.first_recorded_after(time),
            None => Ok(self.parts.first().map_or(Sequence(1), |part| part.first_sequence)),
        }
    }

    /// Whether the first event from the part at `place` on was recorded later than `time`, or there is none.
    fn begins_later(&self, place: usize, time: Recorded) -> Result<bool, Trouble> {
        let Some(part) = self.parts.get(place) else { return Ok(true) };
        // A part without events begins where the next one does, and its own tables say nothing.
        let with_events = self.parts.get(self.part_of(part.first_sequence)).unwrap_or(part);
        let Some(later) = later_than(time) else { return Ok(with_events.row_count() == 0) };
        Ok(with_events.try_ask(|index| index.rows_at(later))?.end == 0)
    }
}

impl Part {
    /// Where the times lie that `query` names, as far as it matters here.
    pub(crate) fn times(&self, query: &Query) -> Result<Vec<(Recorded, Sequence)>, Trouble> {
        query.times().map(|time| Ok((time, self.first_recorded_after(time)?))).collect()
    }

    /// The sequence of the first event here that was recorded later than `time`, or the one behind all.
    fn first_recorded_after(&self, time: Recorded) -> Result<Sequence, Trouble> {
        let mut rows = match later_than(time) {
            Some(later) => self.try_ask(|index| index.rows_at(later))?,
            None => self.row_count()..self.row_count(),
        };
        while !rows.is_empty() {
            let middle = rows.start + (rows.end - rows.start) / 2;
            let found =
                self.try_ask(|index| Ok(index.row(middle)?.map(|row| self.found(middle, row.offset))))?;
            match found {
                Some(found) if found.read()?.recorded() <= time => rows.start = middle + 1,
                _ => rows.end = middle,
            }
        }
        Ok(Sequence(self.first_sequence.0.saturating_add(u64::from(rows.end))))
    }
}

/// The earliest time after `time`.
fn later_than(time: Recorded) -> Option<Recorded> {
    time.0.checked_add(1).map(Recorded)
}
