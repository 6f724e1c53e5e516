//! What an open would do, without doing it.
//!
//! Invariant: the same inventory and the same plan as an open has; nothing is changed, no lock is taken, and no frame
//! is walked but those behind the checkpoint.

use std::path::Path;

use annals_checkpoint::{FRAME_TYPES, OpenReport, Rejected, SegmentSource, TailSource};
use annals_segment::{
    Directory, DiskDirectory, Inventory, Outside, Position, SealedPlace, Tail, TornTail, live_epoch,
    read_frontier, segment_name,
};
use annals_wire::{Sequence, StoreId};
use serde::Serialize;

use crate::{
    Error, Options,
    open::{ATTEMPTS, Found, directory_error},
    sync::Arc,
};

/// What an open would find and do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The store.
    pub store: StoreId,
    /// Whether another process is writing it, so that it can only be opened for reading.
    pub has_live_writer: bool,
    /// Whether it was closed cleanly, and nothing appended since.
    pub is_clean: bool,
    /// Its segments, oldest first.
    pub segments: Vec<InspectedSegment>,
    /// The sequence of the last event that would be read.
    pub last_sequence: Sequence,
    /// From where to where of the newest segment frames would be walked.
    pub tail: Option<(u64, u64)>,
    /// What would be cut off the newest segment.
    pub cut: Option<TornTail>,
    /// From where to where of it bytes would be written again, because nothing proves them durable.
    pub rewritten: Option<(u64, u64)>,
    /// Files of unfinished work that would be removed.
    pub removed: Vec<String>,
    /// Segments whose footer would be built again from their frames.
    pub rebuilt: Vec<String>,
    /// Derived files that would not be used, and why.
    pub rejected: Vec<Rejected>,
    /// What a sound store does not have.
    pub oddities: Vec<String>,
    /// Files of bytes that earlier recoveries cut off.
    pub torn_files: Vec<String>,
    /// How many files are nothing of the store's.
    pub foreign_count: u64,
}

/// A segment, and where its index would come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InspectedSegment {
    /// Its file.
    pub file: String,
    /// The file's length in bytes.
    pub len: u64,
    /// The sequence of its first event.
    pub first_sequence: Sequence,
    /// How many events it has.
    pub event_count: u64,
    /// Where its index would come from: `footer`, `frames`, or `checkpoint and frames`.
    pub source: &'static str,
    /// Whether the checkpoint vouches for it, so that an open does not touch it.
    pub is_vouched: bool,
}

/// Says what an open of the store in the directory `path` would do. Nothing is changed, and no lock is taken.
///
/// ```
/// # use annals::*;
/// # fn main() -> Result<(), Error> {
/// # let place = tempfile::tempdir().expect("a directory");
/// Store::open(place.path())?.close()?;
/// assert!(inspect(place.path())?.is_clean);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What opening it would be refused with.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, Error> {
    let path = path.as_ref();
    let directory = DiskDirectory::open(path).map_err(|error| directory_error(path, error))?;
    inspect_on(directory)
}

/// Says what an open of the store in `directory` would do, whatever that is made of.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_on(directory: impl Directory + 'static) -> Result<Inspection, Error> {
    let directory: Arc<dyn Directory> = Arc::new(directory);
    let mut attempt = 0;
    loop {
        let epoch = live_epoch(&*directory)?;
        let outcome = inspect_once(&directory, epoch);
        let may_be_a_race = epoch.is_some() || live_epoch(&*directory)? != epoch;
        if outcome.is_ok() || !may_be_a_race || attempt == ATTEMPTS {
            return outcome;
        }
        attempt += 1;
    }
}

