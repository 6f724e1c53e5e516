//! A footer's tables, built from what its events say of themselves, to be encoded and compared.

use std::collections::{BTreeMap, BTreeSet};

use annals_wire::{
    Block, Depth, Error, EventId, Footer, FooterTrailer, Key, Kind, Lane, Postings, ROWS_PER_TIME, Recorded,
    Revision, Row, StreamKey, StreamTable, TableBytes, Tables,
};

/// What an index takes from one event.
#[derive(Debug, Clone)]
pub(crate) struct Indexed {
    pub(crate) offset: u32,
    pub(crate) id: EventId,
    pub(crate) correlation: Option<EventId>,
    pub(crate) causation: Option<EventId>,
    pub(crate) scope: String,
    pub(crate) entity: String,
    pub(crate) lane: Lane,
    pub(crate) fork_depth: Depth,
    pub(crate) revision: Revision,
    pub(crate) kind: Kind,
    pub(crate) recorded: Recorded,
    pub(crate) tags: BTreeSet<String>,
}

/// The tables over some events.
#[derive(Debug, Default)]
pub(crate) struct NewTables {
    rows: Vec<Row>,
    ids: BTreeMap<EventId, u32>,
    times: Vec<Recorded>,
    scopes: BTreeMap<String, Vec<u32>>,
    streams: Vec<NewStream>,
    kinds: BTreeMap<Kind, Vec<u32>>,
    correlations: BTreeMap<EventId, Vec<u32>>,
    causations: BTreeMap<EventId, Vec<u32>>,
    tags: BTreeMap<String, Vec<u32>>,
    controls: Vec<u32>,
}

#[derive(Debug)]
struct NewStream {
    scope: u32,
    first: Indexed,
    rows: Vec<u32>,
}

impl NewTables {
    pub(crate) fn new(events: &[Indexed], controls: &[u32]) -> Self {
        let mut tables = Self { controls: controls.to_vec(), ..Self::default() };
        let mut streams: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for (row, event) in (0..).zip(events) {
            tables.ids.insert(event.id, row);
            tables.scopes.entry(event.scope.clone()).or_default().push(row);
            tables.kinds.entry(event.kind).or_default().push(row);
            streams.entry((&event.scope, &event.entity, event.lane)).or_default().push(row);
            let keys =
                [(event.correlation, &mut tables.correlations), (event.causation, &mut tables.causations)];
            for (key, groups) in keys {
                key.into_iter().for_each(|key| groups.entry(key).or_default().push(row));
            }
            for tag in &event.tags {
                tables.tags.entry(tag.clone()).or_default().push(row);
            }
        }
        for event in events {
            let stream = streams.keys().position(|key| *key == (&event.scope, &event.entity, event.lane));
            tables.rows.push(Row {
                offset: event.offset,
                stream: u32::try_from(stream.unwrap()).unwrap(),
                kind: event.kind,
                is_root: event.correlation.is_none(),
            });
        }
        tables.times = events.iter().step_by(ROWS_PER_TIME as usize).map(|event| event.recorded).collect();
        let scopes: Vec<_> = tables.scopes.keys().collect();
        tables.streams = streams
            .into_iter()
            .map(|((scope, ..), rows)| NewStream {
                scope: u32::try_from(scopes.binary_search(&scope).unwrap()).unwrap(),
                first: events[rows[0] as usize].clone(),
                rows,
            })
            .collect();
        tables
    }

