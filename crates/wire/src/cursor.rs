//! Cursors' own logs: one record for each time that a position was saved.
//!
//! Layout: docs/format.md, "Cursor's record".

use crate::{
    Digest, Error, Sequence, StoreId,
    codec::{Put, Reader},
};

/// The bytes of a cursor's record.
pub const CURSOR_RECORD_LEN: usize = 80;

const WHAT: &str = "cursor's record";
const CURSOR_RECORD: u16 = 1;
const MOVES_IN_LOG: u16 = 1;

/// Where a cursor is. A later record takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever saves: every field must be given")]
pub struct CursorRecord {
    /// The store that it reads.
    pub store: StoreId,
    /// How many times it was moved, from 1, wherever that is kept.
    pub number: u64,
    /// The number of its last move in the store's log when this was written; 0 for none.
    pub moved: u64,
    /// The event up to and with which all is processed; 0 for none.
    pub sequence: Sequence,
    /// The hash of that event; [`Digest::NONE`] for none.
    pub hash: Digest,
    /// Whether it has moves in the store's log, or is about to have.
    pub is_in_log: bool,
}

impl CursorRecord {
    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; CURSOR_RECORD_LEN] {
        let mut out = Vec::with_capacity(CURSOR_RECORD_LEN);
        out.put_u16(CURSOR_RECORD);
        out.put_u16(if self.is_in_log { MOVES_IN_LOG } else { 0 });
        out.put_u32(0);
        out.put_u64(self.number);
        out.put_u64(self.moved);
        out.put_u64(self.sequence.0);
        out.put(&self.hash.0);
        out.put(&self.store.0);
        out.try_into().expect("80 bytes")
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error`] where the bytes are none, or break a rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        if reader.u16()? != CURSOR_RECORD {
            return Err(reader.invalid("a record that this version does not have"));
        }
        let flags = reader.u16()?;
        if flags & !MOVES_IN_LOG != 0 {
            return Err(reader.invalid("a flag that this version does not have"));
        }
        reader.zeros(4)?;
        let (number, moved, sequence) = (reader.u64()?, reader.u64()?, Sequence(reader.u64()?));
        let (hash, store) = (Digest(reader.array()?), StoreId(reader.array()?));
        if !reader.rest().is_empty() {
            return Err(reader.invalid("bytes behind its end"));
        }
        let is_in_log = flags & MOVES_IN_LOG != 0;
        if number == 0 || moved >= number || moved > 0 && !is_in_log {
            return Err(reader.invalid("it is not behind the moves that it stands on"));
        }
        if (sequence == Sequence(0)) != (hash == Digest::NONE) {
            return Err(reader.invalid("a position has a hash, and the place before all events none"));
        }
        Ok(Self { store, number, moved, sequence, hash, is_in_log })
    }
}
