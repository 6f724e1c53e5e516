//! Snapshots of projections: what a fold made of a store's events up to a sequence, so that it need not fold them again.
//!
//! Layout: docs/format.md, "Snapshot".

use crate::{
    ConsumerName, Digest, Error, FORMAT_VERSION, Sequence, SequenceRange, StoreId, StreamKey, blake3_digest,
    codec::{Put, Reader, check_trailing_crc, long_len, short_len},
};

/// The bytes of a snapshot's header; the state follows.
pub const SNAPSHOT_HEADER_LEN: usize = 264;

const WHAT: &str = "snapshot";
const MAGIC: &[u8; 8] = b"ANNALSNP";
const NAME_LEN: usize = 64;
const FIELDS_LEN: usize = 256;

/// What a snapshot begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever saves: every field must be given")]
pub struct SnapshotHeader {
    /// The store.
    pub store: StoreId,
    /// The event up to which the state has all that the fold asks for.
    pub sequence: Sequence,
    /// The hash of that event.
    pub hash: Digest,
    /// How many events were folded.
    pub event_count: u64,
    /// The version of the fold.
    pub fold_version: u32,
    /// The name of the projection.
    pub name: ConsumerName,
    /// A digest of what was folded: of the query, or of the stream.
    pub subject: Digest,
    /// A digest of what was hidden up to `sequence`.
    pub hidden: Digest,
    /// The bytes of the state.
    pub len: u64,
    /// The digest of the state's bytes.
    pub digest: Digest,
}

impl SnapshotHeader {
    /// The header's bytes.
    ///
    /// # Panics
    /// Where it is of no event, or of more events than there can be.
    #[must_use]
    pub fn encode(&self) -> [u8; SNAPSHOT_HEADER_LEN] {
        assert!(is_possible(self.sequence, self.event_count), "a state of events that are there");
        let mut out = Vec::with_capacity(SNAPSHOT_HEADER_LEN);
        out.put(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(long_len(SNAPSHOT_HEADER_LEN));
        out.put(&self.store.0);
        out.put_u64(self.sequence.0);
        out.put(&self.hash.0);
        out.put_u64(self.event_count);
        out.put_u32(self.fold_version);
        let name = self.name.as_str().as_bytes();
        out.put_u16(short_len(name.len()));
        out.put_zeros(2);
        out.put(&self.subject.0);
        out.put(&self.hidden.0);
        out.put_u64(self.len);
        out.put(&self.digest.0);
        out.put(name);
        out.put_zeros(FIELDS_LEN - out.len());
        out.put_zeros(SNAPSHOT_HEADER_LEN - 4 - FIELDS_LEN);
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out.try_into().expect("padded to 264 bytes")
    }

    /// Decodes and checks a header; `bytes` begin with it.
    ///
    /// # Errors
    /// [`Error`] where the bytes are no header, are damaged, or are of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Reader::new(WHAT, bytes).bytes(SNAPSHOT_HEADER_LEN)?;
        let mut reader = Reader::new(WHAT, bytes);
        reader.magic(MAGIC)?;
        check_trailing_crc(WHAT, bytes)?;
        reader.version()?;
        if reader.u32()? as usize != SNAPSHOT_HEADER_LEN {
            return Err(reader.invalid("its header's length is not 264"));
        }
        let store = StoreId(reader.array()?);
        let (sequence, hash) = (Sequence(reader.u64()?), Digest(reader.array()?));
        let (event_count, fold_version) = (reader.u64()?, reader.u32()?);
        let name_len = reader.u16()?;
        reader.zeros(2)?;
        let (subject, hidden) = (Digest(reader.array()?), Digest(reader.array()?));
        let (len, digest) = (reader.u64()?, Digest(reader.array()?));
        let name = read_name(&mut reader, usize::from(name_len))?;
        reader.zeros(SNAPSHOT_HEADER_LEN - 4 - FIELDS_LEN)?;
        if !is_possible(sequence, event_count) {
            return Err(reader.invalid("of no event, or of more events than there are"));
        }
        Ok(Self { store, sequence, hash, event_count, fold_version, name, subject, hidden, len, digest })
    }

    /// The state behind the header in `bytes`, which are the whole file.
    ///
    /// # Errors
    /// [`Error`] as [`SnapshotHeader::decode`], and where the state is not as long as the header says, or another.
    pub fn decode_file(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let header = Self::decode(bytes)?;
        let state = bytes.get(SNAPSHOT_HEADER_LEN..).unwrap_or_default();
        if state.len() as u64 != header.len {
            return Err(Error::Invalid { what: WHAT, why: "not as long as its header says" });
        }
        if blake3_digest(state) != header.digest {
            return Err(Error::Invalid { what: WHAT, why: "its digest is not the one in its header" });
        }
        Ok((header, state))
    }
}

/// Each event is folded once, and there is one.
fn is_possible(sequence: Sequence, event_count: u64) -> bool {
    sequence > Sequence(0) && event_count <= sequence.0
}

/// A name in its field.
fn read_name(reader: &mut Reader<'_>, len: usize) -> Result<ConsumerName, Error> {
    let field = reader.bytes(NAME_LEN)?;
    let Some((name, padding)) = field.split_at_checked(len) else {
        return Err(reader.invalid("a name that is longer than its field"));
    };
    if padding.iter().any(|byte| *byte != 0) {
        return Err(reader.invalid("bytes behind its name"));
    }
    let name = str::from_utf8(name).map_err(|_| reader.invalid("a name that is no text"))?;
    ConsumerName::new(name)
}

/// The digest of the ranges that are hidden, which ascend and have gaps between them.
#[must_use]
pub fn hidden_digest(ranges: impl IntoIterator<Item = SequenceRange>) -> Digest {
    let mut bytes = b"annals/hidden/v1".to_vec();
    for range in ranges {
        bytes.put_u64(range.first().0);
        bytes.put_u64(range.last().0);
    }
    blake3_digest(&bytes)
}

/// The digest of a stream as what a snapshot is of.
#[must_use]
pub fn stream_digest(stream: StreamKey<'_>) -> Digest {
    let mut bytes = b"annals/stream/v1".to_vec();
    bytes.put_u32(stream.lane.0);
    for part in [stream.scope, stream.entity] {
        bytes.put_u32(long_len(part.len()));
        bytes.put(part.as_bytes());
    }
    blake3_digest(&bytes)
}