    pub(crate) fn row_count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap()
    }

    pub(crate) fn encode(&self, trailer: &FooterTrailer) -> Vec<u8> {
        let streams = self.streams.iter().map(|stream| StreamTable {
            scope: stream.scope,
            entity: &stream.first.entity,
            lane: stream.first.lane,
            first_revision: stream.first.revision,
            fork_depth: stream.first.fork_depth,
            rows: &stream.rows,
        });
        let mut ids: Vec<_> =
            self.ids.iter().map(|(id, row)| (Key::Id(*id).hash(trailer.store), *row)).collect();
        ids.sort_unstable();
        let tables = Tables {
            rows: self.rows.clone(),
            ids,
            times: self.times.clone(),
            scopes: self.scopes.iter().map(|(scope, rows)| (&**scope, &**rows)).collect(),
            streams: streams.collect(),
            kinds: self.kinds.iter().map(|(kind, rows)| (*kind, &**rows)).collect(),
            correlations: self.correlations.iter().map(|(id, rows)| (*id, &**rows)).collect(),
            causations: self.causations.iter().map(|(id, rows)| (*id, &**rows)).collect(),
            tags: self.tags.iter().map(|(tag, rows)| (&**tag, &**rows)).collect(),
            controls: self.controls.clone(),
        };
        tables.encode(trailer)
    }

    /// Checks that the footer that `bytes` end with answers as these tables do.
    pub(crate) fn assert_in(&self, bytes: &[u8], trailer: &FooterTrailer) -> Result<(), Error> {
        let bytes = TableBytes::from(bytes);
        let footer = Footer::decode(bytes)?;
        footer.check_all(bytes)?;
        assert_eq!(footer.trailer(), trailer);
        let rows: Result<Vec<_>, _> = (0..footer.row_count()).map(|row| footer.row(bytes, row)).collect();
        assert_eq!(rows?, self.rows);
        for (id, row) in &self.ids {
            assert!(all(footer.find_id(bytes, *id)?).contains(row));
        }
        assert_eq!(footer.id_hashes(bytes)?.count(), self.ids.len());
        self.assert_times_in(&footer, bytes)?;
        assert_eq!(footer.kinds(bytes)?, self.kinds.keys().copied().collect::<Vec<_>>());
        for (kind, rows) in &self.kinds {
            assert_eq!(all(footer.find_kind(bytes, *kind)?), *rows);
        }
        for (id, rows) in &self.correlations {
            assert_eq!(all(footer.find_correlation(bytes, *id)?), *rows);
        }
        for (id, rows) in &self.causations {
            assert_eq!(all(footer.find_causation(bytes, *id)?), *rows);
        }
        for (tag, rows) in &self.tags {
            assert_eq!(all(footer.find_tag(bytes, tag)?), *rows);
        }
        assert_eq!(all(footer.controls(bytes)?), self.controls);
        self.assert_scopes_in(&footer, bytes)?;
        self.assert_streams_in(&footer, bytes)?;
        assert_absent(&footer, bytes)
    }

    /// The times are those of the rows; the generated ones ascend.
    fn assert_times_in(&self, footer: &Footer, bytes: TableBytes<'_>) -> Result<(), Error> {
        let count = footer.row_count();
        assert_eq!(footer.rows_at(bytes, Recorded(0))?, 0..0);
        let last = u32::try_from(self.times.len()).unwrap().saturating_sub(1) * ROWS_PER_TIME;
        let behind = if count == 0 { 0..0 } else { last + 1..count };
        assert_eq!(footer.rows_at(bytes, Recorded(u64::MAX))?, behind);
        Ok(())
    }

    fn assert_scopes_in(&self, footer: &Footer, bytes: TableBytes<'_>) -> Result<(), Error> {
        assert_eq!(footer.scope_count(), self.scopes.len());
        let mut first_stream = 0;
        for (place, (text, rows)) in self.scopes.iter().enumerate() {
            let (found, scope) = footer.find_scope(bytes, text)?.unwrap();
            assert_eq!((found, scope.text, all(scope.rows)), (place, &**text, rows.clone()));
            let streams = self.streams.iter().filter(|stream| stream.scope as usize == place).count();
            assert_eq!((scope.streams.start as usize, scope.streams.len()), (first_stream, streams));
            first_stream += streams;
        }
        Ok(())
    }

    fn assert_streams_in(&self, footer: &Footer, bytes: TableBytes<'_>) -> Result<(), Error> {
        assert_eq!(footer.stream_count(), self.streams.len());
        for (place, stream) in self.streams.iter().enumerate() {
            let first = &stream.first;
            let key = StreamKey { scope: &first.scope, entity: &first.entity, lane: first.lane };
            let (found, entry) = footer.find_stream(bytes, key)?.unwrap();
            assert_eq!((found as usize, &*entry.entity), (place, &*first.entity));
            assert_eq!(footer.scope_of(bytes, place)?, first.scope);
            assert_eq!((entry.lane, entry.first_revision), (first.lane, first.revision));
            assert_eq!(entry.fork_depth, first.fork_depth);
            assert_eq!(all(entry.rows), stream.rows);
            let placed = (0..).map_while(|index| entry.rows.placed_at(index).transpose());
            let offset = |row: &u32| (*row, self.rows[*row as usize].offset);
            assert_eq!(
                placed.collect::<Result<Vec<_>, _>>()?,
                stream.rows.iter().map(offset).collect::<Vec<_>>()
            );
            let hash = Key::Coordinate { scope: key.scope, entity: key.entity }.hash(footer.trailer().store);
            assert!(footer.find_hashed_stream(bytes, key, hash)?.is_some());
            assert_eq!(footer.stream(bytes, place)?.entity, first.entity);
        }
        Ok(())
    }
}

/// Checks that what no test makes is not found.
fn assert_absent(footer: &Footer, bytes: TableBytes<'_>) -> Result<(), Error> {
    let (id, text) = (EventId([0xab; 16]), "nowhere");
    let key = StreamKey { scope: text, entity: text, lane: Lane(9) };
    assert!(footer.find_id(bytes, id)?.is_empty() && footer.find_correlation(bytes, id)?.is_empty());
    assert!(footer.find_causation(bytes, id)?.is_empty() && footer.find_tag(bytes, text)?.is_empty());
    assert!(footer.find_stream(bytes, key)?.is_none() && footer.find_scope(bytes, text)?.is_none());
    assert!(footer.find_kind(bytes, Kind::new(0xffff).unwrap())?.is_empty());
    assert!(
        footer.row(bytes, footer.row_count()).is_err()
            && footer.stream(bytes, footer.stream_count()).is_err()
    );
    assert!(Block::ALL.into_iter().all(|block| footer.block_range(block).end <= bytes.len()));
    Ok(())
}

fn all(postings: Postings<'_>) -> Vec<u32> {
    assert_eq!(postings.at(postings.len()), Ok(None));
    (0..postings.len()).map(|index| postings.at(index).unwrap().unwrap()).collect()
}
