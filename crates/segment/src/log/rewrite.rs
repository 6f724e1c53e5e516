//! Writing frames again that a crash left unproven: that they can be read does not mean that they are on the disk.
//!
//! Invariant: every frame is checked on its way, and what is written is whole frames, as they were read. Much is read
//! and written at once: whoever opens waits for it.

use std::{ops::Range, path::Path};

use annals_wire::{FRAME_HEADER_LEN, Frame, FrameHeader, FrameSeed, STAMP_LEN_MAX};

use crate::{Error, File};

/// How many bytes of frames are read and written at once, unless one frame alone has more.
const REWRITTEN_LEN: u64 = 1 << 20;

/// Writes the frames of `range` again as they are. Each is checked when it is read for that: a bit that is read
/// wrong just then must not become what the disk has.
pub(super) fn rewrite(file: &dyn File, path: &Path, seed: FrameSeed, range: Range<u64>) -> Result<(), Error> {
    let (mut window, mut start, mut wanted) = (Vec::new(), range.start, REWRITTEN_LEN);
    while start < range.end {
        let len = wanted.min(range.end - start);
        window.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut window, start).map_err(Error::io("read", path))?;
        let is_last = start + len == range.end;
        let (whole, next_len) = whole_frames(&window, path, seed, start, is_last)?;
        let frames = window.get(..whole).unwrap_or_default();
        if !frames.is_empty() {
            file.write_all_at(frames, start).map_err(Error::io("rewrite", path))?;
        }
        start += frames.len() as u64;
        wanted = next_len.max(REWRITTEN_LEN);
    }
    Ok(())
}

