//! Reading: lazy iterators over a stream or a query, forwards and backwards, as of now or as of a moment.
//!
//! Invariant: an iterator shows what was visible when it was made, each event once, in order; it looks ahead
//! by a bounded number of rows. After an error it ends: no event behind it is shown as if nothing were.

mod walk;

use std::collections::VecDeque;

use annals_index::{Direction, Query};
use annals_wire::{Coordinate, Lane, Recorded, Revision, Sequence};

use crate::{
    Error, Event,
    store::Shared,
    sync::Arc,
    view::{Found, Trouble, View},
};
pub(crate) use walk::{Asked, Walk};

pub(crate) const ROWS_AHEAD_FIRST: usize = 16;
pub(crate) const ROWS_AHEAD_MAX: usize = 512;

/// Events, read as they are asked for.
///
/// What they may lie between is by what the store gave them: sequence, revision, and when they were recorded. When
/// they occurred is their callers' word, in no order and in no index: filter by [`Event::occurred`] what is read.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// for payload in ["one", "two", "three"] {
///     store.append(&NewEvent::new(&order, placed, payload.as_bytes()))?;
/// }
/// let newest: Vec<_> = store.stream(&order).backwards().limit(2).collect::<Result<_, _>>()?;
/// assert_eq!(newest[0].payload(), Some(&b"three"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is read before it is asked for"]
pub struct Events {
    shared: Arc<Shared>,
    source: Source,
    walk: Walk,
    recorded_after: Option<Recorded>,
    recorded_until: Option<Recorded>,
    /// Whether what the bounds mean in this store was found.
    is_begun: bool,
    remaining: u64,
    ahead: VecDeque<Found>,
    rows_ahead: usize,
    is_done: bool,
}

/// What is read.
#[derive(Debug)]
enum Source {
    Query(Asked),
    Stream(Coordinate, Lane),
}

impl Events {
    pub(crate) fn query(shared: Arc<Shared>, query: Query) -> Self {
        let keys = query.key_sets(shared.report.store);
        Self::new(shared, Source::Query(Asked { query, keys, times: Vec::new() }))
    }

    pub(crate) fn stream(shared: Arc<Shared>, coordinate: &Coordinate, lane: Lane) -> Self {
        Self::new(shared, Source::Stream(coordinate.clone(), lane))
    }

    fn new(shared: Arc<Shared>, source: Source) -> Self {
        let visible = shared.watch.visible();
        let walk = Walk {
            direction: Direction::Forward,
            visible,
            sequences: 1..visible.0.saturating_add(1),
            revisions: 1..u64::MAX,
            with_hidden: false,
        };
        Self {
            shared,
            source,
            walk,
            recorded_after: None,
            recorded_until: None,
            is_begun: false,
            remaining: u64::MAX,
            ahead: VecDeque::new(),
            rows_ahead: ROWS_AHEAD_FIRST,
            is_done: false,
        }
    }

    /// The newest first.
    pub fn backwards(mut self) -> Self {
        self.walk.direction = Direction::Backward;
        self
    }

    /// At most `count` events.
    pub fn limit(mut self, count: u64) -> Self {
        self.remaining = count;
        self
    }

    /// Only events after `sequence`: those with a larger one, whichever direction they are read in.
    pub fn after(mut self, sequence: Sequence) -> Self {
        let start = &mut self.walk.sequences.start;
        *start = (*start).max(sequence.0.saturating_add(1));
        self
    }

    /// Only events up to and including `sequence`: as of then.
    pub fn until(mut self, sequence: Sequence) -> Self {
        let end = &mut self.walk.sequences.end;
        *end = (*end).min(sequence.0.saturating_add(1));
        self
    }

    /// Hidden events too: for walks that lead through them.
    pub(crate) fn with_hidden(mut self) -> Self {
        self.walk.with_hidden = true;
        self
    }

    /// Only events that were recorded later than `time`.
    pub fn recorded_after(mut self, time: Recorded) -> Self {
        self.recorded_after = self.recorded_after.max(Some(time));
        self
    }

    /// Only events that were recorded at `time` or earlier: as of that time.
    pub fn recorded_until(mut self, time: Recorded) -> Self {
        self.recorded_until = Some(self.recorded_until.map_or(time, |until| until.min(time)));
        self
    }

