//! The frontier: how far others may read while a writer lives. Rewritten in place, never synced, believed
//! only while the writer that wrote it holds the lock.
//!
//! Layout: docs/format.md, "Frontier".

use crate::{
    Error, FORMAT_VERSION, SegmentId, Sequence,
    codec::{Put, Reader, check_trailing_crc},
};

/// The bytes of the frontier's file.
pub const FRONTIER_LEN: usize = 64;

const WHAT: &str = "frontier";
const MAGIC: &[u8; 8] = b"ANNALFRN";

/// How far the live writer lets others read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by the writer: every field must be given")]
pub struct Frontier {
    /// The writer's random number, which its lock file names too.
    pub epoch: u64,
    /// The segment that is being written.
    pub segment: SegmentId,
    /// Where its visible frames end.
    pub end: u64,
    /// The newest visible event.
    pub visible: Sequence,
    /// The newest durable event.
    pub durable: Sequence,
}

impl Frontier {
    /// The frontier's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; FRONTIER_LEN] {
        let mut out = Vec::with_capacity(FRONTIER_LEN);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u64(self.epoch);
        out.put_u64(self.segment.0);
        out.put_u64(self.end);
        out.put_u64(self.visible.0);
        out.put_u64(self.durable.0);
        out.put_zeros(FRONTIER_LEN - 4 - out.len());
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out.try_into().expect("padded to 64 bytes")
    }

    /// Decodes and checks a frontier.
    ///
    /// # Errors
    /// [`Error`] where the bytes are none: torn, damaged, or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Reader::new(WHAT, bytes).bytes(FRONTIER_LEN)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc(WHAT, bytes)?;
        reader.version()?;
        let epoch = reader.u64()?;
        let (segment, end) = (SegmentId(reader.u64()?), reader.u64()?);
        let (visible, durable) = (Sequence(reader.u64()?), Sequence(reader.u64()?));
        reader.zeros(FRONTIER_LEN - 4 - reader.position())?;
        Ok(Self { epoch, segment, end, visible, durable })
    }
}
