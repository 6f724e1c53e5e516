//! What a workload sent to its store, and how much of it was promised: all that the oracle goes by.
//!
//! Invariant: an id is given once, also where its event was lost and the place in the log is taken again.
//! What is promised never becomes less while the store's process goes on.

use std::hash::{DefaultHasher, Hash, Hasher};

use annals::{EventId, Kind};

use crate::random::mix;

/// How many streams there are.
pub(crate) const STREAM_COUNT: usize = 3;
/// Their entities; their scope is always the same.
pub(crate) const ENTITIES: [&str; STREAM_COUNT] = ["entity:0", "entity:1", "entity:2"];

/// An event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SentEvent {
    id: u64,
    payload_len: usize,
    /// Whether it is the last of its batch.
    pub(crate) ends_batch: bool,
}

impl SentEvent {
    pub(crate) fn event_id(self) -> EventId {
        EventId(u128::from(self.id).to_le_bytes())
    }

    /// Which stream it is of.
    pub(crate) fn stream(self) -> usize {
        usize::try_from(self.id % STREAM_COUNT as u64).unwrap_or_default()
    }

    /// Its bytes, which no other event has.
    pub(crate) fn payload(self) -> Vec<u8> {
        let mut bytes = mix(self.id).to_le_bytes().repeat(self.payload_len.div_ceil(8));
        bytes.truncate(self.payload_len);
        bytes
    }
}

/// A name that a kind was to have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SentName {
    pub(crate) name: String,
    /// The kind, where the store said so.
    pub(crate) kind: Option<Kind>,
    /// How many events had been sent before.
    pub(crate) after: usize,
}

/// What is known of the last close.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Closed {
    /// It returned, and nothing was sent since.
    Yes,
    /// Since then an append returned: nothing of the close is left.
    No,
    /// Something is under way that makes it one or the other.
    #[default]
    Unknown,
}

/// What was sent, in order, and how much of it is promised.
#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct Sent {
    pub(crate) events: Vec<SentEvent>,
    pub(crate) names: Vec<SentName>,
    /// How many events and names are promised.
    pub(crate) durable: Found,
    /// Whether the store's making was acknowledged.
    pub(crate) is_made: bool,
    /// Whether the writing of a checkpoint was.
    pub(crate) has_checkpoint: bool,
    pub(crate) closed: Closed,
    last_id: u64,
}

/// How many events and names there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Found {
    pub(crate) events: usize,
    pub(crate) names: usize,
}

impl Sent {
    /// Sends a batch of `count` events; returns them.
    pub(crate) fn send(&mut self, count: u64, payload_len: usize) -> Vec<SentEvent> {
        let first = self.last_id + 1;
        self.last_id += count;
        let event = |id| SentEvent { id, payload_len, ends_batch: id == self.last_id };
        let batch: Vec<_> = (first..=self.last_id).map(event).collect();
        self.events.extend(&batch);
        batch
    }

    /// Sends a name that was never sent before; returns it.
    pub(crate) fn send_name(&mut self) -> String {
        self.last_id += 1;
        let name = format!("name {}", self.last_id);
        self.names.push(SentName { name: name.clone(), kind: None, after: self.events.len() });
        name
    }

    pub(crate) fn all(&self) -> Found {
        Found { events: self.events.len(), names: self.names.len() }
    }

    /// All that was sent is promised.
    pub(crate) fn promise_all(&mut self) {
        self.durable = self.all();
    }

    /// The first `events` are promised, if they were not.
    pub(crate) fn promise_events(&mut self, events: usize) {
        self.durable.events = self.durable.events.max(events);
    }

    /// What an opened store showed is all there is, and promised: what it serves outlives whatever comes.
    pub(crate) fn settle(&mut self, found: Found) {
        self.events.truncate(found.events);
        self.names.truncate(found.names);
        self.durable = found;
    }

    /// A hash of all of it, to tell states of the oracle apart.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
