//! The streams in order of their keys, as a footer has them.
//!
//! Entities are compared eight bytes at a time, as one number: those of a program mostly begin alike, and differ in
//! the next eight bytes.
//!
//! Source: the idea of keeping a part of a text beside its place, Sinha and Zobel, 2004.

use annals_wire::{Lane, StreamTable};

use super::Catalogue;
use crate::interner::Ranks;

/// The bytes of a key that are compared at once.
const PART_LEN: usize = 8;
/// So few are compared whole.
const FEW: usize = 16;
/// From this byte on, keys are compared whole.
const PARTS_END: usize = 128;

/// A stream's place, and the part of its key that it is sorted by next.
#[derive(Debug, Clone, Copy)]
struct Keyed {
    part: u64,
    place: u32,
}

impl Catalogue {
    /// The places of all streams, in order of their keys; `scopes` are the ranks of the scopes.
    pub(crate) fn sorted(&self, scopes: &Ranks) -> Vec<u32> {
        let keyed = self.streams.iter().zip(0..);
        let mut keyed: Vec<Keyed> =
            keyed.map(|(stream, place)| Keyed { part: scopes.of(stream.scope).into(), place }).collect();
        sort(&mut keyed, |of_one_scope| self.sort_entities(of_one_scope, 0));
        keyed.into_iter().map(|keyed| keyed.place).collect()
    }

    /// Sorts streams of one scope whose entities are alike before `from`.
    fn sort_entities(&self, streams: &mut [Keyed], from: usize) {
        if streams.len() <= FEW || from >= PARTS_END {
            return streams.sort_unstable_by_key(|keyed| self.entity_and_lane(keyed.place));
        }
        for keyed in &mut *streams {
            keyed.part = part(self.entity_and_lane(keyed.place).0, from);
        }
        sort(streams, |alike| self.sort_entities(alike, from + PART_LEN));
    }

    fn entity_and_lane(&self, place: u32) -> (&str, Lane) {
        let stream = self.streams.get(place as usize).expect("places are those of all streams");
        (self.entities.text(stream.entity), stream.lane)
    }

    /// What a footer has of each of the streams at `places`; `scopes` are the ranks of the scopes.
    pub(crate) fn tables(&self, places: &[u32], scopes: &Ranks) -> Vec<StreamTable<'_>> {
        let stream =
            |place: &u32| self.streams.get(*place as usize).expect("places are those of all streams");
        let tables = places.iter().map(stream).map(|stream| StreamTable {
            scope: scopes.of(stream.scope),
            entity: self.entities.text(stream.entity),
            lane: stream.lane,
            first_revision: stream.first_revision,
            fork_depth: stream.fork_depth,
            rows: self.rows.rows(&stream.rows),
        });
        tables.collect()
    }
}

/// Sorts by part, leaving those of equal parts as they are, and hands those to `sort_alike`.
fn sort(streams: &mut [Keyed], sort_alike: impl Fn(&mut [Keyed])) {
    streams.sort_by_key(|keyed| keyed.part);
    let alike = streams.chunk_by_mut(|one, other| one.part == other.part);
    alike.filter(|alike| alike.len() > 1).for_each(sort_alike);
}

/// The bytes of `text` from `from` on as a number that is ordered as they are. Behind the end are zeros.
fn part(text: &str, from: usize) -> u64 {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let bytes = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; PART_LEN];
        bytes.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        bytes
    });
    u64::from_le_bytes(bytes).swap_bytes()
}

#[cfg(test)]
mod tests {
    use annals_wire::{Depth, Digest, EventId, Kind, Recorded, Revision, StreamKey};

    use super::*;
    use crate::Entry;

    #[test]
    fn streams_are_in_order_of_their_keys_whatever_they_begin_with() {
        let long = "x".repeat(PARTS_END);
        let starts = ["", "order:00", "order:0", "é", &long, &long[1..]];
        let entities = starts.iter().flat_map(|start| {
            (0..60_u32).map(move |number| format!("{start}{}", number.wrapping_mul(0x9e37_79b1) % 997))
        });
        let entities: Vec<String> = entities.chain(["a", "a\0", "a\0\0", "ab"].map(str::to_owned)).collect();
        let keys = entities.iter().flat_map(|entity| {
            [("t", 0), ("s", 1), ("s", 0)].map(|(scope, lane)| StreamKey { scope, entity, lane: Lane(lane) })
        });
        let (mut expected, mut catalogue) = (Vec::new(), Catalogue::default());
        for (row, key) in (0..).zip(keys) {
            expected.push((key, row));
            let entry = entry(key);
            let half = catalogue.half(entry.stream);
            assert_eq!(catalogue.insert(&entry, half, row), Some(row), "{key}");
        }
        expected.sort_unstable();
        let ranks = catalogue.scopes().ranks();
        let sorted = catalogue.sorted(&ranks);
        assert_eq!(sorted, expected.iter().map(|(_, row)| *row).collect::<Vec<_>>());
        for (table, (key, row)) in catalogue.tables(&sorted, &ranks).iter().zip(expected) {
            let scope = ["s", "t"][table.scope as usize];
            assert_eq!(StreamKey { scope, entity: table.entity, lane: table.lane }, key);
            assert_eq!(table.rows, [row]);
        }
    }

    fn entry(stream: StreamKey<'_>) -> Entry<'_> {
        Entry {
            offset: 512,
            id: EventId([1; 16]),
            correlation: None,
            causation: None,
            stream,
            kind: Kind::new(0x1000).unwrap(),
            revision: Revision(1),
            fork_depth: Depth(0),
            recorded: Recorded(0),
            hash: Digest::NONE,
        }
    }
}
