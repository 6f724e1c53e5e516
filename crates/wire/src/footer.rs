//! The footer: the index of one segment's frames, in tables that are used where they lie. The tables of a
//! checkpoint have the same layout.
//!
//! Invariant: encoding is a function of the frames alone, so that an index built again is the same, byte for
//! byte. No page is used before its checksum passed, and no number in a table is used as a place before it
//! was compared with what is there: whoever forged a checksum gets an error, not memory. Every byte is covered:
//! the blocks lie one behind the other in pages, and what pads them is zero.
//!
//! Layout: docs/format.md, "Footer".

mod encode;
mod entities;
mod postings;
mod streams;
mod tables;

use std::ops::Range;

pub use encode::{StreamTable, Tables};
pub use postings::Postings;
pub use tables::{Row, ScopeEntry, StreamEntry};

use crate::{
    Digest, Error, FORMAT_VERSION, Generation, SIEVE_LINE_LEN, SegmentId, Sequence, SievePlace, StoreId,
    TableBytes,
    codec::{Put, Reader, check_crc, check_trailing_crc, long_len},
    hash::Chain,
    pages::{Pages, sums_len},
};

/// The bytes of the trailer, which the file ends with.
pub const TRAILER_LEN: usize = 136;

/// What of a footer's end is looked at first: of most the whole head, and what most searches begin with.
pub const FOOTER_HEAD_LEN_GUESS: usize = 16 << 10;

/// The most rows that a footer can have.
pub const ROW_COUNT_MAX: usize = (1 << 24) - 1;

/// Of this many rows the first one's time is in the table of times.
pub const ROWS_PER_TIME: u32 = 256;

const WHAT: &str = "footer";
const MAGIC: &[u8; 8] = b"ANNALFTR";
const DIRECTORY_LEN: usize = Block::ALL.len() * 8;

/// A table of the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Block {
    /// The streams, sorted, with their rows: in leaves of whole pages, so this block is the first.
    Streams,
    /// The sieve of the hashes of their coordinates.
    StreamSieve,
    /// A row for every event, in order.
    Rows,
    /// The hashes of the ids, sorted.
    Ids,
    /// The row of each id.
    IdRows,
    /// The sieve of the hashes.
    IdSieve,
    /// When every 256th row was recorded.
    Times,
    /// The rows of each scope, where there is more than one.
    ScopeRows,
    /// The rows of each kind, where there is more than one.
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
    /// The text of the tags.
    TagTexts,
    /// The offsets of the control records.
    Controls,
    /// Where the leaves end. From here on lies what most searches begin with, together and beside the head.
    Leaves,
    /// The first entity of each leaf once more.
    FenceTexts,
    /// The scopes, sorted.
    Scopes,
    /// The text of the scopes.
    ScopeTexts,
    /// The kinds, sorted.
    Kinds,
}

impl Block {
    /// All blocks, in the order in which they lie.
    pub const ALL: [Self; 22] = [
        Self::Streams,
        Self::StreamSieve,
        Self::Rows,
        Self::Ids,
        Self::IdRows,
        Self::IdSieve,
        Self::Times,
        Self::ScopeRows,
        Self::KindRows,
        Self::Correlations,
        Self::CorrelationRows,
        Self::Causations,
        Self::CausationRows,
        Self::Tags,
        Self::TagRows,
        Self::TagTexts,
        Self::Controls,
        Self::Leaves,
        Self::FenceTexts,
        Self::Scopes,
        Self::ScopeTexts,
        Self::Kinds,
    ];

    fn index(self) -> usize {
        self as usize
    }

