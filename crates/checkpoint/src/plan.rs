//! What an open uses. Pure: what was found goes in, what to do comes out.
//!
//! Invariant: decided segment by segment, never all or nothing. A checkpoint that contradicts the log is no
//! reason to build anything again in silence: it covers only what was durable, so where it reaches further
//! than the log, acknowledged events are lost and the open is refused.

use std::path::Path;

use annals_segment::{CHECKPOINT, Error, Layout, SealedPlace, segment_name};
use annals_wire::{CheckpointHead, SEGMENT_HEADER_LEN, SegmentId, Watermark};

use crate::{Rejected, Sources};

/// What to open from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The sealed segments, oldest first, and where the index of each comes from.
    pub segments: Vec<(SealedPlace, SegmentSource)>,
    /// Where the newest segment's index comes from.
    pub tail: TailSource,
    /// Where the names of kinds and the chain of control records come from.
    pub controls: ControlSource,
    /// What is not used, and why.
    pub rejected: Vec<Rejected>,
}

/// Where a sealed segment's index comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentSource {
    /// Its footer.
    Footer,
    /// The checkpoint's tables, and the frames behind its watermark: it was sealed since, and has no footer yet.
    Checkpoint(Watermark),
    /// Its frames.
    Frames,
}

/// Where the newest segment's index comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailSource {
    /// The checkpoint's tables, and the frames behind its watermark.
    Checkpoint(Watermark),
    /// Its frames.
    Frames,
}

/// Where the names of kinds and the chain of control records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlSource {
    /// The checkpoint's head, and the control records behind its watermark.
    Checkpoint(Watermark),
    /// All control records.
    Log,
}

impl Plan {
    /// Decides. `directory` is for messages.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Mismatch`] where a sound checkpoint of this store contradicts the log.
    pub fn decide(layout: &Layout, sources: &Sources, directory: &Path) -> Result<Self, Error> {
        let mut plan = Self {
            segments: Vec::with_capacity(layout.sealed.len()),
            tail: TailSource::Frames,
            controls: ControlSource::Log,
            rejected: Vec::new(),
        };
        for place in &layout.sealed {
            let source = match sources.footers.get(&place.id) {
                Some(Ok(_)) => SegmentSource::Footer,
                Some(Err(why)) => {
                    let name = segment_name(place.id, place.generation);
                    plan.rejected.push(Rejected::new(format!("{name} (its footer)"), why));
                    SegmentSource::Frames
                }
                None => SegmentSource::Frames,
            };
            plan.segments.push((*place, source));
        }
        match &sources.checkpoint {
            Some(Ok(found)) if found.head.store != layout.manifest.store => {
                plan.rejected.push(Rejected::new(CHECKPOINT, "it is another store's"));
            }
            Some(Ok(found)) if is_overtaken(&found.head, layout) => {
                plan.rejected.push(Rejected::new(CHECKPOINT, "it is of before a segment was replaced"));
            }
            Some(Ok(found)) => {
                check(&found.head, layout, directory)?;
                plan.take_checkpoint(found.head.watermark, layout);
            }
            Some(Err(why)) => plan.rejected.push(Rejected::new(CHECKPOINT, why)),
            None => {}
        }
        Ok(plan)
    }

    /// Uses a checkpoint that does not contradict the log, as far as it goes.
    fn take_checkpoint(&mut self, watermark: Watermark, layout: &Layout) {
        if layout.newest.as_ref().is_some_and(|newest| newest.header.id == watermark.segment) {
            self.tail = TailSource::Checkpoint(watermark);
            self.controls = ControlSource::Checkpoint(watermark);
        } else if let Ok(number) = layout.find_sealed(watermark.segment)
            && let Some((_, source)) = self.segments.get_mut(number)
        {
            self.controls = ControlSource::Checkpoint(watermark);
            if *source == SegmentSource::Frames && watermark.offset > SEGMENT_HEADER_LEN as u64 {
                *source = SegmentSource::Checkpoint(watermark);
            }
        }
    }

