//! An index run where it lies: which of its segments may hold a key.
//!
//! Invariant: no page is believed before its checksum passed: once where the run is mapped, each time where it
//! is read. An answer is where to look, never what is there.

mod merge;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals_wire::{
    FetchBytes, RUN_ENTRIES_PER_PAGE, RUN_LINES_PER_PAGE, RUN_PAGE_LEN, RunEntry, RunHeader, RunPage,
    RunSeed, SieveBuilder, SieveLine, SieveLook, SievePlace, TableBytes, find_run_entry,
};

pub use merge::{RunInput, RunMerge};

use crate::{Direction, Error};

/// Reads as many bytes as the buffer has from an offset of a run's file.
type Read = dyn Fn(&mut [u8], u64) -> Result<(), Error> + Send + Sync;

/// Where the bytes of a run come from.
#[expect(clippy::exhaustive_enums, reason = "a file is mapped or read")]
pub enum RunSource {
    /// All of them, at hand or fetched once.
    Whole(Arc<dyn FetchBytes>),
    /// Read as they are needed.
    Read(Box<Read>),
}

impl fmt::Debug for RunSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "RunSource(whole)",
            Self::Read(_) => "RunSource(read)",
        })
    }
}

/// A run, used in place.
pub struct RunIndex {
    header: RunHeader,
    seed: RunSeed,
    source: RunSource,
    /// A bit for each page whose checksum passed; of use where the bytes stay what they are.
    checked: Box<[AtomicU64]>,
}

impl RunIndex {
    /// The run whose header `header` begins with, and whose file `source` reads and has `file_len` bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the header is none, damaged or newer, or the file has another length.
    pub fn new(header: &[u8], source: RunSource, file_len: u64) -> Result<Self, Error> {
        let (header, seed) = RunHeader::decode(header).map_err(Error::damaged)?;
        if header.file_len() != Some(file_len) {
            return Err(Error::invalid("index run", "another length than its header says"));
        }
        let words = (header.page_count() + header.sieve_page_count()).div_ceil(64);
        let checked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { header, seed, source, checked })
    }

    /// What the run says that it covers.
    #[must_use]
    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    /// The place of the first segment, from that at `place` on in `direction`, which may hold the key with
    /// `hash`.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a page is damaged or cannot be read.
    pub fn next(&self, hash: u32, place: u16, direction: Direction) -> Result<Option<u16>, Error> {
        let mut cursor = Cursor { run: self, page: None };
        let near = cursor.line_of(hash)?.filter(|(place, line)| place.is_set(line)).map(first_entry);
        let Some(near) = near else { return Ok(None) };
        let count = self.count();
        let mut find = |wanted| find_run_entry(count, near, wanted, &mut |index| cursor.entry(index));
        let index = match direction {
            Direction::Forward => Some(find(RunEntry { hash, place })?).filter(|index| *index < count),
            Direction::Backward => {
                let behind = match (place.checked_add(1), hash.checked_add(1)) {
                    (Some(place), _) => find(RunEntry { hash, place })?,
                    (None, Some(hash)) => find(RunEntry { hash, place: 0 })?,
                    (None, None) => count,
                };
                behind.checked_sub(1)
            }
        };
        let Some(index) = index else { return Ok(None) };
        let entry = cursor.entry(index)?;
        if entry.hash == hash && usize::from(entry.place) >= self.header.segments.len() {
            return Err(Error::invalid("index run", "an entry of a segment that it does not cover"));
        }
        Ok(Some(entry.place).filter(|_| entry.hash == hash))
    }

    /// The look that says whether a segment may hold the key with `hash`; `None` where there are no entries, or pages
    /// are read as they are needed.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its page is damaged.
    #[inline]
    pub fn look_for(&self, hash: u32) -> Result<Option<SieveLook<'_>>, Error> {
        let RunSource::Whole(bytes) = &self.source else { return Ok(None) };
        let Some(place) = SievePlace::new(hash, self.header.entry_count) else { return Ok(None) };
        let page = self.page(TableBytes::of(&**bytes), self.page_of(place)).map_err(Error::damaged)?;
        Ok(Some(SieveLook::new(place, page.line(line_on_page(place.line())))))
    }

    /// All entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = Result<RunEntry, Error>> + '_ {
        self.entries_from(0)
    }

    /// The entries that are `wanted` or larger, in order.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a page is damaged or cannot be read.
    pub(crate) fn entries_since(
        &self,
        wanted: RunEntry,
    ) -> Result<impl Iterator<Item = Result<RunEntry, Error>> + '_, Error> {
        let mut cursor = Cursor { run: self, page: None };
        let near = cursor.line_of(wanted.hash)?.map_or(0, first_entry);
        let start = find_run_entry(self.count(), near, wanted, &mut |index| cursor.entry(index))?;
        Ok(self.entries_from(start))
    }

    fn entries_from(&self, start: usize) -> impl Iterator<Item = Result<RunEntry, Error>> + '_ {
        let mut cursor = Cursor { run: self, page: None };
        (start..self.count()).map(move |index| cursor.entry(index))
    }

    /// Checks that all entries are in order and of segments that the run covers, and the sieve theirs.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is not so, or a page is damaged or cannot be read.
    pub fn check_all(&self) -> Result<(), Error> {
        let mut cursor = Cursor { run: self, page: None };
        let (mut sieve, mut lines, mut number) = (SieveBuilder::new(self.header.entry_count), Vec::new(), 0);
        let mut last = None;
        for entry in self.entries() {
            let entry = entry?;
            if Some(entry) <= last || usize::from(entry.place) >= self.header.segments.len() {
                let why = "entries out of order, or of segments that it does not cover";
                return Err(Error::invalid("index run", why));
            }
            last = Some(entry);
            sieve.push(entry.hash, &mut lines);
            cursor.compare_lines(&mut number, &mut lines)?;
        }
        sieve.finish(&mut lines);
        cursor.compare_lines(&mut number, &mut lines)
    }

    fn count(&self) -> usize {
        usize::try_from(self.header.entry_count).unwrap_or(usize::MAX)
    }

    /// The number of the page with the line of `place`.
    fn page_of(&self, place: SievePlace) -> u64 {
        self.header.page_count() + place.line() / RUN_LINES_PER_PAGE as u64
    }

    /// The page of this number in all `bytes` of the run.
    #[inline]
    fn page<'a>(&self, bytes: TableBytes<'a>, number: u64) -> Result<RunPage<'a>, annals_wire::Error> {
        let start = usize::try_from(self.header.page_offset(number)).unwrap_or(usize::MAX);
        let bytes = bytes.get(start..start.saturating_add(RUN_PAGE_LEN))?;
        if self.is_checked(number) {
            return RunPage::checked(bytes);
        }
        let page = RunPage::decode(bytes, self.seed, number)?;
        self.note_checked(number);
        Ok(page)
    }

    fn is_checked(&self, page: u64) -> bool {
        let word = usize::try_from(page / 64).ok().and_then(|word| self.checked.get(word));
        word.is_some_and(|word| word.load(Ordering::Relaxed) & 1 << (page % 64) != 0)
    }

    fn note_checked(&self, page: u64) {
        if let Some(word) = usize::try_from(page / 64).ok().and_then(|word| self.checked.get(word)) {
            word.fetch_or(1 << (page % 64), Ordering::Relaxed);
        }
    }
}

