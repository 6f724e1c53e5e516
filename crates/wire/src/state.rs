//! Published states: what a program made of a log up to a position, so that it need not read that part again.
//!
//! Layout: docs/format.md, "State" and "Publication".

use crate::{
    Digest, Error, FORMAT_VERSION, Generation, SegmentId, Sequence, StoreId, blake3_digest,
    codec::{Put, Reader, check_trailing_crc},
    hash::Chain,
    segment_header::is_end,
};

/// The bytes of a state's header; the state follows.
pub const STATE_HEADER_LEN: usize = 128;

/// The bytes of a publication.
pub const PUBLICATION_LEN: usize = 48;

const WHAT: &str = "state";
const MAGIC: &[u8; 8] = b"ANNALSTA";
const FIELDS_LEN: usize = 104;
const PUBLICATION: &str = "publication";
const PUBLICATION_MARK: u32 = 1;

/// A place in a log, between two batches, and what lies before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place in a log is made of these")]
pub struct LogPosition {
    /// The last numbered frame before it; 0 where there is none.
    pub sequence: Sequence,
    /// The segment that holds it.
    pub segment: SegmentId,
    /// That segment's generation.
    pub generation: Generation,
    /// The place in the segment.
    pub offset: u64,
    /// The segment's chain there.
    pub chain: Chain,
}

/// What a state's file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever publishes: every field must be given")]
pub struct StateHeader {
    /// The log.
    pub store: StoreId,
    /// The position up to which the state contains the log.
    pub position: LogPosition,
    /// The bytes of the state.
    pub len: u64,
    /// The digest of the state's bytes.
    pub digest: Digest,
}

impl StateHeader {
    /// The header of the state with these bytes.
    #[must_use]
    pub fn new(store: StoreId, position: LogPosition, state: &[u8]) -> Self {
        Self { store, position, len: state.len() as u64, digest: blake3_digest(state) }
    }

    /// The header's bytes.
    ///
    /// # Panics
    /// Where the position is none that a log can have.
    #[must_use]
    pub fn encode(&self) -> [u8; STATE_HEADER_LEN] {
        assert!(self.position.segment != SegmentId(0) && is_end(self.position.offset));
        let mut out = Vec::with_capacity(STATE_HEADER_LEN);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(u32::try_from(STATE_HEADER_LEN).expect("128"));
        out.put(&self.store.0);
        out.put_u64(self.position.sequence.0);
        out.put_u64(self.position.segment.0);
        out.put_u64(self.position.offset);
        out.put_u32(self.position.generation.0);
        out.put_u32(self.position.chain.0);
        out.put_u64(self.len);
        out.put(&self.digest.0);
        assert_eq!(out.len(), FIELDS_LEN);
        out.put_zeros(STATE_HEADER_LEN - 4 - out.len());
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out.try_into().expect("padded to 128 bytes")
    }

    /// Decodes and checks a header; `bytes` begin with it.
    ///
    /// # Errors
    /// [`Error`] where the bytes are no header, are damaged, or are of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Reader::new(WHAT, bytes).bytes(STATE_HEADER_LEN)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc(WHAT, bytes)?;
        reader.version()?;
        if reader.u32()? as usize != STATE_HEADER_LEN {
            return Err(reader.invalid("its header's length is not 128"));
        }
        let store = StoreId(reader.array()?);
        let (sequence, segment) = (Sequence(reader.u64()?), SegmentId(reader.u64()?));
        let (offset, generation, chain) = (reader.u64()?, Generation(reader.u32()?), Chain(reader.u32()?));
        let (len, digest) = (reader.u64()?, Digest(reader.array()?));
        reader.zeros(STATE_HEADER_LEN - 4 - FIELDS_LEN)?;
        if segment == SegmentId(0) || !is_end(offset) {
            return Err(reader.invalid("a segment of 0, or a place where no batch can end"));
        }
        let position = LogPosition { sequence, segment, generation, offset, chain };
        Ok(Self { store, position, len, digest })
    }

    /// The state behind the header in `bytes`, which are the whole file.
    ///
    /// # Errors
    /// [`Error`] as [`StateHeader::decode`], and where the state is not as long as the header says, or another.
    pub fn decode_file(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let header = Self::decode(bytes)?;
        let state = bytes.get(STATE_HEADER_LEN..).unwrap_or_default();
        if state.len() as u64 != header.len {
            return Err(Error::Invalid { what: WHAT, why: "not as long as its header says" });
        }
        if blake3_digest(state) != header.digest {
            return Err(Error::Invalid { what: WHAT, why: "its digest is not the one in its header" });
        }
        Ok((header, state))
    }
}

/// The body of the mark that a published state leaves in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever publishes: every field must be given")]
pub struct Publication {
    /// The last record that the state contains.
    pub sequence: Sequence,
    /// The digest of the state's bytes.
    pub digest: Digest,
}

impl Publication {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; PUBLICATION_LEN] {
        let mut out = Vec::with_capacity(PUBLICATION_LEN);
        out.put_u32(PUBLICATION_MARK);
        out.put_u32(0);
        out.put_u64(self.sequence.0);
        out.put(&self.digest.0);
        out.try_into().expect("48 bytes")
    }

    /// Decodes the body of a mark.
    ///
    /// # Errors
    /// [`Error`] where it is none of a publication.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(PUBLICATION, bytes);
        if reader.u32()? != PUBLICATION_MARK {
            return Err(reader.invalid("a mark that this version does not have"));
        }
        reader.zeros(4)?;
        let publication = Self { sequence: Sequence(reader.u64()?), digest: Digest(reader.array()?) };
        if reader.rest().is_empty() { Ok(publication) } else { Err(reader.invalid("bytes behind its end")) }
    }
}
