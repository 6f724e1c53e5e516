//! Verification: every checksum, hash and chain of a store, and what is derived against what it derives from.
//!
//! Invariant: nothing is changed and nothing repaired. One damaged place does not end it: what can still be
//! checked is.

mod asked;
mod compare;
mod frames;
mod link;
mod runs;

use std::path::Path;

use annals_checkpoint::{FRAME_TYPES, Fold, FoundCheckpoint, RunRange, find_checkpoint};
use annals_index::ActiveIndex;
use annals_segment::{
    CHECKPOINT, Directory, DiskDirectory, Inventory, Layout, Newest, Outside, RunFile, SealedPlace,
    SealedSegment, Tail, find_sequence, live_epoch, read_frontier, segment_name,
};
use annals_wire::{Chain, Digest, EventId, Frontier, SegmentHeader, SegmentId, Sequence, StoreId};
use serde::Serialize;

use crate::{Error, Options, open, seal, sync::Arc};
use compare::{first_difference, is_unfinished};
use frames::Frames;
use runs::Keys;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments that were walked.
    pub segment_count: u64,
    /// Events whose checksums, place, hash and chain were checked.
    pub event_count: u64,
    /// Control records whose checksums and chain were checked.
    pub control_count: u64,
    /// Streams whose chains were followed.
    pub stream_count: u64,
    /// Bytes of segments that were read.
    pub byte_count: u64,
    /// Footers that were compared with one made from the frames, byte for byte.
    pub footer_count: u64,
    /// Index runs that were compared with the keys of their segments.
    pub run_count: u64,
    /// What was compared of the checkpoint.
    pub checkpoint: Option<String>,
    /// What a crash left behind the last whole batch, which the next open for writing cuts off: no damage.
    pub torn: Option<String>,
    /// What is damaged.
    pub damage: Vec<Damage>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
}

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where in the file, where that is known.
    pub offset: Option<u64>,
    /// The event, where it is that of one.
    pub sequence: Option<Sequence>,
    /// What is wrong.
    pub what: String,
    /// What is stored, or what other files prove: a hash, a checksum, a place.
    pub expected: Option<String>,
    /// The same of what is there.
    pub found: Option<String>,
    /// Whether the file is derived from others, so that the store builds it again and loses nothing.
    pub is_derived: bool,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Bytes of segments that were walked.
    pub done_bytes: u64,
    /// Bytes of all segments; 0 where only a stream or a range is verified.
    pub total_bytes: u64,
    /// Events of the stream or range that were checked; 0 where the whole store is.
    pub done_events: u64,
    /// All events of the stream or range.
    pub total_events: u64,
}

impl Damage {
    fn new(file: String, offset: Option<u64>, what: String, is_derived: bool) -> Self {
        Self { file, offset, sequence: None, what, expected: None, found: None, is_derived }
    }
}

impl VerifyReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    /// Notes that something is damaged: the event with `sequence`, where that is known.
    fn damaged(&mut self, error: &annals_segment::Error, sequence: Option<Sequence>) {
        use annals_segment::Error as Log;
        let (file, offset) = match error {
            Log::Corrupt { path, offset, .. } | Log::Mismatch { path, offset, .. } => (path, Some(*offset)),
            Log::Lost { path, end, .. } => (path, Some(*end)),
            Log::MissingSegment { path, .. }
            | Log::Misplaced { path, .. }
            | Log::ManifestLost { path, .. } => (path, None),
            _ => return,
        };
        let file = file.display().to_string();
        let (expected, found) = match error {
            Log::Mismatch { expected, found, .. } => (Some(expected.clone()), Some(found.clone())),
            Log::Corrupt { source: annals_wire::Error::Checksum { expected, found, .. }, .. } => {
                (Some(format!("{expected:08x}")), Some(format!("{found:08x}")))
            }
            _ => (None, None),
        };
        let damage = Damage::new(file, offset, error.to_string(), false);
        self.damage.push(Damage { sequence, expected, found, ..damage });
    }

    /// Notes that something is damaged, if that was not noted before.
    fn damaged_once(&mut self, error: &annals_segment::Error) {
        let what = error.to_string();
        if !self.damage.iter().any(|known| known.what == what) {
            self.damaged(error, None);
        }
    }

    /// Takes in what was found of a segment's derived parts.
    fn take(&mut self, found: Self) {
        self.footer_count += found.footer_count;
        self.checkpoint = self.checkpoint.take().or(found.checkpoint);
        self.torn = self.torn.take().or(found.torn);
        self.notes.extend(found.notes);
        self.damage.extend(found.damage);
    }

    fn damaged_derived(&mut self, file: String, offset: Option<u64>, what: String) {
        self.damage.push(Damage::new(file, offset, what, true));
    }
}

