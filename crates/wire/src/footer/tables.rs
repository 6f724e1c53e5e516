//! How a footer's tables are read where they lie.
//!
//! Keys of one table lie one behind the other, and so do their rows and texts: an entry says where its own end,
//! and the entry before it where they begin.

mod keys;
mod streams;

use std::{cmp::Ordering, ops::Range};

pub use self::streams::{ScopeEntry, StreamEntry};
use super::{Block, Footer, Postings, ROWS_PER_TIME};
use crate::{
    Error, Kind, Recorded, SieveLook, SievePlace, TableBytes,
    codec::{Reader, long_len, u24},
};

/// One event in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever indexes: every field must be given")]
pub struct Row {
    /// Where its frame begins in the segment.
    pub offset: u32,
    /// The place of its stream among the streams.
    pub stream: u32,
    /// What sort of event it is.
    pub kind: Kind,
    /// Whether its correlation is its own id: the event that a conversation begins with.
    pub is_root: bool,
}

impl Row {
    /// The bytes of a row.
    pub const LEN: usize = 9;

    pub(super) fn encode(self) -> [u8; Self::LEN] {
        assert!(self.offset.is_multiple_of(8), "frames begin at multiples of eight");
        let [a, b, c, d] = (self.offset | u32::from(self.is_root)).to_le_bytes();
        let ([e, f, g], [h, i]) = (u24(self.stream), self.kind.number().to_le_bytes());
        [a, b, c, d, e, f, g, h, i]
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("footer row", bytes);
        let (place, stream) = (reader.u32()?, reader.u24()?);
        let kind = Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))?;
        if place & 0b110 != 0 {
            return Err(reader.invalid("its frame begins at no multiple of eight"));
        }
        Ok(Self { offset: place & !1, stream, kind, is_root: place & 1 != 0 })
    }
}

impl Footer {
    /// How many rows there are.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.trailer.row_count
    }

    /// How many streams have events here.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.stream_count as usize
    }

    /// How many scopes have events here.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.count(Block::Scopes)
    }

    /// The row at `row`.
    ///
    /// # Errors
    /// [`Error`] where its page is damaged or there is no such row.
    pub fn row(&self, bytes: TableBytes<'_>, row: u32) -> Result<Row, Error> {
        Row::decode(self.entry(bytes, Block::Rows, row as usize)?)
    }

    /// Where the first row lies that was recorded at `recorded` or later: it is one of these, of which there are
    /// under 256, or else the one behind them.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn rows_at(&self, bytes: TableBytes<'_>, recorded: Recorded) -> Result<Range<u32>, Error> {
        let is_before = |index| {
            let entry = self.entry(bytes, Block::Times, index)?;
            Ok(Reader::new("footer times", entry).u64()? < recorded.0)
        };
        let behind = partition(self.count(Block::Times), is_before)?;
        let row = |index| long_len(index).saturating_mul(ROWS_PER_TIME).min(self.row_count());
        Ok(behind.checked_sub(1).map_or(0, |before| row(before) + 1)..row(behind))
    }

    /// The look at one of the sieves, of so many entries.
    #[inline]
    fn look<'a>(
        &self,
        bytes: TableBytes<'a>,
        (block, count): (Block, u32),
        hash: u32,
    ) -> Result<Option<SieveLook<'a>>, Error> {
        let Some(place) = SievePlace::new(hash, count.into()) else { return Ok(None) };
        let line = self.entry(bytes, block, usize::try_from(place.line()).unwrap_or(usize::MAX))?;
        Ok(Some(SieveLook::new(place, line.first_chunk().expect("an entry of the sieve is a line"))))
    }

    /// The number at `at` of an entry of `block`.
    #[inline]
    pub(super) fn number(
        &self,
        bytes: TableBytes<'_>,
        block: Block,
        index: usize,
        at: usize,
    ) -> Result<u32, Error> {
        let start = index.saturating_mul(block.entry_len()).saturating_add(at);
        let number = self.get(bytes, block, start..start.saturating_add(4))?;
        Ok(number.first_chunk().map_or(0, |number| u32::from_le_bytes(*number)))
    }

    /// The entry at `index` of `block`: a row, or the offset of a control record's frame.
    #[inline]
    pub(super) fn listed_row(&self, bytes: TableBytes<'_>, block: Block, index: usize) -> Result<u32, Error> {
        let entry = self.entry(bytes, block, index)?;
        Ok(entry.iter().rev().fold(0, |row, byte| row << 8 | u32::from(*byte)))
    }

    /// What belongs to the entry at `index` of `block`, whose ends stand at `at` of the entries.
    pub(super) fn span(
        &self,
        bytes: TableBytes<'_>,
        block: Block,
        index: usize,
        at: usize,
    ) -> Result<Range<usize>, Error> {
        let start = match index.checked_sub(1) {
            Some(before) => self.number(bytes, block, before, at)? as usize,
            None => 0,
        };
        let end = self.number(bytes, block, index, at)? as usize;
        if start > end {
            return Err(Error::Invalid { what: "footer table", why: "ends that do not ascend" });
        }
        Ok(start..end)
    }

    /// The rows of the key at `index`, whose end stands at `at` of its entry.
    fn group<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        [keys, rows]: [Block; 2],
        index: usize,
        at: usize,
    ) -> Result<Postings<'a>, Error> {
        let range = self.span(bytes, keys, index, at)?;
        let is_single = matches!(keys, Block::Scopes | Block::Kinds) && self.count(keys) == 1;
        if !is_single {
            return Postings::listed(self, bytes, rows, &range);
        }
        if range != (0..self.row_count() as usize) {
            return Err(Error::Invalid { what: "footer table", why: "the only key does not have all rows" });
        }
        Ok(Postings::all(self.row_count()))
    }

    fn found<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        blocks: [Block; 2],
        found: Option<usize>,
        at: usize,
    ) -> Result<Postings<'a>, Error> {
        found.map_or(Ok(Postings::default()), |index| self.group(bytes, blocks, index, at))
    }

    /// The text of the key at `index`, whose end its entry begins with.
    fn text<'a>(
        &self,
        bytes: TableBytes<'a>,
        [keys, texts]: [Block; 2],
        index: usize,
    ) -> Result<&'a str, Error> {
        let range = self.span(bytes, keys, index, 0)?;
        let text = self.get(bytes, texts, range)?;
        std::str::from_utf8(text).map_err(|_| Error::Invalid { what: "footer text", why: "not UTF-8" })
    }
}

/// How many of `count` entries come first for which `is_before` holds.
pub(super) fn partition(
    count: usize,
    is_before: impl Fn(usize) -> Result<bool, Error>,
) -> Result<usize, Error> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Binary search over `count` sorted entries.
fn search(count: usize, compare: impl Fn(usize) -> Result<Ordering, Error>) -> Result<Option<usize>, Error> {
    let place = partition(count, |index| Ok(compare(index)?.is_lt()))?;
    Ok(if place < count && compare(place)?.is_eq() { Some(place) } else { None })
}