    /// Begins at `revision`: forwards with it and what follows, backwards with it and what came before. For a
    /// query, nothing changes. Call it after [`Events::backwards`].
    pub fn from(mut self, revision: Revision) -> Self {
        let range = &mut self.walk.revisions;
        match self.walk.direction {
            Direction::Forward => range.start = range.start.max(revision.0),
            Direction::Backward => range.end = range.end.min(revision.0.saturating_add(1)),
        }
        self
    }

    /// How many events are still to come. The indexes say it: no event is read, but for one or two where the query
    /// names a conversation, and a few where times are named.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let (at, kind) = (Coordinate::new("account:7", "bank")?, store.kind("booked")?);
    /// for tag in ["in", "out", "in"] {
    ///     store.append(&NewEvent::new(&at, kind, b"").tag(Tag::new(tag)?))?;
    /// }
    /// assert_eq!(store.query(Query::of(QueryItem::new().tag("in"))).count_events()?, 2);
    /// assert_eq!(store.stream(&at).from(Revision(2)).count_events()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`].
    pub fn count_events(mut self) -> Result<u64, Error> {
        let ahead = self.ahead.len() as u64;
        if self.is_done || self.remaining <= ahead {
            return Ok(if self.is_done { 0 } else { self.remaining });
        }
        self.begin()?;
        let rest = self.shared.ask(|view| {
            let mut walk = self.walk.clone();
            match &self.source {
                Source::Query(asked) => walk.count(view, asked, self.remaining - ahead),
                Source::Stream(coordinate, lane) => walk.count_stream(view, coordinate.stream(*lane)),
            }
        })?;
        Ok(self.remaining.min(ahead + rest))
    }

    /// Finds out, once, what the bounds mean in this store.
    fn begin(&mut self) -> Result<(), Error> {
        if self.is_begun {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let (walk, times) = shared.ask(|view| self.bounded(view))?;
        self.walk = walk;
        if let Source::Query(asked) = &mut self.source {
            asked.times = times;
        }
        self.is_begun = true;
        Ok(())
    }

    /// The walk within all bounds, and where the times lie that a query names.
    fn bounded(&self, view: &View) -> Result<(Walk, Vec<(Recorded, Sequence)>), Trouble> {
        let (mut walk, mut times) = (self.walk.clone(), Vec::new());
        let range = &mut walk.sequences;
        if let Some(time) = self.recorded_after {
            range.start = range.start.max(view.first_recorded_after(time)?.0);
        }
        if let Some(time) = self.recorded_until {
            range.end = range.end.min(view.first_recorded_after(time)?.0);
        }
        match &self.source {
            Source::Query(asked) => {
                times = view.times(&asked.query)?;
                let outer = asked.query.sequences(&times);
                *range = range.start.max(outer.start)..range.end.min(outer.end);
            }
            Source::Stream(coordinate, lane) => walk.seek(view, coordinate.stream(*lane))?,
        }
        Ok((walk, times))
    }

    /// Finds the next events; false where there are none.
    fn look_ahead(&mut self) -> Result<bool, Error> {
        self.begin()?;
        let shared = Arc::clone(&self.shared);
        let limit = self.rows_ahead.min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let (found, walk) = shared.ask(|view| {
            let mut walk = self.walk.clone();
            let found = match &self.source {
                Source::Query(asked) => walk.find(view, asked, limit)?,
                Source::Stream(coordinate, lane) => {
                    walk.find_in_stream(view, coordinate.stream(*lane), limit)?
                }
            };
            Ok((found, walk))
        })?;
        self.walk = walk;
        self.rows_ahead = (self.rows_ahead * 2).min(ROWS_AHEAD_MAX);
        self.ahead = found.into();
        Ok(!self.ahead.is_empty())
    }

    /// Where the next event lies, unread.
    pub(crate) fn next_found(&mut self) -> Result<Option<Found>, Error> {
        if self.is_at_end()? {
            return Ok(None);
        }
        self.remaining -= 1;
        Ok(self.ahead.pop_front())
    }

    /// Whether nothing is to come any more.
    pub(crate) fn is_at_end(&mut self) -> Result<bool, Error> {
        let is_ended = self.is_done || self.remaining == 0;
        Ok(is_ended || (self.ahead.is_empty() && !self.look_ahead()?))
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.next_found().and_then(|found| Ok(found.map(|found| found.read()).transpose()?));
        self.is_done = !matches!(event, Ok(Some(_)));
        Some(event.transpose()?.map(|event| event.with_kinds(&self.shared.kinds)))
    }
}