/// Looks at entries, and keeps the page that was read last.
struct Cursor<'a> {
    run: &'a RunIndex,
    page: Option<(u64, Box<[u8; RUN_PAGE_LEN]>)>,
}

impl Cursor<'_> {
    /// The line of the sieve that `hash` would be in, and where; `None` where there are no entries.
    #[inline]
    fn line_of(&mut self, hash: u32) -> Result<Option<(SievePlace, &SieveLine)>, Error> {
        let Some(place) = SievePlace::new(hash, self.run.header.entry_count) else { return Ok(None) };
        let page = self.run.page_of(place);
        Ok(Some((place, self.page(page)?.line(line_on_page(place.line())))))
    }

    #[inline]
    fn entry(&mut self, index: usize) -> Result<RunEntry, Error> {
        let page = self.page((index / RUN_ENTRIES_PER_PAGE) as u64)?;
        Ok(page.entry(index % RUN_ENTRIES_PER_PAGE))
    }

    /// Takes `lines` as those of the sieve from `number` on.
    fn compare_lines(&mut self, number: &mut u64, lines: &mut Vec<u8>) -> Result<(), Error> {
        for line in lines.as_chunks().0 {
            let page = self.run.header.page_count() + *number / RUN_LINES_PER_PAGE as u64;
            if self.page(page)?.line(line_on_page(*number)) != line {
                return Err(Error::invalid("index run", "a sieve of other entries"));
            }
            *number += 1;
        }
        lines.clear();
        Ok(())
    }

    /// The page of this number, counted through entries and sieve.
    #[inline]
    fn page(&mut self, number: u64) -> Result<RunPage<'_>, Error> {
        let page = match &self.run.source {
            RunSource::Whole(bytes) => self.run.page(TableBytes::of(&**bytes), number),
            RunSource::Read(read) => {
                if self.page.as_ref().is_none_or(|(held, _)| *held != number) {
                    let mut bytes =
                        self.page.take().map_or_else(|| Box::new([0; RUN_PAGE_LEN]), |(_, page)| page);
                    read(&mut bytes[..], self.run.header.page_offset(number))?;
                    RunPage::decode(&bytes[..], self.run.seed, number).map_err(Error::damaged)?;
                    self.page = Some((number, bytes));
                }
                RunPage::checked(self.page.as_ref().map_or(&[], |(_, page)| &page[..]))
            }
        };
        page.map_err(Error::damaged)
    }
}

fn first_entry((place, line): (SievePlace, &SieveLine)) -> usize {
    place.first_entry(line)
}

/// Where on its page the line of this number lies.
fn line_on_page(number: u64) -> usize {
    usize::try_from(number % RUN_LINES_PER_PAGE as u64).unwrap_or_default()
}

impl fmt::Debug for RunIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, count) = (self.header.first, self.header.segments.len());
        write!(f, "RunIndex({count} segments from {first}, {} entries)", self.header.entry_count)
    }
}
