//! What a page costs: rows looked at, counted at the interface.

use std::{cell::Cell, ops::Range};

use annals_index::{
    ActiveIndex, Direction, Entry, Error, IdRows, Index, Known, Query, QueryItem, Rows, StreamView, Term,
};
use annals_wire::{
    Depth, Digest, EventId, Kind, Lane, Recorded, Revision, Row, Sequence, StoreId, StreamKey,
};

use crate::history::{id, kind, seal, trailer};

const ROW_COUNT: u32 = 100_000;
const STREAM_COUNT: u32 = 1_000;
const SCOPES: [&str; 10] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"];

/// An index that counts how often a row, and a stream, is looked at.
struct Counted<'a> {
    index: &'a dyn Index,
    rows: Cell<usize>,
    streams: Cell<usize>,
}

impl Index for Counted<'_> {
    fn first_sequence(&self) -> Sequence {
        self.index.first_sequence()
    }

    fn row_count(&self) -> u32 {
        self.index.row_count()
    }

    fn row(&self, row: u32) -> Result<Option<Row>, Error> {
        self.rows.set(self.rows.get() + 1);
        self.index.row(row)
    }

    fn find_id(&self, id: EventId) -> Result<IdRows<'_>, Error> {
        self.index.find_id(id)
    }

    fn rows_at(&self, recorded: Recorded) -> Result<Range<u32>, Error> {
        self.index.rows_at(recorded)
    }

    fn find_stream(&self, key: StreamKey<'_>) -> Result<Option<StreamView<'_>>, Error> {
        self.index.find_stream(key)
    }

    fn find_coordinate(&self, scope: &str, entity: &str) -> Result<Vec<u32>, Error> {
        self.index.find_coordinate(scope, entity)
    }

    fn stream_count(&self) -> u32 {
        self.index.stream_count()
    }

    fn stream(&self, place: u32) -> Result<Option<StreamView<'_>>, Error> {
        self.streams.set(self.streams.get() + 1);
        self.index.stream(place)
    }

    fn rows_of(&self, term: &Term<'_>) -> Result<Rows<'_>, Error> {
        self.index.rows_of(term)
    }

    fn control_offsets(&self) -> Result<Vec<u32>, Error> {
        self.index.control_offsets()
    }

    fn key_hashes(&self, store: StoreId) -> Result<Vec<u32>, Error> {
        self.index.key_hashes(store)
    }

    fn kinds(&self) -> Result<Vec<Kind>, Error> {
        self.index.kinds()
    }
}

/// A hundred events in each of a thousand streams in ten scopes; every tenth event hot, every ten thousandth
/// rare, half of them of the first kind.
fn index() -> ActiveIndex {
    let mut index = ActiveIndex::new(Sequence(1));
    for row in 0..ROW_COUNT {
        let stream = row % STREAM_COUNT;
        let entity = format!("e{stream}");
        let scope = SCOPES[stream as usize % SCOPES.len()];
        let entry = Entry {
            offset: row * 8,
            id: id(row as usize),
            correlation: (row % 100 != 0).then(|| id((row - row % 100) as usize)),
            causation: None,
            stream: StreamKey { scope, entity: &entity, lane: Lane(0) },
            kind: kind(row as usize % 2),
            revision: Revision(u64::from(row / STREAM_COUNT) + 1),
            fork_depth: Depth(0),
            recorded: Recorded(row.into()),
            hash: Digest::NONE,
        };
        let tags = [(10, "hot"), (10_000, "rare")].into_iter().filter(|(every, _)| row % every == 0);
        index.insert(&entry, tags.map(|(_, tag)| tag));
    }
    index
}

/// How many rows and streams a page of ten looks at, having checked that it has `count` rows.
fn cost(index: &dyn Index, item: QueryItem, rows: Range<u32>, count: usize) -> [usize; 2] {
    let (query, mut costs) = (Query::of(item), [0, 0]);
    for direction in [Direction::Forward, Direction::Backward] {
        let counted = Counted { index, rows: Cell::new(0), streams: Cell::new(0) };
        let mut out = Vec::new();
        query.select(&counted, &Known::default(), rows.clone(), direction, 10, &mut out).unwrap();
        assert_eq!(out.len(), count);
        costs = [costs[0].max(counted.rows.get()), costs[1].max(counted.streams.get())];
    }
    costs
}

