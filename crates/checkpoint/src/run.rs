//! A run's file: written piece by piece, taken up again where it was left, replaced as a whole, opened when first
//! asked.
//!
//! Invariant: a run gets its name only when all of it is durable. What was begun and not finished is checked, byte
//! by byte, before it is gone on with.

mod sieve;

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use annals_index::{RunIndex, RunMerge, RunSource};
use annals_segment::{Access, Directory, Error, File, FilePart, TEMPORARY_SUFFIX, run_name};
use annals_wire::{
    RUN_ENTRIES_PER_PAGE, RUN_PAGE_LEN, RunEntry, RunHeader, RunPage, RunSeed, RunSegment, StoreId,
};

use self::sieve::SieveWriter;
use crate::merge::RunRange;

/// How many pages are written and synced at once.
const PAGES_PER_STEP: usize = 256;

/// A run that is opened when it is first asked.
pub struct LazyRun {
    range: RunRange,
    directory: Arc<dyn Directory>,
    maps: bool,
    store: StoreId,
    /// What is known of the segments that it covers, from the first that is still there.
    expected: Vec<RunSegment>,
    opened: OnceLock<Result<RunIndex, String>>,
}

impl LazyRun {
    /// The run over `range` of the log `store`; the newest of its segments are `expected`, which were not dropped.
    #[must_use]
    pub fn new(
        directory: &Arc<dyn Directory>,
        range: RunRange,
        store: StoreId,
        expected: Vec<RunSegment>,
        maps: bool,
    ) -> Self {
        let directory = Arc::clone(directory);
        Self { range, directory, maps, store, expected, opened: OnceLock::new() }
    }

    /// The segments that it covers.
    #[must_use]
    pub fn range(&self) -> RunRange {
        self.range
    }

    /// The run.
    ///
    /// # Errors
    /// Why it cannot be used: the segments' own indexes have to be asked.
    pub fn index(&self) -> Result<&RunIndex, &str> {
        self.opened.get_or_init(|| self.open()).as_ref().map_err(String::as_str)
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn check_all(&self) -> Result<(), String> {
        self.index().map_err(str::to_owned)?.check_all().map_err(|error| error.to_string())
    }

    fn open(&self) -> Result<RunIndex, String> {
        let index = open_run(&*self.directory, self.range, self.maps).map_err(|error| error.to_string())?;
        let header = index.header();
        let is_own = header.store == self.store
            && header.first == self.range.first
            && header.segments.len() as u64 == self.range.count()
            && header.segments.ends_with(&self.expected);
        if is_own { Ok(index) } else { Err("it is of other segments".to_owned()) }
    }
}

impl fmt::Debug for LazyRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LazyRun({:?}, {:?})", self.range, self.opened.get())
    }
}

/// Opens the run over `range`, whatever it says that it covers.
///
/// # Errors
/// [`Error::Io`], [`Error::Newer`], or [`Error::Corrupt`].
pub fn open_run(directory: &dyn Directory, range: RunRange, maps: bool) -> Result<RunIndex, Error> {
    let name = run_name(range.first, range.last);
    let path = directory.path().join(&name);
    let file = directory.open(&name, Access::Read).map_err(Error::io("open", &path))?;
    let len = file.len().map_err(Error::io("look at", &path))?;
    let mut start = [0; 16];
    let read = file.read_full_at(&mut start, 0).map_err(Error::io("read", &path))?;
    let header_len = RunHeader::decode_len(start.get(..read).unwrap_or_default());
    let mut header = vec![0; header_len.map_err(Error::bytes(&path, 0))?];
    let read = file.read_full_at(&mut header, 0).map_err(Error::io("read", &path))?;
    header.truncate(read);
    let source = if maps {
        let part = FilePart::new(file, path.clone(), 0..len, true);
        RunSource::Whole(Arc::new(part.map_err(Error::io("make room for", &path))?))
    } else {
        RunSource::Read(Box::new(move |buffer, offset| {
            file.read_exact_at(buffer, offset).map_err(|error| unreadable(&error))
        }))
    };
    RunIndex::new(&header, source, len).map_err(|error| Error::bytes(&path, 0)(error.into_source()))
}

/// A page that cannot be read is one without which its segments are asked.
fn unreadable(error: &io::Error) -> annals_index::Error {
    tracing::warn!(%error, "a page of an index run cannot be read");
    let source = annals_wire::Error::Invalid { what: "page of an index run", why: "it cannot be read" };
    annals_index::Error::Damaged { source }
}

/// A run that is being written.
pub struct RunWriter<'a> {
    directory: &'a dyn Directory,
    range: RunRange,
    file: Arc<dyn File>,
    header: RunHeader,
    seed: RunSeed,
    merge: RunMerge<'a>,
    page_count: u64,
    sieve: SieveWriter,
}

