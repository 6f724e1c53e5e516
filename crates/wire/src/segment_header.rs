//! The segment header: the first 512 bytes of a segment, one sector, written once.
//!
//! Invariant: a segment's header is only made when the segment before it is durable to its end, and says
//! where that end is. So a header is proof of all that lies before its segment.
//!
//! Layout: docs/format.md, "Segment header".

use crate::{
    Digest, Error, FORMAT_VERSION, FRAME_ALIGN, FrameSeed, Generation, Recorded, Salt, SegmentId, Sequence,
    StoreId,
    codec::{Put, Reader, check_trailing_crc},
    hash::Chain,
};

/// The bytes of a segment header; the first frame begins there.
pub const SEGMENT_HEADER_LEN: usize = 512;

/// Where a segment's frames must end: offsets fit 32 bits.
pub const SEGMENT_LEN_MAX: u64 = (u32::MAX as u64) & !7;

const WHAT: &str = "segment header";
const MAGIC: &[u8; 8] = b"ANNALSEG";
const FIELDS_LEN: usize = 132;
const PREVIOUS_LEN: usize = 56;

/// How a segment ended, as its successor knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever rotates: every field must be given")]
pub struct PreviousEnd {
    /// Its id.
    pub id: SegmentId,
    /// Its generation.
    pub generation: Generation,
    /// Where its frames end.
    pub end: u64,
    /// Its chain at that end.
    pub chain: Chain,
    /// What the log's owner says identifies all that came before: in a store, the hash of the last event.
    pub mark: Digest,
}

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever rotates: every field must be given")]
pub struct SegmentHeader {
    /// The log that the segment belongs to.
    pub store: StoreId,
    /// The segment's id.
    pub id: SegmentId,
    /// How often the segment was replaced.
    pub generation: Generation,
    /// Its random number.
    pub salt: Salt,
    /// The sequence that its first numbered frame has, or will have.
    pub first_sequence: Sequence,
    /// The clock when it was made: nothing in it was recorded before.
    pub recorded: Recorded,
    /// How the segment before it ended; `None` for the first.
    pub previous: Option<PreviousEnd>,
}

impl SegmentHeader {
    /// The seed of the segment's frame checksums.
    #[must_use]
    pub fn seed(&self) -> FrameSeed {
        FrameSeed::new(self.salt, self.id)
    }

    /// The header's bytes.
    ///
    /// # Panics
    /// Where the id, the salt or the first sequence is 0, or the segment before ends where none can.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        assert!(self.id != SegmentId(0) && self.salt != Salt(0) && self.first_sequence != Sequence(0));
        assert!(self.previous.is_none_or(|previous| previous.id != SegmentId(0) && is_end(previous.end)));
        let mut out = Vec::with_capacity(SEGMENT_HEADER_LEN);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(u32::try_from(SEGMENT_HEADER_LEN).expect("512"));
        out.put(&self.store.0);
        out.put_u64(self.id.0);
        out.put_u32(self.generation.0);
        out.put_u32(0);
        out.put_u64(self.salt.0);
        out.put_u64(self.first_sequence.0);
        out.put_u64(self.recorded.0);
        match &self.previous {
            Some(previous) => put_previous(previous, &mut out),
            None => out.put_zeros(PREVIOUS_LEN),
        }
        assert_eq!(out.len(), FIELDS_LEN - 4);
        out.put_zeros(SEGMENT_HEADER_LEN - 4 - out.len());
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out.try_into().expect("padded to 512 bytes")
    }

    /// Decodes and checks a header; `bytes` begin with it.
    ///
    /// # Errors
    /// [`Error`] where the bytes are no header, are damaged, or are of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Reader::new(WHAT, bytes).bytes(SEGMENT_HEADER_LEN)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc(WHAT, bytes)?;
        reader.version()?;
        if reader.u32()? as usize != SEGMENT_HEADER_LEN {
            return Err(reader.invalid("its length is not 512"));
        }
        let (store, id) = (StoreId(reader.array()?), SegmentId(reader.u64()?));
        let generation = Generation(reader.u32()?);
        reader.zeros(4)?;
        let salt = Salt(reader.u64()?);
        let (first_sequence, recorded) = (Sequence(reader.u64()?), Recorded(reader.u64()?));
        let previous = decode_previous(&mut reader)?;
        reader.zeros(SEGMENT_HEADER_LEN - FIELDS_LEN)?;
        if id == SegmentId(0) || salt == Salt(0) || first_sequence == Sequence(0) {
            return Err(reader.invalid("an id, salt or first sequence of 0"));
        }
        Ok(Self { store, id, generation, salt, first_sequence, recorded, previous })
    }
}

/// Whether the frames of a segment can end there.
pub(crate) fn is_end(end: u64) -> bool {
    (SEGMENT_HEADER_LEN as u64..=SEGMENT_LEN_MAX).contains(&end) && end.is_multiple_of(FRAME_ALIGN)
}

fn put_previous(previous: &PreviousEnd, out: &mut Vec<u8>) {
    out.put_u64(previous.id.0);
    out.put_u32(previous.generation.0);
    out.put_u32(previous.chain.0);
    out.put_u64(previous.end);
    out.put(&previous.mark.0);
}

fn decode_previous(reader: &mut Reader<'_>) -> Result<Option<PreviousEnd>, Error> {
    if reader.rest().iter().take(PREVIOUS_LEN).all(|byte| *byte == 0) {
        reader.zeros(PREVIOUS_LEN)?;
        return Ok(None);
    }
    let (id, generation) = (SegmentId(reader.u64()?), Generation(reader.u32()?));
    let (chain, end) = (Chain(reader.u32()?), reader.u64()?);
    let mark = Digest(reader.array()?);
    if id == SegmentId(0) || !is_end(end) {
        return Err(reader.invalid("the segment before has the id 0, or ends where none can"));
    }
    Ok(Some(PreviousEnd { id, generation, end, chain, mark }))
}
