//! How a footer's tables are read where they lie.

use std::cmp::Ordering;

use super::{Block, Footer};
use crate::{
    Depth, Digest, Error, EventId, Kind, Lane, Revision, StreamKey,
    codec::{Put, Reader},
};

pub(super) const STREAM_LEN: usize = 72;
pub(super) const SCOPE_LEN: usize = 24;
pub(super) const KIND_LEN: usize = 12;
pub(super) const ID_GROUP_LEN: usize = 24;
pub(super) const TAG_LEN: usize = 16;

/// One event in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever indexes: every field must be given")]
pub struct Row {
    /// Where its frame begins in the segment.
    pub offset: u32,
    /// The place of its stream among the streams.
    pub stream: u32,
    /// What sort of event it is.
    pub kind: Kind,
    /// Whether its correlation is its own id: the event that a conversation begins with.
    pub is_root: bool,
}

impl Row {
    /// The bytes of a row.
    pub const LEN: usize = 10;

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        assert!(self.offset.is_multiple_of(8), "frames begin at multiples of eight");
        out.put_u32(self.offset | u32::from(self.is_root));
        out.put_u32(self.stream);
        out.put_u16(self.kind.number());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("footer row", bytes);
        let (place, stream) = (reader.u32()?, reader.u32()?);
        let kind = Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))?;
        if place & 0b110 != 0 {
            return Err(reader.invalid("its frame begins at no multiple of eight"));
        }
        Ok(Self { offset: place & !1, stream, kind, is_root: place & 1 != 0 })
    }
}

/// The rows of one key, ascending, in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Postings<'a>(&'a [u8]);

impl Postings<'_> {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() / 4
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row at `index`.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<u32> {
        let place = index.checked_mul(4)?;
        self.0.get(place..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// One stream's part of a segment, in place.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StreamEntry<'a> {
    /// The place of its scope among the scopes.
    pub scope: u32,
    /// Its entity.
    pub entity: &'a str,
    /// Its lane.
    pub lane: Lane,
    /// The revision of its first event here.
    pub first_revision: Revision,
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub fork_depth: Depth,
    /// The hash of its last event here.
    pub head: Digest,
    /// Its rows.
    pub rows: Postings<'a>,
}

/// One scope's part of a segment, in place.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ScopeEntry<'a> {
    /// The scope.
    pub text: &'a str,
    /// The place of its first stream.
    pub first_stream: u32,
    /// How many streams it has.
    pub stream_count: u32,
    /// Its rows.
    pub rows: Postings<'a>,
}

