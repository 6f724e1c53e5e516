//! The streams of a growing index: what is known of each, and how it is found.
//!
//! Invariant: a stream's rows hold consecutive revisions, so its last one follows from the first and their
//! number. Places count up from 0 in order of first appearance.

mod order;

use std::{borrow::Cow, hash::BuildHasher, hint::black_box};

use annals_wire::{Depth, Digest, Key, Lane, Revision, StreamKey};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::{
    Entry, Rows, StreamName, StreamView,
    index::last_revision,
    interner::{Arena, RowsByText, Span, Symbol},
    lists::{List, Lists},
    slot::{Slot, half},
};

/// The streams, with the scopes and entities that they are made of.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    scopes: RowsByText,
    entities: Arena,
    /// By place.
    streams: Vec<Stream>,
    /// The hash of the last event of each, by place: written with every event, read with few.
    heads: Vec<Digest>,
    rows: Lists,
    /// By key. The look-up compares with the stream itself, so that an entity needs none of its own.
    places: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    /// The places of each coordinate's streams beside its trunk, which most coordinates do not have.
    branches: HashMap<Symbol, HashMap<String, Vec<u32>>>,
}

#[derive(Debug)]
struct Stream {
    scope: Symbol,
    lane: Lane,
    entity: Span,
    rows: List,
    first_revision: Revision,
    fork_depth: Depth,
}

impl Catalogue {
    /// Takes in the event at `row`, with half of its stream's hash, and returns the place of the stream; `None` where
    /// it does not continue that.
    pub(crate) fn insert(&mut self, entry: &Entry<'_>, half: u32, row: u32) -> Option<u32> {
        let Some(place) = self.place(half, entry.stream) else {
            return if entry.revision == Revision(0) {
                None
            } else {
                Some(self.insert_stream(half, entry, row))
            };
        };
        let stream = self.streams.get_mut(place as usize).expect("a stream at each place");
        let last = last_revision(stream.first_revision, stream.rows.count());
        if Some(entry.revision) != last.next() {
            return None;
        }
        self.rows.push(&mut stream.rows, row);
        self.scopes.push(stream.scope, row);
        *self.heads.get_mut(place as usize).expect("a head at each place") = entry.hash;
        Some(place)
    }

    fn insert_stream(&mut self, half: u32, entry: &Entry<'_>, row: u32) -> u32 {
        let place = u32::try_from(self.streams.len()).expect("no more streams than rows");
        let StreamKey { scope, entity, lane } = entry.stream;
        let scope = self.scopes.insert(scope, row);
        if lane != Lane(0) {
            let branches = self.branches.entry(scope).or_default();
            branches.entry_ref(entity).or_default().push(place);
        }
        self.streams.push(Stream {
            scope,
            lane,
            entity: self.entities.push(entity),
            rows: List::of(row),
            first_revision: entry.revision,
            fork_depth: entry.fork_depth,
        });
        self.heads.push(entry.hash);
        let slot = Slot { half, place };
        self.places.insert_unique(slot.hash(), slot, Slot::hash);
        place
    }

    /// Looks at what events of the streams with these halves of hashes will look at, so that taking them in waits for
    /// no memory: first where each stream is, then at all streams, then at what they lead to.
    pub(crate) fn touch(&self, halves: impl Iterator<Item = u32>, places: &mut Vec<u32>) {
        places.clear();
        places.extend(halves.filter_map(|half| {
            let slot = Slot { half, place: 0 };
            self.places.find(slot.hash(), |found| found.half == half).map(|found| found.place)
        }));
        let stream = |place: &u32| self.streams.get(*place as usize);
        black_box(places.iter().filter_map(stream).fold(0, |all, stream| all ^ stream.first_revision.0));
        let led_to = |place: &u32| {
            let stream = stream(place)?;
            let head = self.heads.get(*place as usize)?.0.first()?;
            let entity = self.entities.text(stream.entity).as_bytes().first().copied().unwrap_or_default();
            Some(u32::from(head ^ entity) ^ self.rows.rows(&stream.rows).last()?)
        };
        black_box(places.iter().filter_map(led_to).fold(0, |all, touched| all ^ touched));
    }

    /// Half of the hash of the stream `key`.
    pub(crate) fn half(&self, key: StreamKey<'_>) -> u32 {
        half(self.hasher.hash_one((key.scope, key.lane, key.entity)))
    }

    /// The place of the stream `key`, whose half of a hash is `half`.
    fn place(&self, half: u32, key: StreamKey<'_>) -> Option<u32> {
        let is_key = |slot: &Slot| {
            slot.half == half
                && self.streams.get(slot.place as usize).is_some_and(|stream| self.key(stream) == key)
        };
        self.places.find(Slot { half, place: 0 }.hash(), is_key).map(|slot| slot.place)
    }

    pub(crate) fn count(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn find(&self, key: StreamKey<'_>) -> Option<u32> {
        self.place(self.half(key), key)
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
            head: self.heads.get(place as usize).copied(),
            rows: Rows::from(self.rows.rows(&stream.rows)),
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

    fn key(&self, stream: &Stream) -> StreamKey<'_> {
        let (scope, entity) = (self.scopes.text(stream.scope), self.entities.text(stream.entity));
        StreamKey { scope, entity, lane: stream.lane }
    }
}
