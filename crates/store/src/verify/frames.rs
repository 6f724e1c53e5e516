//! The frames' own proof: every hash from its predecessor's, every number from the one before.
//!
//! Invariant: a break is told once; behind it the chain is followed from what is there.

use std::{collections::HashMap, path::Path};

use annals_checkpoint::Fold;
use annals_index::{ActiveIndex, Entry};
use annals_wire::{Coordinate, Digest, Event, Frame, FrameType, Lane, Revision, SegmentHeader};

use super::Damage;

/// What was seen of the frames so far.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) fold: Fold,
    pub(super) event_count: u64,
    pub(super) control_count: u64,
    pub(super) damage: Vec<Damage>,
    /// The last revision and hash of each stream.
    heads: HashMap<(Coordinate, Lane), (Revision, Digest)>,
    /// A segment could not be walked: what follows cannot be compared with what came before.
    has_lost_track: bool,
    /// Whether all events of the segment could be indexed.
    is_indexed: bool,
}

impl Frames {
    /// Begins a segment.
    pub(super) fn begin(&mut self, path: &Path, header: &SegmentHeader) {
        self.is_indexed = true;
        let mark = header.previous.map(|previous| previous.mark).unwrap_or_default();
        if !self.has_lost_track && mark != self.fold.mark {
            self.damaged(
                path,
                96,
                format!("the last event before it has the hash {}, its header says {mark}", self.fold.mark),
            );
        }
        self.fold.mark = mark;
        self.fold.recorded = self.fold.recorded.max(header.recorded);
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.is_indexed
    }

    /// A segment could not be walked to its end.
    pub(super) fn lose_track(&mut self) {
        self.has_lost_track = true;
        self.heads.clear();
    }

    pub(super) fn stream_count(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Checks one frame and puts it into `index`.
    pub(super) fn check(&mut self, index: &mut ActiveIndex, path: &Path, offset: u64, frame: &Frame<'_>) {
        let place = u32::try_from(offset).expect("segments are under 4 GiB");
        if frame.header.frame_type == FrameType::CONTROL {
            self.control_count += 1;
            index.insert_control(place);
            if let Err(error) = self.fold.control(frame, path, offset)
                && !self.has_lost_track
            {
                self.damaged(path, offset, error.to_string());
            }
            return;
        }
        match Event::decode(frame) {
            Ok(event) => self.check_event(index, path, place, &event),
            Err(error) => {
                self.is_indexed = false;
                self.damaged(path, offset, error.to_string());
            }
        }
    }

    fn check_event(&mut self, index: &mut ActiveIndex, path: &Path, place: u32, event: &Event<'_>) {
        self.event_count += 1;
        let offset = u64::from(place);
        let entry = Entry::of(event, place);
        if index.accepts(&entry) {
            index.insert(&entry, event.tags.iter());
        } else {
            self.is_indexed = false;
            self.damaged(
                path,
                offset,
                format!(
                    "event {} has an id that was given before, or a revision that does not follow",
                    event.id
                ),
            );
        }
        if event.stamp.recorded < self.fold.recorded {
            let (recorded, before) = (event.stamp.recorded, self.fold.recorded);
            self.damaged(
                path,
                offset,
                format!("event {} was recorded at {recorded}, before {before}", event.id),
            );
        }
        self.check_chain(path, offset, event);
        self.fold.event(&event.stamp);
    }

    fn check_chain(&mut self, path: &Path, offset: u64, event: &Event<'_>) {
        let stream = event.stream;
        let coordinate = Coordinate::new(stream.entity, stream.scope).expect("checked when it was decoded");
        let known = self.heads.insert((coordinate, stream.lane), (event.stamp.revision, event.stamp.hash));
        if known.is_none() && (self.has_lost_track || event.fork.is_some()) {
            // What came before is damaged, or lies on the lane that this one forks from.
            return;
        }
        let (revision, previous) = known.unwrap_or((Revision(0), Digest::NONE));
        if revision.next() != Some(event.stamp.revision) {
            let found = event.stamp.revision;
            self.damaged(path, offset, format!("event {} has revision {found} behind {revision}", event.id));
        } else if event.expected_hash(previous) != event.stamp.hash {
            let what = format!(
                "event {} has a hash that does not follow from it and the history before it",
                event.id
            );
            self.damaged(path, offset, what);
        }
    }

    fn damaged(&mut self, path: &Path, offset: u64, what: String) {
        let file = path.display().to_string();
        self.damage.push(Damage { file, offset: Some(offset), what, is_derived: false });
    }
}
