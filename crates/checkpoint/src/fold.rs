//! From control records to what the store keeps beside the index: the one place where they are replayed.
//!
//! Invariant: what a frame adds does not depend on the source that led to it.

use std::{collections::BTreeMap, path::Path};

use annals_index::Hidden;
use annals_segment::Error;
use annals_wire::{
    Batch, CheckpointHead, Consumer, ConsumerMove, ConsumerName, Control, ControlStamp, Digest, EventStamp,
    Frame, FrameType, Kind, Recorded, SegmentId,
};

/// The frame types of a store.
pub const FRAME_TYPES: &[FrameType] = &[FrameType::EVENT, FrameType::CONTROL];

/// Where the consumers are whose positions are in the log.
pub type ConsumerMoves = BTreeMap<(Consumer, ConsumerName), ConsumerMove>;

/// What the store keeps beside the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fold {
    /// The names of kinds.
    pub kind_names: BTreeMap<Kind, String>,
    /// The events that no read shows.
    pub hidden: Hidden,
    /// The last move of each consumer.
    pub moves: ConsumerMoves,
    /// The hash of the last control record.
    pub control: Digest,
    /// The hash of the last event.
    pub mark: Digest,
    /// The clock at the last frame.
    pub recorded: Recorded,
    /// Whether the log's beginning is gone, and with it the control record that the next one follows.
    pub is_cut: bool,
}

impl Fold {
    /// What a checkpoint with this head holds.
    #[must_use]
    pub fn of(head: &CheckpointHead) -> Self {
        let moves = head.moves.iter().map(|moved| ((moved.consumer, moved.name.clone()), moved.clone()));
        Self {
            kind_names: head.kind_names.iter().cloned().collect(),
            hidden: head.hidden.clone().into(),
            moves: moves.collect(),
            control: head.control,
            mark: head.watermark.mark,
            recorded: head.watermark.recorded,
            is_cut: false,
        }
    }

    /// The same as far as a log can tell that lost its beginning, which gives `seen`: what that has from no frame is
    /// left out, and of two things that contradict each other both are kept.
    #[must_use]
    pub fn seen_behind_a_cut(mut self, seen: &Self) -> Self {
        self.kind_names.retain(|kind, _| seen.kind_names.contains_key(kind));
        self.moves.retain(|consumer, _| seen.moves.contains_key(consumer));
        if seen.hidden.ranges().iter().all(|range| self.hidden.contains_all(*range)) {
            self.hidden = seen.hidden.clone();
        }
        if seen.is_cut {
            (self.control, self.is_cut) = (seen.control, true);
        }
        self
    }

    /// What is known before the first frame of a log whose oldest segment is `oldest`.
    #[must_use]
    pub fn before(oldest: SegmentId) -> Self {
        Self { is_cut: oldest > SegmentId(1), ..Self::default() }
    }

    /// Takes in an event's stamp.
    pub fn event(&mut self, stamp: &EventStamp) {
        self.mark = stamp.hash;
        self.recorded = self.recorded.max(stamp.recorded);
    }

    /// Takes in the control record of `frame`, which lies at `offset` of the file `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is none, or [`Error::Mismatch`] where it does not follow from the one
    /// before or gives a kind a second name.
    pub fn control(&mut self, frame: &Frame<'_>, path: &Path, offset: u64) -> Result<(), Error> {
        self.found(&FoundControl::decode(frame, path, offset)?, path)
    }

    /// The same for one that was decoded.
    pub(crate) fn found(&mut self, found: &FoundControl, path: &Path) -> Result<(), Error> {
        let FoundControl { offset, stamp, control, batch, body } = found;
        let mismatch = |what, expected: String, found: String| {
            Err(Error::Mismatch { path: path.to_owned(), offset: *offset, what, expected, found })
        };
        let expected = stamp.expected_hash(*batch, self.control, body);
        if expected != stamp.hash && !self.is_cut {
            return mismatch("the hash of a control record", expected.to_string(), stamp.hash.to_string());
        }
        self.control = stamp.hash;
        self.is_cut = false;
        self.recorded = self.recorded.max(stamp.recorded);
        match control {
            Control::KindName(binding) => {
                let name = binding.name().to_owned();
                let known = self.kind_names.entry(binding.kind()).or_insert_with(|| name.clone());
                if *known != name {
                    return mismatch("the name of a kind", known.clone(), name);
                }
            }
            Control::Hidden(range) => self.hidden.insert(*range),
            Control::ConsumerMove(moved) => {
                if let Some(known) = self.moves.get(&(moved.consumer, moved.name.clone()))
                    && known.number >= moved.number
                {
                    let expected = format!("more than {}", known.number);
                    return mismatch("the number of a consumer's move", expected, moved.number.to_string());
                }
                note_move(&mut self.moves, moved);
            }
            _ => return mismatch("a control record", "one that is known".to_owned(), format!("{control:?}")),
        }
        Ok(())
    }
}

/// Takes `moved` for the place where its consumer is.
pub fn note_move(moves: &mut ConsumerMoves, moved: &ConsumerMove) {
    let key = (moved.consumer, moved.name.clone());
    if moved.is_deleted {
        moves.retain(|known, _| *known != key);
    } else {
        moves.insert(key, moved.clone());
    }
}

/// A control record, before it is known what it follows.
#[derive(Debug)]
pub(crate) struct FoundControl {
    offset: u64,
    stamp: ControlStamp,
    control: Control,
    batch: Batch,
    body: Vec<u8>,
}

impl FoundControl {
    /// The control record of `frame`, which lies at `offset` of the file `path`.
    pub(crate) fn decode(frame: &Frame<'_>, path: &Path, offset: u64) -> Result<Self, Error> {
        let (stamp, control) = Control::decode(frame).map_err(Error::bytes(path, offset))?;
        Ok(Self { offset, stamp, control, batch: frame.header.batch, body: frame.body.to_vec() })
    }
}
