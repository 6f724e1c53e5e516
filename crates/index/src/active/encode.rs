//! How a growing index becomes a footer.
//!
//! Invariant: the bytes depend on the inserted events alone, not on the order in which streams and strings
//! were first seen: everything is sorted, and places are those in sorted order.

use annals_wire::{FooterTrailer, ROWS_PER_TIME, Row, Tables};
use hashbrown::HashMap;

use super::ActiveIndex;

impl ActiveIndex {
    /// The footer of what was inserted, to lie at a multiple of eight behind the segment's frames.
    ///
    /// # Panics
    /// Where `trailer` is for another number of rows, or another first sequence.
    #[must_use]
    pub fn encode(&self, trailer: &FooterTrailer) -> Vec<u8> {
        assert_eq!(trailer.row_count as usize, self.rows.len());
        assert_eq!(trailer.first_sequence, self.first_sequence);
        let scopes = self.catalogue.scopes().ranks();
        let places = self.catalogue.sorted(&scopes);
        Tables {
            rows: self.sealed_rows(&places),
            ids: self.ids.sorted_hashes(trailer.store),
            times: self.times.iter().step_by(ROWS_PER_TIME as usize).copied().collect(),
            streams: self.catalogue.tables(&places, &scopes),
            scopes: self.catalogue.scopes().sorted(),
            kinds: groups(&self.kinds),
            correlations: groups(&self.correlations),
            causations: groups(&self.causations),
            tags: self.tags.sorted(),
            controls: self.controls.clone(),
        }
        .encode(trailer)
    }

    /// The rows, each with its stream's place in sorted order.
    fn sealed_rows(&self, places: &[u32]) -> Vec<Row> {
        let mut sealed_places = vec![0; places.len()];
        for (sealed, place) in (0..).zip(places) {
            *sealed_places.get_mut(*place as usize).expect("places are those of all streams") = sealed;
        }
        let sealed = |place: u32| *sealed_places.get(place as usize).expect("each row has a stream");
        self.rows.iter().map(|row| Row { stream: sealed(row.stream), ..*row }).collect()
    }
}

fn groups<K: Copy + Ord>(by_key: &HashMap<K, Vec<u32>>) -> Vec<(K, &[u32])> {
    let mut groups: Vec<_> = by_key.iter().map(|(key, rows)| (*key, rows.as_slice())).collect();
    groups.sort_unstable();
    groups
}
