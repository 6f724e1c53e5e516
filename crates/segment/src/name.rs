//! The names of a log's files.
//!
//! Invariant: a segment has exactly one name. What merely looks like one is refused, not ignored: it may be a
//! segment that somebody renamed.

use std::ffi::OsStr;

use annals_wire::{Generation, SegmentId};

/// The manifest's name.
pub const MANIFEST: &str = "MANIFEST";
/// The lock's name.
pub const LOCK: &str = "LOCK";
/// The frontier's name.
pub const FRONTIER: &str = "FRONTIER";
/// The checkpoint's name.
pub const CHECKPOINT: &str = "CHECKPOINT";
/// The name of what says that a directory is a copy of a log that was not finished.
pub const UNFINISHED: &str = "UNFINISHED";
/// The name of the directory for the durable cursors of a store, each with a directory of its own in it.
pub const CURSORS: &str = "cursors";
/// The name of the directory for the groups of a store.
pub const GROUPS: &str = "groups";
/// The name of the directory for the snapshots of a store's projections.
pub const PROJECTIONS: &str = "projections";
/// What the name of an unfinished replacement ends with.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

const SEGMENT_SUFFIX: &str = ".seg";
const RUN_SUFFIX: &str = ".run";

/// What a name says that its file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileRole {
    /// One of the fixed names.
    Fixed,
    /// A segment.
    Segment(SegmentId, Generation),
    /// The index of neighbouring segments, from the first to the last.
    Run(SegmentId, SegmentId),
    /// A run that was begun: whoever merges goes on with it.
    BegunRun,
    /// The bytes that were cut off a torn segment.
    Torn,
    /// An unfinished replacement.
    Temporary,
    /// What says that the directory is an unfinished copy.
    Unfinished,
    /// A directory for those that consume the log.
    Consumers,
    /// Almost a segment's name.
    Ambiguous,
    /// Nothing of the log's.
    Foreign,
}

/// The name of a segment's file.
#[must_use]
pub fn segment_name(id: SegmentId, generation: Generation) -> String {
    match generation {
        Generation(0) => format!("{:06}{SEGMENT_SUFFIX}", id.0),
        Generation(generation) => format!("{:06}-{generation}{SEGMENT_SUFFIX}", id.0),
    }
}

/// The name of the run over the segments from `first` to `last`.
#[must_use]
pub fn run_name(first: SegmentId, last: SegmentId) -> String {
    format!("{:06}-{:06}{RUN_SUFFIX}", first.0, last.0)
}

/// The name of the file for the bytes cut off a torn segment at `offset`.
#[must_use]
pub(crate) fn torn_name(segment: &str, offset: u64) -> String {
    format!("{segment}.torn-{offset}")
}

/// What `name` says that its file is.
#[must_use]
pub(crate) fn role(name: &OsStr) -> FileRole {
    let Some(name) = name.to_str() else { return FileRole::Foreign };
    if [MANIFEST, LOCK, FRONTIER, CHECKPOINT].contains(&name) {
        return FileRole::Fixed;
    }
    if name == UNFINISHED {
        return FileRole::Unfinished;
    }
    if [CURSORS, GROUPS, PROJECTIONS].contains(&name) {
        return FileRole::Consumers;
    }
    if name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|of| {
        [MANIFEST, CHECKPOINT].contains(&of) || matches!(segment_role(of), Some(FileRole::Segment(..)))
    }) {
        return FileRole::Temporary;
    }
    if name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|of| run_role(of).is_some()) {
        return FileRole::BegunRun;
    }
    if let Some((segment, offset)) = name.split_once(".torn-") {
        let torn = offset.parse().is_ok_and(|offset: u64| torn_name(segment, offset) == name);
        return if torn && segment_role(segment).is_some() { FileRole::Torn } else { FileRole::Foreign };
    }
    segment_role(name).or_else(|| run_role(name)).unwrap_or(FileRole::Foreign)
}

/// A run has exactly one name; what merely looks like one is derived from nothing that is lost with it.
fn run_role(name: &str) -> Option<FileRole> {
    let (first, last) = name.strip_suffix(RUN_SUFFIX)?.split_once('-')?;
    let (first, last) = (SegmentId(first.parse().ok()?), SegmentId(last.parse().ok()?));
    let is_exact = first.0 > 0 && first <= last && run_name(first, last) == name;
    is_exact.then_some(FileRole::Run(first, last))
}

fn segment_role(name: &str) -> Option<FileRole> {
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_suffix(SEGMENT_SUFFIX)?;
    if !stem.starts_with(|first: char| first.is_ascii_digit())
        || !stem.chars().all(|character| character.is_ascii_digit() || "-+ ()".contains(character))
    {
        return None;
    }
    let (id, generation) = stem.split_once('-').unwrap_or((stem, "0"));
    let numbers = id.parse().ok().zip(generation.parse().ok());
    let exact = numbers
        .map(|(id, generation)| (SegmentId(id), Generation(generation)))
        .filter(|(id, generation)| id.0 > 0 && segment_name(*id, *generation) == name);
    Some(exact.map_or(FileRole::Ambiguous, |(id, generation)| FileRole::Segment(id, generation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_are() {
        for id in [1, 999_999, 1_000_000, u64::MAX] {
            for generation in [0, 1, u32::MAX] {
                let (id, generation) = (SegmentId(id), Generation(generation));
                assert_eq!(role(segment_name(id, generation).as_ref()), FileRole::Segment(id, generation));
            }
        }
        for name in ["1.seg", "000000.seg", "0000001.seg", "000001-0.seg", "000001.SEG", "000001 (1).seg"] {
            assert_eq!(role(name.as_ref()), FileRole::Ambiguous, "{name}");
        }
        for name in ["foo.seg.bak", ".DS_Store", "000001.seg.torn-x", "foo.seg", "seg", "thesis.tmp"] {
            assert_eq!(role(name.as_ref()), FileRole::Foreign, "{name}");
        }
        for (first, last) in [(1, 1), (1, 9), (7, 1_000_000), (1_000_000, u64::MAX)] {
            let (first, last) = (SegmentId(first), SegmentId(last));
            assert_eq!(role(run_name(first, last).as_ref()), FileRole::Run(first, last));
        }
        assert_eq!(role("000001-000008.run.tmp".as_ref()), FileRole::BegunRun);
        for name in ["1-2.run", "000002-000001.run", "000000-000001.run", "000001.run", "000001-0000002.run"]
        {
            assert_eq!(role(name.as_ref()), FileRole::Foreign, "{name}");
        }
        assert_eq!(role(torn_name("000001.seg", 512).as_ref()), FileRole::Torn);
        assert_eq!(role("CHECKPOINT.tmp".as_ref()), FileRole::Temporary);
        assert_eq!(role("000001.seg.tmp".as_ref()), FileRole::Temporary);
        assert_eq!(role("1.seg.tmp".as_ref()), FileRole::Foreign);
        assert_eq!(role("UNFINISHED".as_ref()), FileRole::Unfinished);
        assert_eq!(role("LOCK".as_ref()), FileRole::Fixed);
        assert_eq!(role("cursors".as_ref()), FileRole::Consumers);
        assert_eq!(role("Cursors".as_ref()), FileRole::Foreign);
    }
}
