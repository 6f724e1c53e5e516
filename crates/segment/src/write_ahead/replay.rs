//! Reading records: from a position, segment by segment, to what is durable.
//!
//! Invariant: no record is left out. A position is believed when the segment's chain says that it lies where it
//! says; between two segments no number is missing.

use annals_wire::{Chain, Frame, FrameType, LogPosition, SEGMENT_HEADER_LEN, Sequence};

use super::{FRAME_TYPES, WriteAheadLog};
use crate::{Directory, Error, Position, Scan, SealedPlace, sealed::open_segment, segment_name};

/// What a replay shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replayed<'a> {
    /// A record.
    Record {
        /// Its number.
        sequence: Sequence,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// What the log's owner wrote about the log.
    Mark(&'a [u8]),
}

/// A segment as far as it is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The segment, up to where it is read.
    pub(super) place: SealedPlace,
    /// Whether the chain at that end is known.
    pub(super) is_chain_known: bool,
}

impl WriteAheadLog {
    /// Shows `visit` everything durable behind `from`, in order; returns the position behind it. `from` is
    /// [`WriteAheadLog::start`], or a position that this log has returned.
    ///
    /// # Errors
    /// [`Error::NotHeld`] where what follows `from` was dropped, or was never durable; [`Error::Mismatch`] where
    /// `from` is of another history; [`Error::Corrupt`] and [`Error::Io`] where a segment cannot be read; and
    /// whatever `visit` returns, which ends the replay.
    pub fn replay<E: From<Error>>(
        &self,
        from: &LogPosition,
        mut visit: impl FnMut(Replayed<'_>) -> Result<(), E>,
    ) -> Result<LogPosition, E> {
        let directory = &**self.log.directory();
        let stretches = self.stretches();
        self.check_durable(from)?;
        let from = enter(directory, &stretches, *from)?;
        read(directory, &stretches, from, &mut visit)
    }

    /// Makes sure that `position` is one of this log, and that the log still holds everything behind it.
    ///
    /// # Errors
    /// As [`WriteAheadLog::replay`].
    pub fn check_position(&self, position: &LogPosition) -> Result<(), Error> {
        self.check_durable(position)?;
        enter(&**self.log.directory(), &self.stretches(), *position).map(drop)
    }

    fn check_durable(&self, position: &LogPosition) -> Result<(), Error> {
        if (position.segment, position.offset) <= (self.durable.segment, self.durable.offset) {
            return Ok(());
        }
        let asked = Sequence(position.sequence.0.saturating_add(1));
        Err(Error::NotHeld { asked, first: self.first(), last: self.durable.sequence })
    }

    /// The segments, the last as far as it is durable.
    fn stretches(&self) -> Vec<Stretch> {
        let sealed = self.sealed.iter().map(|place| Stretch { place: *place, is_chain_known: true });
        let mut stretches: Vec<_> = sealed.collect();
        let mut place = self.active_place(self.durable.offset);
        place.chain = self.durable.chain;
        stretches.push(Stretch { place, is_chain_known: true });
        stretches
    }

    /// The segment that is written, up to `end`.
    pub(super) fn active_place(&self, end: u64) -> SealedPlace {
        let header = self.log.active().header();
        SealedPlace {
            store: header.store,
            id: header.id,
            generation: header.generation,
            first_sequence: header.first_sequence,
            end,
            chain: Chain::default(),
        }
    }
}

/// The position before the first frame of the segment at `place`.
pub(super) fn start_of(place: &SealedPlace) -> LogPosition {
    LogPosition {
        sequence: Sequence(place.first_sequence.0 - 1),
        segment: place.id,
        generation: place.generation,
        offset: SEGMENT_HEADER_LEN as u64,
        chain: Chain::default(),
    }
}

/// Makes sure that `from` is a position of this very log, and that nothing is missing behind it. Returns where
/// to read on.
pub(super) fn enter(
    directory: &dyn Directory,
    stretches: &[Stretch],
    from: LogPosition,
) -> Result<LogPosition, Error> {
    let Some(Stretch { place, .. }) = stretches.iter().find(|stretch| stretch.place.id == from.segment)
    else {
        return enter_behind_dropped(directory, stretches, from);
    };
    let start = start_of(place);
    let prefix = Stretch {
        place: SealedPlace { end: from.offset, chain: from.chain, ..*place },
        is_chain_known: true,
    };
    let found = if from.offset > place.end || from.generation != place.generation {
        LogPosition { offset: place.end, generation: place.generation, ..from }
    } else {
        read_stretch(directory, &prefix, start, &mut |_| Ok::<_, Error>(()))?
    };
    if found == from { Ok(from) } else { Err(mismatch(directory, &from, &found)) }
}

/// Where the segment of `from` was dropped, the oldest one left must continue it.
fn enter_behind_dropped(
    directory: &dyn Directory,
    stretches: &[Stretch],
    from: LogPosition,
) -> Result<LogPosition, Error> {
    let (Some(oldest), Some(newest)) = (stretches.first(), stretches.last()) else { return Ok(from) };
    let first = oldest.place.first_sequence;
    let is_dropped = from.segment < oldest.place.id;
    if !is_dropped || from.sequence.next() < Some(first) {
        let asked = from.sequence.next().unwrap_or(from.sequence);
        let last = Sequence(newest.place.first_sequence.0.max(first.0).saturating_sub(1));
        return Err(Error::NotHeld { asked, first, last });
    }
    let name = segment_name(oldest.place.id, oldest.place.generation);
    let (_, header) = open_segment(directory, &name)?;
    let previous = header.previous.filter(|previous| previous.id == from.segment);
    let found = previous.map(|previous| LogPosition {
        sequence: Sequence(first.0 - 1),
        offset: previous.end,
        chain: previous.chain,
        generation: previous.generation,
        ..from
    });
    match found {
        // Only a mark may lie between the position and the end of its segment.
        Some(found) if found.sequence != from.sequence || found.offset < from.offset => {
            Err(mismatch(directory, &from, &found))
        }
        Some(found) if found.offset == from.offset && found != from => {
            Err(mismatch(directory, &from, &found))
        }
        _ if from.sequence.next() == Some(first) => Ok(start_of(&oldest.place)),
        _ => Err(mismatch(directory, &from, &start_of(&oldest.place))),
    }
}

fn mismatch(directory: &dyn Directory, expected: &LogPosition, found: &LogPosition) -> Error {
    let show = |position: &LogPosition| {
        format!(
            "behind record {} at {}, with the chain {}",
            position.sequence, position.offset, position.chain
        )
    };
    Error::Mismatch {
        path: directory.path().join(segment_name(expected.segment, expected.generation)),
        offset: expected.offset,
        what: "the position to read from",
        expected: show(expected),
        found: show(found),
    }
}

/// Reads everything behind `from` to the end of the last stretch.
pub(super) fn read<E: From<Error>>(
    directory: &dyn Directory,
    stretches: &[Stretch],
    from: LogPosition,
    visit: &mut dyn FnMut(Replayed<'_>) -> Result<(), E>,
) -> Result<LogPosition, E> {
    let mut at = from;
    for stretch in stretches.iter().filter(|stretch| stretch.place.id >= from.segment) {
        let start = start_of(&stretch.place);
        if start.segment > at.segment {
            if start.sequence != at.sequence {
                return Err(
                    mismatch(directory, &LogPosition { sequence: at.sequence, ..start }, &start).into()
                );
            }
            at = start;
        }
        at = read_stretch(directory, stretch, at, visit)?;
    }
    Ok(at)
}

/// Reads one segment from `from`, which lies in it.
fn read_stretch<E: From<Error>>(
    directory: &dyn Directory,
    stretch: &Stretch,
    from: LogPosition,
    visit: &mut dyn FnMut(Replayed<'_>) -> Result<(), E>,
) -> Result<LogPosition, E> {
    let place = &stretch.place;
    let name = segment_name(place.id, place.generation);
    let path = directory.path().join(&name);
    let (file, header) = open_segment(directory, &name)?;
    if (header.store, header.id, header.generation) != (place.store, place.id, place.generation) {
        let why = "it is another segment than the log's: its name and its header disagree";
        return Err(Error::Misplaced { path, why }.into());
    }
    let position =
        Position { offset: from.offset, chain: from.chain, next_sequence: Sequence(from.sequence.0 + 1) };
    let mut failed = None;
    let mut show = |_: u64, frame: &Frame<'_>| {
        visit(replayed(frame)).map_err(|error| {
            failed = Some(error);
            Error::Exhausted { what: "a replay that its visitor ended" }
        })
    };
    let mut scan = Scan::new(&*file, &path, header.seed(), FRAME_TYPES, place.end);
    let scanned = scan.run(position, &mut show);
    if let Some(error) = failed {
        return Err(error);
    }
    let scanned = scanned?;
    if let Some(stop) = scanned.stop {
        return Err(Error::bytes(&path, stop.offset)(stop.error).into());
    }
    let end = scanned.position;
    let found = LogPosition {
        sequence: Sequence(end.next_sequence.0 - 1),
        offset: end.offset,
        chain: end.chain,
        ..from
    };
    let expected = LogPosition { offset: place.end, chain: place.chain, ..found };
    if stretch.is_chain_known && found != expected {
        return Err(mismatch(directory, &expected, &found).into());
    }
    Ok(found)
}

fn replayed<'a>(frame: &Frame<'a>) -> Replayed<'a> {
    if frame.header.frame_type == FrameType::MARK {
        Replayed::Mark(frame.body)
    } else {
        Replayed::Record { sequence: frame.header.sequence, bytes: frame.body }
    }
}
