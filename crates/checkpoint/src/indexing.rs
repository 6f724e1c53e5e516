//! From frames to an index: the one place where an index is built again.
//!
//! Invariant: what a frame adds does not depend on the source that led to it, nor on how many are taken in at once; of
//! several things that are wrong the first is told.

use std::path::Path;

use annals_index::{ActiveIndex, Entry, Index, Pending};
use annals_segment::{Error, Position, SealedPlace, SealedSegment};
use annals_wire::{Chain, Digest, Event, EventStamp, FooterTrailer, Frame, FrameType, SEGMENT_HEADER_LEN};

use crate::FRAME_TYPES;

const CANNOT_FOLLOW: &str = "its id was given before, or its revision does not follow its stream's";

/// Adds the frame at `offset` of the file `path` to `index`; returns the stamp where it is an event.
///
/// # Errors
/// [`Error::Corrupt`] where the frame is no event, or one that cannot follow what the index has.
pub fn index_frame(
    index: &mut ActiveIndex,
    path: &Path,
    offset: u64,
    frame: &Frame<'_>,
) -> Result<Option<EventStamp>, Error> {
    let place = place_of(offset);
    if frame.header.frame_type == FrameType::CONTROL {
        index.insert_control(place);
        return Ok(None);
    }
    // Not moved: it is large, and looked at once.
    let decoded = Event::decode(frame);
    let event = decoded.as_ref().map_err(|source| Error::bytes(path, offset)(source.clone()))?;
    let entry = Entry::of(event, place);
    if !index.try_insert(&entry, event.tags.iter()) {
        let source = annals_wire::Error::Invalid { what: "event", why: CANNOT_FOLLOW };
        return Err(Error::bytes(path, offset)(source));
    }
    Ok(Some(event.stamp))
}

fn place_of(offset: u64) -> u32 {
    u32::try_from(offset).expect("segments are under 4 GiB")
}

/// An index in the making from many frames: as [`index_frame`] with each, and quicker.
#[derive(Debug)]
pub(crate) struct Indexing<'a> {
    path: &'a Path,
    index: ActiveIndex,
    pending: Pending,
    room: Room,
}

impl<'a> Indexing<'a> {
    /// An index of the frames of the file `path` from `start` on, which end at `end` or before.
    pub(crate) fn of(path: &'a Path, start: Position, end: u64) -> Self {
        let room = Room::between(start.offset, end);
        Self { path, index: ActiveIndex::new(start.next_sequence), pending: Pending::default(), room }
    }

    /// Adds the frame at `offset`; returns the stamp where it is an event.
    ///
    /// # Errors
    /// As [`index_frame`], of this frame or one before.
    pub(crate) fn frame(&mut self, offset: u64, frame: &Frame<'_>) -> Result<Option<EventStamp>, Error> {
        let place = place_of(offset);
        if frame.header.frame_type == FrameType::CONTROL {
            self.take_pending()?;
            self.index.insert_control(place);
            return Ok(None);
        }
        // Not moved: it is large, and looked at once.
        let decoded = Event::decode(frame);
        let event = match &decoded {
            Ok(event) => event,
            Err(source) => return Err(Error::bytes(self.path, offset)(source.clone())),
        };
        self.pending.push(&Entry::of(event, place), event.tags.iter());
        if self.pending.is_full() {
            self.take_pending()?;
            self.room.make(&mut self.index, offset);
        }
        Ok(Some(event.stamp))
    }

    fn take_pending(&mut self) -> Result<(), Error> {
        if let Err(offset) = self.index.try_insert_all(&mut self.pending) {
            let source = annals_wire::Error::Invalid { what: "event", why: CANNOT_FOLLOW };
            return Err(Error::bytes(self.path, offset.into())(source));
        }
        Ok(())
    }

    /// The index of all frames, and how the walk over them `ended`. What is wrong with a frame comes before what is
    /// wrong behind it.
    ///
    /// # Errors
    /// As [`Indexing::frame`], or the walk's own.
    pub(crate) fn finish<T>(mut self, ended: Result<T, Error>) -> Result<(ActiveIndex, T), Error> {
        self.take_pending()?;
        Ok((self.index, ended?))
    }
}

/// The index of a sealed segment, from its frames.
///
/// # Errors
/// As [`SealedSegment::scan`] and [`index_frame`] have them.
pub fn index_segment(segment: &SealedSegment) -> Result<(ActiveIndex, u64), Error> {
    index_segment_while(segment, &mut || Ok(()))
}

