//! The index run: which of several neighbouring segments may hold a key, for all of their keys.
//!
//! Invariant: for every key of a segment that the run covers there is an entry with the key's hash and the
//! segment's place in the run. An entry may lead to a segment without the key, whose own index then says so;
//! so a run is never asked for more than where to look. Entries are sorted by hash, then place, each once;
//! those of two runs over neighbouring segments are merged without looking at a segment again. Behind them lies
//! their sieve.
//!
//! Layout: docs/format.md, "Index run".

use crate::{
    Error, FORMAT_VERSION, Generation, SIEVE_LINE_LEN, SegmentId, SieveLine, SievePlace, StoreId,
    codec::{Put, Reader, check_crc, check_trailing_crc, long_len},
    hash::Chain,
};

/// The bytes of a page of a run, each of which has its own checksum.
pub const RUN_PAGE_LEN: usize = 4096;

/// The entries of a page of a run.
pub const RUN_ENTRIES_PER_PAGE: usize = 682;

/// The lines of a page of a run's sieve.
pub const RUN_LINES_PER_PAGE: usize = 63;

/// The most segments that a run covers.
pub const RUN_SEGMENT_COUNT_MAX: usize = 1 << 16;

const WHAT: &str = "index run";
const MAGIC: &[u8; 8] = b"ANNALRUN";
const FIXED_LEN: usize = 56;
const PLACES_AT: usize = RUN_ENTRIES_PER_PAGE * 4;
const CRC_AT: usize = RUN_ENTRIES_PER_PAGE * 6;
const _: () = assert!(CRC_AT + 4 == RUN_PAGE_LEN, "a page is full");
const _: () = assert!(RUN_LINES_PER_PAGE * SIEVE_LINE_LEN < CRC_AT, "a page of the sieve has room");

/// What a run says of a segment that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever merges: every field must be given")]
pub struct RunSegment {
    /// Its generation.
    pub generation: Generation,
    /// Its chain where its frames end.
    pub chain: Chain,
}

/// What a run begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever merges: every field must be given")]
pub struct RunHeader {
    /// The log.
    pub store: StoreId,
    /// The oldest segment that it covers.
    pub first: SegmentId,
    /// The segments that it covers, whose ids count up from the first.
    pub segments: Vec<RunSegment>,
    /// How many entries there are.
    pub entry_count: u64,
}

/// One entry of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "a hash and a place are all there is")]
pub struct RunEntry {
    /// The hash of a key.
    pub hash: u32,
    /// The place of the segment that may hold it, counted from the run's first.
    pub place: u16,
}

/// What the checksums of a run's pages start from: no page is one of another run, or elsewhere in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSeed(u32);

impl RunHeader {
    /// How many bytes it takes for a run over `segment_count` segments, in whole pages.
    #[must_use]
    pub fn len(segment_count: usize) -> usize {
        (FIXED_LEN + segment_count * 8 + 4).next_multiple_of(RUN_PAGE_LEN)
    }

    /// How many pages of entries there are.
    #[must_use]
    pub fn page_count(&self) -> u64 {
        self.entry_count.div_ceil(RUN_ENTRIES_PER_PAGE as u64)
    }

    /// How many pages of the sieve lie behind those.
    #[must_use]
    pub fn sieve_page_count(&self) -> u64 {
        SievePlace::line_count(self.entry_count).div_ceil(RUN_LINES_PER_PAGE as u64)
    }

    /// Where the page of number `number` begins, counted through entries and sieve.
    #[must_use]
    #[inline]
    pub fn page_offset(&self, number: u64) -> u64 {
        number.saturating_mul(RUN_PAGE_LEN as u64).saturating_add(Self::len(self.segments.len()) as u64)
    }

    /// How many bytes the whole run has; `None` where no file has so many.
    #[must_use]
    pub fn file_len(&self) -> Option<u64> {
        let pages = self.page_count().checked_add(self.sieve_page_count())?;
        let pages = pages.checked_mul(RUN_PAGE_LEN as u64)?;
        pages.checked_add(Self::len(self.segments.len()) as u64)
    }

    /// The header's bytes, and what the checksums of its pages start from.
    ///
    /// # Panics
    /// Where it covers no segment, or more than [`RUN_SEGMENT_COUNT_MAX`].
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, RunSeed) {
        assert!((1..=RUN_SEGMENT_COUNT_MAX).contains(&self.segments.len()), "a run covers segments");
        let len = Self::len(self.segments.len());
        let mut out = Vec::with_capacity(len);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(long_len(len));
        out.put(&self.store.0);
        out.put_u64(self.first.0);
        out.put_u32(long_len(self.segments.len()));
        out.put_u32(0);
        out.put_u64(self.entry_count);
        for segment in &self.segments {
            out.put_u32(segment.generation.0);
            out.put_u32(segment.chain.0);
        }
        out.put_zeros(len - 4 - out.len());
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        (out, RunSeed(crc))
    }

    /// How long the header is that `bytes` begin with, of which 16 are enough.
    ///
    /// # Errors
    /// [`Error`] where they are no run's. Whether it is of a newer version is known when its checksum passed.
    pub fn decode_len(bytes: &[u8]) -> Result<usize, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        reader.bytes(4)?;
        let len = reader.u32()? as usize;
        if len.is_multiple_of(RUN_PAGE_LEN)
            && (RUN_PAGE_LEN..=Self::len(RUN_SEGMENT_COUNT_MAX)).contains(&len)
        {
            Ok(len)
        } else {
            Err(reader.invalid("a header of a length that none has"))
        }
    }

    /// Decodes the header that `bytes` are or begin with.
    ///
    /// # Errors
    /// [`Error`] where it is none, damaged, or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<(Self, RunSeed), Error> {
        let len = Self::decode_len(bytes)?;
        let available = bytes.len() as u64;
        let bytes = bytes.get(..len).ok_or(Error::Truncated { what: WHAT, needed: len as u64, available })?;
        check_trailing_crc(WHAT, bytes)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        reader.version()?;
        reader.bytes(4)?;
        let (store, first) = (StoreId(reader.array()?), SegmentId(reader.u64()?));
        let count = reader.u32()? as usize;
        reader.zeros(4)?;
        let entry_count = reader.u64()?;
        if count == 0 || count > RUN_SEGMENT_COUNT_MAX || Self::len(count) != len {
            return Err(reader.invalid("another number of segments than its header has room for"));
        }
        if first == SegmentId(0) || first.0.checked_add(count as u64).is_none() {
            return Err(reader.invalid("segments that no log has"));
        }
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(RunSegment { generation: Generation(reader.u32()?), chain: Chain(reader.u32()?) });
        }
        reader.zeros(len - 4 - reader.position())?;
        let crc = reader.u32()?;
        Ok((Self { store, first, segments, entry_count }, RunSeed(crc)))
    }
}

