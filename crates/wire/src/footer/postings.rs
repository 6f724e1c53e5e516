//! The rows of one key, where they lie.

use std::ops::Range;

use super::{Block, Footer, streams::STREAM_ROW_LEN};
use crate::{Error, TableBytes, codec::Reader};

/// The rows of one key, ascending, in place. Copying it copies no rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postings<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    /// The entries from `start` on of a block of rows.
    Listed { footer: &'a Footer, bytes: TableBytes<'a>, block: Block, start: usize, count: usize },
    /// The rows of a stream, from a place in the block of streams on.
    Stream { footer: &'a Footer, bytes: TableBytes<'a>, start: usize, count: usize },
    /// Every row: they are not listed.
    All(u32),
}

impl Default for Source<'_> {
    fn default() -> Self {
        Self::All(0)
    }
}

impl<'a> Postings<'a> {
    /// The first `count` rows.
    pub(super) fn all(count: u32) -> Self {
        Self(Source::All(count))
    }

    /// The entries of `block` at `range`.
    pub(super) fn listed(
        footer: &'a Footer,
        bytes: TableBytes<'a>,
        block: Block,
        range: &Range<usize>,
    ) -> Result<Self, Error> {
        if range.start > range.end || range.end > footer.count(block) {
            return Err(Error::Invalid { what: "footer rows", why: "outside of their block" });
        }
        Ok(Self(Source::Listed { footer, bytes, block, start: range.start, count: range.len() }))
    }

    /// Those of the stream whose rows lie at `range` of the block of streams.
    pub(super) fn of_stream(footer: &'a Footer, bytes: TableBytes<'a>, range: &Range<usize>) -> Self {
        let count = range.len() / STREAM_ROW_LEN;
        Self(Source::Stream { footer, bytes, start: range.start, count })
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Listed { count, .. } | Source::Stream { count, .. } => count,
            Source::All(count) => count as usize,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at `index`, or `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Checksum`] where the page that it lies on is damaged.
    pub fn at(&self, index: usize) -> Result<Option<u32>, Error> {
        match self.0 {
            Source::Listed { footer, bytes, block, start, count } if index < count => {
                footer.listed_row(bytes, block, start + index).map(Some)
            }
            Source::All(count) => Ok(u32::try_from(index).ok().filter(|index| *index < count)),
            Source::Stream { .. } => Ok(self.placed_at(index)?.map(|(row, _)| row)),
            Source::Listed { .. } => Ok(None),
        }
    }

    /// The row at `index`, and where its frame begins: of a stream, which alone has both.
    ///
    /// # Errors
    /// [`Error::Checksum`] where the page that it lies on is damaged.
    pub fn placed_at(&self, index: usize) -> Result<Option<(u32, u32)>, Error> {
        match self.0 {
            Source::Stream { footer, bytes, start, count } if index < count => {
                let start = start + index * STREAM_ROW_LEN;
                let row = footer.get(bytes, Block::Streams, start..start + STREAM_ROW_LEN)?;
                let mut reader = Reader::new("footer stream", row);
                let (row, offset) = (reader.u24()?, reader.u32()?);
                if offset.is_multiple_of(8) {
                    Ok(Some((row, offset)))
                } else {
                    Err(reader.invalid("its frame begins at no multiple of eight"))
                }
            }
            _ => Ok(None),
        }
    }
}
