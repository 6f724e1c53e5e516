//! The frame: the unit on disk. A fixed header, a stamp (fixed by the frame's type), a body, zeros to a
//! multiple of eight.
//!
//! Invariant: nothing of a header is believed, its lengths least of all, before its CRC passed; that CRC is
//! seeded with the segment's salt, the segment's id and the frame's offset, so bytes from elsewhere do not
//! validate. The header's CRC covers the body's length and CRC, so the body is bound to it.
//!
//! Layout: docs/format.md, "Frame".

use crate::{
    Error, Salt, SegmentId, Sequence,
    codec::{Put, Reader, check_crc, long_len},
};

/// Frames begin at multiples of this many bytes.
pub const FRAME_ALIGN: u64 = 8;

/// The bytes of a frame's fixed header, before its stamp.
pub const FRAME_HEADER_LEN: usize = 36;

/// The most bytes that a stamp may have.
pub const STAMP_LEN_MAX: usize = 255;

/// The most bytes that a body may have: 1 GiB.
pub const BODY_LEN_MAX: u32 = 1 << 30;

/// The most bytes that a whole frame may have.
pub const FRAME_LEN_MAX: u64 = pad_to_frame((FRAME_HEADER_LEN + STAMP_LEN_MAX) as u64 + BODY_LEN_MAX as u64);

const WHAT: &str = "frame header";
const MARKER: u8 = 0xa7;
const SKIPPABLE: u8 = 1;

/// What a frame holds. 0 is no frame; 1 and 2 are the store's; 3 to 15 are reserved; a log of something else
/// uses 16 and above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with names for some of its values")]
pub struct FrameType(pub u8);

impl FrameType {
    /// An event.
    pub const EVENT: Self = Self(1);
    /// A control record of the store.
    pub const CONTROL: Self = Self(2);
    /// A record of a log that is no store's.
    pub const RECORD: Self = Self(16);
    /// What the owner of such a log writes about the log itself.
    pub const MARK: Self = Self(17);
}

/// A frame's place in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an index and a count are all there is to a place")]
pub struct Batch {
    /// The frame's place, from 0.
    pub index: u32,
    /// How many frames the batch has, from 1.
    pub count: u32,
}

impl Batch {
    /// The place of a frame that stands alone.
    pub const SINGLE: Self = Self { index: 0, count: 1 };

    /// Whether the batch is whole with this frame.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.index + 1 == self.count
    }

    /// The place behind this one, or `None` for the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        (!self.is_last()).then_some(Self { index: self.index + 1, count: self.count })
    }
}

/// What the CRCs of a segment's frame headers start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSeed(u32);

impl FrameSeed {
    /// The seed of the segment `id` with `salt`.
    #[must_use]
    pub fn new(salt: Salt, id: SegmentId) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&salt.0.to_le_bytes());
        hasher.update(&id.0.to_le_bytes());
        Self(hasher.finalize())
    }

    fn crc(self, offset: u64, covered: &[u8]) -> u32 {
        let offset = u32::try_from(offset).expect("frames lie below SEGMENT_LEN_MAX, which is under 4 GiB");
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0 ^ offset);
        hasher.update(covered);
        hasher.finalize()
    }
}

/// A frame's header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameHeader {
    /// The CRC of this header, the links of the segment's chain.
    pub header_crc: u32,
    /// What the frame holds.
    pub frame_type: FrameType,
    /// Whether who does not know the type may pass the frame over.
    pub skippable: bool,
    /// The bytes of the stamp.
    pub stamp_len: u8,
    /// The bytes of the body.
    pub body_len: u32,
    /// The CRC-32 of the body.
    pub body_crc: u32,
    /// The sequence, or 0 for a frame that is not numbered.
    pub sequence: Sequence,
    /// The frame's place in its batch.
    pub batch: Batch,
    /// How many bytes of this segment were known to be durable when the frame was made.
    pub synced_len: u32,
}