/// How many of the bytes at `start` are whole frames, and how long the one is that the rest begins with; 0 where that
/// cannot be seen. Behind the last there is no rest.
fn whole_frames(
    bytes: &[u8],
    path: &Path,
    seed: FrameSeed,
    start: u64,
    is_last: bool,
) -> Result<(usize, u64), Error> {
    let mut whole = 0;
    while let Some(rest) = bytes.get(whole..).filter(|rest| !rest.is_empty()) {
        if !is_last && rest.len() < FRAME_HEADER_LEN + STAMP_LEN_MAX {
            break;
        }
        let offset = start + whole as u64;
        let header = FrameHeader::decode(rest, seed, offset).map_err(Error::bytes(path, offset))?;
        let len = header.frame_len();
        if !is_last && len > rest.len() as u64 {
            return Ok((whole, len));
        }
        Frame::behind(header, rest).map_err(Error::bytes(path, offset))?;
        whole += usize::try_from(len).unwrap_or(usize::MAX);
    }
    Ok((whole, 0))
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use annals_wire::{Batch, FrameType, NewFrame, Salt, SegmentId, Sequence, crc};

    use super::*;
    use crate::{Access, Directory, MemoryDirectory, Region};

    const START: u64 = 512;

    /// A file that notes how often it is read, and from where to where it is written.
    #[derive(Debug)]
    struct Watched {
        file: Arc<dyn File>,
        reads: Mutex<usize>,
        writes: Mutex<Vec<Range<u64>>>,
    }

    impl File for Watched {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            *self.reads.lock().unwrap() += 1;
            self.file.read_at(buffer, offset)
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.writes.lock().unwrap().push(offset..offset + bytes.len() as u64);
            self.file.write_at(bytes, offset)
        }

        fn set_len(&self, _len: u64) -> io::Result<()> {
            unreachable!("nothing is cut")
        }

        fn sync_data(&self) -> io::Result<()> {
            self.file.sync_data()
        }

        fn map(&self, range: Range<u64>) -> io::Result<Region> {
            self.file.map(range)
        }
    }

    fn seed() -> FrameSeed {
        FrameSeed::new(Salt(7), SegmentId(3))
    }

    /// Frames behind a header's length of zeros, and where each begins and the last one ends.
    fn frames(body_lens: &[usize]) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut places) = (vec![0; 512], vec![START]);
        for len in body_lens {
            let body: Vec<u8> = (0..*len).map(|place| u8::try_from(place % 251).unwrap()).collect();
            let frame = NewFrame {
                frame_type: FrameType(16),
                skippable: false,
                sequence: Sequence(places.len() as u64),
                batch: Batch { index: 0, count: 1 },
                synced_len: 0,
                stamp: &[1; 9],
                body: &body,
                body_crc: crc(&body),
            };
            let offset = bytes.len() as u64;
            frame.encode(seed(), offset, &mut bytes);
            places.push(bytes.len() as u64);
        }
        (bytes, places)
    }

    fn watched(bytes: &[u8]) -> Watched {
        let memory = MemoryDirectory::from_files([("a".to_owned(), bytes.to_vec())]);
        Watched {
            file: memory.open("a", Access::Write).unwrap(),
            reads: Mutex::default(),
            writes: Mutex::default(),
        }
    }

    /// Rewrites from each of the frames on to the end of each; says from where to where was written.
    fn check(bytes: &[u8], from: u64, end: u64, places: &[u64]) {
        let file = watched(bytes);
        rewrite(&file, Path::new("a"), seed(), from..end).unwrap();
        let writes = file.writes.lock().unwrap().clone();
        let mut at = from;
        for write in &writes {
            assert_eq!(write.start, at, "{from}..{end}");
            assert!(places.contains(&write.end), "{from}..{end}: {write:?} ends within a frame");
            at = write.end;
        }
        assert_eq!(at, end);
        let mut read = vec![0; bytes.len()];
        file.file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == bytes, "{from}..{end}: the bytes are as they were");
    }

    #[test]
    fn whatever_lies_between_two_frames_is_written_as_it_is() {
        let (bytes, places) = frames(&[0, 100, 700_000, 340_000, 5, 3 << 20, 1, 1_200_000, 80]);
        for (number, from) in places.iter().enumerate() {
            for end in &places[number..] {
                check(&bytes, *from, *end, &places);
            }
        }
    }

    #[test]
    fn many_frames_are_read_and_written_at_once() {
        let (bytes, places) = frames(&[300; 20_000]);
        let file = watched(&bytes);
        let end = *places.last().unwrap();
        rewrite(&file, Path::new("a"), seed(), START..end).unwrap();
        let mebibytes = bytes.len() >> 20;
        let (reads, writes) = (*file.reads.lock().unwrap(), file.writes.lock().unwrap().len());
        assert!(
            reads <= mebibytes + 2 && writes <= mebibytes + 2,
            "{reads} and {writes} for {mebibytes} MiB"
        );
    }

    #[test]
    fn a_frame_that_is_read_wrong_is_not_written() {
        let (bytes, places) = frames(&[10, 2_000_000, 40, 400]);
        for (frame, range) in places.windows(2).enumerate() {
            for place in [range[0], range[0] + 40, range[1] - 9] {
                let mut flipped = bytes.clone();
                flipped[usize::try_from(place).unwrap()] ^= 4;
                let file = watched(&flipped);
                let error = rewrite(&file, Path::new("a"), seed(), START..places[4]).unwrap_err();
                assert!(
                    matches!(error, Error::Corrupt { offset, .. } if offset == range[0]),
                    "{frame}: {error}"
                );
                let written =
                    file.writes.lock().unwrap().iter().map(|write| write.end).max().unwrap_or(START);
                assert!(written <= range[0], "frame {frame} was written to {written}");
            }
        }
    }

    #[test]
    fn a_range_that_ends_within_a_frame_is_refused() {
        let (bytes, places) = frames(&[10, 2_000_000]);
        for end in [places[1] - 8, places[1] + 8, places[2] - 8] {
            assert!(rewrite(&watched(&bytes), Path::new("a"), seed(), START..end).is_err(), "to {end}");
        }
    }
}
