//! Bytes that are not what was written: an error or the same answers, never a panic, never other answers.

use annals_index::{Direction, Error, Index, Known, Query, StreamView};
use annals_wire::{Depth, Lane, Recorded, Revision, Row, Sequence, StreamKey, StreamTable, Tables};
use proptest::{collection::vec, prelude::*};

use crate::{
    answers::{answers, possible, terms},
    history::{ENTITIES, SCOPES, TAGS, histories, id, kind, queries, seal, trailer},
};

/// What an index says when nothing is taken for granted.
fn ask(index: &dyn Index, query: &Query) -> Result<(), Error> {
    let mut results = Vec::new();
    for place in (0..10).chain([u32::MAX]) {
        results.push(
            index.row(place).map(|row| assert!(row.is_none_or(|row| row.stream < index.stream_count()))),
        );
        results.push(index.stream(place).map(|stream| stream.iter().for_each(check_stream)));
        let found = index.find_id(id(place as usize));
        results.push(found.and_then(|rows| possible(&rows).map(drop)));
    }
    for (scope, entity) in SCOPES.iter().flat_map(|scope| ENTITIES.map(|entity| (scope, entity))) {
        results.push(index.find_stream(StreamKey { scope, entity, lane: Lane(0) }).map(|_| ()));
        results.push(index.find_coordinate(scope, entity).map(|_| ()));
    }
    for term in terms(index) {
        results.push(index.rows_of(&term).and_then(|rows| {
            rows.lower_bound(3)?;
            rows.contains(u32::MAX).map(drop)
        }));
    }
    let times = query.times().map(|time| (time, Sequence(time.0))).collect();
    let known = Known { begun: vec![(id(0), 0), (id(1), 7)], times };
    results.push(query.count(index, &known, 0..u32::MAX).map(drop));
    for direction in [Direction::Forward, Direction::Backward] {
        let mut out = Vec::new();
        results.push(query.select(index, &known, 0..u32::MAX, direction, usize::MAX, &mut out));
        assert!(out.len() <= index.row_count() as usize);
    }
    results.push(index.control_offsets().map(|_| ()));
    results.push(index.kinds().map(|_| ()));
    results.push(index.rows_at(Recorded(5)).map(|_| ()));
    results.into_iter().collect()
}

fn check_stream(stream: &StreamView<'_>) {
    assert!(!stream.rows.is_empty() && stream.first_revision > Revision(0));
    assert_eq!(stream.last_revision().0 - stream.first_revision.0 + 1, stream.rows.len() as u64);
}

/// Numbers that may be rows of a small index, and may not.
fn numbers(count: usize) -> impl Strategy<Value = Vec<u32>> {
    vec(prop_oneof![8 => 0..8_u32, 1 => Just((1 << 24) - 1), 1 => 0..1_u32 << 24], count)
}

/// The content of a footer of `count` rows, in which nothing has to fit anything else.
#[derive(Debug, Clone)]
struct Forged {
    rows: Vec<(u32, u32, usize, bool)>,
    lists: [Vec<u32>; 8],
    /// Where each list is parted, and by which keys it is.
    parts: [(usize, usize, usize); 8],
    revisions: [u64; 2],
}

fn forged() -> impl Strategy<Value = Forged> {
    let parts = std::array::from_fn(|_| (0..9_usize, 0..5_usize, 0..5_usize));
    let revision = || prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()];
    (0..9_usize).prop_flat_map(move |count| {
        let row = (0..100_u32, prop_oneof![9 => 0..3_u32, 1 => 0..1_u32 << 24], 0..4_usize, any::<bool>());
        let lists = std::array::from_fn(|_| numbers(count));
        (vec(row, count), lists, parts.clone(), [revision(), revision()])
            .prop_map(|(rows, lists, parts, revisions)| Forged { rows, lists, parts, revisions })
    })
}

impl Forged {
    fn encode(&self) -> Vec<u8> {
        let parted = |list: usize| {
            let (at, one, other) = self.parts[list];
            let (left, right) = self.lists[list].split_at(at.min(self.lists[list].len()));
            [(one, left), (other, right)]
        };
        let stream = |place: usize, (entity, rows)| StreamTable {
            scope: u32::try_from(self.parts[6].1 * place).unwrap(),
            entity: ENTITIES[entity % ENTITIES.len()],
            lane: Lane(0),
            first_revision: Revision(self.revisions[place]),
            fork_depth: Depth(0),
            rows,
        };
        let [left, right] = parted(0);
        let row = |&(offset, stream, kind_index, is_root)| Row {
            offset: offset * 8,
            stream,
            kind: kind(kind_index),
            is_root,
        };
        Tables {
            rows: self.rows.iter().map(row).collect(),
            ids: self.lists[7].iter().map(|row| (row.wrapping_mul(9), *row)).collect(),
            times: self.rows.first().map(|row| Recorded(row.0.into())).into_iter().collect(),
            scopes: parted(1).map(|(scope, rows)| (SCOPES[scope % SCOPES.len()], rows)).into(),
            streams: vec![stream(0, left), stream(1, right)],
            kinds: parted(2).map(|(index, rows)| (kind(index % 4), rows)).into(),
            correlations: parted(3).map(|(place, rows)| (id(place), rows)).into(),
            causations: parted(4).map(|(place, rows)| (id(place), rows)).into(),
            tags: parted(5).map(|(index, rows)| (TAGS[index], rows)).into(),
            controls: self.lists[6].clone(),
        }
        .encode(&trailer(Sequence(self.revisions[0]), self.rows.len()))
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_is_an_error_or_changes_nothing(
        history in histories(),
        flips in vec(any::<(prop::sample::Index, u8)>(), 24),
    ) {
        let bytes = history.scan().encode(&history.trailer());
        let expected = answers(&seal(&bytes).unwrap());
        for (place, bit) in flips {
            let mut flipped = bytes.clone();
            flipped[place.index(bytes.len())] ^= 1 << (bit % 8);
            let found = seal(&flipped).and_then(|index| answers(&index));
            prop_assert!(found.is_err() || found == expected);
        }
    }

    #[test]
    fn a_cut_footer_is_an_error(history in histories(), cut in any::<prop::sample::Index>()) {
        let bytes = history.scan().encode(&history.trailer());
        prop_assert!(seal(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(seal(&bytes[1 + cut.index(bytes.len())..]).is_err());
    }

    #[test]
    fn random_bytes_are_no_index(bytes in vec(any::<u8>(), 0..1_000)) {
        prop_assert!(seal(&bytes).is_err());
    }

    #[test]
    fn forged_tables_never_panic(forged in forged(), query in queries()) {
        if let Ok(index) = seal(&forged.encode()) {
            _ = ask(&index, &query);
        }
    }
}
