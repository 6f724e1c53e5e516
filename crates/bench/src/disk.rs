//! Directories as files: what lies in them by kind, copies that share what never changes, and the page cache.
//!
//! Invariant: an original is never written. A copy shares a file with it only where no writer changes it in place:
//! index runs, which are replaced by renaming, and all segments but the two newest, which are sealed and have
//! their footers. What is shared is shared in the page cache as well.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use annals::disk::{Directory, DiskDirectory};
use annals_segment::{CHECKPOINT, FRONTIER, Inventory, LOCK};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What the names of segments and of index runs end with.
pub(crate) const SEGMENT_SUFFIX: &str = ".seg";
pub(crate) const RUN_SUFFIX: &str = ".run";

/// The bytes that a store takes, by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskUse {
    /// Segments up to the end of their frames.
    pub(crate) log: u64,
    /// Segments behind that.
    pub(crate) footers: u64,
    pub(crate) checkpoint: u64,
    pub(crate) runs: u64,
    pub(crate) other: u64,
}

impl DiskUse {
    /// What the store in `path`, which was closed, takes.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let directory = DiskDirectory::open(path).map_err(Failure::io("open", path))?;
        let inventory = Inventory::take(&directory)
            .map_err(|source| Failure::Log { path: path.to_owned(), source: Box::new(source) })?;
        let mut found = Self::default();
        for entry in directory.list().map_err(Failure::io("list", path))? {
            match entry.name.to_str().unwrap_or_default() {
                CHECKPOINT => found.checkpoint += entry.len,
                name if name.ends_with(RUN_SUFFIX) => found.runs += entry.len,
                name if name.ends_with(SEGMENT_SUFFIX) => {}
                _ => found.other += entry.len,
            }
        }
        for (id, file) in &inventory.segments {
            let next = id.next().and_then(|next| inventory.segments.get(&next));
            let next_header = next.and_then(|next| next.header.as_ref()?.as_ref().ok());
            let sealed_end = next_header.and_then(|header| header.previous).map(|previous| previous.end);
            let manifest = inventory.manifest.as_ref().map(|found| &found.manifest);
            let newest_end = || manifest.and_then(|manifest| manifest.clean).map(|clean| clean.end);
            let end = sealed_end.or_else(newest_end).unwrap_or(file.len).min(file.len);
            found.log += end;
            found.footers += file.len - end;
        }
        Ok(found)
    }

    pub(crate) fn total(&self) -> u64 {
        self.log + self.derived() + self.other
    }

    /// All that can be made again from the log.
    pub(crate) fn derived(&self) -> u64 {
        self.footers + self.checkpoint + self.runs
    }

    /// Each kind with its bytes.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 5] {
        [
            ("log", self.log),
            ("footers", self.footers),
            ("checkpoint", self.checkpoint),
            ("runs", self.runs),
            ("other", self.other),
        ]
    }
}

/// A copy of a store to be written to, or from which something is left out; removed when dropped.
#[derive(Debug)]
pub(crate) struct Copy {
    original: PathBuf,
    directory: tempfile::TempDir,
    as_made: Vec<Listed>,
}

/// A file as a listing shows it: its name, its length, and when it was last written.
type Listed = (PathBuf, u64, Option<SystemTime>);

impl Copy {
    /// Copies the store in `original` to beside it, without the files that `is_left_out` names.
    pub(crate) fn new(original: &Path, is_left_out: impl Fn(&str) -> bool) -> Result<Self, Failure> {
        let beside = original.parent().unwrap_or(original);
        let directory = tempfile::Builder::new()
            .prefix("copy-")
            .tempdir_in(beside)
            .map_err(Failure::io("make a directory in", beside))?;
        let files = files(original)?;
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let segments = files.iter().filter(|path| name(path).ends_with(SEGMENT_SUFFIX));
        let sealed: Vec<_> = segments.rev().skip(2).cloned().collect();
        for from in files.iter().filter(|from| !is_left_out(&name(from))) {
            let to = directory.path().join(name(from));
            let is_shared = sealed.contains(from) || name(from).ends_with(RUN_SUFFIX);
            let is_linked = is_shared && fs::hard_link(from, &to).is_ok();
            if !is_linked {
                copy_durably(from, &to).map_err(Failure::io("copy", from))?;
            }
        }
        let as_made = listing(directory.path())?;
        Ok(Self { original: original.to_owned(), directory, as_made })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The same copy, made anew where something was written to it.
    pub(crate) fn renewed(self) -> Result<Self, Failure> {
        if listing(self.path())? == self.as_made { Ok(self) } else { Self::new(&self.original, |_| false) }
    }
}

/// Copies a file, and its bytes to the disk: whoever syncs the copy then waits for its own bytes only.
fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::OpenOptions::new().write(true).open(to)?.sync_all()
}