impl FrameHeader {
    /// The first place in `bytes`, of those that are a multiple of [`FRAME_ALIGN`] from their beginning, where a
    /// header may begin; a cheap test for searches, to be followed by `decode`, which accepts none elsewhere.
    #[must_use]
    pub fn find_candidate(bytes: &[u8]) -> Option<usize> {
        let mut groups = bytes.chunks(GROUP_LEN).enumerate();
        groups.find_map(|(number, group)| {
            let start = number * GROUP_LEN;
            let mut places = (start..start + group.len()).step_by(8);
            may_hold_header(group).then(|| places.find(|place| Self::may_begin_at(bytes, *place)))?
        })
    }

    /// Whether the fields of a header at `place`, as they stand, are such that it may be one.
    fn may_begin_at(bytes: &[u8], place: usize) -> bool {
        let is_one = |header: &Self| header.frame_type != FrameType(0) && header.is_in_bounds();
        let word = bytes.get(place + 4..).and_then(<[u8]>::first_chunk);
        word.is_some_and(may_be_marked)
            && bytes
                .get(place..)
                .is_some_and(|bytes| Self::of_checked(bytes).is_ok_and(|header| is_one(&header)))
    }

    fn is_in_bounds(&self) -> bool {
        self.body_len <= BODY_LEN_MAX && self.batch.index < self.batch.count
    }

    /// Decodes and checks the header that lies at `offset` of the segment with `seed`; `bytes` begin there
    /// and hold at least the header and its stamp.
    ///
    /// # Errors
    /// [`Error`] where the bytes are no header of this place.
    pub fn decode(bytes: &[u8], seed: FrameSeed, offset: u64) -> Result<Self, Error> {
        let header = Self::of_checked(bytes)?;
        let covered_len = FRAME_HEADER_LEN - 4 + usize::from(header.stamp_len);
        let covered = bytes.get(4..).and_then(|rest| rest.get(..covered_len)).ok_or_else(|| {
            Error::Truncated { what: WHAT, needed: covered_len as u64 + 4, available: bytes.len() as u64 }
        })?;
        check_crc(WHAT, header.header_crc, seed.crc(offset, covered))?;
        let invalid = |why| Err(Error::Invalid { what: WHAT, why });
        if header.frame_type == FrameType(0) || bytes.get(6).is_none_or(|flags| flags & !SKIPPABLE != 0) {
            return invalid("a frame type or flag that this version does not have");
        }
        if !header.is_in_bounds() {
            return invalid("a body over 1 GiB, or a place outside of its batch");
        }
        Ok(header)
    }

    /// The fields of the header that `bytes` begin with, believed as they stand.
    fn of_checked(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        let header_crc = reader.u32()?;
        if reader.u8()? != MARKER {
            return Err(reader.invalid("no frame begins here"));
        }
        let (frame_type, flags, stamp_len) = (reader.u8()?, reader.u8()?, reader.u8()?);
        Ok(Self {
            header_crc,
            frame_type: FrameType(frame_type),
            skippable: flags & SKIPPABLE != 0,
            stamp_len,
            body_len: reader.u32()?,
            body_crc: reader.u32()?,
            sequence: Sequence(reader.u64()?),
            batch: Batch { index: reader.u32()?, count: reader.u32()? },
            synced_len: reader.u32()?,
        })
    }

    /// Where the body begins, in bytes from the frame's beginning.
    #[must_use]
    pub fn body_start(&self) -> u64 {
        (FRAME_HEADER_LEN + usize::from(self.stamp_len)) as u64
    }

    /// A comparison of the body with its checksum, piece by piece.
    #[must_use]
    pub fn body_check(&self) -> BodyCheck {
        BodyCheck { expected: self.body_crc, hasher: crc32fast::Hasher::new() }
    }

    /// The bytes of the whole frame, its padding included.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        frame_len(usize::from(self.stamp_len), self.body_len as usize)
    }
}

/// How many bytes a search looks at together before it looks at any place among them.
const GROUP_LEN: usize = 256;

/// Whether marker and flags, which with type and stamp length are the second four bytes of a header, are such that
/// it may be one.
fn may_be_marked(word: &[u8; 4]) -> bool {
    const MASK: u32 = u32::from_le_bytes([0xff, 0, !SKIPPABLE, 0]);
    u32::from_le_bytes(*word) & MASK == u32::from_le_bytes([MARKER, 0, 0, 0])
}

