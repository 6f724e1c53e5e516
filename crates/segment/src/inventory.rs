//! What stands in a log's directory. Looks, decides nothing, changes nothing.

use std::collections::BTreeMap;

use annals_wire::{Generation, SegmentHeader, SegmentId};

use crate::{
    Directory, Error,
    manifest::{self, FoundManifest},
    name::{self, FileRole},
    sealed::open_segment,
};

/// A segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentFile {
    /// Its generation, as its name says.
    pub generation: Generation,
    /// Its length in bytes.
    pub len: u64,
    /// Its header, or what is wrong with it.
    pub header: Result<SegmentHeader, annals_wire::Error>,
}

/// All that was found in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// The manifest; `None` where there is none.
    pub manifest: Option<FoundManifest>,
    /// The segments, by id.
    pub segments: BTreeMap<SegmentId, SegmentFile>,
    /// Whether there is a checkpoint.
    pub has_checkpoint: bool,
    /// The bytes that earlier recoveries cut off, by name.
    pub torn: Vec<String>,
    /// Unfinished replacements, by name.
    pub temporary: Vec<String>,
    /// How many files are nothing of the log's.
    pub foreign_count: u64,
}

impl Inventory {
    /// Looks at the directory: its listing, the manifest, and the header of every segment.
    ///
    /// # Errors
    /// [`Error::Io`] where anything cannot be read; [`Error::Misplaced`] where two files claim one segment, a
    /// name is almost a segment's, or a segment's name is no regular file's; [`Error::ManifestLost`] and
    /// [`Error::Newer`] as the manifest has them.
    pub fn take(directory: &dyn Directory) -> Result<Self, Error> {
        let mut inventory = Self::default();
        for entry in directory.list().map_err(Error::io("list", directory.path()))? {
            let path = || directory.path().join(&entry.name);
            let name = entry.name.to_str().unwrap_or_default();
            match name::role(&entry.name) {
                FileRole::Fixed => inventory.has_checkpoint |= name == name::CHECKPOINT,
                FileRole::Torn => inventory.torn.push(name.to_owned()),
                FileRole::Temporary if entry.is_file => inventory.temporary.push(name.to_owned()),
                FileRole::Temporary => inventory.foreign_count += 1,
                FileRole::Foreign => inventory.foreign_count += 1,
                FileRole::Ambiguous => {
                    let why = "its name is almost a segment's; give it back its name, or move it away";
                    return Err(Error::Misplaced { path: path(), why });
                }
                FileRole::Segment(..) if !entry.is_file => {
                    return Err(Error::Misplaced {
                        path: path(),
                        why: "it has a segment's name and is no regular file",
                    });
                }
                FileRole::Segment(id, generation) => {
                    let header = read_header(directory, name)?;
                    let file = SegmentFile { generation, len: entry.len, header };
                    if inventory.segments.insert(id, file).is_some() {
                        return Err(Error::Misplaced {
                            path: path(),
                            why: "another file has the same segment's name",
                        });
                    }
                }
            }
        }
        inventory.torn.sort();
        inventory.temporary.sort();
        inventory.manifest = manifest::find(directory)?;
        Ok(inventory)
    }

    /// Whether there is nothing of a log here, not even a damaged one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.manifest.is_none() && self.segments.is_empty() && !self.has_checkpoint
    }
}

fn read_header(
    directory: &dyn Directory,
    name: &str,
) -> Result<Result<SegmentHeader, annals_wire::Error>, Error> {
    match open_segment(directory, name) {
        Ok((_, header)) => Ok(Ok(header)),
        Err(Error::Corrupt { source, .. }) => Ok(Err(source)),
        Err(error) => Err(error),
    }
}
