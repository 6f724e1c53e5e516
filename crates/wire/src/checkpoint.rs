//! The checkpoint: what it takes to open without touching what lies before its watermark. A checked prefix, a
//! MessagePack head, and for the segment that holds the watermark its tables in the footer's layout.
//!
//! Layout: docs/format.md, "Checkpoint".

use serde::{Deserialize, Serialize};

use crate::{
    ConsumerMove, Digest, Error, FORMAT_VERSION, Generation, Kind, Recorded, SegmentId, Sequence,
    SequenceRange, StoreId,
    codec::{Put, Reader, check_crc, check_trailing_crc, long_len},
    hash::Chain,
    pad_to_frame,
};

/// The bytes of a checkpoint before its head.
pub const CHECKPOINT_PREFIX_LEN: usize = 32;

const WHAT: &str = "checkpoint";
const MAGIC: &[u8; 8] = b"ANNALCKP";

/// How far a checkpoint reaches: all that lies before is in it, or in the segments that it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever checkpoints: every field must be given")]
pub struct Watermark {
    /// The segment.
    pub segment: SegmentId,
    /// Its generation.
    pub generation: Generation,
    /// The place in the segment.
    pub offset: u64,
    /// The segment's chain there.
    pub chain: Chain,
    /// The last event before it.
    pub sequence: Sequence,
    /// The clock there.
    pub recorded: Recorded,
    /// The hash of that event.
    pub mark: Digest,
}

/// A sealed segment that a checkpoint stands on: enough to open without touching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CoveredFields", into = "CoveredFields")]
#[expect(clippy::exhaustive_structs, reason = "made by whoever checkpoints: every field must be given")]
pub struct CoveredSegment {
    /// The segment.
    pub id: SegmentId,
    /// Its generation.
    pub generation: Generation,
    /// The sequence of its first event.
    pub first_sequence: Sequence,
    /// Where its frames end.
    pub end: u64,
    /// Its chain there.
    pub chain: Chain,
    /// The length of its file with its footer; 0 where it had none yet when the checkpoint was written.
    pub len: u64,
}

/// A covered segment as it is stored: there is one for each segment of the log, so its fields have no names.
type CoveredFields = (SegmentId, Generation, Sequence, u64, Chain, u64);

impl From<CoveredFields> for CoveredSegment {
    fn from((id, generation, first_sequence, end, chain, len): CoveredFields) -> Self {
        Self { id, generation, first_sequence, end, chain, len }
    }
}

impl From<CoveredSegment> for CoveredFields {
    fn from(covered: CoveredSegment) -> Self {
        let CoveredSegment { id, generation, first_sequence, end, chain, len } = covered;
        (id, generation, first_sequence, end, chain, len)
    }
}

/// A checkpoint's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever checkpoints: every field must be given")]
pub struct CheckpointHead {
    /// The store.
    pub store: StoreId,
    /// How far it reaches.
    pub watermark: Watermark,
    /// The sealed segments before the watermark's, oldest first, without a gap.
    pub covered: Vec<CoveredSegment>,
    /// Every kind that has a name.
    pub kind_names: Vec<(Kind, String)>,
    /// The events that are hidden: ascending, with at least one that is not between two ranges.
    pub hidden: Vec<SequenceRange>,
    /// Where the consumers are whose positions are in the log: by what they are and by name.
    pub moves: Vec<ConsumerMove>,
    /// The hash of the last control record before the watermark.
    pub control: Digest,
}

/// What a checkpoint begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointPrefix {
    /// The bytes of the head.
    pub head_len: u32,
    /// The bytes of the tables.
    pub tables_len: u64,
    head_crc: u32,
}

impl CheckpointPrefix {
    /// Decodes and checks the prefix; `bytes` begin with it.
    ///
    /// # Errors
    /// [`Error`] where it is none, damaged, or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Reader::new(WHAT, bytes).bytes(CHECKPOINT_PREFIX_LEN)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc(WHAT, bytes)?;
        reader.version()?;
        let head_len = reader.u32()?;
        Ok(Self { head_len, tables_len: reader.u64()?, head_crc: reader.u32()? })
    }

    /// Where the tables begin: behind the head and what pads it.
    #[must_use]
    pub fn tables_offset(&self) -> u64 {
        pad_to_frame(CHECKPOINT_PREFIX_LEN as u64 + u64::from(self.head_len))
    }

    /// The bytes of the whole file, or `None` where they are more than a number can say.
    #[must_use]
    pub fn file_len(&self) -> Option<u64> {
        self.tables_offset().checked_add(self.tables_len)
    }
}

impl CheckpointHead {
    /// The checkpoint's bytes, with `tables` from [`crate::Tables::encode`].
    #[must_use]
    pub fn encode(&self, tables: &[u8]) -> Vec<u8> {
        let head = self.to_message_pack();
        let mut out = Vec::with_capacity(CHECKPOINT_PREFIX_LEN + head.len() + 8 + tables.len());
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(long_len(head.len()));
        out.put_u64(tables.len() as u64);
        out.put_u32(crc32fast::hash(&head));
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out.put(&head);
        out.put_zeros(out.len().next_multiple_of(8) - out.len());
        out.put(tables);
        out
    }

    fn to_message_pack(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("numbers, strings and lists can be encoded")
    }

    /// Decodes and checks the head; `bytes` are the whole file, or what lies before its tables. The tables are
    /// a [`crate::Footer`]'s business.
    ///
    /// # Errors
    /// [`Error`] where the head is damaged or not what a head is.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let prefix = CheckpointPrefix::decode(bytes)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.bytes(CHECKPOINT_PREFIX_LEN)?;
        let head = reader.bytes(prefix.head_len as usize)?;
        check_crc("checkpoint head", prefix.head_crc, crc32fast::hash(head))?;
        let decoded: Self = rmp_serde::from_slice(head)
            .map_err(|_| Error::Invalid { what: "checkpoint head", why: "not the MessagePack of a head" })?;
        if decoded.to_message_pack() != head {
            return Err(reader.invalid("a field that this version does not have, or not as it writes it"));
        }
        let ids = decoded.covered.iter().map(|covered| covered.id);
        let behind = ids.clone().skip(1).chain([decoded.watermark.segment]);
        if ids.zip(behind).any(|(id, behind)| id.next() != Some(behind)) {
            return Err(reader.invalid("the segments that it stands on have gaps"));
        }
        if decoded.covered.iter().any(|covered| covered.len != 0 && covered.len <= covered.end) {
            return Err(
                reader.invalid("a segment that it stands on has a footer and no bytes behind its frames")
            );
        }
        let hidden = decoded.hidden.iter().zip(decoded.hidden.iter().skip(1));
        if hidden.into_iter().any(|(range, next)| range.last().0.saturating_add(1) >= next.first().0) {
            return Err(reader.invalid("what is hidden is out of order, or in more ranges than it takes"));
        }
        let moves = decoded.moves.iter().map(|moved| (moved.consumer, &moved.name));
        if moves.clone().zip(moves.skip(1)).any(|(moved, next)| moved >= next) {
            return Err(reader.invalid("its consumers are out of order"));
        }
        let padding = prefix.tables_offset() - reader.position() as u64;
        reader.zeros(usize::try_from(padding).expect("under 8"))?;
        Ok(decoded)
    }
}
