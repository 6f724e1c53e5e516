//! The stamp: what only the event's turn decides of it, and which optional parts its body has.
//!
//! Invariant: the hash covers every field of the stamp but itself and whether the payload was erased.
//!
//! Layout: docs/format.md, "Event".

use crate::{
    Digest, Error, Kind, Recorded, Revision, Sequence,
    codec::{Put, Reader},
    frame::Batch,
};

/// The bytes of an event's stamp.
pub const EVENT_STAMP_LEN: usize = 52;

/// Which optional parts an event has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFlags(u16);

impl EventFlags {
    pub(super) const CORRELATION: u16 = 1;
    pub(super) const CAUSATION: u16 = 1 << 1;
    pub(super) const OCCURRED: u16 = 1 << 2;
    pub(super) const LANE: u16 = 1 << 3;
    pub(super) const FORK: u16 = 1 << 4;
    pub(super) const TAGS: u16 = 1 << 5;
    pub(super) const EXTENSIONS: u16 = 1 << 6;
    const ERASED: u16 = 1 << 7;
    const KNOWN: u16 = 0xff;

    pub(super) fn has(self, part: u16) -> bool {
        self.0 & part != 0
    }

    pub(super) fn set(&mut self, part: u16, there: bool) {
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

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
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