/// Whether any place of a group may be the beginning of a header. All fours are looked at, those too that are the
/// second of none, and there is no branch for each: so compilers test several at once.
fn may_hold_header(group: &[u8]) -> bool {
    let (words, _) = group.as_chunks();
    words.iter().fold(false, |found, word| found | may_be_marked(word))
}

/// A comparison of a frame's body with its checksum while the body is read.
#[derive(Debug, Clone)]
pub struct BodyCheck {
    expected: u32,
    hasher: crc32fast::Hasher,
}

impl BodyCheck {
    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Whether the bytes that were taken are the body.
    ///
    /// # Errors
    /// [`Error::Checksum`] where they are not.
    pub fn finish(self) -> Result<(), Error> {
        check_crc("frame body", self.expected, self.hasher.finalize())
    }
}

/// The bytes of a frame with a stamp and a body of these lengths, padding included.
#[must_use]
pub const fn frame_len(stamp_len: usize, body_len: usize) -> u64 {
    pad_to_frame((FRAME_HEADER_LEN + stamp_len + body_len) as u64)
}

/// The next multiple of [`FRAME_ALIGN`].
#[must_use]
pub const fn pad_to_frame(len: u64) -> u64 {
    len.next_multiple_of(FRAME_ALIGN)
}

/// A whole frame, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// Its stamp.
    pub stamp: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Decodes and checks the frame that lies at `offset` of the segment with `seed`; `bytes` begin there and
    /// may go on behind it.
    ///
    /// # Errors
    /// [`Error`] where header, body or padding are not a frame of this place.
    pub fn decode(bytes: &'a [u8], seed: FrameSeed, offset: u64) -> Result<Self, Error> {
        Self::behind(FrameHeader::decode(bytes, seed, offset)?, bytes)
    }

    /// Checks the rest of the frame that `bytes` begin with, whose `header` passed [`FrameHeader::decode`].
    ///
    /// # Errors
    /// [`Error`] where body or padding are not those of the header.
    pub fn behind(header: FrameHeader, bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("frame", bytes);
        reader.bytes(FRAME_HEADER_LEN)?;
        let stamp = reader.bytes(usize::from(header.stamp_len))?;
        let body = reader.bytes(header.body_len as usize)?;
        check_crc("frame body", header.body_crc, crc32fast::hash(body))?;
        let padding = pad_to_frame(reader.position() as u64) - reader.position() as u64;
        reader.zeros(usize::try_from(padding).expect("under 8"))?;
        Ok(Self { header, stamp, body })
    }

    /// The frame that `bytes` begin with, which passed [`Frame::decode`] before: no checksum is looked at.
    ///
    /// # Errors
    /// [`Error::Truncated`] where the bytes are fewer than a frame's.
    pub fn of_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = FrameHeader::of_checked(bytes)?;
        let mut reader = Reader::new("frame", bytes);
        reader.bytes(FRAME_HEADER_LEN)?;
        Ok(Self {
            header,
            stamp: reader.bytes(usize::from(header.stamp_len))?,
            body: reader.bytes(header.body_len as usize)?,
        })
    }
}

/// A frame to be encoded. The body and its CRC are made before the frame's place is known.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever appends: every field must be given")]
pub struct NewFrame<'a> {
    /// What it holds.
    pub frame_type: FrameType,
    /// Whether who does not know the type may pass it over.
    pub skippable: bool,
    /// The sequence, or 0.
    pub sequence: Sequence,
    /// The place in its batch.
    pub batch: Batch,
    /// How many bytes of the segment are known to be durable.
    pub synced_len: u32,
    /// The stamp, at most [`STAMP_LEN_MAX`] bytes.
    pub stamp: &'a [u8],
    /// The body, at most [`BODY_LEN_MAX`] bytes.
    pub body: &'a [u8],
    /// The CRC-32 of the body.
    pub body_crc: u32,
}

