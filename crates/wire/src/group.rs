//! Group records: what a group of workers writes in its own small log about the events that it hands out.
//!
//! Layout: docs/format.md, "Group record".

use crate::{
    Digest, Error, EventId, Sequence, StoreId,
    codec::{Put, Reader},
};

/// The most bytes that the reason of a failure may have.
pub const REASON_LEN_MAX: usize = 1024;

const WHAT: &str = "group record";
const BOUND: u16 = 1;
const BEGUN: u16 = 2;
const DONE: u16 = 3;
const FAILED: u16 = 4;
const PARKED: u16 = 5;
const ASIDE: u16 = 6;
const REPLAYED: u16 = 7;
const MEANT: u16 = 8;
const POSITION: u16 = 9;
const RESET: u16 = 10;

/// One record. Times are in Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "made and matched by whoever keeps a group: none may be left out"
)]
pub enum GroupRecord {
    /// The group hands out events of this store; the first record of every log.
    Bound {
        /// The store.
        store: StoreId,
    },
    /// The event was handed out.
    Begun {
        /// The event.
        sequence: Sequence,
        /// The how manyth time, from 1.
        attempt: u32,
        /// The event's hash.
        hash: Digest,
    },
    /// The event is done, or was passed over by hand.
    Done {
        /// The event.
        sequence: Sequence,
    },
    /// The attempt failed, and there will be another.
    Failed {
        /// The event.
        sequence: Sequence,
        /// When it may be handed out again.
        not_before: u64,
        /// Why it failed, at most [`REASON_LEN_MAX`] bytes.
        reason: Box<str>,
    },
    /// The event is not handed out any more until somebody asks for it.
    Parked {
        /// The event.
        sequence: Sequence,
        /// How often it was handed out.
        attempt: u32,
        /// When it was parked.
        at: u64,
        /// Why the last attempt failed, at most [`REASON_LEN_MAX`] bytes.
        reason: Box<str>,
    },
    /// The event waits behind a parked one of its stream.
    Aside {
        /// The event.
        sequence: Sequence,
    },
    /// Somebody asked for a parked event.
    Replayed {
        /// The event.
        sequence: Sequence,
    },
    /// The results of a replayed event are about to be appended: it is done if the store has the first of them.
    Meant {
        /// The event.
        sequence: Sequence,
        /// The first result.
        id: EventId,
    },
    /// Every event up to here is done, parked, waits behind a parked one, or is none of the group's.
    Position {
        /// How many moves of the group the store's log has.
        number: u64,
        /// The position; 0 before the first event.
        sequence: Sequence,
        /// The hash of the event there; zeros for none.
        hash: Digest,
    },
    /// The group begins anew from here, and forgets what it knew.
    Reset {
        /// How many moves of the group the store's log has: they are forgotten too.
        number: u64,
        /// The position; 0 before the first event.
        sequence: Sequence,
        /// The hash of the event there; zeros for none.
        hash: Digest,
    },
}

impl GroupRecord {
    /// The record's bytes.
    ///
    /// # Panics
    /// Where a reason is longer than [`REASON_LEN_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Bound { store } => {
                put_head(&mut out, BOUND, 0, Sequence(0));
                out.put(&store.0);
            }
            Self::Begun { sequence, attempt, hash } => {
                put_head(&mut out, BEGUN, *attempt, *sequence);
                out.put(&hash.0);
            }
            Self::Done { sequence } => put_head(&mut out, DONE, 0, *sequence),
            Self::Failed { sequence, not_before, reason } => {
                put_head(&mut out, FAILED, 0, *sequence);
                put_reason(&mut out, *not_before, reason);
            }
            Self::Parked { sequence, attempt, at, reason } => {
                put_head(&mut out, PARKED, *attempt, *sequence);
                put_reason(&mut out, *at, reason);
            }
            Self::Aside { sequence } => put_head(&mut out, ASIDE, 0, *sequence),
            Self::Replayed { sequence } => put_head(&mut out, REPLAYED, 0, *sequence),
            Self::Meant { sequence, id } => {
                put_head(&mut out, MEANT, 0, *sequence);
                out.put(&id.0);
            }
            Self::Position { number, sequence, hash } => {
                put_place(&mut out, POSITION, *number, *sequence, hash)
            }
            Self::Reset { number, sequence, hash } => put_place(&mut out, RESET, *number, *sequence, hash),
        }
        out
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error`] where the bytes are none, or one that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        let number = reader.u16()?;
        reader.zeros(2)?;
        let (attempt, sequence) = (reader.u32()?, Sequence(reader.u64()?));
        if attempt != 0 && !matches!(number, BEGUN | PARKED) {
            return Err(reader.invalid("an attempt where none belongs"));
        }
        if (sequence.0 == 0) != (number == BOUND) && !matches!(number, POSITION | RESET) {
            return Err(reader.invalid("an event without a sequence, or a sequence without an event"));
        }
        let record = match number {
            BOUND => Self::Bound { store: StoreId(reader.array()?) },
            BEGUN => Self::Begun { sequence, attempt, hash: Digest(reader.array()?) },
            DONE => Self::Done { sequence },
            FAILED => {
                let (not_before, reason) = read_reason(&mut reader)?;
                Self::Failed { sequence, not_before, reason }
            }
            PARKED => {
                let (at, reason) = read_reason(&mut reader)?;
                Self::Parked { sequence, attempt, at, reason }
            }
            ASIDE => Self::Aside { sequence },
            REPLAYED => Self::Replayed { sequence },
            MEANT => Self::Meant { sequence, id: EventId(reader.array()?) },
            POSITION => {
                let (number, hash) = (reader.u64()?, Digest(reader.array()?));
                Self::Position { number, sequence, hash }
            }
            RESET => {
                let (number, hash) = (reader.u64()?, Digest(reader.array()?));
                Self::Reset { number, sequence, hash }
            }
            0 => return Err(reader.invalid("record type 0 was never written")),
            found => {
                let (found, supported) = (u32::from(found), u32::from(RESET));
                return Err(Error::Version { what: "a group record of an unknown type", found, supported });
            }
        };
        if reader.rest().is_empty() { Ok(record) } else { Err(reader.invalid("bytes behind its end")) }
    }
}

fn put_head(out: &mut Vec<u8>, number: u16, attempt: u32, sequence: Sequence) {
    out.put_u16(number);
    out.put_u16(0);
    out.put_u32(attempt);
    out.put_u64(sequence.0);
}

fn put_place(out: &mut Vec<u8>, number: u16, moves: u64, sequence: Sequence, hash: &Digest) {
    put_head(out, number, 0, sequence);
    out.put_u64(moves);
    out.put(&hash.0);
}

fn put_reason(out: &mut Vec<u8>, millis: u64, reason: &str) {
    assert!(reason.len() <= REASON_LEN_MAX, "cut by whoever made the record");
    out.put_u64(millis);
    out.put(reason.as_bytes());
}

fn read_reason(reader: &mut Reader<'_>) -> Result<(u64, Box<str>), Error> {
    let millis = reader.u64()?;
    let bytes = reader.bytes(reader.rest().len())?;
    if bytes.len() > REASON_LEN_MAX {
        return Err(reader.invalid("a reason of more than 1,024 bytes"));
    }
    match std::str::from_utf8(bytes) {
        Ok(reason) => Ok((millis, reason.into())),
        Err(_) => Err(reader.invalid("a reason that is not UTF-8")),
    }
}