/// Verifies the store in the directory `path`, which may be open elsewhere, also for writing: then as far as its
/// writer lets others read. `progress` is told how far it is.
///
/// ```
/// # use annals::*;
/// # fn main() -> Result<(), Error> {
/// # let place = tempfile::tempdir().expect("a directory");
/// Store::open(place.path())?.close()?;
/// let report = verify(place.path(), &mut |progress| println!("{}", progress.done_bytes))?;
/// assert!(report.is_sound());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NotFound`], [`Error::NewerVersion`], or [`Error::Environment`] where something cannot be read.
/// Damage is no error: it is in the report.
pub fn verify(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let path = path.as_ref();
    let directory = DiskDirectory::open(path).map_err(|error| open::directory_error(path, error))?;
    verify_on(directory, progress)
}

/// Verifies the store in `directory`, whatever it is made of.
///
/// # Errors
/// As [`verify`].
pub fn verify_on(
    directory: impl Directory + 'static,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let directory: Arc<dyn Directory> = Arc::new(directory);
    verify_in(&directory, progress)
}

fn verify_in(
    directory: &Arc<dyn Directory>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let mut attempt = 0;
    loop {
        let epoch = live_epoch(&**directory)?;
        let outcome = verify_once(directory, epoch, progress);
        let may_be_a_race = epoch.is_some() || live_epoch(&**directory)? != epoch;
        let is_sound = outcome.as_ref().is_ok_and(VerifyReport::is_sound);
        if is_sound || !may_be_a_race || attempt == ATTEMPTS {
            return outcome;
        }
        // The writer was in the middle of something: a rotation, a footer, a checkpoint.
        attempt += 1;
    }
}

/// Beside a writer, what looks like damage is looked at this often.
const ATTEMPTS: usize = 5;

