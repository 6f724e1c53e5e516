//! Bytes with a checksum for every page of 4 KiB, each page checked when it is first touched: a look-up in
//! large tables reads what it needs and no more.
//!
//! Invariant: no byte is handed out before the checksum of its page passed. The checksums themselves were
//! checked by whoever decoded them.
//!
//! Layout: docs/format.md, "Pages".

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Error, TableBytes,
    codec::{Put, check_crc},
};

/// The bytes of a page; the last one may be shorter.
pub(crate) const PAGE_LEN: usize = 4096;

/// Where the pages lie in their file, and which were checked.
#[derive(Debug)]
pub(crate) struct Pages {
    what: &'static str,
    range: Range<usize>,
    sums: Range<usize>,
    /// A bit for each page.
    checked: Box<[AtomicU64]>,
}

impl Pages {
    /// The pages at `range` of a file, whose checksums lie at `sums`: [`sums_len`] bytes.
    pub(crate) fn new(what: &'static str, range: Range<usize>, sums: Range<usize>) -> Self {
        debug_assert_eq!(sums.len(), sums_len(range.len()), "a checksum for each page");
        let words = range.len().div_ceil(PAGE_LEN).div_ceil(64);
        let checked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { what, range, sums, checked }
    }

    /// The bytes at `range`, which counts from the first page's beginning.
    #[inline]
    pub(crate) fn get<'a>(&self, bytes: TableBytes<'a>, range: Range<usize>) -> Result<&'a [u8], Error> {
        let len = range.end.saturating_sub(range.start);
        if range.end > self.range.len() {
            return Err(Error::Truncated {
                what: self.what,
                needed: range.end as u64,
                available: self.range.len() as u64,
            });
        }
        if len > 0 {
            for page in range.start / PAGE_LEN..=(range.end - 1) / PAGE_LEN {
                self.check(bytes, page)?;
            }
        }
        let start = self.range.start + range.start;
        bytes.get(start..start + len)
    }

    /// Checks every page.
    pub(crate) fn check_all(&self, bytes: TableBytes<'_>) -> Result<(), Error> {
        (0..self.range.len().div_ceil(PAGE_LEN)).try_for_each(|page| self.check(bytes, page))
    }

    #[inline]
    fn check(&self, bytes: TableBytes<'_>, page: usize) -> Result<(), Error> {
        let bit = 1 << (page % 64);
        match self.checked.get(page / 64) {
            // Who sees the bit needs nothing else of what was done before it was set: the bytes don't change.
            Some(word) if word.load(Ordering::Relaxed) & bit != 0 => Ok(()),
            Some(word) => {
                self.compare(bytes, page)?;
                word.fetch_or(bit, Ordering::Relaxed);
                Ok(())
            }
            None => Err(Error::Invalid { what: self.what, why: "behind the last page" }),
        }
    }

    #[cold]
    fn compare(&self, bytes: TableBytes<'_>, page: usize) -> Result<(), Error> {
        let start = self.range.start + page * PAGE_LEN;
        let end = self.range.end.min(start + PAGE_LEN);
        let sum = self.sums.start + page * 4;
        let sum = bytes.get(sum..sum + 4)?.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
        check_crc(self.what, sum, crc32fast::hash(bytes.get(start..end)?))
    }
}

/// How many bytes the checksums of `len` bytes take.
pub(crate) fn sums_len(len: usize) -> usize {
    len.div_ceil(PAGE_LEN) * 4
}

/// Puts the checksums of the pages that `bytes` are.
pub(crate) fn put_sums(bytes: &[u8], out: &mut Vec<u8>) {
    bytes.chunks(PAGE_LEN).for_each(|page| out.put_u32(crc32fast::hash(page)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some bytes before, ten thousand in pages, their checksums.
    fn paged() -> (Vec<u8>, Pages) {
        let bytes: Vec<u8> = (0..10_000_u32).map(|place| (place % 251) as u8).collect();
        let mut file = vec![0xee; 24];
        file.extend(&bytes);
        put_sums(&bytes, &mut file);
        let pages = Pages::new("pages", 24..10_024, 10_024..10_024 + sums_len(10_000));
        (file, pages)
    }

    #[test]
    fn what_is_touched_is_checked_and_nothing_else() {
        let (mut file, pages) = paged();
        file[24 + 5_000] ^= 1;
        assert_eq!(pages.get((&file).into(), 4_000..4_096).unwrap().len(), 96);
        assert_eq!(pages.get((&file).into(), 8_192..10_000).unwrap().len(), 1_808);
        for range in [4_000..4_097, 5_000..5_001, 4_096..8_192, 0..10_000] {
            assert!(matches!(pages.get((&file).into(), range), Err(Error::Checksum { .. })));
        }
        assert!(matches!(pages.check_all((&file).into()), Err(Error::Checksum { .. })));
        file[24 + 5_000] ^= 1;
        assert_eq!(pages.get((&file).into(), 0..10_000).unwrap(), &file[24..10_024]);
        pages.check_all((&file).into()).unwrap();
    }

    #[test]
    fn what_is_not_there_is_not_handed_out() {
        let (file, pages) = paged();
        assert!(matches!(pages.get((&file).into(), 9_999..10_001), Err(Error::Truncated { .. })));
        assert_eq!(pages.get((&file).into(), 10_000..10_000).unwrap(), []);
        assert!(pages.get((&file[..9_000]).into(), 8_192..8_193).is_err(), "a file that lost its end");
        let none = Pages::new("pages", 0..0, 0..0);
        assert_eq!(none.get((&[][..]).into(), 0..0).unwrap(), []);
        none.check_all((&[][..]).into()).unwrap();
    }
}
