//! What takes long to build and may be used again: stores and their rivals, each in a directory that is named for
//! what its content follows from.
//!
//! Invariant: what is whole has a file of JSON beside it, which says what building it came to. What has none was
//! left by a run that was ended, and is made anew.

use std::{
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use annals::Options;
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::{
    content::Content,
    failure::Failure,
    generate::{Generated, Level, generate},
    progress,
};

/// Where things are built: a directory that the user gave, or one that goes with this.
#[derive(Debug)]
pub(crate) enum Shelf {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Shelf {
    pub(crate) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        match given {
            Some(path) => {
                fs::create_dir_all(path).map_err(Failure::io("make", path))?;
                Ok(Self::Given(path.to_owned()))
            }
            None => {
                let made = tempfile::Builder::new().prefix("annals-bench-").tempdir();
                Ok(Self::Temporary(made.map_err(Failure::io("make a directory in", std::env::temp_dir()))?))
            }
        }
    }

    /// The place for what follows from these.
    pub(crate) fn place(&self, content: &Content, segment_bytes: Option<u64>) -> Result<Place, Failure> {
        let directory = match self {
            Self::Given(path) => path,
            Self::Temporary(made) => made.path(),
        };
        let segment = segment_bytes.map_or_else(|| "default".to_owned(), |bytes| bytes.to_string());
        let Content { events, streams, payload_bytes, seed, tags } = *content;
        let name = format!("bench-{events}-{streams}-{payload_bytes}-{seed}-{tags}-{segment}");
        let directory = directory.join(name);
        fs::create_dir_all(&directory).map_err(Failure::io("make", &directory))?;
        Ok(Place { directory, content: *content, segment_bytes, was_built: false })
    }
}

/// The directory of one content.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) content: Content,
    segment_bytes: Option<u64>,
    was_built: bool,
}

impl Place {
    /// What an earlier run kept as `what`, or else what `build` makes in the directory of this name.
    pub(crate) fn take<T: Serialize + DeserializeOwned>(
        &mut self,
        what: &str,
        build: impl FnOnce(&Path) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let note = self.directory.join(format!("{what}.json"));
        let found = fs::read(&note).ok().and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(found) = found {
            return Ok(found);
        }
        self.was_built = true;
        let path = self.directory.join(what);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Failure::io("remove", &path))?;
        }
        fs::create_dir(&path).map_err(Failure::io("make", &path))?;
        let built = build(&path)?;
        let json = serde_json::to_vec_pretty(&built).map_err(|source| Failure::Json { source })?;
        fs::write(&note, json).map_err(Failure::io("write", &note))?;
        Ok(built)
    }

    /// The store.
    pub(crate) fn take_store(&mut self) -> Result<(PathBuf, Generated), Failure> {
        let (content, segment_bytes) = (self.content, self.segment_bytes);
        let bar = progress::bar("build annals", content.events.get());
        let options = segment_bytes.map_or_else(Options::new, |bytes| Options::new().segment_bytes(bytes));
        let build = |path: &Path| generate(path, &content, options, Level::Written, &bar);
        let generated = self.take("annals", build)?;
        bar.finish_and_clear();
        Ok((self.directory.join("annals"), generated))
    }

    /// Removes all of it where this run built any, unless it is to be kept.
    pub(crate) fn end(self, keep: bool) -> Result<(), Failure> {
        if keep || !self.was_built {
            return Ok(());
        }
        fs::remove_dir_all(&self.directory).map_err(Failure::io("remove", &self.directory))
    }
}

/// How many streams there are where nobody says: one for every ten events.
pub(crate) fn streams_by_default(events: NonZeroU64) -> NonZeroU64 {
    NonZeroU64::new(events.get() / 10).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let number = |number| NonZeroU64::new(number).unwrap();
        Content { events: number(20), streams: number(3), payload_bytes: 8, seed: 1, tags: 0 }
    }

    #[test]
    fn what_is_whole_is_built_once_and_what_is_not_again() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(Some(directory.path())).unwrap();
        let mut place = shelf.place(&content(), None).unwrap();
        fs::create_dir(place.directory.join("annals")).unwrap();
        fs::write(place.directory.join("annals").join("left"), "by a run that was ended").unwrap();
        let (path, built) = place.take_store().unwrap();
        assert!(built.bytes_total > 0 && !path.join("left").exists());
        place.end(true).unwrap();

        let mut place = shelf.place(&content(), None).unwrap();
        let found: Generated = place.take("annals", |_| panic!("it is there already")).unwrap();
        assert_eq!(found.bytes_total, built.bytes_total);
    }

    #[test]
    fn what_was_found_is_kept_and_what_was_built_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(Some(directory.path())).unwrap();
        let mut place = shelf.place(&content(), Some(4_096)).unwrap();
        place.take_store().unwrap();
        place.end(true).unwrap();
        let mut place = shelf.place(&content(), Some(4_096)).unwrap();
        let (path, _) = place.take_store().unwrap();
        place.end(false).unwrap();
        assert!(path.exists());
        let mut place = shelf.place(&content(), None).unwrap();
        let (path, _) = place.take_store().unwrap();
        place.end(false).unwrap();
        assert!(!path.exists());
    }
}
