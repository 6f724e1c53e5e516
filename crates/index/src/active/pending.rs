//! Events on their way into an index, some dozens at a time.
//!
//! Invariant: what comes of it is what comes of taking them in one by one. What each will look at is looked at before, for
//! all of them: of places that no cache has, those of one event are waited for one behind another, those of many at once.

use annals_wire::{Depth, Digest, EventId, Kind, Lane, Recorded, Revision, StreamKey};

use super::{ActiveIndex, Halves};
use crate::{
    Entry,
    interner::{Arena, Span},
};

/// How many are taken in at once: what they look at has room in the fastest cache.
const COUNT_MAX: usize = 64;

/// Events that an index has not taken in yet.
#[derive(Debug, Default)]
pub struct Pending {
    events: Vec<Event>,
    texts: Arena,
    tags: Vec<Span>,
    /// By event.
    halves: Vec<Halves>,
    /// Where streams are, for a moment.
    places: Vec<u32>,
}

#[derive(Debug)]
struct Event {
    offset: u32,
    id: EventId,
    correlation: Option<EventId>,
    causation: Option<EventId>,
    scope: Span,
    entity: Span,
    lane: Lane,
    kind: Kind,
    revision: Revision,
    fork_depth: Depth,
    recorded: Recorded,
    hash: Digest,
    /// How many tags there are up to the last of it.
    tags_end: usize,
}

impl Pending {
    /// Adds the next event, with its tags.
    pub fn push<'t>(&mut self, entry: &Entry<'_>, tags: impl IntoIterator<Item = &'t str>) {
        let Self { events, texts, tags: spans, .. } = self;
        spans.extend(tags.into_iter().map(|tag| texts.push(tag)));
        let StreamKey { scope, entity, lane } = entry.stream;
        events.push(Event {
            offset: entry.offset,
            id: entry.id,
            correlation: entry.correlation,
            causation: entry.causation,
            scope: texts.push(scope),
            entity: texts.push(entity),
            lane,
            kind: entry.kind,
            revision: entry.revision,
            fork_depth: entry.fork_depth,
            recorded: entry.recorded,
            hash: entry.hash,
            tags_end: spans.len(),
        });
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether there are so many that an index should take them in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.events.len() >= COUNT_MAX
    }

    fn entry(&self, event: &Event) -> Entry<'_> {
        let (scope, entity) = (self.texts.text(event.scope), self.texts.text(event.entity));
        Entry {
            offset: event.offset,
            id: event.id,
            correlation: event.correlation,
            causation: event.causation,
            stream: StreamKey { scope, entity, lane: event.lane },
            kind: event.kind,
            revision: event.revision,
            fork_depth: event.fork_depth,
            recorded: event.recorded,
            hash: event.hash,
        }
    }

    fn clear(&mut self) {
        self.events.clear();
        self.texts.clear();
        self.tags.clear();
        self.halves.clear();
    }
}

impl ActiveIndex {
    /// Takes in all of `pending`, and leaves none there.
    ///
    /// # Errors
    /// The offset of the first that cannot come next. The index is then of no more use.
    pub fn try_insert_all(&mut self, pending: &mut Pending) -> Result<(), u32> {
        self.touch(pending);
        let taken = self.take_all(pending);
        pending.clear();
        taken
    }

    fn take_all(&mut self, pending: &Pending) -> Result<(), u32> {
        let mut tags_start = 0;
        for (event, halves) in pending.events.iter().zip(&pending.halves) {
            let tags = pending.tags.get(tags_start..event.tags_end).unwrap_or_default();
            tags_start = event.tags_end;
            let tags = tags.iter().map(|tag| pending.texts.text(*tag));
            self.take_hashed(&pending.entry(event), *halves, tags).map_err(|_| event.offset)?;
        }
        Ok(())
    }

    fn touch(&self, pending: &mut Pending) {
        let halves = pending.events.iter().map(|event| {
            let entry = pending.entry(event);
            Halves { id: self.ids.half(entry.id), stream: self.catalogue.half(entry.stream) }
        });
        let halves: Vec<Halves> = halves.collect();
        self.ids.touch(halves.iter().map(|halves| halves.id));
        self.catalogue.touch(halves.iter().map(|halves| halves.stream), &mut pending.places);
        pending.halves = halves;
    }
}
