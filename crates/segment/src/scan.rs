//! Walking the frames of a segment, batch by batch, and searching what lies behind the last whole one.
//!
//! Invariant: only whole batches are shown. A frame's length is believed after its header's CRC passed, and
//! memory is taken for bytes that are there. Both walks are linear in the bytes.

use std::path::{Path, PathBuf};

use annals_wire::{
    Batch, Chain, FRAME_ALIGN, FRAME_HEADER_LEN, Frame, FrameHeader, FrameSeed, FrameType, STAMP_LEN_MAX,
    Sequence,
};

use crate::{Error, File};

const WINDOW_LEN: usize = 1 << 20;
const HEADER_LEN_MAX: usize = FRAME_HEADER_LEN + STAMP_LEN_MAX;

/// Where a walk begins or ended: a place between batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place in a segment is made of these")]
pub struct Position {
    /// The offset.
    pub offset: u64,
    /// The chain of the frames before it.
    pub chain: Chain,
    /// The sequence that the next numbered frame must have.
    pub next_sequence: Sequence,
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scanned {
    /// Behind the last whole batch.
    pub position: Position,
    /// Why the next batch is not whole; `None` where the walk came to its end.
    pub stop: Option<Stop>,
    /// How many frames were of an unknown type that may be passed over.
    pub passed_over: u64,
}

/// Where and why a walk stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stop {
    /// The frame that is not whole.
    pub offset: u64,
    /// What is wrong with it.
    pub error: annals_wire::Error,
}

/// A segment's file as a walk sees it.
#[derive(Debug)]
pub struct Scan<'a> {
    file: &'a dyn File,
    path: PathBuf,
    seed: FrameSeed,
    known: &'a [FrameType],
    until: u64,
    /// It keeps its length, so that zeros are put into it once; what was read is at its beginning.
    window: Vec<u8>,
    window_filled: usize,
    window_offset: u64,
}

impl<'a> Scan<'a> {
    /// A walk over the frames before `until` of the segment in `file`, which must be that long.
    #[must_use]
    pub fn new(file: &'a dyn File, path: &Path, seed: FrameSeed, known: &'a [FrameType], until: u64) -> Self {
        let (path, window) = (path.to_owned(), Vec::new());
        Self { file, path, seed, known, until, window, window_filled: 0, window_offset: 0 }
    }

