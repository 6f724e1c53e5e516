//! One size and shape: a store, a database and a file of the same events.

use std::{
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    content::Content,
    failure::Failure,
    generate::Generated,
    kept::{Place, Shelf, streams_by_default},
    progress, raw, sqlite,
};

const DATABASE: &str = "events.db";
const RECORDS: &str = "events";

/// How many streams there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub(crate) enum Shape {
    /// Ten thousand, or as many as events
    #[value(name = "10k")]
    #[serde(rename = "10k")]
    TenThousand,
    /// One for every ten events
    #[serde(rename = "tenth")]
    Tenth,
}

impl Shape {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TenThousand => "10k",
            Self::Tenth => "tenth",
        }
    }

    pub(super) fn streams(self, events: NonZeroU64) -> NonZeroU64 {
        match self {
            Self::TenThousand => events.min(NonZeroU64::new(10_000).expect("not 0")),
            Self::Tenth => streams_by_default(events),
        }
    }
}

/// One size and shape, built.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(super) shape: Shape,
    pub(super) content: Content,
    pub(super) generated: Generated,
    pub(super) annals: PathBuf,
    pub(super) sqlite: PathBuf,
    pub(super) sqlite_bytes: u64,
    pub(super) raw: PathBuf,
    pub(super) raw_bytes: u64,
    place: Place,
}

impl Cell {
    /// The cell of `content` on `shelf`: what an earlier run kept, or else made now.
    pub(super) fn take(
        shelf: &Shelf,
        shape: Shape,
        content: Content,
        segment_bytes: Option<u64>,
    ) -> Result<Self, Failure> {
        let mut place = shelf.place(&content, segment_bytes)?;
        let (annals, generated) = place.take_store()?;
        let bar = |what: &'static str| progress::bar(what, content.events.get());
        let sqlite_bytes = place.take("sqlite", |path| {
            let path = path.join(DATABASE);
            sqlite::build(&path, &content, &bar("build sqlite"))?;
            len(&path)
        })?;
        let raw_bytes = place.take("raw", |path| {
            let path = path.join(RECORDS);
            raw::build(&path, &content, &bar("build raw")).map_err(Failure::io("build", &path))?;
            len(&path)
        })?;
        let sqlite = place.directory.join("sqlite").join(DATABASE);
        let raw = place.directory.join("raw").join(RECORDS);
        Ok(Self { shape, content, generated, annals, sqlite, sqlite_bytes, raw, raw_bytes, place })
    }

    /// Removes what this run built, unless it is to be kept.
    pub(super) fn end(self, keep: bool) -> Result<(), Failure> {
        self.place.end(keep)
    }
}

fn len(path: &Path) -> Result<u64, Failure> {
    fs::metadata(path).map(|found| found.len()).map_err(Failure::io("look at", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_how_many_streams_there_are() {
        let streams = |shape: Shape, events| shape.streams(NonZeroU64::new(events).unwrap()).get();
        assert_eq!([50, 1_000_000].map(|events| streams(Shape::TenThousand, events)), [50, 10_000]);
        assert_eq!([5, 1_000_000].map(|events| streams(Shape::Tenth, events)), [1, 100_000]);
    }
}
