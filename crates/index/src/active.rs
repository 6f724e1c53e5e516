//! The index of events as they are appended, or as a scan finds them.
//!
//! Invariant: rows are in order of sequence, without a gap, and their frames in order of offset. What it
//! answers depends only on what was inserted, never on when or in which process.

mod encode;
mod pending;

pub use self::pending::Pending;

use std::ops::Range;

use annals_wire::{
    Depth, Digest, Event, EventId, FRAME_ALIGN, Key, Kind, ROW_COUNT_MAX, Recorded, Revision, Row, Sequence,
    StoreId, StreamKey,
};
use hashbrown::HashMap;

use crate::{
    Error, IdRows, Index, Rows, StreamView, Term, catalogue::Catalogue, ids::Ids, interner::RowsByText,
};

/// What the index has to know of an event, beside its tags.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever appends: every field must be given")]
pub struct Entry<'a> {
    /// Where its frame begins, in bytes from the start of the segment.
    pub offset: u32,
    /// The event's id.
    pub id: EventId,
    /// The conversation; `None` where it is the id.
    pub correlation: Option<EventId>,
    /// The event that caused it.
    pub causation: Option<EventId>,
    /// Coordinate and lane.
    pub stream: StreamKey<'a>,
    /// What sort of event it is.
    pub kind: Kind,
    /// The place in its stream.
    pub revision: Revision,
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub fork_depth: Depth,
    /// When it was recorded.
    pub recorded: Recorded,
    /// The event's hash.
    pub hash: Digest,
}

impl<'a> Entry<'a> {
    /// The entry of `event`, whose frame begins at `offset`. Its tags are `event.tags.iter()`.
    #[must_use]
    pub fn of(event: &Event<'a>, offset: u32) -> Self {
        Self {
            offset,
            id: event.id,
            correlation: event.correlation,
            causation: event.causation,
            stream: event.stream,
            kind: event.stamp.kind,
            revision: event.stamp.revision,
            fork_depth: event.fork.map_or(Depth(0), |fork| fork.depth),
            recorded: event.stamp.recorded,
            hash: event.stamp.hash,
        }
    }
}

/// Half of the hashes of an event's id and of its stream.
#[derive(Debug, Clone, Copy)]
struct Halves {
    id: u32,
    stream: u32,
}

/// An index in memory, that grows.
#[derive(Debug)]
pub struct ActiveIndex {
    first_sequence: Sequence,
    /// [`Row::stream`] is the place in the catalogue.
    rows: Vec<Row>,
    ids: Ids,
    /// When each row was recorded: of what is not written yet, only memory can say.
    times: Vec<Recorded>,
    catalogue: Catalogue,
    kinds: HashMap<Kind, Vec<u32>>,
    tags: RowsByText,
    correlations: HashMap<EventId, Vec<u32>>,
    causations: HashMap<EventId, Vec<u32>>,
    controls: Vec<u32>,
    last_offset: Option<u32>,
}

impl ActiveIndex {
    /// An index without events, the first of which will have `first_sequence`.
    #[must_use]
    pub fn new(first_sequence: Sequence) -> Self {
        Self {
            first_sequence,
            rows: Vec::new(),
            ids: Ids::default(),
            times: Vec::new(),
            catalogue: Catalogue::default(),
            kinds: HashMap::new(),
            tags: RowsByText::default(),
            correlations: HashMap::new(),
            causations: HashMap::new(),
            controls: Vec::new(),
            last_offset: None,
        }
    }

    /// Makes room for so many more events.
    pub fn reserve(&mut self, count: usize) {
        self.rows.reserve(count);
        self.ids.reserve(count);
    }

    /// Whether [`ActiveIndex::insert`] can take `entry` as the next event. Who appends made sure of it; who
    /// scans a log that it did not write has to ask.
    #[must_use]
    pub fn accepts(&self, entry: &Entry<'_>) -> bool {
        let last = self.catalogue.find(entry.stream).and_then(|place| self.catalogue.view(place));
        let continues = match last {
            Some(stream) => stream.last_revision().next() == Some(entry.revision),
            None => entry.revision != Revision(0),
        };
        continues && self.accepts_offset(entry.offset) && self.ids.find(entry.id).is_none()
    }

