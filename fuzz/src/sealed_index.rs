//! A footer in place, asked as the store asks it.

use std::{ops::Range, sync::Arc};

use annals_index::{Direction, Index, Known, Query, QueryItem, SealedIndex, Term};
use annals_wire::{EventId, Kind, Lane, Recorded, Sequence};

use super::resealed;

/// Streams, kinds and ids of the input that are asked for; more take time and show nothing new.
const TERM_COUNT_MAX: u32 = 8;

/// Any bytes as an index in place, with the checksums as they are and with the right ones, so that questions meet
/// tables that disagree.
///
/// Must hold: no panic; what is found lies within the index and the range that was asked for, in order and each
/// once; an answer is no longer than was asked for.
pub fn sealed_index(input: &[u8]) {
    if let Ok(index) = SealedIndex::new(Arc::new(input.to_vec())) {
        let _ = index.check_all();
        ask(&index, input);
    }
    let mut bytes = input.to_vec();
    resealed::reseal_footer(&mut bytes);
    if let Ok(index) = SealedIndex::new(Arc::new(bytes)) {
        ask(&index, input);
    }
}

fn ask(index: &SealedIndex, input: &[u8]) {
    assert!(index.start() <= input.len() as u64);
    for row in 0..index.row_count().saturating_add(1) {
        if let Ok(found) = index.row(row) {
            assert_eq!(found.is_some(), row < index.row_count());
            assert!(found.is_none_or(|row| row.stream < index.stream_count()));
        }
    }
    let _ = index.control_offsets();
    for id in ids(input) {
        if let Ok(rows) = index.find_id(id) {
            let _ = (0..).map_while(|place| rows.at(place).ok().flatten()).count();
        }
        let _ = index.rows_at(Recorded(u64::from(index.row_count())));
        for term in [Term::Correlation(id), Term::Causation(id)] {
            let _ = index.rows_of(&term);
        }
    }
    for item in items(index, input) {
        let query = Query::of(item).or(QueryItem::new().tag("vip"));
        let half = index.row_count() / 2;
        for rows in [0..u32::MAX, 0..half, half..index.row_count(), half..0] {
            select(index, &query, &rows);
        }
    }
}

/// The ids that stand at the ends of the input's eighths, and two that are nobody's.
fn ids(input: &[u8]) -> Vec<EventId> {
    let ends = (1..=8).map(|eighth| input.len() * eighth / 8);
    let found = ends.filter_map(|end| input[..end].last_chunk()).map(|bytes| EventId(*bytes));
    found.chain([EventId([0; 16]), EventId([0xff; 16])]).collect()
}

/// What to ask for: terms that are there, and terms that are not.
fn items(index: &SealedIndex, input: &[u8]) -> Vec<QueryItem> {
    let item = QueryItem::new;
    let mut items = vec![
        item(),
        item().category(1),
        item().tag("draft").tag("vip"),
        item().entity_prefix("order:").lane(Lane(1)),
        item().after(Sequence(1)).until(Sequence(u64::MAX)),
    ];
    for kind in index.kinds().unwrap_or_default().into_iter().take(TERM_COUNT_MAX as usize) {
        items.push(item().kind(kind).scope("shop/eu"));
    }
    for place in 0..index.stream_count().min(TERM_COUNT_MAX) {
        let Ok(Some(stream)) = index.stream(place) else { continue };
        let key = stream.name.key();
        let _ =
            (stream.last_revision(), index.find_stream(key), index.find_coordinate(key.scope, key.entity));
        items.push(item().scope(key.scope));
        items.push(item().scope(key.scope).entity(key.entity).lane(key.lane));
        items.push(item().entity(key.entity).kind(Kind::new(0x1001).expect("of category 1")));
    }
    for id in ids(input) {
        items.push(item().correlation(id));
        items.push(item().causation(id).tag("vip"));
    }
    items
}

fn select(index: &SealedIndex, query: &Query, rows: &Range<u32>) {
    for (direction, limit) in
        [(Direction::Forward, usize::MAX), (Direction::Backward, usize::MAX), (Direction::Forward, 2)]
    {
        let mut found = Vec::new();
        let begun = vec![(EventId([0; 16]), rows.start), (EventId([0xff; 16]), rows.end)];
        let known = Known { begun, times: Vec::new() };
        let _ = query.count(index, &known, rows.clone());
        let _ = query.select(index, &known, rows.clone(), direction, limit, &mut found);
        let context = || format!("{query:?} in {rows:?}, {direction:?}: {found:?}");
        assert!(found.len() <= limit, "{}", context());
        assert!(found.iter().all(|row| rows.contains(row) && *row < index.row_count()), "{}", context());
        let is_in_order = match direction {
            Direction::Forward => found.is_sorted_by(|one, next| one < next),
            Direction::Backward => found.is_sorted_by(|one, next| one > next),
        };
        assert!(is_in_order, "{}", context());
    }
}
