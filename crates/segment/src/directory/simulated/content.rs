//! The bytes of one simulated file: sparse pages, shared until they are written.
//!
//! Invariant: a page that is not there reads as zeros. Bytes at and past the length may be stored: they
//! are a write's whose length has not arrived. They can't be read, [`Content::grow`] brings them to light,
//! and [`Content::set_len`] drops them.

use std::{
    collections::BTreeMap,
    hash::Hasher,
    io, iter,
    ops::Range,
    sync::{Arc, OnceLock},
};

/// The size of what the page cache writes at once.
pub(super) const PAGE_LEN: usize = 4096;

type Page = [u8; PAGE_LEN];

static ZEROS: Page = [0; PAGE_LEN];

#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
    /// The hash of what can be read, once somebody asked; gone with every change.
    digest: OnceLock<u64>,
}

impl Content {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.store(0, bytes);
        content.grow(bytes.len() as u64);
        content
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Stores `bytes` at `offset` and leaves the length as it is.
    pub(super) fn store(&mut self, offset: u64, bytes: &[u8]) {
        self.digest.take();
        for (at, piece) in pieces(offset, bytes, PAGE_LEN) {
            let (number, start) = locate(at);
            if is_zero(piece) && !self.pages.contains_key(&number) {
                continue;
            }
            let page = self.pages.entry(number).or_insert_with(|| Arc::new(ZEROS));
            let target = Arc::make_mut(page).get_mut(start..start + piece.len());
            target.expect("a piece lies within one page").copy_from_slice(piece);
        }
    }

    /// Makes the length at least `len`.
    pub(super) fn grow(&mut self, len: u64) {
        self.digest.take();
        self.len = self.len.max(len);
    }

    /// Makes the length `len`, and drops all that is stored past it.
    pub(super) fn set_len(&mut self, len: u64) {
        self.digest.take();
        let (number, start) = locate(len);
        while let Some(last) = self.pages.last_entry().filter(|last| *last.key() > number) {
            last.remove();
        }
        if let Some(page) = self.pages.get_mut(&number)
            && page.get(start..) != ZEROS.get(start..)
        {
            Arc::make_mut(page).get_mut(start..).expect("the start is within the page").fill(0);
        }
        self.len = len;
    }

    /// Whether zeros are stored in `offset..offset + len`, whatever the length allows to read.
    pub(super) fn is_zero_at(&self, offset: u64, len: usize) -> bool {
        let zeros = vec![0; len];
        pieces(offset, &zeros, PAGE_LEN).all(|(at, piece)| {
            let (number, start) = locate(at);
            let page = self.pages.get(&number);
            page.is_none_or(|page| page.get(start..start + piece.len()).is_some_and(is_zero))
        })
    }

    /// Whether bytes are stored past the length.
    pub(super) fn has_hidden(&self) -> bool {
        let (number, start) = locate(self.len);
        self.pages.last_key_value().is_some_and(|(last, page)| {
            *last > number || (*last == number && page.get(start..) != ZEROS.get(start..))
        })
    }

    /// A hash of what can be read, and not of how it is stored: a page of zeros is as good as none.
    pub(super) fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = ContentHasher::default();
            hasher.write(&self.len.to_le_bytes());
            for (number, page) in &self.pages {
                let left = usize::try_from(self.len.saturating_sub(number * PAGE_LEN as u64));
                let visible = page.get(..left.unwrap_or(usize::MAX).min(PAGE_LEN)).unwrap_or_default();
                if !is_zero(visible) {
                    hasher.write(&number.to_le_bytes());
                    hasher.write(visible);
                }
            }
            hasher.finish()
        })
    }

    /// Whether the same bytes can be read of both.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        let page = |content: &Self, number: &u64| content.pages.get(number).cloned();
        let same_page = |number: &u64| match (page(self, number), page(other, number)) {
            (Some(one), Some(other)) if Arc::ptr_eq(&one, &other) => true,
            (one, other) => {
                let left = usize::try_from(self.len.saturating_sub(number * PAGE_LEN as u64));
                let visible = left.unwrap_or(usize::MAX).min(PAGE_LEN);
                let bytes = |page: &Option<Arc<Page>>| {
                    page.as_ref().map_or(ZEROS, |page| **page).get(..visible).map(<[u8]>::to_vec)
                };
                bytes(&one) == bytes(&other)
            }
        };
        self.len == other.len && self.pages.keys().chain(other.pages.keys()).all(same_page)
    }

    /// Reads into `buffer` from `offset` what the length allows; says how many bytes came.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let mut filled = 0;
        while filled < count {
            let (number, start) = locate(offset + filled as u64);
            let taken = (count - filled).min(PAGE_LEN - start);
            let page = self.pages.get(&number).map_or(&ZEROS, |page| &**page);
            let source = page.get(start..start + taken).expect("cut to the page");
            let target = buffer.get_mut(filled..filled + taken).expect("cut to the buffer");
            target.copy_from_slice(source);
            filled += taken;
        }
        count
    }

    /// The bytes at `range`.
    pub(super) fn part(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let len = range.end.checked_sub(range.start).filter(|_| range.end <= self.len);
        let len = len.and_then(|len| usize::try_from(len).ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len)?;
        bytes.resize(len, 0);
        self.read(&mut bytes, range.start);
        Ok(bytes)
    }
}

/// For images that nobody means harm with: eight bytes a step.
/// (The multiplication and rotation of FxHash, and the last step of SplitMix64.)
#[derive(Default)]
struct ContentHasher(u64);

impl Hasher for ContentHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.split_at_mut(chunk.len()).0.copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Whether `bytes`, at most a page, are all zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    ZEROS.get(..bytes.len()) == Some(bytes)
}

/// `bytes` at `offset`, cut where the file's multiples of `step` are.
pub(super) fn pieces(offset: u64, bytes: &[u8], step: usize) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut at, mut rest) = (offset, bytes);
    iter::from_fn(move || {
        let len = step - remainder(at, step);
        let (piece, after) = rest.split_at(len.min(rest.len()));
        let item = (at, piece);
        (at, rest) = (at + piece.len() as u64, after);
        Some(item).filter(|_| !piece.is_empty())
    })
}

/// The number of the page where `offset` lies, and where in it.
fn locate(offset: u64) -> (u64, usize) {
    (offset / PAGE_LEN as u64, remainder(offset, PAGE_LEN))
}

fn remainder(offset: u64, step: usize) -> usize {
    usize::try_from(offset % step as u64).expect("less than a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(content: &Content) -> Vec<u8> {
        content.part(0..content.len()).unwrap()
    }

    #[test]
    fn what_is_stored_past_the_length_shows_when_it_grows_and_is_gone_when_it_is_cut() {
        let mut content = Content::new(b"abc");
        content.store(3, b"def");
        assert_eq!(whole(&content), b"abc");
        assert!(content.has_hidden());
        let mut grown = content.clone();
        grown.grow(5);
        assert_eq!(whole(&grown), b"abcde");
        content.set_len(3);
        assert!(!content.has_hidden());
        content.set_len(6);
        assert_eq!(whole(&content), b"abc\0\0\0");
    }

    #[test]
    fn pages_are_read_as_they_were_written_over_their_bounds() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8).collect();
        let mut content = Content::default();
        content.store(5000, &bytes);
        content.grow(15_000);
        let mut expected = vec![0; 5000];
        expected.extend(&bytes);
        assert!(whole(&content) == expected);
        content.set_len(8192);
        content.set_len(9000);
        expected.truncate(8192);
        expected.resize(9000, 0);
        assert!(whole(&content) == expected);
        content.part(0..9001).unwrap_err();
    }
}