    /// Walks from `position` and shows `visit` every frame of every whole batch, with its offset.
    ///
    /// # Errors
    /// [`Error::Io`] where reading fails; [`Error::Corrupt`] where a frame is of an unknown type or out of
    /// sequence although its checksums are right; whatever `visit` returns.
    pub fn run(
        &mut self,
        position: Position,
        visit: &mut dyn FnMut(u64, &Frame<'_>) -> Result<(), Error>,
    ) -> Result<Scanned, Error> {
        let mut scanned = Scanned { position, stop: None, passed_over: 0 };
        while scanned.position.offset < self.until {
            match self.batch_end(scanned.position)? {
                Ok(end) => self.show(&mut scanned, end, visit)?,
                Err(stop) => {
                    scanned.stop = Some(stop);
                    break;
                }
            }
        }
        Ok(scanned)
    }

    /// Where the batch that begins at `position` ends, or why it is not whole.
    fn batch_end(&mut self, position: Position) -> Result<Result<u64, Stop>, Error> {
        let mut offset = position.offset;
        let mut expected = None;
        loop {
            let (batch, len) = match self.whole_frame(position.offset, offset)? {
                Ok(header) => (header.batch, header.frame_len()),
                Err(error) => return Ok(Err(Stop { offset, error })),
            };
            let in_place = expected.map_or(batch.index == 0, |expected| batch == expected);
            if !in_place {
                let why = "its place in its batch does not follow from the frame before";
                return Ok(Err(Stop { offset, error: annals_wire::Error::Invalid { what: "frame", why } }));
            }
            offset += len;
            expected = Batch::next(batch);
            if expected.is_none() {
                return Ok(Ok(offset));
            }
        }
    }

    fn show(
        &mut self,
        scanned: &mut Scanned,
        end: u64,
        visit: &mut dyn FnMut(u64, &Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while scanned.position.offset < end {
            let offset = scanned.position.offset;
            // Decoded before, when the batch's end was found; so it is in the window.
            let frame = Frame::of_checked(self.from(offset)).map_err(Error::bytes(&self.path, offset))?;
            self.check(scanned.position, &frame)?;
            let header = &frame.header;
            if self.known.contains(&header.frame_type) {
                visit(offset, &frame)?;
            } else {
                scanned.passed_over += 1;
            }
            let next_sequence = if header.sequence == Sequence(0) {
                scanned.position.next_sequence
            } else {
                header.sequence.next().ok_or(Error::Exhausted { what: "the sequence" })?
            };
            scanned.position = Position {
                offset: offset + header.frame_len(),
                chain: scanned.position.chain.then(header.header_crc),
                next_sequence,
            };
        }
        Ok(())
    }

    fn check(&self, position: Position, frame: &Frame<'_>) -> Result<(), Error> {
        let header = &frame.header;
        if !self.known.contains(&header.frame_type) && !header.skippable {
            let error = annals_wire::Error::Version {
                what: "a frame of an unknown type",
                found: u32::from(header.frame_type.0),
                supported: self.known.iter().map(|known| u32::from(known.0)).max().unwrap_or_default(),
            };
            return Err(Error::bytes(&self.path, position.offset)(error));
        }
        if header.sequence != Sequence(0) && header.sequence != position.next_sequence {
            return Err(Error::Mismatch {
                path: self.path.clone(),
                offset: position.offset,
                what: "the sequence",
                expected: position.next_sequence.to_string(),
                found: header.sequence.to_string(),
            });
        }
        Ok(())
    }

    /// The header of the whole frame at `offset`, which is then in the window as a whole, or why none is there.
    /// What lies behind `keep` stays in the window.
    fn whole_frame(
        &mut self,
        keep: u64,
        offset: u64,
    ) -> Result<Result<FrameHeader, annals_wire::Error>, Error> {
        self.fill(keep, offset, HEADER_LEN_MAX as u64)?;
        let header = match FrameHeader::decode(self.from(offset), self.seed, offset) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let len = header.frame_len();
        if offset + len <= self.until {
            if len > WINDOW_LEN as u64
                && let Err(error) = self.check_body(&header, offset)?
            {
                return Ok(Err(error));
            }
            self.fill(keep, offset, len)?;
        }
        Ok(Frame::behind(header, self.from(offset)).map(|frame| frame.header))
    }

    /// Compares the body of a frame that is longer than a window with its checksum, piece by piece: for one that
    /// a crash left unfinished no memory is taken.
    fn check_body(&self, header: &FrameHeader, offset: u64) -> Result<Result<(), annals_wire::Error>, Error> {
        let mut check = header.body_check();
        let mut window = vec![0; WINDOW_LEN];
        let mut place = offset + header.body_start();
        let end = place + u64::from(header.body_len);
        while place < end {
            let len = usize::try_from(end - place).unwrap_or(usize::MAX).min(WINDOW_LEN);
            let free = window.get_mut(..len).unwrap_or_default();
            self.file.read_exact_at(free, place).map_err(Error::io("read", &self.path))?;
            check.update(free);
            place += len as u64;
        }
        Ok(check.finish())
    }

    fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset - self.window_offset).unwrap_or(usize::MAX);
        self.window.get(start..self.window_filled).unwrap_or_default()
    }

    /// Makes the window reach `len` bytes behind `offset`, or to the end of the walk.
    fn fill(&mut self, keep: u64, offset: u64, len: u64) -> Result<(), Error> {
        let wanted = (offset + len).min(self.until);
        let have = self.window_offset + self.window_filled as u64;
        if wanted <= have && keep >= self.window_offset {
            return Ok(());
        }
        let kept = self.keep_from(keep);
        // At least so much at once, however far the batch reaches back.
        let target = (wanted.max(offset + WINDOW_LEN as u64)).min(self.until) - keep;
        let target = usize::try_from(target).map_err(|_| Error::TooLarge {
            what: "a batch",
            len: target,
            max: usize::MAX as u64,
        })?;
        if self.window.len() < target {
            self.window.resize(target, 0);
        }
        let free = self.window.get_mut(kept..target).unwrap_or_default();
        let read = self.file.read_full_at(free, keep + kept as u64);
        self.window_filled = kept + read.map_err(Error::io("read", &self.path))?;
        Ok(())
    }

