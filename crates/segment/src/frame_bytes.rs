//! One frame's bytes as a reader holds them: a view into a map, or a copy in a buffer.
//!
//! Invariant: the bytes are one whole frame whose checksums passed.

use std::{ops::Range, path::Path, sync::Arc};

use annals_wire::{FRAME_HEADER_LEN, Frame, FrameHeader, FrameSeed, STAMP_LEN_MAX};

use crate::{
    Error, File, Region,
    buffers::{Buffered, Buffers},
};

/// What is read at once in the hope that it is the whole frame.
const GUESS_LEN: usize = 1024;

/// A frame that was read and checked.
#[derive(Debug, Clone)]
pub struct FrameBytes {
    bytes: Bytes,
    offset: u64,
}

#[derive(Debug, Clone)]
enum Bytes {
    Mapped(Region, Range<usize>),
    Copied(Buffered),
}

impl FrameBytes {
    /// The frame at `offset` of a mapped segment whose frames end at `end`.
    pub(crate) fn view(
        region: &Region,
        end: u64,
        path: &Path,
        seed: FrameSeed,
        offset: u64,
    ) -> Result<Self, Error> {
        let [start, end] = [offset, end].map(|place| usize::try_from(place).unwrap_or(usize::MAX));
        let frame = Frame::decode(region.get(start..end).unwrap_or_default(), seed, offset);
        let frame = frame.map_err(Error::bytes(path, offset))?;
        let len = usize::try_from(frame.header.frame_len()).unwrap_or(usize::MAX);
        Ok(Self { bytes: Bytes::Mapped(region.clone(), start..start + len), offset })
    }

    /// The frame at `offset` of a segment's file, in one of `buffers`.
    pub(crate) fn read(
        buffers: &Arc<Buffers>,
        file: &dyn File,
        path: &Path,
        seed: FrameSeed,
        offset: u64,
    ) -> Result<Self, Error> {
        let bytes = buffers.fill(|bytes| Self::fill(bytes, file, path, seed, offset))?;
        Ok(Self { bytes: Bytes::Copied(bytes), offset })
    }

    fn fill(
        bytes: &mut Vec<u8>,
        file: &dyn File,
        path: &Path,
        seed: FrameSeed,
        offset: u64,
    ) -> Result<(), Error> {
        bytes.resize(GUESS_LEN, 0);
        let read = file.read_full_at(bytes, offset).map_err(Error::io("read", path))?;
        bytes.truncate(read);
        let header = FrameHeader::decode(bytes, seed, offset).map_err(Error::bytes(path, offset))?;
        let len = header.frame_len();
        if len > read as u64 {
            let there = file.len().map_err(Error::io("look at", path))?.saturating_sub(offset);
            if there < len {
                let source = annals_wire::Error::Truncated { what: "frame", needed: len, available: there };
                return Err(Error::bytes(path, offset)(source));
            }
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        bytes.resize(len, 0);
        if let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            file.read_exact_at(rest, offset + read as u64).map_err(Error::io("read", path))?;
        }
        Frame::decode(bytes, seed, offset).map_err(Error::bytes(path, offset))?;
        Ok(())
    }

    /// Where the frame lies in its segment.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The frame's bytes, padding included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(region, range) => region.get(range.clone()).unwrap_or_default(),
            Bytes::Copied(bytes) => bytes.as_bytes(),
        }
    }

    /// The frame. Its checksums passed when it was read and are not looked at again.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame::of_checked(self.as_bytes()).expect("checked when it was read")
    }
}

const _: () = assert!(GUESS_LEN > FRAME_HEADER_LEN + STAMP_LEN_MAX);
