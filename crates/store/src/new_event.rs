//! What a caller appends, what it may demand, and what it gets back.

use std::{borrow::Cow, fmt};

use annals_wire::{
    Coordinate, Digest, EventContent, EventFlags, EventId, Extension, Kind, Occurred, Recorded, Revision,
    Sequence, Tag, blake3_digest,
};
use serde::Serialize;

use crate::{Durability, Error};

/// Where an append expects its stream to be, before the append.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Wherever it is.
    #[default]
    Any,
    /// It has no event.
    None,
    /// It has at least one event.
    Exists,
    /// Its last event has exactly this revision, 1 or more.
    Exactly(Revision),
}

impl Expected {
    pub(crate) fn is_met(self, actual: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::None => actual.is_none(),
            Self::Exists => actual.is_some(),
            Self::Exactly(revision) => actual == Some(revision),
        }
    }

    pub(crate) fn describe(actual: Option<Revision>) -> String {
        actual
            .map_or_else(|| "it has no event".to_owned(), |revision| format!("it is at revision {revision}"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anywhere"),
            Self::None => f.write_str("to have no event"),
            Self::Exists => f.write_str("to have an event"),
            Self::Exactly(revision) => write!(f, "at revision {revision}"),
        }
    }
}

/// An event to be appended.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    coordinate: &'a Coordinate,
    kind: Kind,
    payload: Cow<'a, [u8]>,
    id: Option<EventId>,
    correlation: Option<EventId>,
    causation: Option<EventId>,
    occurred: Option<Occurred>,
    tags: Vec<Tag>,
    extensions: Vec<(Cow<'a, str>, Cow<'a, [u8]>)>,
    expected: Expected,
}

impl<'a> NewEvent<'a> {
    /// An event of `kind` at `coordinate`, with `payload` as it is.
    #[must_use]
    pub fn new(coordinate: &'a Coordinate, kind: Kind, payload: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self::with_payload(coordinate, kind, Cow::Borrowed(payload.as_ref()))
    }

    /// An event of `kind` at `coordinate`, with `value` as MessagePack with named fields; [`crate::Event::decode`]
    /// gives it back.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value cannot be written so.
    pub fn encode(coordinate: &'a Coordinate, kind: Kind, value: &impl Serialize) -> Result<Self, Error> {
        let payload = rmp_serde::to_vec_named(value);
        let payload = payload.map_err(|error| Error::Invalid { what: "payload", why: error.to_string() })?;
        Ok(Self::with_payload(coordinate, kind, Cow::Owned(payload)))
    }

    /// An event of `kind` at `coordinate`, with a payload that is borrowed or owned.
    #[must_use]
    pub fn with_payload(coordinate: &'a Coordinate, kind: Kind, payload: Cow<'a, [u8]>) -> Self {
        Self {
            coordinate,
            kind,
            payload,
            id: None,
            correlation: None,
            causation: None,
            occurred: None,
            tags: Vec::new(),
            extensions: Vec::new(),
            expected: Expected::Any,
        }
    }

    /// Its id, unique in the store for ever. The same id with the same content again is a repeat: it appends
    /// nothing and gets the first receipt. Without one, the store makes a UUID of version 7.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// The conversation that it belongs to; its own id where none is given.
    #[must_use]
    pub fn correlation(mut self, id: EventId) -> Self {
        self.correlation = Some(id);
        self
    }

    /// The event that caused it.
    #[must_use]
    pub fn causation(mut self, id: EventId) -> Self {
        self.causation = Some(id);
        self
    }

    /// When the fact happened, by the caller's clock.
    #[must_use]
    pub fn occurred(mut self, occurred: Occurred) -> Self {
        self.occurred = Some(occurred);
        self
    }

    /// A tag to find it by; giving one twice is giving it once.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Bytes carried beside the payload under a namespaced key, such as `cloudevents/time`. Each key once.
    #[must_use]
    pub fn extension(mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, [u8]>>) -> Self {
        self.extensions.push((key.into(), value.into()));
        self
    }

    /// Where its stream must be before the append; in a batch, before the batch.
    #[must_use]
    pub fn expected(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    /// Everything about the event that needs no turn: its body, its checksum, the digest of its payload.
    pub(crate) fn prepare(&self, make_id: impl FnOnce() -> EventId) -> Result<Prepared<'_>, Error> {
        self.expected.check()?;
        let id = self.id.unwrap_or_else(make_id);
        let mut tags: Cow<'_, [Tag]> = Cow::Borrowed(&self.tags);
        if tags.len() > 1 {
            tags.to_mut().sort();
            tags.to_mut().dedup();
        }
        let mut extensions: Vec<_> =
            self.extensions.iter().map(|(key, value)| Extension { key, value }).collect();
        extensions.sort_by_key(|extension| extension.key);
        let content = EventContent {
            id,
            correlation: self.correlation,
            causation: self.causation,
            occurred: self.occurred,
            coordinate: self.coordinate,
            lane: None,
            tags: &tags,
            extensions: &extensions,
            payload: &self.payload,
        };
        let mut body = Vec::with_capacity(256 + self.payload.len());
        let (flags, head_len) = content.encode(&mut body)?;
        Ok(Prepared {
            id,
            is_given: self.id.is_some(),
            correlation: self.correlation.filter(|correlation| *correlation != id),
            causation: self.causation,
            coordinate: self.coordinate,
            kind: self.kind,
            tags,
            expected: self.expected,
            flags,
            head_len,
            body_crc: annals_wire::crc(&body),
            payload: blake3_digest(&self.payload),
            body,
        })
    }
}

/// An event whose turn has not come: its bytes are made, its place is not known.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) id: EventId,
    /// Whether the caller brought the id, so that it may be a repeat.
    pub(crate) is_given: bool,
    pub(crate) correlation: Option<EventId>,
    pub(crate) causation: Option<EventId>,
    pub(crate) coordinate: &'a Coordinate,
    pub(crate) kind: Kind,
    pub(crate) tags: Cow<'a, [Tag]>,
    pub(crate) expected: Expected,
    pub(crate) flags: EventFlags,
    pub(crate) head_len: usize,
    pub(crate) body: Vec<u8>,
    pub(crate) body_crc: u32,
    pub(crate) payload: Digest,
}

/// What an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// Its store-wide position.
    pub sequence: Sequence,
    /// Its place in its stream.
    pub revision: Revision,
    /// When the store recorded it.
    pub recorded: Recorded,
    /// Its hash, which commits to it and to all the history of its stream.
    pub hash: Digest,
    /// How durable it was when the receipt returned, at least.
    pub durability: Durability,
    /// Whether the event was in the store already, and nothing was appended.
    pub is_repeat: bool,
}
