//! The rows that one key has in an index, wherever they lie.
//!
//! Invariant: ascending, each once. Tables that were forged with their checksum may break it; a search in
//! them then finds the wrong place, and never one that is not there.

use std::ops::Range;

use annals_wire::Postings;

use crate::Error;

/// Ascending rows, in memory or in place. Copying it copies no rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Slice(&'a [u32]),
    Postings(Postings<'a>),
    Range { first: u32, count: u32 },
}

impl<'a> From<&'a [u32]> for Rows<'a> {
    fn from(rows: &'a [u32]) -> Self {
        Self(Source::Slice(rows))
    }
}

impl<'a> From<Postings<'a>> for Rows<'a> {
    fn from(rows: Postings<'a>) -> Self {
        Self(Source::Postings(rows))
    }
}

impl Rows<'_> {
    /// Every row of a range.
    pub(crate) fn range(rows: Range<u32>) -> Self {
        Self(Source::Range { first: rows.start, count: rows.end.saturating_sub(rows.start) })
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Slice(rows) => rows.len(),
            Source::Postings(rows) => rows.len(),
            Source::Range { count, .. } => count as usize,
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
    /// [`Error::Damaged`] where the page that it lies on is damaged.
    pub fn at(&self, index: usize) -> Result<Option<u32>, Error> {
        match self.0 {
            Source::Slice(rows) => Ok(rows.get(index).copied()),
            Source::Postings(rows) => rows.at(index).map_err(Error::damaged),
            Source::Range { first, count } => {
                let index = u32::try_from(index).ok().filter(|index| *index < count);
                Ok(index.and_then(|index| first.checked_add(index)))
            }
        }
    }

    /// The row at `index`, and where its frame begins where the index has that beside the row.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the page that it lies on is damaged.
    pub fn placed_at(&self, index: usize) -> Result<Option<(u32, Option<u32>)>, Error> {
        let placed = match self.0 {
            Source::Postings(rows) => rows.placed_at(index).map_err(Error::damaged)?,
            _ => None,
        };
        match placed {
            Some((row, offset)) => Ok(Some((row, Some(offset)))),
            None => Ok(self.at(index)?.map(|row| (row, None))),
        }
    }

    /// The first index whose row is `row` or larger; the number of rows where all are smaller.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a page that it touches is damaged.
    pub fn lower_bound(&self, row: u32) -> Result<usize, Error> {
        if let Source::Range { first, count } = self.0 {
            return Ok(row.saturating_sub(first).min(count) as usize);
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle)?.is_some_and(|found| found < row) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Whether `row` is among them.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a page that it touches is damaged.
    pub fn contains(&self, row: u32) -> Result<bool, Error> {
        Ok(self.at(self.lower_bound(row)?)? == Some(row))
    }

    /// The indices of the rows that lie in `rows`.
    pub(crate) fn places(&self, rows: &Range<u32>) -> Result<Range<usize>, Error> {
        Ok(self.lower_bound(rows.start)?..self.lower_bound(rows.end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_is_the_first_index_that_is_not_smaller() {
        let rows = Rows::from(&[2, 3, 7][..]);
        let bounds: Vec<usize> = (0..9).map(|row| rows.lower_bound(row).unwrap()).collect();
        assert_eq!(bounds, [0, 0, 0, 1, 2, 2, 2, 2, 3]);
        assert_eq!((0..9).filter(|row| rows.contains(*row).unwrap()).collect::<Vec<_>>(), [2, 3, 7]);
        assert_eq!(rows.places(&(3..8)), Ok(1..3));
        assert_eq!(rows.at(3), Ok(None));
    }

    #[test]
    fn a_range_holds_every_row_of_it() {
        let rows = Rows::range(5..8);
        let found: Vec<_> = (0..4).map(|index| rows.at(index).unwrap()).collect();
        assert_eq!(found, [Some(5), Some(6), Some(7), None]);
        assert_eq!([4, 6, 9].map(|row| rows.lower_bound(row)), [Ok(0), Ok(1), Ok(3)]);
        assert!(Rows::range(Range { start: 8, end: 5 }).is_empty());
    }
}
