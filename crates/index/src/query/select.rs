//! How a query is answered from an index: one walk over the rows that may match, in order, until enough do.
//!
//! Invariant: an item is driven by the list of rows of its rarest term within the range, and every row that
//! is looked at is in the driving list of an item. Nothing is sorted, and the walk ends with the last row
//! that was wanted.

use std::{ops::Range, slice};

use annals_wire::EventId;
use hashbrown::HashMap;

use super::{Direction, Known, Query, QueryItem, walk::Walk};
use crate::{Error, Index, Rows, Term};

impl Query {
    /// Appends the first `limit` rows of `rows` that match, in `direction`, each once, to `out`.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a table that it touches is damaged; `out` may then have been appended to.
    ///
    /// # Panics
    /// Where `known` lacks one of [`Query::times`].
    pub fn select(
        &self,
        index: &(impl Index + ?Sized),
        known: &Known,
        rows: Range<u32>,
        direction: Direction,
        limit: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let mut missing = limit;
        if missing == 0 {
            return Ok(());
        }
        self.walk(index, known, &rows, direction, &mut |row| {
            out.push(row);
            missing -= 1;
            missing > 0
        })
    }

    /// How many of `rows` match. One term alone is counted without looking at its rows.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a table that it touches is damaged.
    ///
    /// # Panics
    /// Where `known` lacks one of [`Query::times`].
    pub fn count(
        &self,
        index: &(impl Index + ?Sized),
        known: &Known,
        rows: Range<u32>,
    ) -> Result<u64, Error> {
        if let [item] = self.items.as_slice() {
            let rows = item.range(index, known, &rows);
            let (driver, filter) = plan(item, index, &known.begun, rows.clone())?;
            if let ([list], true) = (driver.as_slice(), filter.is_empty()) {
                return Ok(list.places(&rows)?.len() as u64);
            }
        }
        let mut count = 0;
        self.walk(index, known, &rows, Direction::Forward, &mut |_| {
            count += 1;
            true
        })?;
        Ok(count)
    }

    /// Shows `visit` the rows of `rows` that match, in `direction`, each once, until it wants no more.
    fn walk(
        &self,
        index: &(impl Index + ?Sized),
        known: &Known,
        rows: &Range<u32>,
        direction: Direction,
        visit: &mut dyn FnMut(u32) -> bool,
    ) -> Result<(), Error> {
        let everything = QueryItem::new();
        let items = if self.items.is_empty() { slice::from_ref(&everything) } else { &self.items };
        let mut filters = Vec::with_capacity(items.len());
        let mut walk = Walk::new(direction);
        for item in items {
            let rows = item.range(index, known, rows);
            let (driver, filter) = plan(item, index, &known.begun, rows.clone())?;
            for list in driver {
                walk.add(list, &rows, filters.len())?;
            }
            filters.push(filter);
        }
        let mut last = None;
        while let Some((row, item)) = walk.next()? {
            let filter = filters.get_mut(item).expect("a filter for each item");
            if last != Some(row) && filter.accepts(row)? {
                last = Some(row);
                if !visit(row) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl QueryItem {
    /// The part of `rows` that is there and within the item's ranges of sequence and time.
    fn range(&self, index: &(impl Index + ?Sized), known: &Known, rows: &Range<u32>) -> Range<u32> {
        let first = index.first_sequence();
        let row = |sequence: u64| u32::try_from(sequence.saturating_sub(first.0)).unwrap_or(u32::MAX);
        let sequences = self.sequences(&known.times);
        let start = rows.start.max(row(sequences.start));
        let end = rows.end.min(index.row_count()).min(row(sequences.end));
        start.min(end)..end
    }
}

/// Lists that together hold the rows of one term, and what they save a filter from checking.
struct Candidate<'a> {
    lists: Vec<Rows<'a>>,
    answers: Answers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Nothing,
    Kind,
    Stream,
    /// A term that rows do not name, and that only its lists can check.
    Lists,
}

impl Candidate<'_> {
    fn count(&self, rows: &Range<u32>) -> Result<usize, Error> {
        self.lists.iter().map(|list| Ok(list.places(rows)?.len())).sum()
    }
}

/// What drives `item` over `rows`, and what is left to check.
fn plan<'a, I: Index + ?Sized>(
    item: &'a QueryItem,
    index: &'a I,
    begun: &[(EventId, u32)],
    rows: Range<u32>,
) -> Result<(Vec<Rows<'a>>, Filter<'a, I>), Error> {
    let mut candidates = candidates(item, index, begun)?;
    candidates.push(Candidate { lists: vec![Rows::range(rows.clone())], answers: Answers::Nothing });
    let counts: Vec<usize> = candidates.iter().map(|one| one.count(&rows)).collect::<Result<_, _>>()?;
    let rarest = counts.iter().zip(0..).min().map(|(_, place)| place);
    let driver = candidates.swap_remove(rarest.expect("at least the range itself"));
    candidates.retain(|candidate| candidate.answers == Answers::Lists);
    let filter = Filter {
        item,
        index,
        within: candidates.into_iter().map(|candidate| candidate.lists).collect(),
        checks_kind: item.names_kinds() && driver.answers != Answers::Kind,
        checks_stream: item.names_stream() && driver.answers != Answers::Stream,
        streams: HashMap::new(),
    };
    Ok((driver.lists, filter))
}

fn candidates<'a>(
    item: &'a QueryItem,
    index: &'a (impl Index + ?Sized),
    begun: &[(EventId, u32)],
) -> Result<Vec<Candidate<'a>>, Error> {
    let mut candidates = Vec::new();
    let mut add = |lists, answers| candidates.push(Candidate { lists, answers });
    for tag in &item.tags {
        add(vec![index.rows_of(&Term::Tag(tag))?], Answers::Lists);
    }
    if let Some(id) = item.causation {
        add(vec![index.rows_of(&Term::Causation(id))?], Answers::Lists);
    }
    if let Some(id) = item.correlation {
        add(correlation_lists(id, index, begun)?, Answers::Lists);
    }
    if let Some(scope) = &item.scope {
        let (lists, answers) = stream_lists(item, scope, index)?;
        add(lists, answers);
    }
    if item.names_kinds() {
        add(kind_lists(item, index)?, Answers::Kind);
    }
    Ok(candidates)
}