    /// The bytes of one entry.
    fn entry_len(self) -> usize {
        match self {
            Self::Rows => Row::LEN,
            Self::IdSieve | Self::StreamSieve => SIEVE_LINE_LEN,
            Self::Times | Self::Kinds | Self::Tags => 8,
            Self::Leaves | Self::Scopes => 12,
            Self::Correlations | Self::Causations => 20,
            Self::Streams | Self::FenceTexts | Self::ScopeTexts | Self::TagTexts => 1,
            Self::Ids | Self::Controls => 4,
            Self::IdRows
            | Self::ScopeRows
            | Self::KindRows
            | Self::CorrelationRows
            | Self::CausationRows
            | Self::TagRows => 3,
        }
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

/// What the trailer says of the footer itself.
#[derive(Debug, Clone, Copy)]
struct Extent {
    footer_len: u64,
    head_crc: u32,
    stream_count: u32,
}

impl FooterTrailer {
    fn encode(&self, extent: Extent) -> Vec<u8> {
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
        out.put_u32(extent.head_crc);
        out.put_u64(extent.footer_len);
        out.put(&self.digest.0);
        out.put_u32(extent.stream_count);
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
        Self::decode(bytes).map(|(trailer, extent)| (trailer, extent.footer_len))
    }

    /// Puts `digest` into the trailer that `footer` ends with.
    ///
    /// # Errors
    /// [`Error`] where there is none, or it is damaged.
    pub fn set_digest(footer: &mut [u8], digest: Digest) -> Result<(), Error> {
        let (trailer, extent) = Self::decode(footer)?;
        if let Some(bytes) = footer.last_chunk_mut::<TRAILER_LEN>() {
            bytes.copy_from_slice(&Self { digest, ..trailer }.encode(extent));
        }
        Ok(())
    }

    /// Decodes the trailer that `bytes` end with.
    fn decode(bytes: &[u8]) -> Result<(Self, Extent), Error> {
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
            return Err(reader.invalid("not 22 blocks"));
        }
        let (store, segment) = (StoreId(reader.array()?), SegmentId(reader.u64()?));
        let (generation, chain) = (Generation(reader.u32()?), Chain(reader.u32()?));
        let (frames_end, first_sequence) = (reader.u64()?, Sequence(reader.u64()?));
        let (row_count, head_crc) = (reader.u32()?, reader.u32()?);
        let footer_len = reader.u64()?;
        let digest = Digest(reader.array()?);
        let extent = Extent { footer_len, head_crc, stream_count: reader.u32()? };
        reader.zeros(TRAILER_LEN - 4 - reader.position())?;
        let trailer =
            Self { store, segment, generation, chain, frames_end, first_sequence, row_count, digest };
        Ok((trailer, extent))
    }
}

/// A footer whose head was checked, and whose tables are checked page by page when first touched. It holds no
/// bytes: every method is given those that it was decoded from.
#[derive(Debug)]
pub struct Footer {
    trailer: FooterTrailer,
    stream_count: u32,
    start: usize,
    /// Where each block lies, from the footer's beginning.
    blocks: [Range<usize>; Block::ALL.len()],
    pages: Pages,
}

impl Footer {
    /// Decodes the head of the footer that `bytes` end with.
    ///
    /// # Errors
    /// [`Error`] where there is none, or its trailer, directory or checksums are damaged or newer.
    pub fn decode(bytes: TableBytes<'_>) -> Result<Self, Error> {
        let guess = bytes.get(bytes.len().saturating_sub(FOOTER_HEAD_LEN_GUESS)..bytes.len())?;
        let (trailer, Extent { footer_len, head_crc, stream_count }) = FooterTrailer::decode(guess)?;
        let invalid = |why| Error::Invalid { what: WHAT, why };
        let len = usize::try_from(footer_len).map_err(|_| invalid("longer than memory"))?;
        let start = bytes.len().checked_sub(len).ok_or(invalid("longer than its file"))?;
        let directory_start = (bytes.len() - TRAILER_LEN).checked_sub(DIRECTORY_LEN);
        let directory_start = directory_start.filter(|directory| *directory >= start);
        let directory_start = directory_start.ok_or(invalid("shorter than its own head"))?;
        let directory = bytes.get(directory_start..bytes.len() - TRAILER_LEN)?;
        let (blocks, blocks_len) = decode_directory(directory, directory_start - start)?;
        let sums_end = blocks_len + sums_len(blocks_len);
        if sums_end.next_multiple_of(8) != directory_start - start {
            return Err(invalid("bytes of no block"));
        }
        let head = bytes.get(start + blocks_len..bytes.len() - TRAILER_LEN)?;
        check_crc("footer head", head_crc, crc32fast::hash(head))?;
        Reader::new(WHAT, head.get(sums_len(blocks_len)..).unwrap_or_default())
            .zeros(sums_end.next_multiple_of(8) - sums_end)?;
        let pages =
            Pages::new("footer page", start..start + blocks_len, start + blocks_len..start + sums_end);
        let footer = Self { trailer, stream_count, start, blocks, pages };
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
        self.start as u64
    }

