//! Memory maps, and memory that is filled while parts of it are lent: the one file with `unsafe`.
//!
//! Invariant: only bytes that nobody changes again are mapped. These are
//! - the frames of a sealed segment, up to the end that its successor's header gives them. Recovery writes to
//!   the newest segment alone, and a segment with a successor is not that one;
//! - a sealed segment with a footer whose trailer is sound and of these frames. A footer is written where there
//!   was none of that sort, or where it turned out damaged behind its trailer: then it is not mapped any more, and
//!   not written as long as anybody still has a map from before;
//! - a checkpoint, a run, a state. They are replaced by rename, so that an open map keeps the old file.
//!
//! A prefix of the log that is dropped is unlinked and not cut: who has it mapped keeps it.
//!
//! What is left is what safe code, here or in another program, can do to a file by its name: a map of bytes that
//! are written to is undefined behaviour in this language's terms, and a map of a file that is cut, or of a sector
//! that cannot be read, ends the process with SIGBUS. No type can forbid that. Who can't rule it out does without
//! maps: see `Options::maps` of the store, with which every byte comes through a read into memory of its own.

use std::{
    fmt, fs, io,
    ops::{Deref, Range},
    slice,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use memmap2::{Mmap, MmapMut, MmapOptions, MmapRaw};

/// Bytes of a file that do not change: a map, or a copy.
#[derive(Clone)]
pub struct Region(Inner);

#[derive(Clone)]
enum Inner {
    Map(Arc<Mmap>),
    Heap(Arc<[u8]>),
}

/// What says whether anybody still has a map.
#[derive(Debug, Default)]
pub(crate) struct MapWatch(Weak<Mmap>);

impl MapWatch {
    /// Whether anybody still has the map.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Region {
    /// Maps the bytes of `file` at `range`, of which a place here and there will be asked: nothing is fetched around
    /// what is asked.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter, or what the system says.
    #[expect(unsafe_code, reason = "a map is only safe while nobody changes the file")]
    pub(crate) fn map(file: &fs::File, range: Range<u64>) -> io::Result<Self> {
        if file.metadata()?.len() < range.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = range.end.checked_sub(range.start).and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or(io::ErrorKind::InvalidInput)?;
        if len == 0 {
            return Ok(Self::from(Vec::new()));
        }
        // SAFETY: the map is only read, is private to `Region` and lives as long as the slices that borrow from
        // it, so all that can go wrong is that the file changes. The caller of `File::map` promises that these
        // bytes are neither written nor cut meanwhile: the list above is of all callers. That the file has the
        // length is looked up, not assumed, and `len` fits an address. What another program does to the file
        // is outside of what can be promised; docs/format.md says so.
        let map = unsafe { MmapOptions::new().offset(range.start).len(len).map(file) }?;
        #[cfg(unix)]
        {
            // Advice that is not taken changes no answer.
            let _ = map.advise(memmap2::Advice::Random);
        }
        Ok(Self(Inner::Map(Arc::new(map))))
    }

    /// What says whether anybody still has this map; a copy is nobody's concern.
    pub(crate) fn watch(&self) -> MapWatch {
        match &self.0 {
            Inner::Map(map) => MapWatch(Arc::downgrade(map)),
            Inner::Heap(_) => MapWatch::default(),
        }
    }
}

impl From<Vec<u8>> for Region {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Inner::Heap(bytes.into()))
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Map(map) => map,
            Inner::Heap(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Inner::Map(_) => "map",
            Inner::Heap(_) => "heap",
        };
        write!(f, "Region({kind}, {} bytes)", self.len())
    }
}

/// The bytes that are filled at once.
const PAGE_LEN: usize = 4096;

/// Memory that is filled a page at a time, while what is filled is lent. Pages that nobody asks take none.
///
/// Invariant: a page is written once, before its bit is set, and lent only afterwards.
pub(crate) struct Filled {
    memory: MmapRaw,
    len: usize,
    /// A bit for each page.
    is_filled: Box<[AtomicU64]>,
    filling: Mutex<()>,
}

