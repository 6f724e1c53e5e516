//! The footer: the index of one segment's frames, in tables that are used where they lie. The tables of a
//! checkpoint have the same layout.
//!
//! Invariant: encoding is a function of the frames alone, so that an index built again is the same, byte for
//! byte. No block is used before its checksum passed, and no number in a block is used as a place before it
//! was compared with what is there: whoever forged a checksum gets an error, not memory. Every byte is covered:
//! the blocks lie one behind the other, and what pads them is zero.
//!
//! Layout: docs/format.md, "Footer".

mod encode;
mod tables;

use std::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

pub use encode::{StreamTable, Tables};
pub use tables::{Postings, Row, ScopeEntry, StreamEntry};

use crate::{
    Digest, Error, FORMAT_VERSION, Generation, SegmentId, Sequence, StoreId,
    codec::{Put, Reader, check_crc, check_trailing_crc, long_len},
    hash::Chain,
};

/// The bytes of the trailer, which the file ends with.
pub const TRAILER_LEN: usize = 136;

/// The most rows that a footer can have.
pub const ROW_COUNT_MAX: usize = u32::MAX as usize / 64;

const WHAT: &str = "footer";
const MAGIC: &[u8; 8] = b"ANNALFTR";
const DIRECTORY_ENTRY_LEN: usize = 24;

/// A table of the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Block {
    /// A row for every event, in order.
    Rows = 1,
    /// The ids, sorted.
    Ids,
    /// The row of each id.
    IdRows,
    /// The streams, sorted.
    Streams,
    /// The rows of each stream.
    StreamRows,
    /// The scopes, sorted.
    Scopes,
    /// The rows of each scope.
    ScopeRows,
    /// The kinds, sorted.
    Kinds,
    /// The rows of each kind.
    KindRows,
    /// The correlations that are not the event's own id, sorted.
    Correlations,
    /// The rows of each correlation.
    CorrelationRows,
    /// The causations, sorted.
    Causations,
    /// The rows of each causation.
    CausationRows,
    /// The tags, sorted.
    Tags,
    /// The rows of each tag.
    TagRows,
    /// The text of scopes, entities and tags.
    Strings,
    /// The offsets of the control records.
    Controls,
}

impl Block {
    /// All blocks, in the order in which they lie.
    pub const ALL: [Self; 17] = [
        Self::Rows,
        Self::Ids,
        Self::IdRows,
        Self::Streams,
        Self::StreamRows,
        Self::Scopes,
        Self::ScopeRows,
        Self::Kinds,
        Self::KindRows,
        Self::Correlations,
        Self::CorrelationRows,
        Self::Causations,
        Self::CausationRows,
        Self::Tags,
        Self::TagRows,
        Self::Strings,
        Self::Controls,
    ];

    fn index(self) -> usize {
        self as usize - 1
    }

    /// The bytes of one entry.
    fn entry_len(self) -> usize {
        match self {
            Self::Rows => Row::LEN,
            Self::Ids => 16,
            Self::Streams => tables::STREAM_LEN,
            Self::Scopes => tables::SCOPE_LEN,
            Self::Kinds => tables::KIND_LEN,
            Self::Correlations | Self::Causations => tables::ID_GROUP_LEN,
            Self::Tags => tables::TAG_LEN,
            Self::Strings => 1,
            Self::IdRows
            | Self::StreamRows
            | Self::ScopeRows
            | Self::KindRows
            | Self::CorrelationRows
            | Self::CausationRows
            | Self::TagRows
            | Self::Controls => 4,
        }
    }

    /// Whether there is one entry for every event.
    fn has_entry_per_row(self) -> bool {
        matches!(
            self,
            Self::Rows | Self::Ids | Self::IdRows | Self::StreamRows | Self::ScopeRows | Self::KindRows
        )
    }
}

