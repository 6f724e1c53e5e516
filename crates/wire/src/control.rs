//! Control records: what the store itself writes in the log. They have no sequence, and a hash chain of
//! their own.
//!
//! Layout: docs/format.md, "Control record".

use serde::{Deserialize, Serialize};

use crate::{
    ConsumerMove, Digest, Error, Frame, FrameType, Kind, Recorded, Sequence,
    codec::{Put, Reader},
    frame::Batch,
    hash::tagged,
};

const WHAT: &str = "control record";
const KIND_NAME: u16 = 1;
const HIDDEN: u16 = 2;
const CONSUMER_MOVE: u16 = 3;

/// The most bytes that the name of a kind may have.
const NAME_LEN_MAX: usize = 1024;

/// What a control record says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// A kind is given a name, for ever.
    KindName(KindName),
    /// Events are hidden, for ever.
    Hidden(SequenceRange),
    /// A consumer is somewhere else now.
    ConsumerMove(ConsumerMove),
}

/// The events from one to another, both included; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(Sequence, Sequence)", into = "(Sequence, Sequence)")]
pub struct SequenceRange {
    first: Sequence,
    last: Sequence,
}

impl SequenceRange {
    /// The events from `first` to `last`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the first is 0 or behind the last.
    pub fn new(first: Sequence, last: Sequence) -> Result<Self, Error> {
        if first == Sequence(0) || first > last {
            let why = "it begins with sequence 0, or behind its end";
            return Err(Error::Invalid { what: "range of sequences", why });
        }
        Ok(Self { first, last })
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.first
    }

    /// The last.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.last
    }
}

impl TryFrom<(Sequence, Sequence)> for SequenceRange {
    type Error = Error;

    fn try_from((first, last): (Sequence, Sequence)) -> Result<Self, Error> {
        Self::new(first, last)
    }
}

impl From<SequenceRange> for (Sequence, Sequence) {
    fn from(range: SequenceRange) -> Self {
        (range.first, range.last)
    }
}

/// A kind and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindName {
    kind: Kind,
    name: Box<str>,
}

impl KindName {
    /// The binding of `name`, 1 to 1,024 bytes without control characters, to `kind`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn new(kind: Kind, name: &str) -> Result<Self, Error> {
        crate::coordinate::check_text("kind name", name, NAME_LEN_MAX)?;
        Ok(Self { kind, name: name.into() })
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Control {
    /// Appends the record's body to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::KindName(binding) => {
                out.put_u16(binding.kind.number());
                out.put(binding.name.as_bytes());
            }
            Self::Hidden(range) => {
                out.put_u64(range.first.0);
                out.put_u64(range.last.0);
            }
            Self::ConsumerMove(moved) => moved.encode(out),
        }
    }

    fn number(&self) -> u16 {
        match self {
            Self::KindName(_) => KIND_NAME,
            Self::Hidden(_) => HIDDEN,
            Self::ConsumerMove(_) => CONSUMER_MOVE,
        }
    }

    /// Decodes the control record in a frame that was checked.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the frame holds none, or one that this version does not know.
    pub fn decode(frame: &Frame<'_>) -> Result<(ControlStamp, Self), Error> {
        let invalid = |why| Error::Invalid { what: WHAT, why };
        if frame.header.frame_type != FrameType::CONTROL || frame.header.sequence != Sequence(0) {
            return Err(invalid("the frame holds no control record, or has a sequence"));
        }
        let stamp = ControlStamp::decode(frame.stamp)?;
        let control = match stamp.number {
            KIND_NAME => Self::KindName(decode_kind_name(frame.body)?),
            HIDDEN => Self::Hidden(decode_hidden(frame.body)?),
            CONSUMER_MOVE => Self::ConsumerMove(ConsumerMove::decode(frame.body)?),
            0 => return Err(invalid("record type 0 was never written")),
            found => {
                let (found, supported) = (u32::from(found), u32::from(CONSUMER_MOVE));
                return Err(Error::Version { what: "a control record of an unknown type", found, supported });
            }
        };
        Ok((stamp, control))
    }
}

fn decode_kind_name(body: &[u8]) -> Result<KindName, Error> {
    let mut reader = Reader::new("kind name", body);
    let kind = Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))?;
    let name = crate::coordinate::decode_text("kind name", reader.rest(), NAME_LEN_MAX)?;
    KindName::new(kind, name)
}

fn decode_hidden(body: &[u8]) -> Result<SequenceRange, Error> {
    let mut reader = Reader::new("hidden range", body);
    let (first, last) = (Sequence(reader.u64()?), Sequence(reader.u64()?));
    if !reader.rest().is_empty() {
        return Err(reader.invalid("longer than 16 bytes"));
    }
    SequenceRange::new(first, last)
}

/// What its turn decides of a control record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlStamp {
    /// When the store recorded it.
    pub recorded: Recorded,
    /// The record's hash.
    pub hash: Digest,
    number: u16,
}

impl ControlStamp {
    /// The stamp of `control`, encoded as `body`, behind the control record with the hash `previous`.
    #[must_use]
    pub fn new(control: &Control, recorded: Recorded, batch: Batch, previous: Digest, body: &[u8]) -> Self {
        let unhashed = Self { recorded, hash: Digest::NONE, number: control.number() };
        Self { hash: unhashed.expected_hash(batch, previous, body), ..unhashed }
    }

    /// The hash that the record must have behind the one with the hash `previous`.
    #[must_use]
    pub fn expected_hash(&self, batch: Batch, previous: Digest, body: &[u8]) -> Digest {
        let mut fixed = Vec::with_capacity(20);
        fixed.put_u32(batch.index);
        fixed.put_u32(batch.count);
        self.put_fields(&mut fixed);
        tagged(b"annals/contrl/v1", &[&previous.0, &fixed, body])
    }

    /// The stamp's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 44] {
        let mut out = Vec::with_capacity(44);
        self.put_fields(&mut out);
        out.put(&self.hash.0);
        out.try_into().expect("12 + 32 bytes")
    }

    fn put_fields(&self, out: &mut Vec<u8>) {
        out.put_u64(self.recorded.0);
        out.put_u16(self.number);
        out.put_u16(0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("control stamp", bytes);
        let (recorded, number) = (Recorded(reader.u64()?), reader.u16()?);
        reader.zeros(2)?;
        let hash = Digest(reader.array()?);
        if !reader.rest().is_empty() {
            return Err(reader.invalid("longer than 44 bytes"));
        }
        Ok(Self { recorded, hash, number })
    }
}