    /// Compares a sound checkpoint of this store with the log. `directory` is for messages.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Mismatch`] where they contradict each other.
    pub fn check_checkpoint(head: &CheckpointHead, layout: &Layout, directory: &Path) -> Result<(), Error> {
        let is_of_log = head.store == layout.manifest.store && !is_overtaken(head, layout);
        if is_of_log { check(head, layout, directory) } else { Ok(()) }
    }
}

/// Whether a segment that the checkpoint tells of was replaced since.
fn is_overtaken(head: &CheckpointHead, layout: &Layout) -> bool {
    let covered = head.covered.iter().map(|covered| (covered.id, covered.generation));
    let mut told = covered.chain([(head.watermark.segment, head.watermark.generation)]);
    told.any(|(id, generation)| find(layout, id).is_some_and(|place| place.generation > generation))
}

/// Compares a checkpoint with the log: everything that it stands on must be there, as it says.
fn check(head: &CheckpointHead, layout: &Layout, directory: &Path) -> Result<(), Error> {
    let watermark = &head.watermark;
    for covered in head.covered.iter().filter(|covered| covered.id >= layout.manifest.oldest) {
        let Some(place) = find(layout, covered.id) else {
            return lost(directory, layout, watermark, covered.id);
        };
        let expected = (covered.generation, covered.first_sequence, covered.end, covered.chain);
        let found = (place.generation, place.first_sequence, place.end, place.chain);
        if expected != found {
            let what = "the segment that the checkpoint stands on";
            return mismatch(directory, place, what, format!("{expected:?}"), format!("{found:?}"));
        }
    }
    if let Some(newest) = layout.newest.as_ref().filter(|newest| newest.header.id == watermark.segment) {
        let path = directory.join(segment_name(newest.header.id, newest.header.generation));
        if newest.header.generation != watermark.generation || newest.len < watermark.offset {
            let (end, proven) = (newest.len, watermark.offset);
            return Err(Error::Lost { path, end, proven, witness: "the checkpoint" });
        }
        return Ok(());
    }
    match find(layout, watermark.segment) {
        Some(place) if place.generation == watermark.generation && place.end < watermark.offset => {
            let (expected, found) = (format!("at least {}", watermark.offset), place.end.to_string());
            mismatch(directory, place, "the end of the frames, which the checkpoint proves", expected, found)
        }
        Some(place) if place.end == watermark.offset && place.chain != watermark.chain => {
            let (expected, found) = (watermark.chain.to_string(), place.chain.to_string());
            mismatch(directory, place, "the chain, which the checkpoint proves", expected, found)
        }
        Some(_) => Ok(()),
        None if watermark.segment < layout.manifest.oldest => Ok(()),
        None => lost(directory, layout, watermark, watermark.segment),
    }
}

fn lost(directory: &Path, layout: &Layout, watermark: &Watermark, id: SegmentId) -> Result<(), Error> {
    let end = layout.newest.as_ref().map_or(0, |newest| newest.len);
    let path = directory.join(segment_name(id, watermark.generation));
    Err(Error::Lost { path, end, proven: watermark.offset, witness: "the checkpoint" })
}

fn find(layout: &Layout, id: SegmentId) -> Option<&SealedPlace> {
    layout.find_sealed(id).ok().and_then(|number| layout.sealed.get(number))
}