/// The same; `may_go_on` is asked at each event.
///
/// # Errors
/// The same, and whatever `may_go_on` returns.
pub fn index_segment_while(
    segment: &SealedSegment,
    may_go_on: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(ActiveIndex, u64), Error> {
    let start = Position {
        offset: SEGMENT_HEADER_LEN as u64,
        chain: Chain::default(),
        next_sequence: segment.place().first_sequence,
    };
    index_frames(segment, start, &mut |_| may_go_on())
}

/// After so many bytes an index is given room for the rest.
const SAMPLE_LEN: u64 = 1 << 20;

/// Room for the events of a stretch, made once: the rest of it is taken to have as many for each byte as its beginning.
#[derive(Debug)]
struct Room {
    start: u64,
    end: u64,
    is_made: bool,
}

impl Room {
    /// Room for what lies between `start` and `end`.
    fn between(start: u64, end: u64) -> Self {
        Self { start, end, is_made: false }
    }

    /// Makes it, where `index` has enough of the stretch, all before `offset`, to say how much.
    fn make(&mut self, index: &mut ActiveIndex, offset: u64) {
        let walked = offset - self.start;
        if self.is_made || walked < SAMPLE_LEN {
            return;
        }
        self.is_made = true;
        let rest = u64::from(index.row_count()) * self.end.saturating_sub(offset) / walked;
        index.reserve(usize::try_from(rest).unwrap_or(0));
    }
}

/// The index of the frames of a sealed segment from `start` on, and how many were passed over; `saw` is told the offset
/// of each event.
pub(crate) fn index_frames(
    segment: &SealedSegment,
    start: Position,
    saw: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<(ActiveIndex, u64), Error> {
    let mut indexing = Indexing::of(segment.path(), start, segment.place().end);
    let scanned =
        segment.scan_from(start, FRAME_TYPES, &mut |offset, frame| match indexing.frame(offset, frame)? {
            Some(_) => saw(offset),
            None => Ok(()),
        });
    let (index, scanned) = indexing.finish(scanned)?;
    Ok((index, scanned.passed_over))
}

/// The footer of the frames at `place`, which are all in `index`.
#[must_use]
pub fn encode_index(index: &ActiveIndex, place: &SealedPlace, digest: Digest) -> Vec<u8> {
    index.encode(&FooterTrailer {
        store: place.store,
        segment: place.id,
        generation: place.generation,
        chain: place.chain,
        frames_end: place.end,
        first_sequence: place.first_sequence,
        row_count: index.row_count(),
        digest,
    })
}

#[cfg(test)]
mod tests {
    use annals_wire::{
        Batch, Coordinate, EventContent, EventId, FrameSeed, Kind, NewFrame, Recorded, Revision, Salt,
        SegmentId, Sequence, crc,
    };

    use super::*;

    fn seed() -> FrameSeed {
        FrameSeed::new(Salt(7), SegmentId(1))
    }

    /// The frames of events with these ids, in one stream, each with its offset.
    fn frames(ids: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let (mut offset, coordinate) = (SEGMENT_HEADER_LEN as u64, Coordinate::new("e", "s").unwrap());
        let frame = |(revision, id): (u64, &u8)| {
            let content = EventContent {
                id: EventId([*id; 16]),
                correlation: None,
                causation: None,
                occurred: None,
                coordinate: &coordinate,
                lane: None,
                tags: &[],
                extensions: &[],
                payload: b"payload",
            };
            let (mut body, mut bytes) = (Vec::new(), Vec::new());
            let (flags, _) = content.encode(&mut body).unwrap();
            let (recorded, kind, hash) = (Recorded(1), Kind::new(0x1001).unwrap(), Digest::NONE);
            let stamp = EventStamp { revision: Revision(revision), recorded, kind, flags, hash }.encode();
            let frame = NewFrame {
                frame_type: FrameType::EVENT,
                skippable: false,
                sequence: Sequence(revision),
                batch: Batch::SINGLE,
                synced_len: 0,
                stamp: &stamp,
                body: &body,
                body_crc: crc(&body),
            };
            frame.encode(seed(), offset, &mut bytes);
            let at = offset;
            offset += bytes.len() as u64;
            (at, bytes)
        };
        (1..).zip(ids).map(frame).collect()
    }

    /// Where the first thing is wrong with events of these ids, which are walked until one is refused or all were seen
    /// and the walk ended as it does.
    fn wrong(ids: &[u8], ended: Result<(), Error>) -> Option<u64> {
        let start = Position {
            offset: SEGMENT_HEADER_LEN as u64,
            chain: Chain::default(),
            next_sequence: Sequence(1),
        };
        let mut indexing = Indexing::of(Path::new("a"), start, 1 << 20);
        let mut walk = frames(ids).into_iter().map(|(offset, bytes)| {
            indexing.frame(offset, &Frame::decode(&bytes, seed(), offset).unwrap()).map(drop)
        });
        let walked = walk.find(Result::is_err).unwrap_or(ended);
        match indexing.finish(walked) {
            Ok((index, ())) => {
                assert_eq!(index.row_count() as usize, ids.len());
                None
            }
            Err(Error::Corrupt { offset, .. }) => Some(offset),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn of_several_things_that_are_wrong_the_first_is_told() {
        let behind = || {
            let source = annals_wire::Error::Invalid { what: "frame", why: "it is behind all events" };
            Err(Error::bytes(Path::new("a"), 1 << 20)(source))
        };
        let sound: Vec<u8> = (0..200).collect();
        assert_eq!(wrong(&sound, Ok(())), None);
        assert_eq!(wrong(&sound, behind()), Some(1 << 20));
        for place in 1..sound.len() {
            let mut repeated = sound.clone();
            repeated[place] = sound[place / 2];
            // Another one behind it.
            repeated[sound.len() - 1] = repeated[sound.len() - 2];
            let expected = frames(&repeated)[place].0;
            assert_eq!(wrong(&repeated, Ok(())), Some(expected), "event {place}");
            assert_eq!(wrong(&repeated, behind()), Some(expected), "event {place}, and the walk failed");
        }
    }
}