    /// Checks every page, and that nothing but zeros pads the blocks and the leaves.
    ///
    /// # Errors
    /// [`Error::Checksum`] for the first that is damaged, or [`Error::Invalid`].
    pub fn check_all(&self, bytes: TableBytes<'_>) -> Result<(), Error> {
        self.pages.check_all(bytes)?;
        for block in &self.blocks {
            let padding = self.pages.get(bytes, block.end..block.end.next_multiple_of(8))?;
            Reader::new(WHAT, padding).zeros(padding.len())?;
        }
        self.check_leaves(bytes)
    }

    /// Where `block` lies in the bytes that the footer was decoded from.
    #[must_use]
    pub fn block_range(&self, block: Block) -> Range<usize> {
        let range = self.place(block);
        self.start + range.start..self.start + range.end
    }

    fn place(&self, block: Block) -> Range<usize> {
        self.blocks.get(block.index()).expect("a place for each block").clone()
    }

    /// How many entries `block` has.
    fn count(&self, block: Block) -> usize {
        self.place(block).len() / block.entry_len()
    }

    /// The bytes from `start` to `end` of `block`.
    #[inline]
    fn get<'a>(&self, bytes: TableBytes<'a>, block: Block, range: Range<usize>) -> Result<&'a [u8], Error> {
        let place = self.place(block);
        if range.start > range.end || range.end > place.len() {
            let (needed, available) = (range.end.max(range.start) as u64, place.len() as u64);
            return Err(Error::Truncated { what: "footer table", needed, available });
        }
        self.pages.get(bytes, place.start + range.start..place.start + range.end)
    }

    /// The entry of `block` at `index`.
    #[inline]
    fn entry<'a>(&self, bytes: TableBytes<'a>, block: Block, index: usize) -> Result<&'a [u8], Error> {
        let start = index.saturating_mul(block.entry_len());
        self.get(bytes, block, start..start.saturating_add(block.entry_len()))
    }

    fn check_lens(&self) -> Result<(), Error> {
        let rows = self.trailer.row_count as usize;
        let whole = |block: &Block| self.place(*block).len().is_multiple_of(block.entry_len());
        // Of a single key it is known which rows it has.
        let rows_of = |keys: Block| if self.count(keys) > 1 { rows } else { 0 };
        let lines_of =
            |count: usize| usize::try_from(SievePlace::line_count(count as u64)).unwrap_or(usize::MAX);
        let expected = [
            (Block::Rows, rows),
            (Block::Ids, rows),
            (Block::IdRows, rows),
            (Block::IdSieve, lines_of(rows)),
            (Block::StreamSieve, lines_of(self.stream_count())),
            (Block::Times, rows.div_ceil(ROWS_PER_TIME as usize)),
            (Block::ScopeRows, rows_of(Block::Scopes)),
            (Block::KindRows, rows_of(Block::Kinds)),
        ];
        let is_as_expected = expected.iter().all(|(block, count)| self.count(*block) == *count);
        if rows > ROW_COUNT_MAX || !Block::ALL.iter().all(whole) || !is_as_expected {
            return Err(Error::Invalid { what: WHAT, why: "a table has another number of rows" });
        }
        let (streams, scopes) = (self.stream_count(), self.scope_count());
        if streams > rows || scopes > streams || self.count(Block::Leaves) > streams {
            let why = "more streams than events, or scopes or leaves than streams";
            return Err(Error::Invalid { what: WHAT, why });
        }
        Ok(())
    }
}

/// Where the blocks lie, and where the last one ends, which is not behind `end_max`.
fn decode_directory(
    directory: &[u8],
    end_max: usize,
) -> Result<([Range<usize>; Block::ALL.len()], usize), Error> {
    let mut reader = Reader::new("footer directory", directory);
    let mut blocks = [const { 0..0 }; Block::ALL.len()];
    let mut end = 0_usize;
    for block in &mut blocks {
        let len = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
        let padded = len.checked_next_multiple_of(8).filter(|padded| *padded <= end_max - end);
        let padded = padded.ok_or(reader.invalid("a block outside of the footer"))?;
        *block = end..end + len;
        end += padded;
    }
    Ok((blocks, end))
}