/// All files of a store but those that say who has it open.
fn listing(directory: &Path) -> Result<Vec<Listed>, Failure> {
    let mut listing = Vec::new();
    for path in files(directory)? {
        if ![LOCK, FRONTIER].iter().any(|name| path.ends_with(name)) {
            let metadata = fs::metadata(&path).map_err(Failure::io("look at", &path))?;
            listing.push((path, metadata.len(), metadata.modified().ok()));
        }
    }
    Ok(listing)
}

/// The files of a directory, sorted.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    let mut files = entries.map_err(Failure::io("list", directory))?;
    files.sort();
    Ok(files)
}

/// Reads all files in `directory`, so that all their pages are in the cache.
pub(crate) fn fill_cache(directory: &Path) -> Result<(), Failure> {
    for path in files(directory)? {
        let read = fs::File::open(&path).and_then(|mut file| io::copy(&mut file, &mut Nowhere));
        read.map_err(Failure::io("read", &path))?;
    }
    Ok(())
}

/// What takes bytes and keeps none. `io::sink` would not do: what goes there need not be read.
struct Nowhere;

impl io::Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(std::hint::black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether [`drop_cache`] does anything here.
pub(crate) const CAN_DROP: bool = cfg!(target_os = "linux");

/// Makes the system forget the pages of all files in `directory`, so that they come from the disk again.
#[cfg(target_os = "linux")]
pub(crate) fn drop_cache(directory: &Path) -> Result<(), Failure> {
    for path in files(directory)? {
        let file = fs::File::open(&path).map_err(Failure::io("open", &path))?;
        // Pages that are not on the disk yet are not forgotten.
        file.sync_all().map_err(Failure::io("sync", &path))?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(|source| Failure::Io {
            what: "forget",
            path,
            source: source.into(),
        })?;
    }
    Ok(())
}

/// Nothing is dropped where nobody knows how.
#[cfg(not(target_os = "linux"))]
pub(crate) fn drop_cache(_directory: &Path) -> Result<(), Failure> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use annals::{Options, Store};
    use indicatif::ProgressBar;

    use super::*;
    use crate::{
        content::Content,
        generate::{Level, fill, generate},
    };

    const EVENTS: u64 = 5_000;

    fn content(seed: u64) -> Content {
        let number = |number| NonZeroU64::new(number).unwrap();
        Content { events: number(EVENTS), streams: number(30), payload_bytes: 100, seed, tags: 0 }
    }

    /// A store of several segments.
    fn original() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("annals");
        let options = Options::new().segment_bytes(256 << 10);
        generate(&path, &content(1), options, Level::Written, &ProgressBar::hidden()).unwrap();
        (directory, path)
    }

    fn bytes(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        files(directory).unwrap().into_iter().map(read).collect()
    }

    #[test]
    fn an_original_is_as_it_was_after_its_copy_was_written_to() {
        let (_directory, path) = original();
        let before = bytes(&path);
        assert!(before.len() > 6, "too few segments: {}", before.len());
        let copy = Copy::new(&path, |_| false).unwrap();
        let made_at = copy.path().to_owned();
        let copy = copy.renewed().unwrap();
        assert_eq!(copy.path(), made_at, "what nobody wrote to was copied again");
        let store = Options::new().segment_bytes(256 << 10).open(copy.path()).unwrap();
        let bar = ProgressBar::hidden();
        fill(&store, &content(2), 0..EVENTS, annals::Durability::Durable, &bar).unwrap();
        store.close().unwrap();
        assert!(before == bytes(&path), "the original was written to");

        let renewed = copy.renewed().unwrap();
        assert_eq!(Store::open_read_only(renewed.path()).unwrap().last_sequence().0, EVENTS);
        assert!(!made_at.exists());
    }

    #[test]
    fn what_is_left_out_of_a_copy_is_not_in_it() {
        let (_directory, path) = original();
        let copy = Copy::new(&path, |name| name == CHECKPOINT).unwrap();
        assert!(!copy.path().join(CHECKPOINT).exists() && path.join(CHECKPOINT).exists());
        assert_eq!(files(copy.path()).unwrap().len() + 1, files(&path).unwrap().len());
        assert_eq!(DiskUse::of(copy.path()).unwrap().checkpoint, 0);
    }

    #[test]
    fn a_file_whose_pages_are_forgotten_reads_the_same() {
        let (_directory, path) = original();
        let before = bytes(&path);
        drop_cache(&path).unwrap();
        assert!(before == bytes(&path));
    }
}