    /// Whether a frame at `offset`, an event's or a control record's, can come next.
    #[must_use]
    pub fn accepts_offset(&self, offset: u32) -> bool {
        self.last_offset < Some(offset) && u64::from(offset).is_multiple_of(FRAME_ALIGN)
    }

    /// Takes in the next event, with its tags.
    ///
    /// # Panics
    /// Where it cannot come next: [`ActiveIndex::accepts`].
    pub fn insert<'t>(&mut self, entry: &Entry<'_>, tags: impl IntoIterator<Item = &'t str>) {
        self.take(entry, tags).expect("who appends made sure that it comes next");
    }

    /// Takes in the next event, with its tags; false where it cannot come next. The index is then of no more use.
    #[must_use]
    pub fn try_insert<'t>(&mut self, entry: &Entry<'_>, tags: impl IntoIterator<Item = &'t str>) -> bool {
        self.take(entry, tags).is_ok()
    }

    fn take<'t>(
        &mut self,
        entry: &Entry<'_>,
        tags: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), &'static str> {
        let halves = Halves { id: self.ids.half(entry.id), stream: self.catalogue.half(entry.stream) };
        self.take_hashed(entry, halves, tags)
    }

    fn take_hashed<'t>(
        &mut self,
        entry: &Entry<'_>,
        halves: Halves,
        tags: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), &'static str> {
        if !self.accepts_offset(entry.offset) {
            return Err("frames come in order, at multiples of eight");
        }
        self.last_offset = Some(entry.offset);
        assert!(self.rows.len() < ROW_COUNT_MAX, "a segment has fewer events");
        let row = self.row_count();
        if !self.ids.push(entry.id, halves.id) {
            return Err("an id is given once");
        }
        self.times.push(entry.recorded);
        let stream = self.catalogue.insert(entry, halves.stream, row);
        let stream = stream.ok_or("the revision continues its stream")?;
        self.kinds.entry(entry.kind).or_default().push(row);
        let correlation = entry.correlation.filter(|correlation| *correlation != entry.id);
        if let Some(correlation) = correlation {
            self.correlations.entry(correlation).or_default().push(row);
        }
        if let Some(causation) = entry.causation {
            self.causations.entry(causation).or_default().push(row);
        }
        for tag in tags {
            self.tags.insert(tag, row);
        }
        let is_root = correlation.is_none();
        self.rows.push(Row { offset: entry.offset, stream, kind: entry.kind, is_root });
        Ok(())
    }

    /// Takes in the next control record, whose frame begins at `offset`.
    ///
    /// # Panics
    /// Where it cannot come next: [`ActiveIndex::accepts_offset`].
    pub fn insert_control(&mut self, offset: u32) {
        assert!(self.accepts_offset(offset), "frames come in order, at multiples of eight");
        self.last_offset = Some(offset);
        self.controls.push(offset);
    }

    /// The places of all streams, in order of their keys, which is the order of a [`crate::SealedIndex`].
    #[must_use]
    pub fn sorted_streams(&self) -> Vec<u32> {
        self.catalogue.sorted(&self.catalogue.scopes().ranks())
    }
}

impl Index for ActiveIndex {
    fn first_sequence(&self) -> Sequence {
        self.first_sequence
    }

    fn row_count(&self) -> u32 {
        narrow(self.rows.len())
    }

    fn row(&self, row: u32) -> Result<Option<Row>, Error> {
        Ok(self.rows.get(row as usize).copied())
    }