impl<'a> RunWriter<'a> {
    /// Begins to write a run with `header`, or goes on with one that was begun: `merge` gives the entries behind the
    /// last one that is there.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Newer`] where a newer version's run has the name, or [`Error::Corrupt`] where what is
    /// to be merged is damaged.
    pub fn begin(
        directory: &'a dyn Directory,
        header: RunHeader,
        merge: impl FnOnce(Option<RunEntry>) -> Result<RunMerge<'a>, annals_index::Error>,
    ) -> Result<Self, Error> {
        let last = annals_wire::SegmentId(header.first.0 + header.segments.len() as u64 - 1);
        let range = RunRange { first: header.first, last };
        if let Err(error @ Error::Newer { .. }) = open_run(directory, range, false) {
            return Err(error);
        }
        let name = temporary_name(range);
        let path = directory.path().join(&name);
        let (bytes, seed) = header.encode();
        let file = match directory.open(&name, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                directory.create(&name).map_err(Error::io("create", &path))?
            }
            opened => opened.map_err(Error::io("open", &path))?,
        };
        let mut sieve = SieveWriter::new(&header, seed);
        let (page_count, last) =
            find_end(&*file, &header, &bytes, seed, &mut sieve).map_err(Error::io("go on with", &path))?;
        if page_count == 0 {
            file.set_len(0).map_err(Error::io("truncate", &path))?;
            file.write_all_at(&bytes, 0).map_err(Error::io("write", &path))?;
        }
        let merge = merge(last).map_err(|error| Error::bytes(path, 0)(error.into_source()))?;
        Ok(Self { directory, range, file, header, seed, merge, page_count, sieve })
    }

    /// Writes about a MiB and makes it durable; returns whether that was the last.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Corrupt`] where what is merged is damaged.
    pub fn step(&mut self) -> Result<bool, Error> {
        let path = self.directory.path().join(temporary_name(self.range));
        let (mut bytes, mut entries) = (Vec::new(), Vec::with_capacity(RUN_ENTRIES_PER_PAGE));
        let start = self.header.page_offset(self.page_count);
        let mut is_done = false;
        while !is_done && bytes.len() < PAGES_PER_STEP * RUN_PAGE_LEN {
            entries.clear();
            while entries.len() < RUN_ENTRIES_PER_PAGE && !is_done {
                let next = self.merge.next_entry();
                let next = next.map_err(|error| Error::bytes(&path, start)(error.into_source()))?;
                is_done = next.is_none();
                entries.extend(next);
            }
            for entry in &entries {
                self.sieve.push(entry.hash, &*self.file).map_err(Error::io("write", &path))?;
            }
            if !entries.is_empty() {
                RunPage::encode(&entries, self.seed, self.page_count, &mut bytes);
                self.page_count += 1;
            }
        }
        self.file.write_all_at(&bytes, start).map_err(Error::io("write", &path))?;
        self.file.sync_data().map_err(Error::io("sync", &path))?;
        Ok(is_done)
    }

    /// Gives the run its name, after its last step.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Mismatch`] where there were other entries than the header says.
    pub fn finish(self) -> Result<(), Error> {
        let path = self.directory.path().join(temporary_name(self.range));
        if self.page_count != self.header.page_count() {
            let (expected, found) = (self.header.page_count().to_string(), self.page_count.to_string());
            let what = "the number of pages that were merged";
            return Err(Error::Mismatch { path, offset: 48, what, expected, found });
        }
        self.sieve.finish(&*self.file).map_err(Error::io("write", &path))?;
        let len = self.header.file_len().unwrap_or(u64::MAX);
        self.file.set_len(len).map_err(Error::io("truncate", &path))?;
        self.file.sync_data().map_err(Error::io("sync", &path))?;
        let name = run_name(self.range.first, self.range.last);
        self.directory.rename(&temporary_name(self.range), &name).map_err(Error::io("rename", &path))?;
        self.directory.sync().map_err(Error::io("sync", self.directory.path()))
    }
}

impl fmt::Debug for RunWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunWriter({:?}, {} pages)", self.range, self.page_count)
    }
}

fn temporary_name(range: RunRange) -> String {
    format!("{}{TEMPORARY_SUFFIX}", run_name(range.first, range.last))
}

/// How many pages of a begun run are whole, and its last entry. The last page is written again, for it may have been
/// the end of an earlier attempt. The sieve of the others is written again: it may not have been there yet.
fn find_end(
    file: &dyn File,
    header: &RunHeader,
    encoded: &[u8],
    seed: RunSeed,
    sieve: &mut SieveWriter,
) -> io::Result<(u64, Option<RunEntry>)> {
    let mut found = vec![0; encoded.len()];
    let read = file.read_full_at(&mut found, 0)?;
    if read < encoded.len() || found != encoded {
        return Ok((0, None));
    }
    let (mut bytes, mut last) = ([0; RUN_PAGE_LEN], None);
    for number in 0..header.page_count().saturating_sub(1) {
        let read = file.read_full_at(&mut bytes, header.page_offset(number))?;
        let page = RunPage::decode(bytes.get(..read).unwrap_or_default(), seed, number);
        let Ok(page) = page else { return Ok((number, last)) };
        for entry in (0..RUN_ENTRIES_PER_PAGE).map(|index| page.entry(index)) {
            sieve.push(entry.hash, file)?;
            last = Some(entry);
        }
    }
    Ok((header.page_count().saturating_sub(1), last))
}

/// Removes the run over `range`, unless a newer version wrote it.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_run(directory: &dyn Directory, range: RunRange) -> Result<(), Error> {
    if let Err(Error::Newer { .. }) = open_run(directory, range, false) {
        return Ok(());
    }
    let name = run_name(range.first, range.last);
    match directory.remove(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", directory.path().join(name))(error))
        }
        _ => Ok(()),
    }
}
