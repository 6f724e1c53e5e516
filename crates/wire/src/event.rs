//! The event: a stamp that the writer sets when the event's turn comes, and a body that is made before.
//!
//! Invariant: a body is canonical. Tags are sorted and distinct, extensions sorted by distinct keys, a
//! correlation equal to the id is left out. Two appends with the same content have the same flags and body,
//! byte for byte; that is how a repeat is told.
//!
//! Layout: docs/format.md, "Event".

use crate::{
    Coordinate, Depth, Digest, Error, EventId, Frame, FrameType, Kind, Lane, Occurred, Recorded, Revision,
    Sequence, StreamKey, Tag,
    codec::{Put, Reader, long_len, short_len},
    coordinate::{COORDINATE_PART_LEN_MAX, TAG_LEN_MAX, decode_text},
    frame::Batch,
    hash::{blake3_digest, event_hash},
};

/// The bytes of an event's stamp.
pub const EVENT_STAMP_LEN: usize = 52;

const WHAT: &str = "event";
const COUNT_MAX: usize = u16::MAX as usize;
const EXTENSION_KEY_LEN_MAX: usize = 1024;

/// Which optional parts an event has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFlags(u16);

impl EventFlags {
    const CORRELATION: u16 = 1;
    const CAUSATION: u16 = 1 << 1;
    const OCCURRED: u16 = 1 << 2;
    const LANE: u16 = 1 << 3;
    const FORK: u16 = 1 << 4;
    const TAGS: u16 = 1 << 5;
    const EXTENSIONS: u16 = 1 << 6;
    const ERASED: u16 = 1 << 7;
    const KNOWN: u16 = 0xff;

    fn has(self, part: u16) -> bool {
        self.0 & part != 0
    }

    fn set(&mut self, part: u16, there: bool) {
        if there {
            self.0 |= part;
        }
    }

    /// The flags that the event had before its payload was erased.
    #[must_use]
    pub fn without_erased(self) -> Self {
        Self(self.0 & !Self::ERASED)
    }

    /// Whether the payload was erased and its digest stands in its place.
    #[must_use]
    pub fn is_erased(self) -> bool {
        self.has(Self::ERASED)
    }
}

/// The part of an event that only its turn decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever appends: every field must be given")]
pub struct EventStamp {
    /// The event's place in its stream.
    pub revision: Revision,
    /// When the store recorded it.
    pub recorded: Recorded,
    /// What sort of event it is.
    pub kind: Kind,
    /// Which optional parts the body has.
    pub flags: EventFlags,
    /// The event's hash.
    pub hash: Digest,
}

impl EventStamp {
    /// The fields of a frame and stamp that the event's hash covers.
    #[must_use]
    pub fn hashed(&self, sequence: Sequence, batch: Batch) -> [u8; 36] {
        let mut out = Vec::with_capacity(36);
        out.put_u64(sequence.0);
        out.put_u32(batch.index);
        out.put_u32(batch.count);
        self.put_fields(self.flags.0 & !EventFlags::ERASED, &mut out);
        out.try_into().expect("8 + 4 + 4 + 20 bytes")
    }

    /// The stamp's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; EVENT_STAMP_LEN] {
        let mut out = Vec::with_capacity(EVENT_STAMP_LEN);
        self.put_fields(self.flags.0, &mut out);
        out.put(&self.hash.0);
        out.try_into().expect("20 + 32 bytes")
    }

    fn put_fields(&self, flags: u16, out: &mut Vec<u8>) {
        out.put_u64(self.revision.0);
        out.put_u64(self.recorded.0);
        out.put_u16(self.kind.number());
        out.put_u16(flags);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("event stamp", bytes);
        let (revision, recorded) = (Revision(reader.u64()?), Recorded(reader.u64()?));
        let kind = Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))?;
        let flags = EventFlags(reader.u16()?);
        let hash = Digest(reader.array()?);
        if flags.0 & !EventFlags::KNOWN != 0 || !reader.rest().is_empty() || revision == Revision(0) {
            return Err(reader.invalid("a flag, length or revision that no event has"));
        }
        Ok(Self { revision, recorded, kind, flags, hash })
    }
}

/// Where a lane leaves its coordinate's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a depth and perhaps an id are all there is to a fork")]
pub struct Fork {
    /// The depth of the event that the lane forks from.
    pub depth: Depth,
    /// The id of that event; given by the lane's first event only.
    pub event: Option<EventId>,
}

/// A key and bytes carried beside the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a key and a value are all there is to an extension")]
pub struct Extension<'a> {
    /// The namespaced key, 1 to 1,024 bytes without control characters.
    pub key: &'a str,
    /// The value.
    pub value: &'a [u8],
}

/// What a caller says of an event, before it has its place.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever appends: every field must be given")]
pub struct EventContent<'a> {
    /// The event's id.
    pub id: EventId,
    /// The conversation; left out where it is the id.
    pub correlation: Option<EventId>,
    /// The event that caused it.
    pub causation: Option<EventId>,
    /// The caller's own time.
    pub occurred: Option<Occurred>,
    /// The coordinate.
    pub coordinate: &'a Coordinate,
    /// The lane, with where it forks for all but the trunk.
    pub lane: Option<(Lane, Fork)>,
    /// The tags, sorted and distinct.
    pub tags: &'a [Tag],
    /// The extensions, sorted by distinct keys.
    pub extensions: &'a [Extension<'a>],
    /// The payload.
    pub payload: &'a [u8],
}