/// The rows of a conversation: those that name it, and the event that it began with.
fn correlation_lists<'a>(
    id: EventId,
    index: &'a (impl Index + ?Sized),
    begun: &[(EventId, u32)],
) -> Result<Vec<Rows<'a>>, Error> {
    let mut lists = vec![index.rows_of(&Term::Correlation(id))?];
    for (_, place) in begun.iter().filter(|(begun, _)| *begun == id) {
        if index.row(*place)?.is_some_and(|row| row.is_root) {
            lists.push(Rows::range(*place..place.saturating_add(1)));
        }
    }
    Ok(lists)
}

/// The rows of a stream, of a coordinate's streams, or of a scope, whichever is the least that `item` names.
fn stream_lists<'a>(
    item: &QueryItem,
    scope: &str,
    index: &'a (impl Index + ?Sized),
) -> Result<(Vec<Rows<'a>>, Answers), Error> {
    let Some(entity) = &item.entity else {
        let is_all = item.entity_prefix.is_none() && item.lane.is_none();
        let lists = vec![index.rows_of(&Term::Scope(scope))?];
        return Ok((lists, if is_all { Answers::Stream } else { Answers::Nothing }));
    };
    let mut lists = Vec::new();
    for place in index.find_coordinate(scope, entity)? {
        let stream = index.stream(place)?.filter(|stream| item.matches_stream(&stream.name.key()));
        lists.extend(stream.map(|stream| stream.rows));
    }
    Ok((lists, Answers::Stream))
}

fn kind_lists<'a>(item: &QueryItem, index: &'a (impl Index + ?Sized)) -> Result<Vec<Rows<'a>>, Error> {
    if item.categories.is_empty() {
        return item.kinds.iter().map(|kind| index.rows_of(&Term::Kind(*kind))).collect();
    }
    let kinds = index.kinds()?.into_iter().filter(|kind| item.matches_kind(*kind));
    kinds.map(|kind| index.rows_of(&Term::Kind(kind))).collect()
}

/// Whether one of `lists` has `row`.
fn contains(lists: &[Rows<'_>], row: u32) -> Result<bool, Error> {
    for list in lists {
        if list.contains(row)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is left to check of a row that an item's driver came by.
struct Filter<'a, I: ?Sized> {
    item: &'a QueryItem,
    index: &'a I,
    /// The row has to be in one list of each.
    within: Vec<Vec<Rows<'a>>>,
    checks_kind: bool,
    checks_stream: bool,
    /// Whether a stream matches, by place, for those that were asked before.
    streams: HashMap<u32, bool>,
}

impl<I: Index + ?Sized> Filter<'_, I> {
    /// Whether it accepts every row.
    fn is_empty(&self) -> bool {
        self.within.is_empty() && !self.checks_kind && !self.checks_stream
    }

    fn accepts(&mut self, row: u32) -> Result<bool, Error> {
        for lists in &self.within {
            if !contains(lists, row)? {
                return Ok(false);
            }
        }
        if !self.checks_kind && !self.checks_stream {
            return Ok(true);
        }
        let row = self.index.row(row)?.ok_or(Error::invalid("index row", "not there"))?;
        if self.checks_kind && !self.item.matches_kind(row.kind) {
            return Ok(false);
        }
        Ok(!self.checks_stream || self.accepts_stream(row.stream)?)
    }

    fn accepts_stream(&mut self, place: u32) -> Result<bool, Error> {
        if let Some(accepted) = self.streams.get(&place) {
            return Ok(*accepted);
        }
        let stream = self.index.stream(place)?.ok_or(Error::invalid("index stream", "not there"))?;
        let accepted = self.item.matches_stream(&stream.name.key());
        self.streams.insert(place, accepted);
        Ok(accepted)
    }
}
