//! What stands in a log's directory. Looks, decides nothing, changes nothing.
//!
//! Invariant: no header is taken for read that was not. Where a checkpoint says what a segment is, and its file has
//! the length that fits, that is looked at when the segment is first asked.

use std::collections::BTreeMap;

use annals_wire::{CheckpointHead, CoveredSegment, Generation, SegmentHeader, SegmentId};

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
    /// Its header, or what is wrong with it; `None` where it was not read.
    pub header: Option<Result<SegmentHeader, annals_wire::Error>>,
    /// What the checkpoint says of it.
    pub covered: Option<CoveredSegment>,
}

/// The file of an index over neighbouring segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFile {
    /// The first segment.
    pub first: SegmentId,
    /// The last.
    pub last: SegmentId,
    /// The file's length in bytes.
    pub len: u64,
}

/// All that was found in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// The manifest; `None` where there is none.
    pub manifest: Option<FoundManifest>,
    /// The segments, by id.
    pub segments: BTreeMap<SegmentId, SegmentFile>,
    /// The runs, by their first and last segment.
    pub runs: Vec<RunFile>,
    /// Whether there is a checkpoint.
    pub has_checkpoint: bool,
    /// The bytes that earlier recoveries cut off, by name.
    pub torn: Vec<String>,
    /// Unfinished replacements, by name.
    pub temporary: Vec<String>,
    /// Whether the directory says that it is a copy which was not finished.
    pub is_unfinished: bool,
    /// Segments of generations that the manifest does not name, beside those that it names: a replacement that was
    /// not finished, or what was replaced.
    pub other_generations: Vec<(SegmentId, SegmentFile)>,
    /// How many files are nothing of the log's.
    pub foreign_count: u64,
}

impl Inventory {
    /// Looks at the directory: its listing, the manifest, and the header of every segment.
    ///
    /// # Errors
    /// As [`Inventory::list`].
    pub fn take(directory: &dyn Directory) -> Result<Self, Error> {
        let mut inventory = Self::list(directory)?;
        inventory.read_headers(directory, None, None)?;
        Ok(inventory)
    }

    /// Reads the headers of the segments that `checkpoint` does not vouch for: what it does not cover, and what has
    /// another length than it says. With `upto`, that one is to be the newest.
    ///
    /// # Errors
    /// [`Error::Io`]. What is wrong with a header is no error yet.
    pub fn read_headers(
        &mut self,
        directory: &dyn Directory,
        checkpoint: Option<&CheckpointHead>,
        upto: Option<SegmentId>,
    ) -> Result<(), Error> {
        self.note_covered(checkpoint, upto);
        let oldest = self.manifest.as_ref().map_or(SegmentId(0), |found| found.manifest.oldest);
        let mut is_before_known = false;
        for (id, file) in &mut self.segments {
            let is_vouched = file.is_vouched() && (is_before_known || *id <= oldest);
            if !is_vouched {
                let name = name::segment_name(*id, file.generation);
                file.header = Some(read_header(directory, &name)?);
            }
            is_before_known = file.covered.is_some();
        }
        for (id, file) in &mut self.other_generations {
            let name = name::segment_name(*id, file.generation);
            file.header = Some(read_header(directory, &name)?);
        }
        Ok(())
    }

    /// Notes what `checkpoint` says of the segments before the newest, where it is one of this log.
    fn note_covered(&mut self, checkpoint: Option<&CheckpointHead>, upto: Option<SegmentId>) {
        let Some((head, found)) = checkpoint.zip(self.manifest.as_ref()) else { return };
        let newest = found.manifest.newest;
        let newest = upto.map_or(newest, |upto| upto.min(newest));
        let is_own = head.store == found.manifest.store;
        for covered in head.covered.iter().filter(|covered| is_own && covered.id < newest) {
            let file = self.segments.get_mut(&covered.id);
            if let Some(file) = file.filter(|file| file.generation == covered.generation) {
                file.covered = Some(*covered);
            }
        }
    }

    /// Looks at the directory: its listing and the manifest. No header is read.
    ///
    /// # Errors
    /// [`Error::Io`] where anything cannot be read; [`Error::Misplaced`] where two files claim one segment, a
    /// name is almost a segment's, or a segment's name is no regular file's; [`Error::ManifestLost`] and
    /// [`Error::Newer`] as the manifest has them.
    pub fn list(directory: &dyn Directory) -> Result<Self, Error> {
        let mut inventory = Self::default();
        let mut segments = Vec::new();
        for entry in directory.list().map_err(Error::io("list", directory.path()))? {
            let path = || directory.path().join(&entry.name);
            let name = entry.name.to_str().unwrap_or_default();
            match name::role(&entry.name) {
                FileRole::Fixed => inventory.has_checkpoint |= name == name::CHECKPOINT,
                FileRole::Unfinished => inventory.is_unfinished = true,
                FileRole::Torn => inventory.torn.push(name.to_owned()),
                FileRole::Temporary if entry.is_file => inventory.temporary.push(name.to_owned()),
                FileRole::Temporary => inventory.foreign_count += 1,
                FileRole::Consumers if !entry.is_file => {}
                FileRole::Foreign | FileRole::Consumers => inventory.foreign_count += 1,
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
                FileRole::Run(first, last) if entry.is_file => {
                    inventory.runs.push(RunFile { first, last, len: entry.len });
                }
                FileRole::BegunRun if entry.is_file => {}
                FileRole::Run(..) | FileRole::BegunRun => inventory.foreign_count += 1,
                FileRole::Segment(id, generation) => {
                    let file = SegmentFile { generation, len: entry.len, header: None, covered: None };
                    segments.push((id, file));
                }
            }
        }
        inventory.runs.sort_by_key(|run| (run.first, run.last));
        inventory.torn.sort();
        inventory.temporary.sort();
        inventory.manifest = manifest::find(directory)?;
        inventory.take_segments(segments);
        Ok(inventory)
    }

    /// Takes of each segment the file of the generation that the manifest names, or where that is missing the newest.
    fn take_segments(&mut self, mut files: Vec<(SegmentId, SegmentFile)>) {
        let replaced = self.manifest.as_ref().map(|found| &found.manifest.replaced[..]).unwrap_or_default();
        let named = |id| replaced.iter().find(|replaced| replaced.id == id).map(|found| found.generation);
        files.sort_by_key(|(id, file)| {
            let is_named = file.generation == named(*id).unwrap_or(Generation(0));
            (*id, is_named, file.generation)
        });
        let mut others = Vec::new();
        for (id, file) in files {
            others.extend(self.segments.insert(id, file).map(|other| (id, other)));
        }
        self.other_generations = others;
    }

    /// Whether there is nothing of a log here, not even a damaged one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.manifest.is_none() && self.segments.is_empty() && !self.has_checkpoint && !self.is_unfinished
    }
}

impl SegmentFile {
    /// Whether the file has the length that the checkpoint says.
    fn is_vouched(&self) -> bool {
        self.covered.is_some_and(|covered| match covered.len {
            0 => self.len >= covered.end,
            len => self.len == len,
        })
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