#[test]
fn a_page_of_ten_looks_at_about_ten_rows() {
    let active = index();
    let sealed = seal(&active.encode(&trailer(Sequence(1), ROW_COUNT as usize))).unwrap();
    let item = QueryItem::new;
    for index in [&active as &dyn Index, &sealed] {
        let cost = |item, rows, count| cost(index, item, rows, count);
        assert_eq!(cost(item(), 0..ROW_COUNT, 10), [0, 0], "everything needs no row");
        assert_eq!(cost(item().kind(kind(0)), 40_000..ROW_COUNT, 10), [0, 0], "a kind is its list");
        assert_eq!(cost(item().scope("s3").entity("e3"), 500..90_000, 10), [0, 1], "so is a stream");
        assert_eq!(cost(item().scope("s3"), 500..90_000, 10), [0, 0], "and a scope");
        assert_eq!(cost(item().tag("hot").tag("rare").scope("s0"), 0..ROW_COUNT, 10), [10, 1]);
        assert_eq!(cost(item().tag("hot").kind(kind(0)), 0..ROW_COUNT, 10), [10, 0]);
        assert_eq!(cost(item().kind(kind(0)).tag("rare"), 1..20_001, 2), [2, 0], "the rarest term drives");
        assert_eq!(cost(item().tag("hot").after(Sequence(99_991)), 0..ROW_COUNT, 0), [0, 0]);
        assert_eq!(cost(item().correlation(id(500)).kind(kind(1)), 0..ROW_COUNT, 10)[1], 0);
        assert_eq!(cost(item().entity_prefix("e"), 7..ROW_COUNT, 10), [10, 10], "a walk ends with the page");
    }
}

#[test]
fn a_term_alone_is_counted_without_a_row() {
    let active = index();
    let sealed = seal(&active.encode(&trailer(Sequence(1), ROW_COUNT as usize))).unwrap();
    for index in [&active as &dyn Index, &sealed] {
        let count = |item: QueryItem| {
            let counted = Counted { index, rows: Cell::new(0), streams: Cell::new(0) };
            let count = Query::of(item).count(&counted, &Known::default(), 10..ROW_COUNT).unwrap();
            (count, counted.rows.get())
        };
        let item = QueryItem::new;
        assert_eq!(count(item()), (99_990, 0));
        assert_eq!(count(item().tag("hot").until(Sequence(101))), (10, 0));
        assert_eq!(count(item().kind(kind(1))), (49_995, 0));
        assert_eq!(count(item().kind(kind(0)).kind(kind(0))), (49_995, 0), "each once");
        assert_eq!(count(item().scope("s3").entity("e3")), (99, 0));
        assert_eq!(count(item().tag("hot").tag("rare")), (9, 0));
        assert_eq!(count(item().tag("rare").kind(kind(0))), (9, 9), "only what the rarest term has");
    }
}

#[test]
fn a_rare_item_does_not_hold_up_a_common_one() {
    let active = index();
    let query = Query::of(QueryItem::new().kind(kind(0))).or(QueryItem::new().entity("nobody"));
    let counted = Counted { index: &active, rows: Cell::new(0), streams: Cell::new(0) };
    let mut out = Vec::new();
    query.select(&counted, &Known::default(), 0..ROW_COUNT, Direction::Forward, 10, &mut out).unwrap();
    assert_eq!(out, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    assert!(counted.rows.get() <= 20, "{} rows", counted.rows.get());
}

#[test]
fn a_stream_is_asked_once_however_many_rows_it_has() {
    let active = index();
    let counted = Counted { index: &active, rows: Cell::new(0), streams: Cell::new(0) };
    let query = Query::of(QueryItem::new().entity("nobody"));
    query.select(&counted, &Known::default(), 0..ROW_COUNT, Direction::Forward, 10, &mut Vec::new()).unwrap();
    assert_eq!([counted.rows.get(), counted.streams.get()], [ROW_COUNT as usize, STREAM_COUNT as usize]);
}

#[test]
fn every_stream_of_thousands_is_found_and_no_other() {
    let mut index = ActiveIndex::new(Sequence(1));
    let entity = |number: u32| format!("e{}", (number * 7_919) % 10_007);
    for row in 0..5_000 {
        let (entity, scope) = (entity(row), SCOPES[row as usize % 3]);
        let entry = Entry {
            offset: row * 8,
            id: id(row as usize),
            correlation: None,
            causation: None,
            stream: StreamKey { scope, entity: &entity, lane: Lane(row % 7 / 6) },
            kind: kind(0),
            revision: Revision(1),
            fork_depth: Depth(0),
            recorded: Recorded(row.into()),
            hash: Digest::NONE,
        };
        index.insert(&entry, []);
    }
    let sealed = seal(&index.encode(&trailer(Sequence(1), 5_000))).unwrap();
    for row in 0..10_007 {
        let entity = entity(row);
        for (place, scope) in SCOPES[..4].iter().enumerate() {
            let is_there = row < 5_000 && row as usize % 3 == place;
            let key = StreamKey { scope, entity: &entity, lane: Lane(row % 7 / 6) };
            let found = sealed.find_stream(key).unwrap();
            assert_eq!(
                found.map(|stream| stream.rows.at(0).unwrap()),
                is_there.then_some(Some(row)),
                "{key}"
            );
            assert_eq!(sealed.find_coordinate(scope, &entity).unwrap().len(), usize::from(is_there));
        }
    }
}