/// What the footer is built from, at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever seals: every field must be given")]
pub struct FooterTrailer {
    /// The log that the segment belongs to.
    pub store: StoreId,
    /// The segment.
    pub segment: SegmentId,
    /// Its generation.
    pub generation: Generation,
    /// The segment's chain at `frames_end`.
    pub chain: Chain,
    /// Where the indexed frames end.
    pub frames_end: u64,
    /// The sequence of row 0.
    pub first_sequence: Sequence,
    /// How many rows there are.
    pub row_count: u32,
    /// The BLAKE3 digest of the segment's bytes before `frames_end`; zeros in a checkpoint.
    pub digest: Digest,
}

impl FooterTrailer {
    fn encode(&self, footer_len: u64, directory_crc: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_LEN);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(long_len(Block::ALL.len()));
        out.put(&self.store.0);
        out.put_u64(self.segment.0);
        out.put_u32(self.generation.0);
        out.put_u32(self.chain.0);
        out.put_u64(self.frames_end);
        out.put_u64(self.first_sequence.0);
        out.put_u32(self.row_count);
        out.put_u32(directory_crc);
        out.put_u64(footer_len);
        out.put(&self.digest.0);
        out.put_zeros(TRAILER_LEN - 4 - out.len());
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out
    }

    /// Decodes the trailer that `bytes` end with, and nothing else of the footer; returns it and the footer's
    /// length.
    ///
    /// # Errors
    /// [`Error`] where it is none, damaged, or of a newer version.
    pub fn decode_end(bytes: &[u8]) -> Result<(Self, u64), Error> {
        Self::decode(bytes).map(|(trailer, footer_len, _)| (trailer, footer_len))
    }

    /// Decodes the trailer that `bytes` end with; returns it, the footer's length and its directory's CRC.
    fn decode(bytes: &[u8]) -> Result<(Self, u64, u32), Error> {
        let bytes = bytes.last_chunk::<TRAILER_LEN>().ok_or(Error::Truncated {
            what: WHAT,
            needed: TRAILER_LEN as u64,
            available: bytes.len() as u64,
        })?;
        let mut reader = Reader::new("footer trailer", bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc("footer trailer", bytes)?;
        reader.version()?;
        if reader.u32()? as usize != Block::ALL.len() {
            return Err(reader.invalid("not 17 blocks"));
        }
        let (store, segment) = (StoreId(reader.array()?), SegmentId(reader.u64()?));
        let (generation, chain) = (Generation(reader.u32()?), Chain(reader.u32()?));
        let (frames_end, first_sequence) = (reader.u64()?, Sequence(reader.u64()?));
        let (row_count, directory_crc) = (reader.u32()?, reader.u32()?);
        let footer_len = reader.u64()?;
        let digest = Digest(reader.array()?);
        reader.zeros(TRAILER_LEN - 4 - reader.position())?;
        let trailer =
            Self { store, segment, generation, chain, frames_end, first_sequence, row_count, digest };
        Ok((trailer, footer_len, directory_crc))
    }
}

/// A footer whose head was checked, and whose blocks are checked when first touched. It holds no bytes:
/// every method is given those that it was decoded from.
#[derive(Debug)]
pub struct Footer {
    trailer: FooterTrailer,
    start: u64,
    blocks: [BlockPlace; Block::ALL.len()],
    checked: AtomicU32,
}

#[derive(Debug, Clone, Default)]
struct BlockPlace {
    range: Range<usize>,
    crc: u32,
}