impl Footer {
    /// How many rows there are.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.trailer.row_count
    }

    /// How many streams there are.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.block_range(Block::Streams).len() / STREAM_LEN
    }

    /// How many scopes there are.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.block_range(Block::Scopes).len() / SCOPE_LEN
    }

    /// The row at `index`.
    ///
    /// # Errors
    /// [`Error`] where the block is damaged or has no such row.
    pub fn row(&self, bytes: &[u8], index: u32) -> Result<Row, Error> {
        Row::decode(entry(self.block(bytes, Block::Rows)?, index as usize, Row::LEN)?)
    }

    /// The row of the event with `id`.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_id(&self, bytes: &[u8], id: EventId) -> Result<Option<u32>, Error> {
        let ids = self.block(bytes, Block::Ids)?;
        let found = search(ids.len() / 16, |index| Ok(entry(ids, index, 16)?.cmp(&id.0[..])))?;
        let Some(index) = found else { return Ok(None) };
        let row = entry(self.block(bytes, Block::IdRows)?, index, 4)?;
        Ok(Some(Reader::new("footer id", row).u32()?))
    }

    /// The stream at `index`.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged or has no such stream.
    pub fn stream<'a>(&self, bytes: &'a [u8], index: usize) -> Result<StreamEntry<'a>, Error> {
        let table = entry(self.block(bytes, Block::Streams)?, index, STREAM_LEN)?;
        let mut reader = Reader::new("footer stream", table);
        let (entity_offset, entity_len) = (reader.u32()?, reader.u16()?);
        reader.zeros(2)?;
        Ok(StreamEntry {
            entity: self.text(bytes, entity_offset, u32::from(entity_len))?,
            scope: reader.u32()?,
            lane: Lane(reader.u32()?),
            first_revision: Revision(reader.u64()?),
            fork_depth: Depth(reader.u64()?),
            rows: self.postings(bytes, Block::StreamRows, &mut reader)?,
            head: Digest(reader.array()?),
        })
    }

    /// The stream `key`, with its place.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_stream<'a>(
        &self,
        bytes: &'a [u8],
        key: StreamKey<'_>,
    ) -> Result<Option<(u32, StreamEntry<'a>)>, Error> {
        let Some((_, scope)) = self.find_scope(bytes, key.scope)? else { return Ok(None) };
        let first = scope.first_stream as usize;
        let found = search(scope.stream_count as usize, |index| {
            let stream = self.stream(bytes, first + index)?;
            Ok((stream.entity, stream.lane).cmp(&(key.entity, key.lane)))
        })?;
        let Some(index) = found else { return Ok(None) };
        let place = crate::codec::long_len(first + index);
        Ok(Some((place, self.stream(bytes, first + index)?)))
    }

    /// The scope at `index`.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged or has no such scope.
    pub fn scope<'a>(&self, bytes: &'a [u8], index: usize) -> Result<ScopeEntry<'a>, Error> {
        let table = entry(self.block(bytes, Block::Scopes)?, index, SCOPE_LEN)?;
        let mut reader = Reader::new("footer scope", table);
        let (offset, len) = (reader.u32()?, reader.u32()?);
        Ok(ScopeEntry {
            text: self.text(bytes, offset, len)?,
            first_stream: reader.u32()?,
            stream_count: reader.u32()?,
            rows: self.postings(bytes, Block::ScopeRows, &mut reader)?,
        })
    }

    /// The scope `text`, with its place.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_scope<'a>(
        &self,
        bytes: &'a [u8],
        text: &str,
    ) -> Result<Option<(usize, ScopeEntry<'a>)>, Error> {
        let found = search(self.scope_count(), |index| Ok(self.scope(bytes, index)?.text.cmp(text)))?;
        let Some(index) = found else { return Ok(None) };
        Ok(Some((index, self.scope(bytes, index)?)))
    }

    /// The rows of `kind`.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_kind<'a>(&self, bytes: &'a [u8], kind: Kind) -> Result<Postings<'a>, Error> {
        let kinds = self.block(bytes, Block::Kinds)?;
        let number = |index| Reader::new("footer kind", entry(kinds, index, KIND_LEN)?).u16();
        let found = search(kinds.len() / KIND_LEN, |index| Ok(number(index)?.cmp(&kind.number())))?;
        self.group(bytes, found, kinds, KIND_LEN, Block::KindRows)
    }

    /// The kinds that there are, sorted.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn kinds(&self, bytes: &[u8]) -> Result<Vec<Kind>, Error> {
        let kinds = self.block(bytes, Block::Kinds)?;
        kinds
            .chunks_exact(KIND_LEN)
            .map(|table| {
                let mut reader = Reader::new("footer kind", table);
                Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))
            })
            .collect()
    }

    /// The rows whose correlation is `id` and not their own id.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_correlation<'a>(&self, bytes: &'a [u8], id: EventId) -> Result<Postings<'a>, Error> {
        self.find_id_group(bytes, id, Block::Correlations, Block::CorrelationRows)
    }

    /// The rows that were caused by `id`.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_causation<'a>(&self, bytes: &'a [u8], id: EventId) -> Result<Postings<'a>, Error> {
        self.find_id_group(bytes, id, Block::Causations, Block::CausationRows)
    }

    /// The rows with `tag`.
    ///
    /// # Errors
    /// [`Error`] where a block is damaged.
    pub fn find_tag<'a>(&self, bytes: &'a [u8], tag: &str) -> Result<Postings<'a>, Error> {
        let tags = self.block(bytes, Block::Tags)?;
        let found = search(tags.len() / TAG_LEN, |index| {
            let mut reader = Reader::new("footer tag", entry(tags, index, TAG_LEN)?);
            Ok(self.text(bytes, reader.u32()?, reader.u32()?)?.cmp(tag))
        })?;
        self.group(bytes, found, tags, TAG_LEN, Block::TagRows)
    }

    /// The offsets of the segment's control records, in order.
    ///
    /// # Errors
    /// [`Error`] where the block is damaged.
    pub fn controls<'a>(&self, bytes: &'a [u8]) -> Result<Postings<'a>, Error> {
        Ok(Postings(self.block(bytes, Block::Controls)?))
    }

    fn find_id_group<'a>(
        &self,
        bytes: &'a [u8],
        id: EventId,
        keys: Block,
        rows: Block,
    ) -> Result<Postings<'a>, Error> {
        let table = self.block(bytes, keys)?;
        let key = |index| Reader::new("footer id", entry(table, index, ID_GROUP_LEN)?).array::<16>();
        let found = search(table.len() / ID_GROUP_LEN, |index| Ok(key(index)?.cmp(&id.0)))?;
        self.group(bytes, found, table, ID_GROUP_LEN, rows)
    }

    /// The rows of the key at `found`: every key's entry ends with where they start and how many they are.
    fn group<'a>(
        &self,
        bytes: &'a [u8],
        found: Option<usize>,
        keys: &[u8],
        len: usize,
        rows: Block,
    ) -> Result<Postings<'a>, Error> {
        let Some(index) = found else { return Ok(Postings::default()) };
        let mut reader = Reader::new("footer group", entry(keys, index, len)?);
        reader.bytes(len - 8)?;
        self.postings(bytes, rows, &mut reader)
    }

    fn postings<'a>(
        &self,
        bytes: &'a [u8],
        block: Block,
        reader: &mut Reader<'_>,
    ) -> Result<Postings<'a>, Error> {
        let (start, count) = (reader.u32()? as usize, reader.u32()? as usize);
        let (start, end) = (start.saturating_mul(4), start.saturating_add(count).saturating_mul(4));
        let rows = self.block(bytes, block)?.get(start..end);
        rows.map(Postings).ok_or(reader.invalid("rows outside of their block"))
    }

    fn text<'a>(&self, bytes: &'a [u8], offset: u32, len: u32) -> Result<&'a str, Error> {
        let strings = self.block(bytes, Block::Strings)?;
        let (start, len) = (offset as usize, len as usize);
        let text = strings.get(start..start.saturating_add(len));
        text.and_then(|text| std::str::from_utf8(text).ok())
            .ok_or(Error::Invalid { what: "footer text", why: "outside of its block, or not UTF-8" })
    }
}

fn entry(table: &[u8], index: usize, len: usize) -> Result<&[u8], Error> {
    let start = index.checked_mul(len);
    start.and_then(|start| table.get(start..)?.get(..len)).ok_or(Error::Truncated {
        what: "footer table",
        needed: (index as u64 + 1).saturating_mul(len as u64),
        available: table.len() as u64,
    })
}

/// Binary search over `count` sorted entries.
fn search(count: usize, compare: impl Fn(usize) -> Result<Ordering, Error>) -> Result<Option<usize>, Error> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        match compare(middle)? {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Ok(Some(middle)),
        }
    }
    Ok(None)
}
