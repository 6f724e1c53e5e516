//! The frames' own proof: every hash from its predecessor's, every number from the one before.
//!
//! Invariant: a break is told once; behind it the chain is followed from what is there.

use std::{collections::HashMap, path::Path};

use annals_checkpoint::Fold;
use annals_index::{ActiveIndex, Entry};
use annals_wire::{
    Coordinate, Digest, Event, EventId, Frame, FrameType, Lane, Revision, SegmentHeader, Sequence,
};

use super::{
    Damage,
    link::{Break, Previous, broken_link, broken_time},
};

/// What was seen of the frames so far.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) fold: Fold,
    pub(super) event_count: u64,
    pub(super) control_count: u64,
    pub(super) damage: Vec<Damage>,
    /// The first events of lanes: what they follow lies on another lane, and is compared when all was walked.
    pub(super) forks: Vec<EventId>,
    /// The last revision and hash of each stream.
    heads: HashMap<(Coordinate, Lane), Previous>,
    is_first: bool,
    /// Whether the log begins behind its first segment.
    pub(super) is_cut: bool,
    /// A segment could not be walked: what follows cannot be compared with what came before.
    has_lost_track: bool,
    /// Whether all events of the segment could be indexed.
    is_indexed: bool,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            fold: Fold::default(),
            event_count: 0,
            control_count: 0,
            damage: Vec::new(),
            forks: Vec::new(),
            heads: HashMap::new(),
            is_first: true,
            is_cut: false,
            has_lost_track: false,
            is_indexed: true,
        }
    }

    /// Begins a segment.
    pub(super) fn begin(&mut self, path: &Path, header: &SegmentHeader) {
        self.is_indexed = true;
        if self.is_first {
            self.is_first = false;
            // What came before the oldest segment is gone.
            self.is_cut = header.previous.is_some();
            self.fold = Fold::before(header.id);
            self.fold.mark = header.previous.map(|previous| previous.mark).unwrap_or_default();
        }
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
        if let Some(broken) = broken_time(event, self.fold.recorded) {
            self.broken(path, offset, event.sequence, broken);
        }
        self.check_chain(path, offset, event);
        self.fold.event(&event.stamp);
    }

    fn check_chain(&mut self, path: &Path, offset: u64, event: &Event<'_>) {
        let stream = event.stream;
        let coordinate = Coordinate::new(stream.entity, stream.scope).expect("checked when it was decoded");
        let head = Previous { revision: event.stamp.revision, hash: event.stamp.hash };
        let known = self.heads.insert((coordinate, stream.lane), head);
        if event.fork.is_some_and(|fork| fork.event.is_some()) {
            self.forks.push(event.id);
        }
        let may_be_cut = self.is_cut && event.stamp.revision > Revision(1);
        if known.is_none() && (self.has_lost_track || may_be_cut || event.fork.is_some()) {
            // What came before is damaged or gone, or lies on the lane that this one forks from.
            return;
        }
        let previous = known.unwrap_or(Previous { revision: Revision(0), hash: Digest::NONE });
        if let Some(broken) = broken_link(event, previous, event.payload.digest()) {
            self.broken(path, offset, event.sequence, broken);
        }
    }

    fn damaged(&mut self, path: &Path, offset: u64, what: String) {
        self.damage.push(Damage::new(path.display().to_string(), Some(offset), what, false));
    }

    fn broken(&mut self, path: &Path, offset: u64, sequence: Sequence, broken: Break) {
        self.damage.push(Damage {
            sequence: Some(sequence),
            expected: broken.expected.map(|hash| hash.to_string()),
            found: broken.found.map(|hash| hash.to_string()),
            ..Damage::new(path.display().to_string(), Some(offset), broken.what, false)
        });
    }
}