impl Footer {
    /// Decodes the head of the footer that `bytes` end with.
    ///
    /// # Errors
    /// [`Error`] where there is none, or its trailer or directory are damaged or newer.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (trailer, footer_len, directory_crc) = FooterTrailer::decode(bytes)?;
        let head_len = Block::ALL.len() * DIRECTORY_ENTRY_LEN + TRAILER_LEN;
        let invalid = |why| Error::Invalid { what: WHAT, why };
        let len = usize::try_from(footer_len).map_err(|_| invalid("longer than memory"))?;
        let start = bytes.len().checked_sub(len).ok_or(invalid("longer than its file"))?;
        let blocks_len = len.checked_sub(head_len).ok_or(invalid("shorter than its own head"))?;
        let directory = bytes
            .get(start + blocks_len..bytes.len() - TRAILER_LEN)
            .ok_or(invalid("shorter than its own head"))?;
        check_crc("footer directory", directory_crc, crc32fast::hash(directory))?;
        let blocks = decode_directory(directory, start, blocks_len)?;
        let footer = Self { trailer, start: start as u64, blocks, checked: AtomicU32::new(0) };
        footer.check_lens()?;
        Ok(footer)
    }

    /// What the footer says that it was built from.
    #[must_use]
    pub fn trailer(&self) -> &FooterTrailer {
        &self.trailer
    }

    /// Where the footer begins in the bytes that it was decoded from.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Checks every block.
    ///
    /// # Errors
    /// [`Error::Checksum`] for the first that is damaged.
    pub fn check_all(&self, bytes: &[u8]) -> Result<(), Error> {
        Block::ALL.iter().try_for_each(|block| self.block(bytes, *block).map(|_| ()))
    }

    /// Where `block` lies in the bytes that the footer was decoded from.
    #[must_use]
    pub fn block_range(&self, block: Block) -> Range<usize> {
        self.blocks.get(block.index()).map(|place| place.range.clone()).unwrap_or_default()
    }

    fn block<'a>(&self, bytes: &'a [u8], block: Block) -> Result<&'a [u8], Error> {
        let place = self.blocks.get(block.index()).expect("a place for each block");
        let table = bytes
            .get(place.range.clone())
            .ok_or(Error::Invalid { what: WHAT, why: "a block lies outside of the file" })?;
        let bit = 1 << block.index();
        if self.checked.load(Ordering::Relaxed) & bit == 0 {
            check_crc("footer block", place.crc, crc32fast::hash(table))?;
            let padding = bytes.get(place.range.end..).unwrap_or_default();
            Reader::new("footer block", padding).zeros(padding_len(place.range.len()))?;
            self.checked.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(table)
    }

    fn check_lens(&self) -> Result<(), Error> {
        let count = self.trailer.row_count as usize;
        let fits = |block: Block| {
            let (len, entry_len) = (self.block_range(block).len(), block.entry_len());
            len.is_multiple_of(entry_len) && (!block.has_entry_per_row() || len / entry_len == count)
        };
        if count > ROW_COUNT_MAX || !Block::ALL.into_iter().all(fits) {
            return Err(Error::Invalid { what: WHAT, why: "a table has another number of rows" });
        }
        if self.stream_count() > count || self.scope_count() > self.stream_count() {
            return Err(Error::Invalid {
                what: WHAT,
                why: "more streams than events, or scopes than streams",
            });
        }
        Ok(())
    }
}

fn decode_directory(
    directory: &[u8],
    start: usize,
    blocks_len: usize,
) -> Result<[BlockPlace; Block::ALL.len()], Error> {
    let mut reader = Reader::new("footer directory", directory);
    let mut blocks: [BlockPlace; Block::ALL.len()] = Default::default();
    let mut end = 0_usize;
    for (block, place) in Block::ALL.iter().zip(&mut blocks) {
        let (number, crc) = (reader.u32()?, reader.u32()?);
        let (offset, len) = (reader.u64()?, usize::try_from(reader.u64()?).unwrap_or(usize::MAX));
        let padded_len = len.saturating_add(padding_len(len));
        if number != *block as u32 || offset != end as u64 || padded_len > blocks_len - end {
            return Err(reader.invalid("a block out of order or outside of the footer"));
        }
        *place = BlockPlace { range: start + end..start + end + len, crc };
        end += padded_len;
    }
    if end == blocks_len { Ok(blocks) } else { Err(reader.invalid("bytes of no block")) }
}

/// How many zeros stand behind a block of `len` bytes.
fn padding_len(len: usize) -> usize {
    len.wrapping_neg() % 8
}
