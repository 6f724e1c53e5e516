//! What an append may demand of the whole store: that no event matches a query after a sequence, and where streams
//! are that it does not write. The rules are those of dynamic consistency boundaries (dcb.events).
//!
//! Invariant: what a condition asks of sealed parts is asked before the turn, and what grew since within it; so that
//! the check, the sequences and the write are one step.

use std::ops::Range;

use annals_index::{Direction, Known, Query};
use annals_wire::{Coordinate, Recorded, Revision, Sequence};

use crate::{
    Error, Expected,
    part::Part,
    view::{Trouble, View},
};

/// What must hold when an append's turn comes, beside what its events expect of their own streams. All of it must
/// hold; a condition without demands always does.
///
/// ```
/// # use annals::{*, consume::*, disk::*, report::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let registered = store.kind("user.registered")?;
/// let user = Coordinate::new("user:7", "app")?;
/// let name = Tag::new("name:ada")?;
/// let event = NewEvent::new(&user, registered, b"{}").tag(name);
/// let is_free = Condition::new().no_event(Query::of(QueryItem::new().tag("name:ada")), Sequence(0));
///
/// store.append_if(&[event.clone()], &is_free)?;
/// let refused = store.append_if(&[event], &is_free).unwrap_err();
/// assert!(matches!(refused, Error::ConditionFailed { found: Sequence(1), .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    absences: Vec<Absence>,
    pub(crate) streams: Vec<(Coordinate, Expected)>,
}

/// No event that matches a query lies after a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Absence {
    query: Query,
    after: Sequence,
}

impl Condition {
    /// A condition that always holds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No event after `after` matches `query`: `after` is the last sequence that the decision knew of, 0 where there
    /// must be none at all. Events that are appended and not yet durable count, those
    /// that are hidden don't.
    #[must_use]
    pub fn no_event(mut self, query: Query, after: Sequence) -> Self {
        self.absences.push(Absence { query, after });
        self
    }

    /// The trunk of `coordinate` is where `expected` says, whether the append writes to it or not.
    #[must_use]
    pub fn stream(mut self, coordinate: Coordinate, expected: Expected) -> Self {
        self.streams.push((coordinate, expected));
        self
    }

    /// Whether it demands what no store can have.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.streams.iter().try_for_each(|(_, expected)| expected.check())
    }

    /// The first event of the last part of `view` that must not be there, of those of each demand.
    pub(crate) fn find_in_last(&self, view: &View) -> Result<Option<Error>, Trouble> {
        let part = view.last();
        for absence in &self.absences {
            if let Some(found) = absence.find_in(view, part, &part.times(&absence.query)?)? {
                return Ok(Some(absence.failed(found)));
            }
        }
        Ok(None)
    }

    /// The first event before the last part of `view` that must not be there, of those of each demand.
    pub(crate) fn find_older(&self, view: &View) -> Result<Option<Error>, Trouble> {
        for absence in &self.absences {
            if let Some(found) = absence.find_older(view)? {
                return Ok(Some(absence.failed(found)));
            }
        }
        Ok(None)
    }
}

impl Absence {
    fn find_older(&self, view: &View) -> Result<Option<Sequence>, Trouble> {
        let last = view.parts.len() - 1;
        let mut place = view.part_of(Sequence(self.after.0.saturating_add(1)));
        if place >= last {
            return Ok(None);
        }
        let times = view.times(&self.query)?;
        let within = self.query.sequences(&times);
        place = place.max(view.part_of(Sequence(within.start)));
        let keys = self.query.key_sets(view.store);
        while let Some(next) = view.next_part(&keys, place, Direction::Forward)?.filter(|next| *next < last) {
            let Some(part) = view.parts.get(next) else { break };
            if part.first_sequence.0 >= within.end {
                break;
            }
            if let Some(found) = self.find_in(view, part, &times)? {
                return Ok(Some(found));
            }
            place = next + 1;
        }
        Ok(None)
    }

    /// The first event of `part` that the demand is about and that is not hidden.
    fn find_in(
        &self,
        view: &View,
        part: &Part,
        times: &[(Recorded, Sequence)],
    ) -> Result<Option<Sequence>, Trouble> {
        let (first, count) = (part.first_sequence.0, part.row_count());
        let end = first + u64::from(count);
        let mut start = self.after.0.saturating_add(1).max(first);
        while start < end {
            let row = u32::try_from(start - first).unwrap_or(u32::MAX);
            let Some(found) = self.first_from(view, part, times, row..count)? else { break };
            let sequence = first + u64::from(found);
            start = view.hidden.first_shown(sequence..end).start;
            if start == sequence {
                return Ok(Some(Sequence(sequence)));
            }
        }
        Ok(None)
    }

    /// The first of `rows` that matches.
    fn first_from(
        &self,
        view: &View,
        part: &Part,
        times: &[(Recorded, Sequence)],
        rows: Range<u32>,
    ) -> Result<Option<u32>, Trouble> {
        let begun = part.begun(view.store, &self.query, rows.clone())?;
        let known = Known { begun, times: times.to_vec() };
        let mut found = Vec::new();
        part.try_ask(|index| {
            self.query.select(index, &known, rows.clone(), Direction::Forward, 1, &mut found)
        })?;
        Ok(found.first().copied())
    }

    fn failed(&self, found: Sequence) -> Error {
        Error::ConditionFailed { query: Box::new(self.query.clone()), after: self.after, found }
    }
}

impl Expected {
    /// Whether it is what no stream can be.
    pub(crate) fn check(self) -> Result<(), Error> {
        if self == Self::Exactly(Revision(0)) {
            let why = "revisions count from 1; a stream without events is Expected::None".to_owned();
            return Err(Error::Invalid { what: "expected revision", why });
        }
        Ok(())
    }
}