impl EventContent<'_> {
    /// Appends the body to `out`; returns its flags and how many bytes lie before the payload.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tag or extension is out of order, too long, or too many.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(EventFlags, usize), Error> {
        self.check()?;
        let start = out.len();
        let correlation = self.correlation.filter(|correlation| *correlation != self.id);
        let fork = self.lane.and_then(|(_, fork)| fork.event);
        let mut flags = EventFlags::default();
        flags.set(EventFlags::CORRELATION, correlation.is_some());
        flags.set(EventFlags::CAUSATION, self.causation.is_some());
        flags.set(EventFlags::OCCURRED, self.occurred.is_some());
        flags.set(EventFlags::LANE, self.lane.is_some());
        flags.set(EventFlags::FORK, fork.is_some());
        flags.set(EventFlags::TAGS, !self.tags.is_empty());
        flags.set(EventFlags::EXTENSIONS, !self.extensions.is_empty());
        out.put(&self.id.0);
        for id in [correlation, self.causation].into_iter().flatten() {
            out.put(&id.0);
        }
        if let Some(occurred) = self.occurred {
            out.put(&occurred.0.to_le_bytes());
        }
        if let Some((lane, fork)) = self.lane {
            out.put_u32(lane.0);
            out.put_u64(fork.depth.0);
        }
        if let Some(event) = fork {
            out.put(&event.0);
        }
        put_short(out, self.coordinate.entity().as_bytes());
        put_short(out, self.coordinate.scope().as_bytes());
        self.put_tags(out);
        self.put_extensions(out);
        out.put_u32(long_len(self.payload.len()));
        let head_len = out.len() - start;
        out.put(self.payload);
        Ok((flags, head_len))
    }

    fn put_tags(&self, out: &mut Vec<u8>) {
        if self.tags.is_empty() {
            return;
        }
        out.put_u16(short_len(self.tags.len()));
        for tag in self.tags {
            put_short(out, tag.as_str().as_bytes());
        }
    }

    fn put_extensions(&self, out: &mut Vec<u8>) {
        if self.extensions.is_empty() {
            return;
        }
        out.put_u16(short_len(self.extensions.len()));
        for extension in self.extensions {
            put_short(out, extension.key.as_bytes());
            out.put_u32(long_len(extension.value.len()));
            out.put(extension.value);
        }
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |why| Err(Error::Invalid { what: WHAT, why });
        if self.tags.len() > COUNT_MAX || self.extensions.len() > COUNT_MAX {
            return invalid("more than 65,535 tags or extensions");
        }
        if self.tags.iter().zip(self.tags.iter().skip(1)).any(|(tag, next)| tag >= next) {
            return invalid("the tags are not sorted and distinct");
        }
        if self.extensions.iter().zip(self.extensions.iter().skip(1)).any(|(one, next)| one.key >= next.key) {
            return invalid("the extensions are not sorted by distinct keys");
        }
        for extension in self.extensions {
            crate::coordinate::check_text("extension key", extension.key, EXTENSION_KEY_LEN_MAX)?;
        }
        let lens = self.extensions.iter().map(|extension| extension.value.len()).chain([self.payload.len()]);
        if lens.fold(0, usize::saturating_add) >= crate::BODY_LEN_MAX as usize / 2 {
            return invalid("payload and extensions have 512 MiB or more");
        }
        if self.lane.is_some_and(|(lane, _)| lane == Lane(0)) {
            return invalid("the trunk forks from nothing");
        }
        Ok(())
    }
}

fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u16(short_len(bytes.len()));
    out.put(bytes);
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

/// An event's tags, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Tags<'a> {
    fn decode(reader: &mut Reader<'a>, there: bool) -> Result<Self, Error> {
        if !there {
            return Ok(Self::default());
        }
        let count = reader.u16()?;
        let start = reader.rest();
        let from = reader.position();
        let mut last = None;
        for _ in 0..count {
            let tag = decode_text("tag", reader.short_bytes()?, TAG_LEN_MAX)?;
            if last >= Some(tag) {
                return Err(reader.invalid("the tags are not sorted and distinct"));
            }
            last = Some(tag);
        }
        if last.is_none() {
            return Err(reader.invalid("an empty list of tags is left out"));
        }
        Ok(Self { bytes: start.get(..reader.position() - from).unwrap_or_default(), count })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The tags, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new("tag", self.bytes);
        std::iter::from_fn(move || std::str::from_utf8(reader.short_bytes().ok()?).ok())
    }
}

/// An event's extensions, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Extensions<'a> {
    fn decode(reader: &mut Reader<'a>, there: bool) -> Result<Self, Error> {
        if !there {
            return Ok(Self::default());
        }
        let count = reader.u16()?;
        let start = reader.rest();
        let from = reader.position();
        let mut last = None;
        for _ in 0..count {
            let extension = decode_extension(reader)?;
            if last >= Some(extension.key) {
                return Err(reader.invalid("the extensions are not sorted by distinct keys"));
            }
            last = Some(extension.key);
        }
        if last.is_none() {
            return Err(reader.invalid("an empty list of extensions is left out"));
        }
        Ok(Self { bytes: start.get(..reader.position() - from).unwrap_or_default(), count })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The extensions, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        let mut reader = Reader::new("extension", self.bytes);
        std::iter::from_fn(move || decode_extension(&mut reader).ok())
    }

    /// The value of the extension `key`.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&'a [u8]> {
        self.iter().find(|extension| extension.key == key).map(|extension| extension.value)
    }
}

fn decode_extension<'a>(reader: &mut Reader<'a>) -> Result<Extension<'a>, Error> {
    let key = decode_text("extension key", reader.short_bytes()?, EXTENSION_KEY_LEN_MAX)?;
    let len = reader.u32()?;
    Ok(Extension { key, value: reader.bytes(len as usize)? })
}