impl Filled {
    /// Room for `len` bytes.
    ///
    /// # Errors
    /// What the system says where there is no room.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let memory = MmapMut::map_anon(len.max(1))?;
        #[cfg(target_os = "linux")]
        {
            // A page that is asked would else bring many; where that is so, it costs memory and nothing else.
            let _ = memory.advise(memmap2::Advice::NoHugePage);
        }
        let words = len.div_ceil(PAGE_LEN).div_ceil(64);
        let is_filled = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { memory: MmapRaw::from(memory), len, is_filled, filling: Mutex::new(()) })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bytes at `range`, after `read` was asked for those pages that are not there, from a place on. Also how many
    /// those were.
    ///
    /// # Errors
    /// What `read` returns.
    ///
    /// # Panics
    /// Where the range is not within the memory.
    #[expect(unsafe_code, reason = "bytes are lent while others are written")]
    pub(crate) fn get(
        &self,
        range: Range<usize>,
        read: &mut dyn FnMut(&mut [u8], usize) -> io::Result<()>,
    ) -> io::Result<(&[u8], usize)> {
        assert!(range.start <= range.end && range.end <= self.len, "a range of what there is");
        let pages = range.start / PAGE_LEN..range.end.div_ceil(PAGE_LEN);
        let filled_count =
            if pages.clone().all(|page| self.is_filled(page)) { 0 } else { self.fill(pages, read)? };
        let start = self.memory.as_ptr().wrapping_add(range.start);
        // SAFETY: the range lies in the memory, which lives as long as the borrow of `self`. All of its pages are
        // filled: whoever filled them wrote before the bit that was seen, and nobody writes them again.
        let bytes = unsafe { slice::from_raw_parts(start, range.len()) };
        Ok((bytes, filled_count))
    }

    fn is_filled(&self, page: usize) -> bool {
        let word = self.is_filled.get(page / 64);
        word.is_some_and(|word| word.load(Ordering::Acquire) & 1 << (page % 64) != 0)
    }

    /// Fills those of `pages` that are not, neighbours at once, and returns how many those were.
    #[cold]
    #[expect(unsafe_code, reason = "bytes are written while others are lent")]
    fn fill(
        &self,
        pages: Range<usize>,
        read: &mut dyn FnMut(&mut [u8], usize) -> io::Result<()>,
    ) -> io::Result<usize> {
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut next, mut filled_count) = (pages.start, 0);
        while next < pages.end {
            let count = (next..pages.end).take_while(|page| !self.is_filled(*page)).count();
            if count == 0 {
                next += 1;
                continue;
            }
            let (start, end) = (next * PAGE_LEN, self.len.min((next + count) * PAGE_LEN));
            let first = self.memory.as_mut_ptr().wrapping_add(start);
            // SAFETY: the bytes lie in the memory. None of these pages is filled, so nobody has a reference to them,
            // and who holds the lock is the only one that makes one to write.
            let bytes = unsafe { slice::from_raw_parts_mut(first, end - start) };
            read(bytes, start)?;
            for page in next..next + count {
                let word = self.is_filled.get(page / 64).expect("a bit for each page");
                word.fetch_or(1 << (page % 64), Ordering::Release);
            }
            next += count;
            filled_count += count;
        }
        Ok(filled_count)
    }
}

impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: u32 = self.is_filled.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
        write!(f, "Filled({count} pages of {} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(number: usize) -> u8 {
        u8::try_from(number % 251).unwrap()
    }

    #[test]
    fn a_page_is_read_once_and_neighbours_together() {
        let memory = Filled::new(10 * PAGE_LEN + 5).unwrap();
        let mut reads = Vec::new();
        let mut read = |bytes: &mut [u8], start: usize| {
            reads.push((start, bytes.len()));
            bytes.iter_mut().zip(start..).for_each(|(there, place)| *there = byte(place));
            Ok(())
        };
        let ranges = [5_000..5_010, 4_090..20_000, 40_955..40_965, 0..40_965, 40_965..40_965];
        let counts = ranges.map(|range| {
            let (bytes, count) = memory.get(range.clone(), &mut read).unwrap();
            assert!(bytes.iter().zip(range).all(|(there, place)| *there == byte(place)));
            count
        });
        assert_eq!(counts, [1, 4, 2, 4, 0]);
        let expected = [(4_096, 4_096), (0, 4_096), (8_192, 12_288), (36_864, 4_101), (20_480, 16_384)];
        assert_eq!(reads, expected);
    }

    #[test]
    fn what_could_not_be_read_is_not_there() {
        let memory = Filled::new(3 * PAGE_LEN).unwrap();
        let mut fails = |_: &mut [u8], _: usize| Err(io::Error::other("no"));
        memory.get(0..10, &mut fails).unwrap_err();
        let mut read = |bytes: &mut [u8], _: usize| {
            bytes.fill(7);
            Ok(())
        };
        assert_eq!(memory.get(0..10, &mut read).unwrap(), (&[7; 10][..], 1));
        assert_eq!(memory.get(0..10, &mut fails).unwrap().0, [7; 10], "it is there now");
        let nothing = Filled::new(0).unwrap();
        assert_eq!(nothing.get(0..0, &mut fails).unwrap(), (&[][..], 0));
    }

    #[test]
    fn threads_find_the_same_bytes() {
        let memory = Filled::new(64 * PAGE_LEN).unwrap();
        let read_count = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for step in [1, 3, 5, 7] {
                let (memory, read_count) = (&memory, &read_count);
                scope.spawn(move || {
                    let mut read = |bytes: &mut [u8], start: usize| {
                        read_count.fetch_add((bytes.len() / PAGE_LEN) as u64, Ordering::Relaxed);
                        bytes.fill(byte(start / PAGE_LEN));
                        Ok(())
                    };
                    for page in (0..64).map(|place| place * step % 64) {
                        let start = page * PAGE_LEN;
                        let (bytes, _) = memory.get(start..start + 10, &mut read).unwrap();
                        assert_eq!(bytes, [byte(page); 10]);
                    }
                });
            }
        });
        assert_eq!(read_count.into_inner(), 64);
    }
}
