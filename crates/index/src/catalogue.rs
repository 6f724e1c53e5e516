//! The streams of a growing index: what is known of each, and how it is found.
//!
//! Invariant: a stream's rows hold consecutive revisions, so its last one follows from the first and their
//! number. Places count up from 0 in order of first appearance.

use std::{borrow::Cow, hash::BuildHasher};

use annals_wire::{Depth, Digest, Key, Lane, Revision, StreamKey};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::{
    Entry, Rows, StreamName, StreamView,
    index::last_revision,
    interner::{Arena, RowsByText, Span, Symbol},
};

/// The streams, with the scopes and entities that they are made of.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    scopes: RowsByText,
    entities: Arena,
    /// By place.
    streams: Vec<Stream>,
    /// By key. The look-up compares with the stream itself, so that an entity needs none of its own.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The places of each coordinate's streams beside its trunk, which most coordinates do not have.
    branches: HashMap<Symbol, HashMap<String, Vec<u32>>>,
}

#[derive(Debug)]
struct Stream {
    scope: Symbol,
    entity: Span,
    lane: Lane,
    first_revision: Revision,
    fork_depth: Depth,
    head: Digest,
    rows: StreamRows,
    /// That of the key, so that the table grows without reading the keys again.
    hash: u64,
}

/// The rows of a stream, of which most have one in a segment.
#[derive(Debug)]
enum StreamRows {
    One(u32),
    More(Vec<u32>),
}

impl StreamRows {
    fn push(&mut self, row: u32) {
        match self {
            Self::One(first) => *self = Self::More(vec![*first, row]),
            Self::More(rows) => rows.push(row),
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(row) => std::slice::from_ref(row),
            Self::More(rows) => rows,
        }
    }
}

impl Catalogue {
    /// Takes in the event at `row` and returns the place of its stream; `None` where it does not continue that.
    pub(crate) fn insert(&mut self, entry: &Entry<'_>, row: u32) -> Option<u32> {
        let scope = self.scopes.insert(entry.stream.scope, row);
        let hash = hash(&self.hasher, scope, entry.stream.entity, entry.stream.lane);
        let Some(place) = self.place(hash, scope, entry.stream) else {
            return if entry.revision == Revision(0) {
                None
            } else {
                Some(self.insert_stream(hash, scope, entry, row))
            };
        };
        let stream = self.streams.get_mut(place as usize).expect("a stream at each place");
        let last = last_revision(stream.first_revision, stream.rows.as_slice().len());
        if Some(entry.revision) != last.next() {
            return None;
        }
        stream.head = entry.hash;
        stream.rows.push(row);
        Some(place)
    }

    fn insert_stream(&mut self, hash: u64, scope: Symbol, entry: &Entry<'_>, row: u32) -> u32 {
        let place = u32::try_from(self.streams.len()).expect("no more streams than rows");
        let StreamKey { entity, lane, .. } = entry.stream;
        if lane != Lane(0) {
            let branches = self.branches.entry(scope).or_default();
            branches.entry_ref(entity).or_default().push(place);
        }
        self.streams.push(Stream {
            scope,
            entity: self.entities.push(entity),
            lane,
            first_revision: entry.revision,
            fork_depth: entry.fork_depth,
            head: entry.hash,
            rows: StreamRows::One(row),
            hash,
        });
        let Self { streams, places, .. } = self;
        places.insert_unique(hash, place, |place| {
            streams.get(*place as usize).expect("a stream at each place").hash
        });
        place
    }

    /// The place of the stream `key`, whose scope is `scope` and whose hash is `hash`.
    fn place(&self, hash: u64, scope: Symbol, key: StreamKey<'_>) -> Option<u32> {
        let is_key = |place: &u32| {
            self.streams.get(*place as usize).is_some_and(|stream| {
                (stream.scope, stream.lane) == (scope, key.lane)
                    && self.entities.text(stream.entity) == key.entity
            })
        };
        self.places.find(hash, is_key).copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn find(&self, key: StreamKey<'_>) -> Option<u32> {
        let scope = self.scopes.find(key.scope)?;
        self.place(hash(&self.hasher, scope, key.entity, key.lane), scope, key)
    }

    /// The places of a coordinate's streams, in order of their lanes.
    pub(crate) fn lanes(&self, scope: &str, entity: &str) -> Vec<u32> {
        let trunk = self.find(StreamKey { scope, entity, lane: Lane(0) });
        let branches = self.scopes.find(scope).and_then(|scope| self.branches.get(&scope)?.get(entity));
        let mut places: Vec<u32> = trunk.into_iter().chain(branches.into_iter().flatten().copied()).collect();
        places.sort_unstable_by_key(|place| self.streams.get(*place as usize).map(|stream| stream.lane));
        places
    }

    pub(crate) fn view(&self, place: u32) -> Option<StreamView<'_>> {
        let stream = self.streams.get(place as usize)?;
        let key = self.key(stream);
        Some(StreamView {
            place,
            name: StreamName { scope: key.scope, entity: Cow::Borrowed(key.entity), lane: key.lane },
            first_revision: stream.first_revision,
            fork_depth: stream.fork_depth,
            head: Some(stream.head),
            rows: Rows::from(stream.rows.as_slice()),
        })
    }

    /// The coordinates of all streams, and the scopes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let coordinates = self.streams.iter().map(|stream| {
            let StreamKey { scope, entity, .. } = self.key(stream);
            Key::Coordinate { scope, entity }
        });
        coordinates.chain(self.scopes.texts().map(Key::Scope))
    }

    /// The rows of each scope.
    pub(crate) fn scopes(&self) -> &RowsByText {
        &self.scopes
    }

    /// The places of all streams, in order of their keys.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut keyed: Vec<(StreamKey<'_>, u32)> =
            self.streams.iter().zip(0..).map(|(stream, place)| (self.key(stream), place)).collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, place)| place).collect()
    }

    /// The key of the stream at `place`.
    pub(crate) fn key_at(&self, place: u32) -> Option<StreamKey<'_>> {
        Some(self.key(self.streams.get(place as usize)?))
    }

    /// The rows of the stream at `place`.
    pub(crate) fn rows(&self, place: u32) -> &[u32] {
        self.streams.get(place as usize).map_or(&[], |stream| stream.rows.as_slice())
    }

    fn key(&self, stream: &Stream) -> StreamKey<'_> {
        let (scope, entity) = (self.scopes.text(stream.scope), self.entities.text(stream.entity));
        StreamKey { scope, entity, lane: stream.lane }
    }
}

fn hash(hasher: &DefaultHashBuilder, scope: Symbol, entity: &str, lane: Lane) -> u64 {
    hasher.hash_one((scope, entity, lane))
}