fn inspect_once(directory: &Arc<dyn Directory>, epoch: Option<u64>) -> Result<Inspection, Error> {
    let options = Options::new();
    let frontier = match epoch {
        Some(epoch) => read_frontier(&**directory, epoch)?,
        None => None,
    };
    let inventory = Inventory::list(&**directory)?;
    let mut inspection = Inspection {
        has_live_writer: epoch.is_some(),
        torn_files: inventory.torn.clone(),
        foreign_count: inventory.foreign_count,
        ..Inspection::default()
    };
    let mut report = OpenReport::default();
    report.is_read_only = epoch.is_some();
    let upto = frontier.map(|frontier| frontier.segment);
    let files = options.open_files(directory);
    let found = Found::look(directory, &files, inventory, &options, upto, &mut report)?;
    inspection.store = report.store;
    inspection.oddities = report.oddities;
    inspection.rejected.clone_from(&found.plan.rejected);
    inspection.sealed(&found);
    let end = found.layout.newest.as_ref().and_then(|newest| {
        frontier.filter(|frontier| frontier.segment == newest.header.id).map(|frontier| frontier.end)
    });
    inspection.newest(&**directory, &found, end)?;
    Ok(inspection)
}

impl Inspection {
    fn sealed(&mut self, found: &Found) {
        let newest = found.layout.newest.as_ref().map(|newest| newest.header.first_sequence);
        let behind = found.layout.sealed.iter().skip(1).map(|place| place.first_sequence).chain(newest);
        for ((place, source), behind) in found.plan.segments.iter().zip(behind) {
            let segment = InspectedSegment::sealed(found, place, *source, behind);
            if *source != SegmentSource::Footer {
                self.rebuilt.push(segment.file.clone());
            }
            self.segments.push(segment);
        }
    }

    /// Walks the newest segment as an open does, and says what it would make of its end.
    fn newest(
        &mut self,
        directory: &dyn Directory,
        found: &Found,
        frontier_end: Option<u64>,
    ) -> Result<(), Error> {
        self.removed.clone_from(&found.layout.discard);
        let Some(newest) = &found.layout.newest else { return Ok(()) };
        let (start, source) = match found.plan.tail {
            TailSource::Checkpoint(watermark) => {
                let next_sequence = Sequence(watermark.sequence.0.saturating_add(1));
                let start = Position { offset: watermark.offset, chain: watermark.chain, next_sequence };
                (Some(start), "checkpoint and frames")
            }
            _ => (None, "frames"),
        };
        let checkpoint_end = start.map_or(0, |start| start.offset);
        let outside = Outside { start, checkpoint_end, frontier_end };
        let tail = Tail::walk(directory, newest, outside, FRAME_TYPES, &mut |_, _| Ok(()))?;
        let (header, position) = (&newest.header, tail.position);
        self.segments.push(InspectedSegment {
            file: segment_name(header.id, header.generation),
            len: newest.len,
            first_sequence: header.first_sequence,
            event_count: position.next_sequence.0.saturating_sub(header.first_sequence.0),
            source,
            is_vouched: false,
        });
        self.last_sequence = Sequence(position.next_sequence.0.saturating_sub(1));
        let from = start.map_or(annals_wire::SEGMENT_HEADER_LEN as u64, |start| start.offset);
        self.tail = Some((from, position.offset));
        self.is_clean = newest.clean.is_some();
        if !self.is_clean && !self.has_live_writer {
            self.rewritten = Some((tail.proven, position.offset)).filter(|(proven, end)| proven < end);
            self.cut = tail.torn;
        }
        Ok(())
    }
}

impl InspectedSegment {
    fn sealed(found: &Found, place: &SealedPlace, source: SegmentSource, behind: Sequence) -> Self {
        let source = match source {
            SegmentSource::Footer => "footer",
            SegmentSource::Checkpoint(_) => "checkpoint and frames",
            _ => "frames",
        };
        let file = found.inventory.segments.get(&place.id);
        Self {
            file: segment_name(place.id, place.generation),
            len: file.map_or(0, |file| file.len),
            first_sequence: place.first_sequence,
            event_count: behind.0.saturating_sub(place.first_sequence.0),
            source,
            is_vouched: file.is_some_and(|file| file.header.is_none()),
        }
    }
}