impl NewFrame<'_> {
    /// Appends the frame to `out`, for `offset` of the segment with `seed`, and returns its header's CRC.
    ///
    /// # Panics
    /// Where stamp, body or batch are outside of what a frame can hold.
    pub fn encode(&self, seed: FrameSeed, offset: u64, out: &mut Vec<u8>) -> u32 {
        assert!(self.body.len() <= BODY_LEN_MAX as usize && self.batch.index < self.batch.count);
        assert!(offset.is_multiple_of(FRAME_ALIGN));
        let stamp_len = u8::try_from(self.stamp.len()).expect("a stamp has at most 255 bytes");
        let start = out.len();
        let len = frame_len(self.stamp.len(), self.body.len());
        out.reserve(usize::try_from(len).expect("a body has at most 1 GiB"));
        out.put_u32(0);
        out.put(&[MARKER, self.frame_type.0, u8::from(self.skippable) * SKIPPABLE, stamp_len]);
        out.put_u32(long_len(self.body.len()));
        out.put_u32(self.body_crc);
        out.put_u64(self.sequence.0);
        out.put_u32(self.batch.index);
        out.put_u32(self.batch.count);
        out.put_u32(self.synced_len);
        out.put(self.stamp);
        let header_crc = seed.crc(offset, out.get(start + 4..).unwrap_or_default());
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&header_crc.to_le_bytes());
        }
        out.put(self.body);
        let padding = start as u64 + len - out.len() as u64;
        out.put_zeros(usize::try_from(padding).expect("under 8"));
        header_crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> FrameSeed {
        FrameSeed::new(Salt(7), SegmentId(3))
    }

    fn encode(stamp: &[u8], body: &[u8], offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let frame = NewFrame {
            frame_type: FrameType(16),
            skippable: true,
            sequence: Sequence(9),
            batch: Batch { index: 1, count: 3 },
            synced_len: 512,
            stamp,
            body,
            body_crc: crc32fast::hash(body),
        };
        frame.encode(seed(), offset, &mut out);
        assert_eq!(out.len() as u64, frame_len(stamp.len(), body.len()));
        out
    }

    #[test]
    fn a_frame_is_decoded_where_it_was_encoded_and_nowhere_else() {
        let bytes = encode(b"stamp", b"a body", 512);
        let frame = Frame::decode(&bytes, seed(), 512).unwrap();
        assert_eq!((frame.stamp, frame.body), (&b"stamp"[..], &b"a body"[..]));
        assert_eq!(frame.header.sequence, Sequence(9));
        assert!(frame.header.skippable);
        assert!(Frame::decode(&bytes, seed(), 520).is_err(), "another offset");
        assert!(Frame::decode(&bytes, FrameSeed::new(Salt(8), SegmentId(3)), 512).is_err(), "another salt");
        assert!(
            Frame::decode(&bytes, FrameSeed::new(Salt(7), SegmentId(4)), 512).is_err(),
            "another segment"
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = encode(b"stamp", b"a body", 512);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&flipped, seed(), 512).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..len], seed(), 512).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert!(Frame::decode(&[0; 64], seed(), 512).is_err());
        assert_eq!(FrameHeader::find_candidate(&[0; 640]), None);
    }

    #[test]
    fn a_search_passes_no_frame_over_and_few_other_places() {
        let frame = encode(b"stamp", b"a body", 512);
        for place in 0..3 * GROUP_LEN + 16 {
            let bytes = [&vec![MARKER; place][..], &frame, &[MARKER; 77]].concat();
            let expected = place.is_multiple_of(8).then_some(place);
            assert_eq!(FrameHeader::find_candidate(&bytes), expected, "a frame at {place}");
            let header_len = FRAME_HEADER_LEN + 5;
            let cut = bytes.get(..place + header_len).unwrap();
            assert_eq!(FrameHeader::find_candidate(cut), expected, "a header at {place}");
        }
        let fields: [(usize, u8, &str); 5] =
            [(4, 0, "marker"), (5, 0, "type"), (6, 2, "flags"), (11, 0x41, "body length"), (28, 0, "count")];
        for (at, byte, field) in fields {
            let mut other = frame.clone();
            other[at] = byte;
            assert_eq!(FrameHeader::find_candidate(&other), None, "{field}");
        }
    }
}