    /// Makes the window begin at `keep`, and says how many bytes from there on it has.
    fn keep_from(&mut self, keep: u64) -> usize {
        let before = keep.checked_sub(self.window_offset).and_then(|before| usize::try_from(before).ok());
        let start = before.unwrap_or(usize::MAX).min(self.window_filled);
        if start > 0 {
            self.window.copy_within(start..self.window_filled, 0);
        }
        self.window_filled -= start;
        self.window_offset = keep;
        self.window_filled
    }
}

/// What lies behind the last whole batch of a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remains {
    /// Behind the last byte that is not zero, or where the search began.
    pub nonzero_end: u64,
    /// How many headers of frames of this segment stand there, whole.
    pub frame_count: u64,
    /// The furthest place that one of them says was durable.
    pub synced_len: u64,
}

/// Searches the bytes of a segment from `from` to `until` for what is left of frames. Linear, whatever the
/// bytes: they are read once, and each place costs one checksum of at most 287 bytes where all fields of a header
/// are possible, and nearly nothing elsewhere.
///
/// # Errors
/// [`Error::Io`] where reading fails.
pub fn search(
    file: &dyn File,
    path: &Path,
    seed: FrameSeed,
    from: u64,
    until: u64,
) -> Result<Remains, Error> {
    let mut remains = Remains { nonzero_end: from, frame_count: 0, synced_len: 0 };
    let len = usize::try_from(until.saturating_sub(from)).unwrap_or(WINDOW_LEN).min(WINDOW_LEN);
    let mut window = vec![0; len + HEADER_LEN_MAX];
    let mut offset = from;
    while offset < until {
        // At round places, as systems copy whole pages fastest; and a header's length further.
        let end = (offset + 1).next_multiple_of(WINDOW_LEN as u64).min(until);
        let wanted = usize::try_from((end + HEADER_LEN_MAX as u64).min(until) - offset).unwrap_or(usize::MAX);
        let free = window.get_mut(..wanted).unwrap_or_default();
        let read = file.read_full_at(free, offset).map_err(Error::io("read", path))?;
        let bytes = window.get(..read).unwrap_or_default();
        let step = usize::try_from(end - offset).unwrap_or(usize::MAX).min(read);
        search_window(bytes, step, seed, offset, &mut remains);
        if step == 0 {
            break;
        }
        offset += step as u64;
    }
    Ok(remains)
}

/// How many bytes there are up to the last that is not zero. What is prepared is zeros by the kilobyte, so they
/// are passed over in strides.
pub(crate) fn nonzero_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((before, stride)) = rest.split_last_chunk::<256>()
        && stride.iter().fold(0, |all, byte| all | byte) == 0
    {
        rest = before;
    }
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn search_window(bytes: &[u8], step: usize, seed: FrameSeed, offset: u64, remains: &mut Remains) {
    let end = nonzero_len(bytes.get(..step).unwrap_or_default());
    if end == 0 {
        return;
    }
    remains.nonzero_end = offset + end as u64;
    let mut place = usize::try_from(offset.next_multiple_of(FRAME_ALIGN) - offset).unwrap_or(0);
    while let Some(found) = FrameHeader::find_candidate(bytes.get(place..).unwrap_or_default()) {
        place += found;
        if place >= end {
            break;
        }
        let candidate = bytes.get(place..).unwrap_or_default();
        if let Ok(header) = FrameHeader::decode(candidate, seed, offset + place as u64) {
            remains.frame_count += 1;
            remains.synced_len = remains.synced_len.max(u64::from(header.synced_len));
        }
        place += 8;
    }
}

#[cfg(test)]
mod tests;
