//! The manifest: which segments the log has, and how it was closed. Two slots, written in turn, so that a
//! torn write leaves the other.
//!
//! Layout: docs/format.md, "Manifest".

use crate::{
    Digest, Error, FORMAT_VERSION, Generation, Recorded, SegmentId, Sequence, StoreId,
    codec::{Put, Reader, check_trailing_crc, long_len},
    hash::Chain,
    segment_header::is_end,
};

/// The bytes of one slot.
pub const MANIFEST_SLOT_LEN: usize = 4096;

/// The bytes of the whole file: two slots.
pub const MANIFEST_LEN: u64 = 2 * MANIFEST_SLOT_LEN as u64;

/// The most replaced segments that a slot can name.
pub const REPLACED_COUNT_MAX: usize = (MANIFEST_SLOT_LEN - 4 - FIELDS_LEN) / REPLACED_LEN;

const WHAT: &str = "manifest slot";
const MAGIC: &[u8; 8] = b"ANNALMAN";
const FIELDS_LEN: usize = 136;
const REPLACED_LEN: usize = 24;
const CLEAN_LEN: usize = 64;
const CLEAN: u32 = 1;

/// Where the log ended when it was closed cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever closes: every field must be given")]
pub struct CleanEnd {
    /// Where the newest segment's frames end.
    pub end: u64,
    /// Its chain there.
    pub chain: Chain,
    /// The sequence that comes next.
    pub next_sequence: Sequence,
    /// The clock at the close.
    pub recorded: Recorded,
    /// What the log's owner says identifies all that came before.
    pub mark: Digest,
}

/// A segment that stands in the place of an earlier one of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever replaces: every field must be given")]
pub struct Replaced {
    /// The segment.
    pub id: SegmentId,
    /// The generation that counts.
    pub generation: Generation,
    /// Its chain at its end: the header behind it may still tell of an earlier generation.
    pub chain: Chain,
    /// Where its frames end.
    pub end: u64,
}

/// One slot's content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever writes it: every field must be given")]
pub struct Manifest {
    /// Counts the writes; the larger of two slots is the newer.
    pub counter: u64,
    /// The log.
    pub store: StoreId,
    /// The oldest segment that belongs to it.
    pub oldest: SegmentId,
    /// The newest segment; 0 where none was made yet.
    pub newest: SegmentId,
    /// Where the log ended, where it was closed cleanly and nothing was appended since.
    pub clean: Option<CleanEnd>,
    /// Segments of a generation other than 0, sorted by id, each once.
    pub replaced: Vec<Replaced>,
}

impl Manifest {
    /// The offset of the slot that this content belongs to.
    #[must_use]
    pub fn slot_offset(&self) -> u64 {
        (self.counter % 2) * MANIFEST_SLOT_LEN as u64
    }

    /// The slot's bytes.
    ///
    /// # Panics
    /// Where more than [`REPLACED_COUNT_MAX`] segments were replaced, they are out of order, the oldest segment
    /// is 0, or an end is where no segment can end.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.replaced.len() <= REPLACED_COUNT_MAX && are_replaced(&self.replaced));
        assert!(self.oldest != SegmentId(0) && self.clean.is_none_or(|clean| is_end(clean.end)));
        let mut out = Vec::with_capacity(MANIFEST_SLOT_LEN);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(long_len(MANIFEST_SLOT_LEN));
        out.put_u64(self.counter);
        out.put(&self.store.0);
        out.put_u32(if self.clean.is_some() { CLEAN } else { 0 });
        out.put_u32(long_len(self.replaced.len()));
        out.put_u64(self.oldest.0);
        out.put_u64(self.newest.0);
        match &self.clean {
            Some(clean) => put_clean(clean, &mut out),
            None => out.put_zeros(CLEAN_LEN),
        }
        out.put_zeros(FIELDS_LEN - out.len());
        for replaced in &self.replaced {
            out.put_u64(replaced.id.0);
            out.put_u32(replaced.generation.0);
            out.put_u32(replaced.chain.0);
            out.put_u64(replaced.end);
        }
        out.put_zeros(MANIFEST_SLOT_LEN - 4 - out.len());
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out
    }

    /// Decodes and checks one slot; `bytes` begin with it.
    ///
    /// # Errors
    /// [`Error`] where the slot is empty, damaged, or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Reader::new(WHAT, bytes).bytes(MANIFEST_SLOT_LEN)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc(WHAT, bytes)?;
        reader.version()?;
        if reader.u32()? as usize != MANIFEST_SLOT_LEN {
            return Err(reader.invalid("its length is not 4,096"));
        }
        let (counter, store) = (reader.u64()?, StoreId(reader.array()?));
        let (flags, replaced_count) = (reader.u32()?, reader.u32()? as usize);
        let (oldest, newest) = (SegmentId(reader.u64()?), SegmentId(reader.u64()?));
        let clean = decode_clean(&mut reader, flags & CLEAN != 0)?;
        reader.zeros(FIELDS_LEN - reader.position())?;
        if flags & !CLEAN != 0 || replaced_count > REPLACED_COUNT_MAX || oldest == SegmentId(0) {
            return Err(reader.invalid("a flag, count or oldest segment that none can have"));
        }
        let mut replaced = Vec::with_capacity(replaced_count);
        for _ in 0..replaced_count {
            let (id, generation) = (SegmentId(reader.u64()?), Generation(reader.u32()?));
            let (chain, end) = (Chain(reader.u32()?), reader.u64()?);
            replaced.push(Replaced { id, generation, chain, end });
        }
        reader.zeros(MANIFEST_SLOT_LEN - 4 - reader.position())?;
        if !are_replaced(&replaced) {
            return Err(reader.invalid(
                "replaced segments out of order, of generation 0, or with an end that none can have",
            ));
        }
        Ok(Self { counter, store, oldest, newest, clean, replaced })
    }
}

fn are_replaced(replaced: &[Replaced]) -> bool {
    replaced.iter().all(|replaced| replaced.generation != Generation(0) && is_end(replaced.end))
        && replaced.iter().zip(replaced.iter().skip(1)).all(|(one, next)| one.id < next.id)
}

fn put_clean(clean: &CleanEnd, out: &mut Vec<u8>) {
    out.put_u64(clean.end);
    out.put_u64(clean.next_sequence.0);
    out.put_u64(clean.recorded.0);
    out.put_u32(clean.chain.0);
    out.put_u32(0);
    out.put(&clean.mark.0);
}

fn decode_clean(reader: &mut Reader<'_>, is_clean: bool) -> Result<Option<CleanEnd>, Error> {
    if !is_clean {
        reader.zeros(CLEAN_LEN)?;
        return Ok(None);
    }
    let (end, next_sequence) = (reader.u64()?, Sequence(reader.u64()?));
    let (recorded, chain) = (Recorded(reader.u64()?), Chain(reader.u32()?));
    reader.zeros(4)?;
    let mark = Digest(reader.array()?);
    if !is_end(end) {
        return Err(reader.invalid("closed where no segment can end"));
    }
    Ok(Some(CleanEnd { end, chain, next_sequence, recorded, mark }))
}