fn verify_once(
    directory: &Arc<dyn Directory>,
    epoch: Option<u64>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let mut report = VerifyReport::default();
    let frontier = match epoch {
        Some(epoch) => read_frontier(&**directory, epoch)?,
        None => None,
    };
    let upto = frontier.map(|frontier| frontier.segment);
    let mut run_files = Vec::new();
    let layout = Inventory::take(&**directory).and_then(|inventory| {
        run_files.clone_from(&inventory.runs);
        report.notes.extend(
            inventory.torn.iter().map(|name| format!("{name} holds bytes that an earlier recovery cut off")),
        );
        if inventory.foreign_count > 0 {
            report.notes.push(format!("{} files are nothing of the store's", inventory.foreign_count));
        }
        Layout::decide(&inventory, directory.path(), upto)
    });
    let layout = match layout {
        Ok(layout) => layout,
        Err(error) if error.is_damage() => {
            report.damaged(&error, None);
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    report.notes.extend(layout.oddities.iter().cloned());
    let checkpoint = look_at_checkpoint(&**directory, &mut report)?;
    let total_bytes = layout.sealed.iter().map(|place| place.end).sum::<u64>()
        + layout.newest.as_ref().map_or(0, |newest| newest.len);
    let mut show = |done_bytes| {
        progress(VerifyProgress { done_bytes, total_bytes, done_events: 0, total_events: 0 });
    };
    let walk =
        Walk { directory, layout: &layout, checkpoint: checkpoint.as_ref(), runs: &run_files, frontier };
    walk.run(&mut report, &mut show)?;
    Ok(report)
}

fn look_at_checkpoint(
    directory: &dyn Directory,
    report: &mut VerifyReport,
) -> Result<Option<FoundCheckpoint>, Error> {
    match find_checkpoint(directory)? {
        Some(Ok(found)) => Ok(Some(found)),
        Some(Err(why)) => {
            let file = directory.path().join(CHECKPOINT).display().to_string();
            report.damaged_derived(file, None, why);
            Ok(None)
        }
        None => Ok(None),
    }
}

/// A walk over all segments.
struct Walk<'a> {
    directory: &'a Arc<dyn Directory>,
    layout: &'a Layout,
    checkpoint: Option<&'a FoundCheckpoint>,
    runs: &'a [RunFile],
    frontier: Option<Frontier>,
}

impl Walk<'_> {
    fn run(&self, report: &mut VerifyReport, show: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let mut frames = Frames::new();
        let mut keys = Keys::default();
        self.walk_sealed(&mut frames, &mut keys, report, show)?;
        self.compare_runs(&keys, report)?;
        if let Some(newest) = &self.layout.newest {
            self.newest(newest, &mut frames, report, show)?;
        }
        self.compare_head(report);
        report.event_count = frames.event_count;
        report.control_count = frames.control_count;
        report.stream_count = frames.stream_count();
        report.damage.append(&mut frames.damage);
        self.compare_forks(&frames.forks, report)
    }

    /// Compares the first event of each lane with the one that it forks from, wherever that lies. Where the log is
    /// damaged, it cannot be asked, and what is told already is why.
    fn compare_forks(&self, forks: &[EventId], report: &mut VerifyReport) -> Result<(), Error> {
        if forks.is_empty() || !report.is_sound() {
            return Ok(());
        }
        let store = open::open_read_only(&Options::new(), self.directory)?;
        for id in forks {
            let of_event = store.verify_event(*id)?;
            report.damage.extend(of_event.damage);
            report.notes.extend(of_event.notes);
        }
        Ok(())
    }

    /// Compares the runs over segments that were walked with their keys.
    fn compare_runs(&self, keys: &Keys, report: &mut VerifyReport) -> Result<(), Error> {
        for file in self.runs {
            let range = RunRange { first: file.first, last: file.last };
            if !keys.cover(range) {
                let why = "covers segments that are not there, or damaged, and was not compared";
                report.notes.push(format!("{} {why}", runs::name(file)));
                continue;
            }
            report.run_count += 1;
            if let Some(why) = keys.difference(&**self.directory, file)? {
                let path = self.directory.path().join(runs::name(file)).display().to_string();
                report.damaged_derived(
                    path,
                    None,
                    format!("{why}; it is made again while the store is written"),
                );
            }
        }
        Ok(())
    }

    /// Compares what the checkpoint's head says of the segments with the log.
    fn compare_head(&self, report: &mut VerifyReport) {
        let Some(found) = self.checkpoint else { return };
        let path = self.directory.path();
        if let Err(error) = annals_checkpoint::Plan::check_checkpoint(&found.head, self.layout, path) {
            report.damaged(&error, None);
        } else if report.checkpoint.is_none() {
            report.checkpoint = Some("older than the log, or another store's, and not used".to_owned());
        }
    }

    /// Walks the sealed segments, and while the next one is walked compares what is derived from the one before.
    fn walk_sealed(
        &self,
        frames: &mut Frames,
        keys: &mut Keys,
        report: &mut VerifyReport,
        show: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let mut walked: Option<WalkedSegment> = None;
        for place in self.layout.sealed.iter().map(Some).chain([None]) {
            let (before, mut compared) = (walked.take(), Ok(VerifyReport::default()));
            rayon::in_place_scope(|scope| {
                if let Some(before) = &before {
                    scope.spawn(|_| compared = self.compare_derived(before, keys));
                }
                walked = place.map_or(Ok(None), |place| self.sealed(place, frames, report, show))?;
                Ok::<(), Error>(())
            })?;
            report.take(compared?);
        }
        Ok(())
    }

    /// Compares what is derived from a segment with its frames.
    fn compare_derived(&self, walked: &WalkedSegment, keys: &mut Keys) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        keys.note(walked.segment.place(), &walked.index);
        self.footer(&walked.segment, &walked.index, &mut report)?;
        self.compare_checkpoint(&walked.prefix, &mut report)?;
        Ok(report)
    }

    /// Walks one segment; `None` where it is damaged, and nothing can be compared with it.
    fn sealed(
        &self,
        place: &SealedPlace,
        frames: &mut Frames,
        report: &mut VerifyReport,
        show: &mut dyn FnMut(u64),
    ) -> Result<Option<WalkedSegment>, Error> {
        let segment = SealedSegment::new(Arc::clone(self.directory), *place, false);
        let mut index = ActiveIndex::new(place.first_sequence);
        let start = report.byte_count;
        report.byte_count += place.end;
        report.segment_count += 1;
        let mut prefix = Prefix::new(self.watermark(place.store, place.id), *place);
        let walked = segment.header().and_then(|header| {
            frames.begin(segment.path(), &header);
            segment.scan(FRAME_TYPES, &mut |offset, frame| {
                show(start + offset);
                prefix.reach(offset, &index, frames);
                frames.check(&mut index, segment.path(), offset, frame);
                prefix.chain = prefix.chain.then(frame.header.header_crc);
                Ok(())
            })
        });
        match walked {
            Ok(_) if frames.is_indexed() => {
                prefix.reach(place.end, &index, frames);
                Ok(Some(WalkedSegment { segment, index, prefix }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.is_damage() => {
                let header = segment.header().ok();
                report.damaged(&error, header.and_then(|header| self.find_sequence(&header, &error)));
                frames.lose_track();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Compares a footer with the one that its frames give.
    fn footer(
        &self,
        segment: &SealedSegment,
        index: &ActiveIndex,
        report: &mut VerifyReport,
    ) -> Result<(), Error> {
        let expected = seal::encode(index, segment.place(), segment.digest()?);
        let found = segment.behind()?;
        if found.iter().all(|byte| *byte == 0) {
            report.notes.push(format!("{} has no footer yet", segment.path().display()));
            return Ok(());
        }
        if is_unfinished(&expected, &found, segment.place().end) {
            let path = segment.path().display();
            let what = "has a footer that was not finished; the next open for writing builds it again";
            report.notes.push(format!("{path} {what}"));
            return Ok(());
        }
        report.footer_count += 1;
        if let Some(place) = first_difference(&expected, &found) {
            let what =
                "the footer is not the one that its frames give; the next open for writing builds it again";
            report.damaged_derived(
                segment.path().display().to_string(),
                Some(segment.place().end + place),
                what.to_owned(),
            );
        }
        Ok(())
    }

    fn newest(
        &self,
        newest: &Newest,
        frames: &mut Frames,
        report: &mut VerifyReport,
        show: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let header = &newest.header;
        let name = segment_name(header.id, header.generation);
        let path = self.directory.path().join(&name);
        let start = report.byte_count;
        report.byte_count += newest.len;
        report.segment_count += 1;
        let watermark = self.watermark(header.store, header.id);
        let outside = Outside {
            start: None,
            checkpoint_end: watermark.unwrap_or_default(),
            frontier_end: self
                .frontier
                .filter(|frontier| frontier.segment == header.id)
                .map(|found| found.end),
        };
        let mut index = ActiveIndex::new(header.first_sequence);
        let place = SealedPlace {
            store: header.store,
            id: header.id,
            generation: header.generation,
            first_sequence: header.first_sequence,
            end: newest.len,
            chain: Chain::default(),
        };
        let mut prefix = Prefix::new(watermark, place);
        frames.begin(&path, header);
        let walked = Tail::walk(&**self.directory, newest, outside, FRAME_TYPES, &mut |offset, frame| {
            show(start + offset);
            prefix.reach(offset, &index, frames);
            frames.check(&mut index, &path, offset, frame);
            prefix.chain = prefix.chain.then(frame.header.header_crc);
            Ok(())
        });
        match walked {
            Ok(tail) => {
                prefix.reach(tail.position.offset, &index, frames);
                report.torn = tail.torn.map(|torn| {
                    format!("{name} ends in {} torn bytes at offset {}: {}", torn.len, torn.offset, torn.why)
                });
                if frames.is_indexed() {
                    self.compare_checkpoint(&prefix, report)?;
                }
                Ok(())
            }
            Err(error) if error.is_damage() => {
                report.damaged(&error, self.find_sequence(header, &error));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The sequence of the event that is damaged, where its frame still says it.
    fn find_sequence(&self, header: &SegmentHeader, error: &annals_segment::Error) -> Option<Sequence> {
        let annals_segment::Error::Corrupt { offset, .. } = error else { return None };
        find_sequence(&**self.directory, header, *offset)
    }

    /// Where the checkpoint's watermark lies in the segment `id`, if it is that segment's.
    fn watermark(&self, store: StoreId, id: SegmentId) -> Option<u64> {
        let head = self.checkpoint.map(|found| &found.head);
        let own = head.filter(|head| head.store == store && head.watermark.segment == id);
        own.map(|head| head.watermark.offset)
    }

    /// Compares the checkpoint with what the frames up to its watermark give, in the segment where that lies.
    fn compare_checkpoint(&self, prefix: &Prefix, report: &mut VerifyReport) -> Result<(), Error> {
        let Some(found) = self.checkpoint.filter(|_| prefix.offset.is_some()) else { return Ok(()) };
        let watermark = &found.head.watermark;
        let Some(reached) = &prefix.reached else {
            // The log went another way since, or these are other frames than those that the checkpoint saw.
            let name = segment_name(watermark.segment, watermark.generation);
            let (path, offset) = (self.directory.path().join(name), watermark.offset);
            let (expected, found) = ("the end of a frame".to_owned(), "within one".to_owned());
            let what = "the place where the checkpoint ends";
            let error = annals_segment::Error::Mismatch { path, offset, what, expected, found };
            report.damaged(&error, None);
            return Ok(());
        };
        let file = self.directory.path().join(CHECKPOINT).display().to_string();
        let tables_start = found.tables_offset;
        let tables = found.tables(false)?;
        if let Some(place) = first_difference(&reached.tables, tables.read_all()?) {
            let what =
                "the tables are not those that the frames give; the next open does without them".to_owned();
            report.damaged_derived(file.clone(), Some(tables_start + place), what);
        }
        let told = Fold::of(&found.head);
        let mut told = if reached.is_cut { told.seen_behind_a_cut(&reached.fold) } else { told };
        told.recorded = reached.fold.recorded;
        if told != reached.fold || watermark.chain != reached.chain {
            let what = "the head is not what the frames give: names, hidden events, consumers, chain, or the \
                        last event's hash";
            let what = what.to_owned();
            report.damaged_derived(file, Some(0), what);
        }
        report.checkpoint = Some(format!(
            "head and tables, up to sequence {} at offset {} of {}",
            watermark.sequence,
            watermark.offset,
            segment_name(watermark.segment, watermark.generation)
        ));
        Ok(())
    }
}

/// A sealed segment whose frames are sound.
struct WalkedSegment {
    segment: SealedSegment,
    index: ActiveIndex,
    prefix: Prefix,
}

/// What the frames give up to a checkpoint's watermark.
struct Prefix {
    offset: Option<u64>,
    place: SealedPlace,
    chain: Chain,
    reached: Option<Reached>,
}

struct Reached {
    tables: Vec<u8>,
    fold: Fold,
    chain: Chain,
    /// Whether the log's beginning is gone.
    is_cut: bool,
}

impl Prefix {
    fn new(offset: Option<u64>, place: SealedPlace) -> Self {
        Self { offset, place, chain: Chain::default(), reached: None }
    }

    /// Keeps what the frames gave when the walk reaches the watermark.
    fn reach(&mut self, offset: u64, index: &ActiveIndex, frames: &Frames) {
        if self.reached.is_some() || self.offset != Some(offset) {
            return;
        }
        let place = SealedPlace { end: offset, chain: self.chain, ..self.place };
        let tables = seal::encode(index, &place, Digest::NONE);
        self.reached =
            Some(Reached { tables, fold: frames.fold.clone(), chain: self.chain, is_cut: frames.is_cut });
    }
}
