//! An event with everything that decides its frame, owned, to be encoded and compared.

use annals_wire::{
    Batch, Coordinate, Digest, Error, Event, EventContent, EventFlags, EventId, EventStamp, Extension, Fork,
    Frame, FrameSeed, FrameType, Kind, Lane, NewFrame, Occurred, Payload, Recorded, Revision, Salt,
    SegmentId, Sequence, Tag, blake3_digest, event_hash,
};

const FLAGS_OFFSET: usize = 18;
const ERASED: u8 = 1 << 7;

/// Where a frame lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) salt: Salt,
    pub(crate) segment: SegmentId,
    pub(crate) offset: u64,
}

impl Place {
    pub(crate) fn seed(self) -> FrameSeed {
        FrameSeed::new(self.salt, self.segment)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewEvent {
    pub(crate) previous: Digest,
    pub(crate) sequence: Sequence,
    pub(crate) batch: Batch,
    pub(crate) synced_len: u32,
    pub(crate) revision: Revision,
    pub(crate) recorded: Recorded,
    pub(crate) kind: Kind,
    pub(crate) id: EventId,
    pub(crate) correlation: Option<EventId>,
    pub(crate) causation: Option<EventId>,
    pub(crate) occurred: Option<Occurred>,
    pub(crate) lane: Option<(Lane, Fork)>,
    pub(crate) entity: String,
    pub(crate) scope: String,
    pub(crate) tags: Vec<String>,
    pub(crate) extensions: Vec<(String, Vec<u8>)>,
    pub(crate) payload: NewPayload,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NewPayload {
    Present(Vec<u8>),
    Erased { digest: Digest, len: u32 },
}

impl NewPayload {
    /// Bytes of the payload's length: its own where they are there.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Present(bytes) => bytes.clone(),
            Self::Erased { len, .. } => vec![0; *len as usize],
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Present(bytes) => blake3_digest(bytes),
            Self::Erased { digest, .. } => *digest,
        }
    }
}

/// An event's body: its flags, what lies before the payload, and the payload as stored.
struct Body {
    flags: EventFlags,
    head: Vec<u8>,
    stored: Vec<u8>,
}

impl NewEvent {
    /// The same event after its payload was erased.
    pub(crate) fn erased(&self) -> Self {
        let bytes = self.payload.bytes();
        let len = u32::try_from(bytes.len()).unwrap();
        Self { payload: NewPayload::Erased { digest: self.payload.digest(), len }, ..self.clone() }
    }

    /// The hash that the event has.
    pub(crate) fn hash(&self) -> Digest {
        let body = self.body();
        let fixed = self.stamp(body.flags, Digest::NONE).hashed(self.sequence, self.batch);
        event_hash(self.previous, &fixed, &body.head, self.payload.digest())
    }

    /// The event's frame.
    pub(crate) fn encode(&self, place: Place) -> Vec<u8> {
        let Body { flags, head, stored } = self.body();
        let mut stamp = self.stamp(flags, self.hash()).encode();
        if matches!(self.payload, NewPayload::Erased { .. }) {
            stamp[FLAGS_OFFSET] |= ERASED;
        }
        let body = [head, stored].concat();
        let frame = NewFrame {
            frame_type: FrameType::EVENT,
            skippable: false,
            sequence: self.sequence,
            batch: self.batch,
            synced_len: self.synced_len,
            stamp: &stamp,
            body: &body,
            body_crc: crc32fast::hash(&body),
        };
        let mut out = Vec::new();
        frame.encode(place.seed(), place.offset, &mut out);
        out
    }

    /// The event in the frame that `bytes` begin with, its hash checked to be behind `previous`.
    pub(crate) fn decode(bytes: &[u8], place: Place, previous: Digest) -> Result<Self, Error> {
        let frame = Frame::decode(bytes, place.seed(), place.offset)?;
        let event = Event::decode(&frame)?;
        assert_eq!(event.expected_hash(previous), event.stamp.hash);
        assert_eq!(event.stamp.flags.is_erased(), matches!(event.payload, Payload::Erased { .. }));
        assert_eq!(
            (event.tags.count(), event.extensions.count()),
            (event.tags.iter().count(), event.extensions.iter().count())
        );
        Ok(Self::of(&event, frame.header.synced_len, previous))
    }

    fn of(event: &Event<'_>, synced_len: u32, previous: Digest) -> Self {
        let payload = match event.payload {
            Payload::Present(bytes) => NewPayload::Present(bytes.to_vec()),
            Payload::Erased { digest, len } => NewPayload::Erased { digest, len },
            _ => unreachable!("no other payload yet"),
        };
        Self {
            previous,
            sequence: event.sequence,
            batch: event.batch,
            synced_len,
            revision: event.stamp.revision,
            recorded: event.stamp.recorded,
            kind: event.stamp.kind,
            id: event.id,
            correlation: event.correlation,
            causation: event.causation,
            occurred: event.occurred,
            lane: event.fork.map(|fork| (event.stream.lane, fork)),
            entity: event.stream.entity.to_owned(),
            scope: event.stream.scope.to_owned(),
            tags: event.tags.iter().map(str::to_owned).collect(),
            extensions: event.extensions.iter().map(|one| (one.key.to_owned(), one.value.to_vec())).collect(),
            payload,
        }
    }

    fn stamp(&self, flags: EventFlags, hash: Digest) -> EventStamp {
        EventStamp { revision: self.revision, recorded: self.recorded, kind: self.kind, flags, hash }
    }

    fn body(&self) -> Body {
        let coordinate = Coordinate::new(&self.entity, &self.scope).unwrap();
        let tags: Vec<_> = self.tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
        let extensions: Vec<_> =
            self.extensions.iter().map(|(key, value)| Extension { key, value }).collect();
        let content = EventContent {
            id: self.id,
            correlation: self.correlation,
            causation: self.causation,
            occurred: self.occurred,
            coordinate: &coordinate,
            lane: self.lane,
            tags: &tags,
            extensions: &extensions,
            payload: &self.payload.bytes(),
        };
        let mut head = Vec::new();
        let (flags, head_len) = content.encode(&mut head).unwrap();
        let bytes = head.split_off(head_len);
        let stored = match self.payload {
            NewPayload::Present(_) => bytes,
            NewPayload::Erased { digest, .. } => digest.0.to_vec(),
        };
        Body { flags, head, stored }
    }
}
