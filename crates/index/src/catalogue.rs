//! The streams of a growing index: what is known of each, and how it is found.
//!
//! Invariant: a stream's rows hold consecutive revisions, so its last one follows from the first and their
//! number. Places count up from 0 in order of first appearance.

use annals_wire::{Depth, Digest, Lane, Revision, StreamKey};
use hashbrown::{HashMap, hash_map};

use crate::{
    Entry, Rows, StreamView,
    index::last_revision,
    interner::{Interner, RowsByText, Symbol},
};

/// The streams, with the scopes and entities that they are made of.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    scopes: RowsByText,
    entities: Interner,
    /// By place.
    streams: Vec<Stream>,
    places: HashMap<(Symbol, Symbol, Lane), u32>,
    /// The places of each coordinate's streams beside its trunk, which most coordinates do not have.
    branches: HashMap<(Symbol, Symbol), Vec<u32>>,
}

#[derive(Debug)]
struct Stream {
    scope: Symbol,
    entity: Symbol,
    lane: Lane,
    first_revision: Revision,
    fork_depth: Depth,
    head: Digest,
    rows: Vec<u32>,
}

impl Catalogue {
    /// Takes in the event at `row` and returns the place of its stream.
    pub(crate) fn insert(&mut self, entry: &Entry<'_>, row: u32) -> u32 {
        let scope = self.scopes.insert(entry.stream.scope, row);
        let entity = self.entities.intern(entry.stream.entity);
        match self.places.entry((scope, entity, entry.stream.lane)) {
            hash_map::Entry::Occupied(found) => {
                let stream = self.streams.get_mut(*found.get() as usize).expect("a stream at each place");
                let last = last_revision(stream.first_revision, stream.rows.len());
                assert_eq!(Some(entry.revision), last.next(), "the revision continues its stream");
                stream.head = entry.hash;
                stream.rows.push(row);
                *found.get()
            }
            hash_map::Entry::Vacant(vacant) => {
                assert_ne!(entry.revision, Revision(0), "revisions count from 1");
                let place = u32::try_from(self.streams.len()).expect("no more streams than rows");
                vacant.insert(place);
                if entry.stream.lane != Lane(0) {
                    self.branches.entry((scope, entity)).or_default().push(place);
                }
                self.streams.push(Stream::new(entry, scope, entity, row));
                place
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn find(&self, key: StreamKey<'_>) -> Option<u32> {
        let (scope, entity) = self.find_coordinate(key.scope, key.entity)?;
        self.places.get(&(scope, entity, key.lane)).copied()
    }

    /// The places of a coordinate's streams, in order of their lanes.
    pub(crate) fn lanes(&self, scope: &str, entity: &str) -> Vec<u32> {
        let Some((scope, entity)) = self.find_coordinate(scope, entity) else { return Vec::new() };
        let trunk = self.places.get(&(scope, entity, Lane(0)));
        let branches = self.branches.get(&(scope, entity)).into_iter().flatten();
        let mut places: Vec<u32> = trunk.into_iter().chain(branches).copied().collect();
        places.sort_unstable_by_key(|place| self.streams.get(*place as usize).map(|stream| stream.lane));
        places
    }

    pub(crate) fn view(&self, place: u32) -> Option<StreamView<'_>> {
        let stream = self.streams.get(place as usize)?;
        Some(StreamView {
            place,
            key: self.key(stream),
            first_revision: stream.first_revision,
            fork_depth: stream.fork_depth,
            head: stream.head,
            rows: Rows::from(stream.rows.as_slice()),
        })
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

    /// The rows of the stream at `place`.
    pub(crate) fn rows(&self, place: u32) -> &[u32] {
        self.streams.get(place as usize).map_or(&[], |stream| &stream.rows)
    }

    fn key(&self, stream: &Stream) -> StreamKey<'_> {
        let (scope, entity) = (self.scopes.text(stream.scope), self.entities.text(stream.entity));
        StreamKey { scope, entity, lane: stream.lane }
    }

    fn find_coordinate(&self, scope: &str, entity: &str) -> Option<(Symbol, Symbol)> {
        Some((self.scopes.find(scope)?, self.entities.find(entity)?))
    }
}

impl Stream {
    fn new(entry: &Entry<'_>, scope: Symbol, entity: Symbol, row: u32) -> Self {
        Self {
            scope,
            entity,
            lane: entry.stream.lane,
            first_revision: entry.revision,
            fork_depth: entry.fork_depth,
            head: entry.hash,
            rows: vec![row],
        }
    }
}