/// A page of entries, or of lines of the sieve.
#[derive(Debug, Clone, Copy)]
pub struct RunPage<'a>(&'a [u8; RUN_PAGE_LEN]);

impl<'a> RunPage<'a> {
    /// The page in `bytes`, whose checksum passed before.
    ///
    /// # Errors
    /// [`Error::Truncated`] where there is no whole page.
    pub fn checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let available = bytes.len() as u64;
        let page = bytes.first_chunk();
        page.map(Self).ok_or(Error::Truncated { what: WHAT, needed: RUN_PAGE_LEN as u64, available })
    }

    /// The page of number `number` in `bytes`, having checked its checksum.
    ///
    /// # Errors
    /// [`Error::Checksum`], or [`Error::Truncated`] where there is no whole page.
    pub fn decode(bytes: &'a [u8], seed: RunSeed, number: u64) -> Result<Self, Error> {
        let page = Self::checked(bytes)?;
        let (entries, crc) = page.0.split_at(CRC_AT);
        let stored = crc.first_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        check_crc("page of an index run", stored, page_crc(entries, seed, number))?;
        Ok(page)
    }

    /// The entry at `index`, below [`RUN_ENTRIES_PER_PAGE`]. Behind the run's last entry the last page has zeros.
    #[must_use]
    #[inline]
    pub fn entry(&self, index: usize) -> RunEntry {
        let place = self.0.get(PLACES_AT + index * 2..).and_then(|bytes| bytes.first_chunk());
        RunEntry { hash: self.hash(index), place: place.map_or(0, |place| u16::from_le_bytes(*place)) }
    }

    /// The hash at `index`.
    #[must_use]
    #[inline]
    pub fn hash(&self, index: usize) -> u32 {
        let hash = self.0.get(index * 4..).and_then(|bytes| bytes.first_chunk());
        hash.map_or(0, |hash| u32::from_le_bytes(*hash))
    }

    /// The line of the sieve at `index`, below [`RUN_LINES_PER_PAGE`].
    #[must_use]
    #[inline]
    pub fn line(&self, index: usize) -> &'a SieveLine {
        let line = self.0.get(index * SIEVE_LINE_LEN..).and_then(|bytes| bytes.first_chunk());
        line.expect("a line within the page")
    }

    /// Puts the page of number `number` with whole `lines` of the sieve, at most [`RUN_LINES_PER_PAGE`].
    ///
    /// # Panics
    /// Where there are more.
    pub fn encode_lines(lines: &[u8], seed: RunSeed, number: u64, out: &mut Vec<u8>) {
        assert!(lines.len() <= RUN_LINES_PER_PAGE * SIEVE_LINE_LEN, "lines of one page");
        let start = out.len();
        out.put(lines);
        out.put_zeros(CRC_AT - lines.len());
        let crc = page_crc(out.get(start..).unwrap_or_default(), seed, number);
        out.put_u32(crc);
    }

    /// Puts the page of number `number` with `entries`, of which there are at most [`RUN_ENTRIES_PER_PAGE`].
    ///
    /// # Panics
    /// Where there are more.
    pub fn encode(entries: &[RunEntry], seed: RunSeed, number: u64, out: &mut Vec<u8>) {
        assert!(entries.len() <= RUN_ENTRIES_PER_PAGE, "entries of one page");
        let start = out.len();
        entries.iter().for_each(|entry| out.put_u32(entry.hash));
        out.put_zeros(PLACES_AT - entries.len() * 4);
        entries.iter().for_each(|entry| out.put_u16(entry.place));
        out.put_zeros(CRC_AT - PLACES_AT - entries.len() * 2);
        let crc = page_crc(out.get(start..).unwrap_or_default(), seed, number);
        out.put_u32(crc);
    }
}

fn page_crc(entries: &[u8], seed: RunSeed, number: u64) -> u32 {
    let low = u32::try_from(number & u64::from(u32::MAX)).expect("half of a number");
    let mut hasher = crc32fast::Hasher::new_with_initial(seed.0 ^ low);
    hasher.update(entries);
    hasher.finalize()
}

/// The first of `count` entries that is `wanted` or larger, looked for around `guess`, where `at` gives the entry at
/// a place.
///
/// # Errors
/// What `at` returns.
pub fn find_run_entry<E>(
    count: usize,
    guess: usize,
    wanted: RunEntry,
    at: &mut dyn FnMut(usize) -> Result<RunEntry, E>,
) -> Result<usize, E> {
    let number = |entry: RunEntry| u64::from(entry.hash) << 16 | u64::from(entry.place);
    crate::key::lower_bound(count, guess, number(wanted), |place| at(place).map(number))
}
