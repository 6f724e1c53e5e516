//! How a growing index becomes a footer.
//!
//! Invariant: the bytes depend on the inserted events alone, not on the order in which streams and strings
//! were first seen: everything is sorted, and places are those in sorted order.

use annals_wire::{EventId, FooterTrailer, Row, StreamTable, Tables};
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
        let places = self.catalogue.sorted();
        let scopes = self.catalogue.scopes().sorted();
        Tables {
            rows: self.sealed_rows(&places),
            ids: self.ids.sorted_hashes(trailer.store),
            times: self.times.clone(),
            streams: self.stream_tables(&places, &scopes),
            scopes,
            kinds: self.kinds.iter().map(|(kind, rows)| (*kind, rows.as_slice())).collect(),
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

    fn stream_tables(&self, places: &[u32], scopes: &[(&str, &[u32])]) -> Vec<StreamTable<'_>> {
        let mut numbered = (0..).zip(scopes).peekable();
        let mut tables = Vec::with_capacity(places.len());
        for place in places {
            let stream = self.catalogue.view(*place).expect("places are those of all streams");
            let key = self.catalogue.key_at(*place).expect("places are those of all streams");
            // Streams and scopes have the same order, so the scopes are gone through once.
            while numbered.next_if(|(_, (scope, _))| *scope != key.scope).is_some() {}
            let (scope, _) = *numbered.peek().expect("every stream has a scope");
            tables.push(StreamTable {
                scope,
                entity: key.entity,
                lane: key.lane,
                first_revision: stream.first_revision,
                fork_depth: stream.fork_depth,
                rows: self.catalogue.rows(*place),
            });
        }
        tables
    }
}

fn groups(by_id: &HashMap<EventId, Vec<u32>>) -> Vec<(EventId, &[u32])> {
    let mut groups: Vec<_> = by_id.iter().map(|(id, rows)| (*id, rows.as_slice())).collect();
    groups.sort_unstable();
    groups
}
