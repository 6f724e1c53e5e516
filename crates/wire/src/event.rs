//! The event: a stamp that the writer sets when the event's turn comes, and a body that is made before.
//!
//! Invariant: a body is canonical. Tags are sorted and distinct, extensions sorted by distinct keys, a
//! correlation equal to the id is left out. Two appends with the same content have the same flags and body,
//! byte for byte; that is how a repeat is told.
//!
//! Layout: docs/format.md, "Event".

mod content;
mod lists;
mod stamp;

pub use self::{
    content::EventContent,
    lists::{Extension, Extensions, Tags},
    stamp::{EVENT_STAMP_LEN, EventFlags, EventStamp},
};
use crate::{
    Depth, Digest, Error, EventId, Frame, FrameType, Lane, Occurred, Revision, Sequence, StreamKey,
    codec::Reader,
    coordinate::{COORDINATE_PART_LEN_MAX, decode_text},
    frame::Batch,
    hash::{blake3_digest, event_hash},
};

const WHAT: &str = "event";

/// Where a lane leaves its coordinate's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a depth and perhaps an id are all there is to a fork")]
pub struct Fork {
    /// The depth of the event that the lane forks from.
    pub depth: Depth,
    /// The id of that event; given by the lane's first event only.
    pub event: Option<EventId>,
}

/// An event's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// The bytes as they were appended.
    Present(&'a [u8]),
    /// The bytes were erased; what they were is known by digest and length.
    Erased {
        /// The BLAKE3 digest of the bytes.
        digest: Digest,
        /// How many there were.
        len: u32,
    },
}

impl Payload<'_> {
    /// The BLAKE3 digest of the bytes as they were appended.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Present(bytes) => blake3_digest(bytes),
            Self::Erased { digest, .. } => *digest,
        }
    }
}

/// An event, in place.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The store-wide position.
    pub sequence: Sequence,
    /// The place in its batch.
    pub batch: Batch,
    /// What its turn decided.
    pub stamp: EventStamp,
    /// The id.
    pub id: EventId,
    /// The conversation, where it is not the id.
    pub correlation: Option<EventId>,
    /// The event that caused it.
    pub causation: Option<EventId>,
    /// The caller's own time.
    pub occurred: Option<Occurred>,
    /// The stream: coordinate and lane.
    pub stream: StreamKey<'a>,
    /// Where its lane forks; `None` on the trunk.
    pub fork: Option<Fork>,
    /// The tags.
    pub tags: Tags<'a>,
    /// The extensions.
    pub extensions: Extensions<'a>,
    /// The payload.
    pub payload: Payload<'a>,
    head: &'a [u8],
}

impl<'a> Event<'a> {
    /// Decodes the event in a frame that was checked.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the frame holds no event, or one that breaks a rule of the format.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, Error> {
        let invalid = |why| Error::Invalid { what: WHAT, why };
        if frame.header.frame_type != FrameType::EVENT || frame.header.sequence == Sequence(0) {
            return Err(invalid("the frame holds no event, or has no sequence"));
        }
        let stamp = EventStamp::decode(frame.stamp)?;
        let flags = stamp.flags;
        let mut reader = Reader::new(WHAT, frame.body);
        let id = EventId(reader.array()?);
        let correlation = optional(flags, EventFlags::CORRELATION, || reader.array().map(EventId))?;
        let causation = optional(flags, EventFlags::CAUSATION, || reader.array().map(EventId))?;
        let occurred = optional(flags, EventFlags::OCCURRED, || reader.i64().map(Occurred))?;
        let lane = optional(flags, EventFlags::LANE, || Ok((Lane(reader.u32()?), Depth(reader.u64()?))))?;
        let forked = optional(flags, EventFlags::FORK, || reader.array().map(EventId))?;
        if correlation == Some(id) || lane.is_some_and(|(lane, _)| lane == Lane(0)) {
            return Err(invalid("a correlation equal to the id, or lane 0, is never written"));
        }
        if forked.is_some() != (lane.is_some() && stamp.revision == Revision(1)) {
            return Err(invalid("the first event of a lane, and no other, names what it forks from"));
        }
        let entity = decode_text("entity", reader.short_bytes()?, COORDINATE_PART_LEN_MAX)?;
        let scope = decode_text("scope", reader.short_bytes()?, COORDINATE_PART_LEN_MAX)?;
        let tags = Tags::decode(&mut reader, flags.has(EventFlags::TAGS))?;
        let extensions = Extensions::decode(&mut reader, flags.has(EventFlags::EXTENSIONS))?;
        let payload_len = reader.u32()?;
        let head = frame.body.get(..reader.position()).unwrap_or_default();
        let payload = decode_payload(reader.rest(), payload_len, flags)?;
        let fork = lane.map(|(_, depth)| Fork { depth, event: forked });
        let stream = StreamKey { scope, entity, lane: lane.map_or(Lane(0), |(lane, _)| lane) };
        let sequence = frame.header.sequence;
        let batch = frame.header.batch;
        Ok(Self {
            sequence,
            batch,
            stamp,
            id,
            correlation,
            causation,
            occurred,
            stream,
            fork,
            tags,
            extensions,
            payload,
            head,
        })
    }

    /// The conversation that the event belongs to: its own id where none was given.
    #[must_use]
    pub fn correlation_or_id(&self) -> EventId {
        self.correlation.unwrap_or(self.id)
    }

    /// The distance from the coordinate's first event.
    #[must_use]
    pub fn depth(&self) -> Depth {
        match self.fork {
            Some(fork) => Depth(fork.depth.0.saturating_add(self.stamp.revision.0)),
            None => Depth(self.stamp.revision.0 - 1),
        }
    }

    /// The hash that the event must have when its stream's hash before it was `previous`.
    #[must_use]
    pub fn expected_hash(&self, previous: Digest) -> Digest {
        let fixed = self.stamp.hashed(self.sequence, self.batch);
        event_hash(previous, &fixed, self.head, self.payload.digest())
    }

    /// The body up to the payload.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        self.head
    }
}

fn optional<T>(
    flags: EventFlags,
    part: u16,
    decode: impl FnOnce() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if flags.has(part) { decode().map(Some) } else { Ok(None) }
}

fn decode_payload(rest: &[u8], len: u32, flags: EventFlags) -> Result<Payload<'_>, Error> {
    let invalid = Error::Invalid { what: "payload", why: "its length is not what the event's head says" };
    if !flags.is_erased() {
        return if rest.len() == len as usize { Ok(Payload::Present(rest)) } else { Err(invalid) };
    }
    let digest = <[u8; 32]>::try_from(rest).map_err(|_| invalid)?;
    Ok(Payload::Erased { digest: Digest(digest), len })
}