fn mismatch(
    directory: &Path,
    place: &SealedPlace,
    what: &'static str,
    expected: String,
    found: String,
) -> Result<(), Error> {
    let path = directory.join(segment_name(place.id, place.generation));
    Err(Error::Mismatch { path, offset: place.end, what, expected, found })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use annals_segment::{
        Directory, Entry, Inventory, Log, LogOptions, MemoryDirectory, Note, SealedSegment, SeededEntropy,
        SpaceLimits, WriterLock,
    };
    use annals_wire::{Batch, Chain, CoveredSegment, Digest, Generation, Recorded, Sequence, StoreId};

    use super::*;
    use crate::{FRAME_TYPES, LazyIndex, SourceOptions, find_checkpoint};

    /// A log of three sealed segments and a newest one, and its layout.
    fn log() -> (Arc<dyn Directory>, Layout) {
        let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
        let lock = WriterLock::acquire(&*directory, Duration::ZERO, 1).unwrap();
        let options = LogOptions {
            segment_bytes: 4096,
            prepare: false,
            frame_types: FRAME_TYPES,
            lock_timeout: Duration::ZERO,
            space: SpaceLimits::default(),
        };
        let (entropy, note) = (Arc::new(SeededEntropy::new(7)), Note::default());
        let mut log = Log::create(Arc::clone(&directory), lock, options, entropy, note).unwrap();
        let body = b"a body that nobody decodes";
        let entry = Entry {
            frame_type: FRAME_TYPES[0],
            is_numbered: true,
            stamp: b"",
            body,
            body_crc: annals_wire::crc(body),
        };
        for segment in 0..4 {
            for _ in 0..2 {
                log.stage(&entry, Batch::SINGLE).unwrap();
            }
            if segment < 3 {
                log.rotate(note).unwrap();
            }
        }
        log.close(note).unwrap();
        let layout = Layout::decide(&Inventory::take(&*directory).unwrap(), Path::new(""), None).unwrap();
        assert_eq!((layout.sealed.len(), layout.newest.as_ref().unwrap().header.id), (3, SegmentId(4)));
        (directory, layout)
    }

    fn layout(change: impl FnOnce(&mut Layout)) -> Layout {
        let mut layout = log().1;
        change(&mut layout);
        layout
    }

    /// The head of a checkpoint of that log with its watermark at `offset` of `segment`, 0 being its end.
    fn head(segment: u64, offset: u64) -> CheckpointHead {
        let layout = log().1;
        let covered = layout.sealed.iter().filter(|place| place.id.0 < segment);
        let covered = covered.map(|place| CoveredSegment {
            id: place.id,
            generation: place.generation,
            first_sequence: place.first_sequence,
            end: place.end,
            chain: place.chain,
            len: 0,
        });
        let place = layout.sealed.iter().find(|place| place.id.0 == segment);
        let end = place.map_or(layout.newest.as_ref().unwrap().len, |place| place.end);
        CheckpointHead {
            store: layout.manifest.store,
            watermark: Watermark {
                segment: SegmentId(segment),
                generation: Generation(0),
                offset: if offset == 0 { end } else { offset },
                chain: place.map_or(Chain(1), |place| place.chain),
                sequence: Sequence(2 * segment),
                recorded: Recorded(0),
                mark: Digest::NONE,
            },
            covered: covered.collect(),
            kind_names: Vec::new(),
            hidden: Vec::new(),
            moves: Vec::new(),
            control: Digest::NONE,
        }
    }

    fn changed(mut head: CheckpointHead, change: impl FnOnce(&mut CheckpointHead)) -> CheckpointHead {
        change(&mut head);
        head
    }

    /// Sources with that checkpoint, as it is decoded.
    fn checkpoint(head: &CheckpointHead) -> Sources {
        let directory = MemoryDirectory::from_files([(CHECKPOINT.to_owned(), head.encode(&[]))]);
        Sources { checkpoint: find_checkpoint(&directory).unwrap(), ..Sources::default() }
    }

    fn footer() -> Arc<LazyIndex> {
        let (directory, layout) = log();
        let segment = Arc::new(SealedSegment::new(directory, layout.sealed[0], false));
        Arc::new(LazyIndex::footer(segment, 2, 1 << 20, false))
    }

    /// The sources of the segments in order, of the tail, and what is rejected; or the refusal.
    fn said(layout: &Layout, sources: &Sources) -> String {
        let plan = match Plan::decide(layout, sources, Path::new("")) {
            Ok(plan) => plan,
            Err(Error::Lost { path, proven, witness, .. }) => {
                return format!("{} lost to {proven} by {witness}", path.display());
            }
            Err(Error::Mismatch { path, what, .. }) => return format!("{}: {what}", path.display()),
            Err(error) => panic!("{error}"),
        };
        assert!(plan.segments.iter().map(|(place, _)| place).eq(&layout.sealed));
        let segments = plan.segments.iter().map(|(_, source)| match source {
            SegmentSource::Footer => "footer".to_owned(),
            SegmentSource::Checkpoint(watermark) => format!("checkpoint to {}", watermark.offset),
            SegmentSource::Frames => "frames".to_owned(),
        });
        let controls = match plan.controls {
            ControlSource::Checkpoint(watermark) => Some(watermark),
            ControlSource::Log => None,
        };
        let used = sources.sound_checkpoint().filter(|found| {
            found.head.store == layout.manifest.store
                && found.head.watermark.segment >= layout.manifest.oldest
        });
        assert_eq!(controls, used.map(|found| found.head.watermark));
        let tail = match plan.tail {
            TailSource::Checkpoint(watermark) => format!("checkpoint to {}", watermark.offset),
            TailSource::Frames => "frames".to_owned(),
        };
        let rejected = plan.rejected.iter().map(|rejected| format!("! {}: {}", rejected.file, rejected.why));
        segments.chain([format!("| {tail}")]).chain(rejected).collect::<Vec<_>>().join(" ")
    }

    fn check<'a>(rows: impl IntoIterator<Item = (&'a str, Layout, CheckpointHead, &'a str)>) {
        for (row, layout, head, expected) in rows {
            assert_eq!(said(&layout, &checkpoint(&head)), expected, "{row}");
            let checked = Plan::check_checkpoint(&head, &layout, Path::new(""));
            let refused = expected.contains("lost") || expected.contains(": the");
            assert_eq!(checked.is_err(), refused, "{row}, alone");
        }
    }

    const FRAMES: &str = "frames frames frames | frames";
    const STANDS_ON: &str = "the segment that the checkpoint stands on";

    #[test]
    fn each_segment_is_decided_by_itself() {
        let layout = log().1;
        let states = ["missing", "whole", "damaged"];
        for number in 0..27 {
            let mut sources = Sources::default();
            let (mut expected, mut rejected) = (Vec::new(), String::new());
            for (id, state) in [(1, number % 3), (2, number / 3 % 3), (3, number / 9)] {
                let footer = match states[state] {
                    "missing" => None,
                    "whole" => Some(Ok(footer())),
                    _ => Some(Err("it is damaged".to_owned())),
                };
                sources.footers.extend(footer.map(|footer| (SegmentId(id), footer)));
                expected.push(if states[state] == "whole" { "footer" } else { "frames" });
                if states[state] == "damaged" {
                    rejected += &format!(" ! 00000{id}.seg (its footer): it is damaged");
                }
            }
            let expected = format!("{} | frames{rejected}", expected.join(" "));
            assert_eq!(said(&layout, &sources), expected, "row {number}");
            let with_checkpoint = Sources { checkpoint: checkpoint(&head(4, 520)).checkpoint, ..sources };
            let expected = expected.replace("| frames", "| checkpoint to 520");
            assert_eq!(said(&layout, &with_checkpoint), expected, "row {number} with a checkpoint");
        }
    }

    #[test]
    fn a_footer_serves_all_of_a_segment_and_the_checkpoints_tables_a_part_of_one() {
        let layout = log().1;
        for (number, segment) in (1..4).enumerate() {
            let mut sources = checkpoint(&head(segment, 520));
            sources.footers.insert(SegmentId(segment), Ok(footer()));
            let mut expected = ["frames", "frames", "frames", "| frames"];
            expected[number] = "footer";
            assert_eq!(said(&layout, &sources), expected.join(" "));
            sources.footers.insert(SegmentId(segment), Err("it is damaged".to_owned()));
            expected[number] = "checkpoint to 520";
            let expected = format!("{} ! 00000{segment}.seg (its footer): it is damaged", expected.join(" "));
            assert_eq!(said(&layout, &sources), expected);
        }
    }

    #[test]
    fn footers_of_segments_that_are_not_the_logs_are_not_asked() {
        let mut sources = Sources::default();
        sources.footers.insert(SegmentId(9), Ok(footer()));
        sources.footers.insert(SegmentId(4), Err("it is damaged".to_owned()));
        assert_eq!(said(&log().1, &sources), FRAMES);
    }

    #[test]
    fn a_checkpoint_that_cannot_be_used_is_none_and_told() {
        let damaged = Sources { checkpoint: Some(Err("it is damaged".to_owned())), ..Sources::default() };
        let store = |it: &mut CheckpointHead| it.store = StoreId([9; 16]);
        let ahead = changed(head(4, 1 << 30), store);
        let rows = [
            ("missing", Sources::default(), FRAMES.to_owned()),
            ("damaged", damaged, format!("{FRAMES} ! CHECKPOINT: it is damaged")),
            (
                "foreign",
                checkpoint(&changed(head(4, 0), store)),
                format!("{FRAMES} ! CHECKPOINT: it is another store's"),
            ),
            (
                "foreign and ahead",
                checkpoint(&ahead),
                format!("{FRAMES} ! CHECKPOINT: it is another store's"),
            ),
        ];
        for (row, sources, expected) in rows {
            assert_eq!(said(&log().1, &sources), expected, "{row}");
        }
        assert!(Plan::check_checkpoint(&ahead, &log().1, Path::new("")).is_ok(), "foreign: no witness");
    }

    #[test]
    fn a_checkpoint_of_the_newest_segment_spares_its_frames() {
        let end = head(4, 0).watermark.offset;
        let at_end = format!("frames frames frames | checkpoint to {end}");
        let empty = layout(|it| it.newest.as_mut().unwrap().len = 512);
        let longer = layout(|it| it.newest.as_mut().unwrap().len += 64 << 10);
        check([
            ("at the end", log().1, head(4, 0), at_end.as_str()),
            ("before the end", log().1, head(4, 520), "frames frames frames | checkpoint to 520"),
            ("at the header", empty, head(4, 512), "frames frames frames | checkpoint to 512"),
            ("of a segment that grew", longer, head(4, 0), &at_end),
        ]);
    }

    #[test]
    fn an_older_checkpoint_is_no_contradiction() {
        let oldest = |oldest| {
            layout(move |it| {
                it.manifest.oldest = SegmentId(oldest);
                it.sealed.retain(|place| place.id.0 >= oldest);
            })
        };
        let at_end = format!("frames frames checkpoint to {} | frames", head(3, 0).watermark.offset);
        check([
            ("at the end of a sealed segment", log().1, head(3, 0), at_end.as_str()),
            ("within a sealed segment", log().1, head(2, 520), "frames checkpoint to 520 frames | frames"),
            ("in the first", log().1, head(1, 520), "checkpoint to 520 frames frames | frames"),
            ("at the header of the first", log().1, head(1, 512), FRAMES),
            ("standing on removed segments", oldest(3), head(4, 520), "frames | checkpoint to 520"),
            ("within a removed segment", oldest(3), head(2, 520), "frames | frames"),
            ("beyond the end of a removed segment", oldest(3), head(2, 1 << 30), "frames | frames"),
        ]);
    }

    #[test]
    fn a_checkpoint_ahead_of_the_log_proves_loss() {
        let end = log().1.newest.unwrap().len;
        let shorter = layout(|it| it.newest.as_mut().unwrap().len -= 8);
        let without_newest = || layout(|it| it.newest = None);
        let without_any = || {
            layout(|it| {
                it.newest = None;
                it.sealed.clear();
            })
        };
        let gone = layout(|it| {
            let mut header = it.newest.as_ref().unwrap().header;
            header.id = SegmentId(3);
            it.newest.as_mut().unwrap().header = header;
            it.sealed.pop();
        });
        let ahead = format!("000004.seg lost to {} by the checkpoint", end + 8);
        let all = format!("000004.seg lost to {end} by the checkpoint");
        let generation = layout(|it| it.newest.as_mut().unwrap().header.generation = Generation(1));
        let replaced = format!("000004-1.seg lost to {end} by the checkpoint");
        check([
            ("by a frame", log().1, head(4, end + 8), ahead.as_str()),
            ("the segment was cut", shorter, head(4, 0), &all),
            ("no newest segment", without_newest(), head(4, 0), &all),
            ("no segment at all", without_any(), head(1, 520), "000001.seg lost to 520 by the checkpoint"),
            (
                "nor one that it stands on",
                without_any(),
                head(2, 520),
                "000001.seg lost to 520 by the checkpoint",
            ),
            (
                "a later segment",
                log().1,
                changed(head(4, 520), |it| {
                    it.covered.clear();
                    it.watermark.segment = SegmentId(5);
                }),
                "000005.seg lost to 520 by the checkpoint",
            ),
            ("it stands on the newest", gone, head(4, 520), "000003.seg lost to 520 by the checkpoint"),
            ("of another generation", generation, head(4, 0), &replaced),
        ]);
    }

    #[test]
    fn a_checkpoint_that_stands_on_other_segments_is_refused() {
        type Change = fn(&mut CoveredSegment);
        for index in 0..3 {
            let changes: [(&str, Change); 4] = [
                ("generation", |it| it.generation = Generation(1)),
                ("first sequence", |it| it.first_sequence.0 += 1),
                ("end", |it| it.end += 8),
                ("chain", |it| it.chain.0 ^= 1),
            ];
            for (what, change) in changes {
                let head = changed(head(4, 520), |it| change(&mut it.covered[index]));
                let expected = format!("00000{}.seg: {STANDS_ON}", index + 1);
                assert_eq!(said(&log().1, &checkpoint(&head)), expected, "another {what}");
                let removed = layout(|it| {
                    it.sealed.drain(..=index);
                    it.manifest.oldest = SegmentId(index as u64 + 2);
                });
                assert!(
                    said(&removed, &checkpoint(&head)).ends_with("| checkpoint to 520"),
                    "{what}, removed"
                );
            }
        }
    }

    #[test]
    fn a_sealed_segment_that_ends_before_the_watermark_or_otherwise_is_refused() {
        let end = head(2, 0).watermark.offset;
        let at_end = format!("frames checkpoint to {end} frames | frames");
        let expected = "000002.seg: the end of the frames, which the checkpoint proves";
        check([
            ("at its end", log().1, head(2, 0), at_end.as_str()),
            ("behind its end", log().1, head(2, end + 8), expected),
            ("far behind its end", log().1, head(2, 1 << 40), expected),
        ]);
        let mut other = head(2, 0);
        other.watermark.chain = Chain(other.watermark.chain.0 ^ 1);
        let expected = "000002.seg: the chain, which the checkpoint proves";
        check([("at its end, with other frames", log().1, other, expected)]);
    }

    #[test]
    fn what_is_found_in_the_directory_is_what_is_decided() {
        let whole = head(4, 520).encode(&[]);
        let flipped = |place: usize| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            bytes
        };
        let mut newer = whole.clone();
        newer[8] = 2;
        let crc = annals_wire::crc(&newer[..28]);
        newer[28..32].copy_from_slice(&crc.to_le_bytes());
        let used = "frames frames frames | checkpoint to 520";
        let rows = [
            ("whole", whole.clone(), true),
            ("empty", Vec::new(), false),
            ("cut", whole[..whole.len() - 1].to_vec(), false),
            ("longer", [whole.as_slice(), &[0]].concat(), false),
            ("a flipped prefix", flipped(12), false),
            ("a flipped head", flipped(40), false),
            ("newer", newer.clone(), false),
        ];
        for (row, bytes, is_used) in rows {
            let (directory, layout) = log();
            directory.create(CHECKPOINT).unwrap().write_all_at(&bytes, 0).unwrap();
            for maps in [false, true] {
                let options = SourceOptions { maps, ..SourceOptions::default() };
                let looked = Sources::look(&*directory, options, true).unwrap();
                let decided = said(&layout, &looked);
                assert!(
                    if is_used {
                        decided == used
                    } else {
                        decided.starts_with(&format!("{FRAMES} ! CHECKPOINT: "))
                    },
                    "{row}: {decided}"
                );
                let off = SourceOptions { checkpoint: false, footers: false, runs: false, maps };
                assert_eq!(
                    said(&layout, &Sources::look(&*directory, off, false).unwrap()),
                    FRAMES,
                    "{row}, off"
                );
                let writing = Sources::look(&*directory, options, false);
                assert_eq!(matches!(writing, Err(Error::Newer { .. })), row == "newer", "{row}, for writing");
            }
        }
    }
}