    fn find_id(&self, id: EventId) -> Result<IdRows<'_>, Error> {
        Ok(self.ids.find(id).map_or(IdRows::Possible(rows(None)), IdRows::Known))
    }

    fn rows_at(&self, recorded: Recorded) -> Result<Range<u32>, Error> {
        let row = narrow(self.times.partition_point(|time| *time < recorded));
        Ok(row..row)
    }

    fn find_stream(&self, key: StreamKey<'_>) -> Result<Option<StreamView<'_>>, Error> {
        Ok(self.catalogue.find(key).and_then(|place| self.catalogue.view(place)))
    }

    fn find_coordinate(&self, scope: &str, entity: &str) -> Result<Vec<u32>, Error> {
        Ok(self.catalogue.lanes(scope, entity))
    }

    fn stream_count(&self) -> u32 {
        u32::try_from(self.catalogue.count()).expect("no more streams than rows")
    }

    fn stream(&self, place: u32) -> Result<Option<StreamView<'_>>, Error> {
        Ok(self.catalogue.view(place))
    }

    fn rows_of(&self, term: &Term<'_>) -> Result<Rows<'_>, Error> {
        Ok(match term {
            Term::Kind(kind) => rows(self.kinds.get(kind)),
            Term::Scope(scope) => Rows::from(self.catalogue.scopes().rows(scope)),
            Term::Tag(tag) => Rows::from(self.tags.rows(tag)),
            Term::Correlation(id) => rows(self.correlations.get(id)),
            Term::Causation(id) => rows(self.causations.get(id)),
        })
    }

    fn control_offsets(&self) -> Result<Vec<u32>, Error> {
        Ok(self.controls.clone())
    }

    fn key_hashes(&self, store: StoreId) -> Result<Vec<u32>, Error> {
        let mut hashes: Vec<u32> = self.ids.sorted_hashes(store).into_iter().map(|(hash, _)| hash).collect();
        let keys = self.catalogue.keys().chain(self.tags.texts().map(Key::Tag));
        let keys = keys.chain(self.kinds.keys().copied().map(Key::Kind));
        let keys = keys.chain(self.correlations.keys().copied().map(Key::Correlation));
        let keys = keys.chain(self.causations.keys().copied().map(Key::Causation));
        hashes.extend(keys.map(|key| key.hash(store)));
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    fn kinds(&self) -> Result<Vec<Kind>, Error> {
        let mut kinds: Vec<Kind> = self.kinds.keys().copied().collect();
        kinds.sort_unstable();
        Ok(kinds)
    }
}

fn narrow(row: usize) -> u32 {
    u32::try_from(row).expect("at most ROW_COUNT_MAX")
}

fn rows(found: Option<&Vec<u32>>) -> Rows<'_> {
    Rows::from(found.map_or(&[][..], Vec::as_slice))
}

#[cfg(test)]
mod tests {
    use annals_wire::Lane;

    use super::*;

    fn entry(number: u8, offset: u32, revision: u64) -> Entry<'static> {
        Entry {
            offset,
            id: EventId([number; 16]),
            correlation: None,
            causation: None,
            stream: StreamKey { scope: "s", entity: "e", lane: Lane(0) },
            kind: Kind::new(0x1000).unwrap(),
            revision: Revision(revision),
            fork_depth: Depth(0),
            recorded: Recorded(number.into()),
            hash: Digest([number; 32]),
        }
    }

    #[test]
    fn what_cannot_come_next_is_not_accepted() {
        let mut index = ActiveIndex::new(Sequence(1));
        assert!(!index.accepts(&entry(1, 512, 0)), "no revision");
        assert!(index.accepts(&entry(1, 512, 4)), "a stream may have begun before");
        index.insert(&entry(1, 512, 4), []);
        index.insert_control(600);
        assert!(index.accepts(&entry(2, 608, 5)));
        assert!(!index.accepts(&entry(2, 608, 4)) && !index.accepts(&entry(2, 608, 6)), "a gap");
        assert!(!index.accepts(&entry(1, 608, 5)), "an id that is known");
        assert!(!index.accepts(&entry(2, 600, 5)) && !index.accepts(&entry(2, 609, 5)), "an offset");
    }

    #[test]
    #[should_panic(expected = "the revision continues its stream")]
    fn a_gap_in_a_stream_is_a_mistake() {
        let mut index = ActiveIndex::new(Sequence(1));
        index.insert(&entry(1, 512, 1), []);
        index.insert(&entry(2, 520, 3), []);
    }

    #[test]
    #[should_panic(expected = "frames come in order")]
    fn an_offset_that_does_not_grow_is_a_mistake() {
        let mut index = ActiveIndex::new(Sequence(1));
        index.insert(&entry(1, 512, 1), []);
        index.insert_control(512);
    }

    #[test]
    fn a_correlation_with_itself_is_none() {
        let mut index = ActiveIndex::new(Sequence(1));
        let own = EventId([1; 16]);
        index.insert(&Entry { correlation: Some(own), ..entry(1, 512, 1) }, ["t", "t"]);
        assert!(index.rows_of(&Term::Correlation(own)).unwrap().is_empty());
        assert_eq!(index.row(0).unwrap().map(|row| row.is_root), Some(true));
        assert_eq!(index.rows_of(&Term::Tag("t")).unwrap().len(), 1);
    }
}
