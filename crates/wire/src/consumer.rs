//! Consumers' positions in the log of a store: where a cursor or a group is, moved by the batch that carries what came
//! of it.
//!
//! Layout: docs/format.md, "Control record".

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Error, Sequence,
    codec::{Put, Reader, long_len},
};

const WHAT: &str = "consumer's move";
const NAME: &str = "consumer's name";
const NAME_LEN_MAX: usize = 64;
const IS_DELETED: u16 = 1;

/// What reads a store and remembers where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
#[non_exhaustive]
pub enum Consumer {
    /// One reader, one position.
    Cursor,
    /// Several workers that share a query.
    Group,
}

impl From<Consumer> for u16 {
    fn from(consumer: Consumer) -> Self {
        match consumer {
            Consumer::Cursor => 1,
            Consumer::Group => 2,
        }
    }
}

impl TryFrom<u16> for Consumer {
    type Error = Error;

    fn try_from(number: u16) -> Result<Self, Error> {
        match number {
            1 => Ok(Self::Cursor),
            2 => Ok(Self::Group),
            _ => Err(Error::Invalid { what: WHAT, why: "neither a cursor's nor a group's" }),
        }
    }
}

/// A consumer's name: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or a digit, so that it is a file's name on every
/// system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsumerName(Box<str>);

impl ConsumerName {
    /// The name `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn new(name: &str) -> Result<Self, Error> {
        let invalid = |why| Err(Error::Invalid { what: NAME, why });
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || name.len() > NAME_LEN_MAX {
            return invalid("not 1 to 64 bytes long");
        }
        if !name.as_bytes().first().is_some_and(is_plain) {
            return invalid("it does not begin with one of a-z 0-9");
        }
        if !name.bytes().all(|byte| is_plain(&byte) || b"._-".contains(&byte)) {
            return invalid("it has something else than a-z 0-9 . _ -");
        }
        Ok(Self(name.into()))
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ConsumerName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(&name)
    }
}

impl From<ConsumerName> for String {
    fn from(name: ConsumerName) -> Self {
        name.0.into()
    }
}

/// Where a consumer is: all up to one event is done, and beyond it some more. A later one of the same consumer takes
/// its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MoveFields", into = "MoveFields")]
#[expect(clippy::exhaustive_structs, reason = "made by whoever moves: every field must be given")]
pub struct ConsumerMove {
    /// What it is.
    pub consumer: Consumer,
    /// Its name.
    pub name: ConsumerName,
    /// How many times it was moved, from 1, wherever that is kept.
    pub number: u64,
    /// The event up to and with which all is done; 0 for none.
    pub sequence: Sequence,
    /// The hash of that event; [`Digest::NONE`] for none.
    pub hash: Digest,
    /// What is done beyond it: ascending, each once.
    pub done: Vec<Sequence>,
    /// Whether the consumer is gone; then there is no position.
    pub is_deleted: bool,
}

/// A move as a checkpoint has it: there is one for each consumer, so its fields have no names. Who is gone has none.
type MoveFields = (Consumer, ConsumerName, u64, Sequence, Digest, Vec<Sequence>);

impl TryFrom<MoveFields> for ConsumerMove {
    type Error = Error;

    fn try_from(fields: MoveFields) -> Result<Self, Error> {
        let (consumer, name, number, sequence, hash, done) = fields;
        let moved = Self { consumer, name, number, sequence, hash, done, is_deleted: false };
        moved.check()?;
        Ok(moved)
    }
}

impl From<ConsumerMove> for MoveFields {
    fn from(moved: ConsumerMove) -> Self {
        let ConsumerMove { consumer, name, number, sequence, hash, done, .. } = moved;
        (consumer, name, number, sequence, hash, done)
    }
}

impl ConsumerMove {
    /// Appends the record's body to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.number);
        out.put_u64(self.sequence.0);
        out.put(&self.hash.0);
        out.put_u16(self.consumer.into());
        out.put_u16(if self.is_deleted { IS_DELETED } else { 0 });
        out.put_u32(long_len(self.done.len()));
        for sequence in &self.done {
            out.put_u64(sequence.0);
        }
        out.put(self.name.as_str().as_bytes());
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, body);
        let (number, sequence, hash) = (reader.u64()?, Sequence(reader.u64()?), Digest(reader.array()?));
        let (consumer, flags, count) = (Consumer::try_from(reader.u16()?)?, reader.u16()?, reader.u32()?);
        if flags & !IS_DELETED != 0 {
            return Err(reader.invalid("a flag that this version does not have"));
        }
        let len = (count as usize).checked_mul(8).ok_or_else(|| reader.invalid("more done than can be"))?;
        let (done, _) = reader.bytes(len)?.as_chunks();
        let done = done.iter().map(|bytes| Sequence(u64::from_le_bytes(*bytes))).collect();
        let name = std::str::from_utf8(reader.rest()).map_err(|_| reader.invalid("its name is not UTF-8"))?;
        let name = ConsumerName::new(name)?;
        let is_deleted = flags & IS_DELETED != 0;
        let moved = Self { consumer, name, number, sequence, hash, done, is_deleted };
        moved.check()?;
        Ok(moved)
    }

    /// Whether it is one that can be.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |why| Err(Error::Invalid { what: WHAT, why });
        if self.number == 0 {
            return invalid("moves are counted from 1");
        }
        if (self.sequence == Sequence(0)) != (self.hash == Digest::NONE) {
            return invalid("a position has a hash, and the place before all events none");
        }
        if self.is_deleted && (self.sequence != Sequence(0) || !self.done.is_empty()) {
            return invalid("who is gone has no position");
        }
        let mut last = self.sequence;
        for sequence in &self.done {
            if *sequence <= last {
                return invalid("what is done beyond the position is out of order");
            }
            last = *sequence;
        }
        Ok(())
    }
}
