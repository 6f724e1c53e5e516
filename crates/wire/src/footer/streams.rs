//! The streams of a footer, in leaves of a page: all that is asked of a stream lies together, so that finding one
//! touches the fences and one page.
//!
//! A leaf begins with where its groups begin; then come its streams, sorted. Only a stream whose rows fill more than a
//! page has a leaf of several pages, which it shares with no other.
//!
//! Invariant: what a leaf says of a stream is compared with where the leaf ends before it is used. All of it but rows
//! lies in the leaf's first page.

use std::{cmp::Ordering, ops::Range};

use super::{
    Block, Footer, Row,
    encode::StreamTable,
    entities::{Entity, parted},
    tables::partition,
};
use crate::{
    Depth, Error, Lane, Revision, TableBytes,
    codec::{Put, Reader, long_len, u24},
    pages::PAGE_LEN,
};

/// Of this many streams the first has its entity in full.
const GROUP_LEN: usize = 16;
/// The bytes of a stream's row: the row, and where its frame begins.
pub(super) const STREAM_ROW_LEN: usize = 7;

const WHAT: &str = "footer stream";

/// A stream in a leaf.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) entity: Entity<'a>,
    pub(super) lane: Lane,
    pub(super) first_revision: Revision,
    pub(super) fork_depth: Depth,
    /// Where its rows lie in the block of streams.
    pub(super) rows: Range<usize>,
}

/// A leaf.
#[derive(Debug)]
struct Leaf<'a> {
    /// Its number.
    number: usize,
    /// Its first page.
    bytes: &'a [u8],
    /// Where it lies in the block of streams.
    range: Range<usize>,
    /// The places of its streams.
    places: Range<usize>,
}

/// The streams from one on, in order.
#[derive(Debug)]
pub(super) struct Walk<'f, 'a> {
    footer: &'f Footer,
    bytes: TableBytes<'a>,
    leaf: Leaf<'a>,
    /// Where in the leaf the next one begins, and its place.
    position: usize,
    place: usize,
    /// The first entity of the group.
    first: &'a [u8],
}

impl<'a> Leaf<'a> {
    fn group_start(&self, group: usize) -> Result<usize, Error> {
        let start = self.bytes.get(group * 2..).and_then(|bytes| bytes.first_chunk());
        start.map(|start| u16::from_le_bytes(*start).into()).ok_or(invalid("a group that is not there"))
    }

    /// The stream that begins at `position`, behind `first`; and where the next one does.
    fn record(&self, position: usize, first: &'a [u8]) -> Result<(Record<'a>, usize), Error> {
        let mut reader = Reader::new(WHAT, self.bytes.get(position..).unwrap_or_default());
        let shared_len = reader.u8()?;
        let own_len = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let entity = Entity::behind(first, shared_len, reader.bytes(own_len)?)?;
        let count = reader.varint()?;
        let first_revision = Revision(reader.varint()?);
        let (lane, fork_depth) = match count & 1 {
            0 => (Lane(0), Depth(0)),
            _ => (Lane(reader.u32()?), Depth(reader.u64()?)),
        };
        let start = position + reader.position();
        let rows_len = usize::try_from(count >> 1).ok().and_then(|count| count.checked_mul(STREAM_ROW_LEN));
        let end = rows_len.and_then(|len| start.checked_add(len)).filter(|end| *end <= self.range.len());
        let end = end.ok_or(invalid("more rows than its leaf has"))?;
        let rows = self.range.start + start..self.range.start + end;
        Ok((Record { entity, lane, first_revision, fork_depth, rows }, end))
    }

    /// The entity that the group begins with.
    fn first_of(&self, group: usize) -> Result<Entity<'a>, Error> {
        Ok(self.record(self.group_start(group)?, &[])?.0.entity)
    }
}

impl<'a> Walk<'_, 'a> {
    /// The next stream, with its place; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Record<'a>)>, Error> {
        if self.place >= self.leaf.places.end {
            if self.place >= self.footer.stream_count() {
                return Ok(None);
            }
            self.leaf = self.footer.leaf(self.bytes, self.leaf.number + 1)?;
            self.place = self.leaf.places.start;
        }
        let index = self.place - self.leaf.places.start;
        let is_first = index.is_multiple_of(GROUP_LEN);
        if is_first {
            (self.position, self.first) = (self.leaf.group_start(index / GROUP_LEN)?, &[]);
        }
        let (record, end) = self.leaf.record(self.position, self.first)?;
        if is_first {
            self.first = record.entity.own();
        }
        self.position = end;
        self.place += 1;
        Ok(Some((self.place - 1, record)))
    }
}

impl Footer {
    /// The streams from the one at `place` on, which is there.
    pub(super) fn streams_from<'f, 'a>(
        &'f self,
        bytes: TableBytes<'a>,
        place: usize,
    ) -> Result<Walk<'f, 'a>, Error> {
        let leaf = self.leaf(bytes, self.leaf_of(bytes, place)?)?;
        let index = place.checked_sub(leaf.places.start).ok_or(invalid("leaves out of order"))?;
        let mut walk = self.walk(bytes, leaf, index / GROUP_LEN);
        for _ in 0..index % GROUP_LEN {
            walk.next()?;
        }
        Ok(walk)
    }

    /// The streams from a group of `leaf` on.
    fn walk<'f, 'a>(&'f self, bytes: TableBytes<'a>, leaf: Leaf<'a>, group: usize) -> Walk<'f, 'a> {
        let place = (leaf.places.start + group * GROUP_LEN).min(leaf.places.end);
        Walk { footer: self, bytes, leaf, position: 0, place, first: &[] }
    }

    /// The streams at `places`, which are sorted, from about the first that is `entity` or behind it on: at most a
    /// group of streams comes before that one.
    pub(super) fn streams_near<'f, 'a>(
        &'f self,
        bytes: TableBytes<'a>,
        places: &Range<usize>,
        entity: &str,
    ) -> Result<Walk<'f, 'a>, Error> {
        // First among the leaves that begin with one of them, then among the groups that do.
        let first_leaf = self.leaf_of(bytes, places.start)?;
        let last_leaf = self.leaf_of(bytes, places.end - 1)?;
        let is_fence_before = |index| {
            let fence = self.span(bytes, Block::Leaves, first_leaf + 1 + index, 8)?;
            Ok(self.get(bytes, Block::FenceTexts, fence)? < entity.as_bytes())
        };
        let behind = partition(last_leaf.saturating_sub(first_leaf), is_fence_before)?;
        let leaf = self.leaf(bytes, first_leaf + behind)?;
        let index = |place: usize| place.clamp(leaf.places.start, leaf.places.end) - leaf.places.start;
        let groups = index(places.start).div_ceil(GROUP_LEN)..index(places.end).div_ceil(GROUP_LEN);
        let is_group_before =
            |group| Ok(leaf.first_of(groups.start + group)?.order(entity) == Ordering::Less);
        let behind = partition(groups.len(), is_group_before)?;
        let group = groups.start + behind;
        if behind == 0 && index(places.start) % GROUP_LEN == 0 {
            return Ok(self.walk(bytes, leaf, group));
        }
        if behind == 0 {
            return self.streams_from(bytes, leaf.places.start + index(places.start));
        }
        Ok(self.walk(bytes, leaf, group - 1))
    }

    /// The number of the leaf that the stream at `place` is in.
    fn leaf_of(&self, bytes: TableBytes<'_>, place: usize) -> Result<usize, Error> {
        let is_before = |leaf| Ok(self.number(bytes, Block::Leaves, leaf, 4)? as usize <= place);
        partition(self.count(Block::Leaves), is_before)
    }

    fn leaf<'a>(&self, bytes: TableBytes<'a>, number: usize) -> Result<Leaf<'a>, Error> {
        let pages = self.span(bytes, Block::Leaves, number, 0)?;
        let places = self.span(bytes, Block::Leaves, number, 4)?;
        let block_len = self.place(Block::Streams).len();
        let [start, end] = [pages.start, pages.end].map(|page| page.saturating_mul(PAGE_LEN).min(block_len));
        if places.is_empty() || places.end > self.stream_count() {
            return Err(invalid("a leaf without streams, or with more than there are"));
        }
        let page = self.get(bytes, Block::Streams, start..end.min(start.saturating_add(PAGE_LEN)))?;
        Ok(Leaf { number, bytes: page, range: start..end, places })
    }

    /// Checks that every leaf is there, and has nothing but zeros behind its streams.
    pub(super) fn check_leaves(&self, bytes: TableBytes<'_>) -> Result<(), Error> {
        let mut next = (0, 0);
        for number in 0..self.count(Block::Leaves) {
            let leaf = self.leaf(bytes, number)?;
            let (range, places) = (leaf.range.clone(), leaf.places.clone());
            if next != (range.start, places.start) {
                return Err(invalid("leaves that do not follow each other"));
            }
            next = (range.end, places.end);
            let mut walk = self.walk(bytes, leaf, 0);
            for _ in places {
                walk.next()?;
            }
            let padding = self.get(bytes, Block::Streams, range.start + walk.position..range.end)?;
            Reader::new(WHAT, padding).zeros(padding.len())?;
        }
        if next == (self.place(Block::Streams).len(), self.stream_count()) {
            Ok(())
        } else {
            Err(invalid("not all in leaves"))
        }
    }
}

/// Leaves as they are made.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub(super) streams: Vec<u8>,
    pub(super) leaves: Vec<u8>,
    pub(super) fence_texts: Vec<u8>,
    /// The streams of the leaf that is being made, where its groups begin in them, and how many there are.
    records: Vec<u8>,
    groups: Vec<usize>,
    count: usize,
    total: usize,
}

impl Leaves {
    /// The leaves of `streams`, whose frames are those of `rows`.
    pub(super) fn new(streams: &[StreamTable<'_>], rows: &[Row]) -> Self {
        let (mut leaves, mut record) = (Self::default(), Vec::new());
        let mut first = "";
        for stream in streams {
            let is_first = leaves.count.is_multiple_of(GROUP_LEN);
            put(if is_first { "" } else { first }, stream, rows, &mut record);
            let group_count = leaves.groups.len() + usize::from(is_first);
            if leaves.count > 0 && group_count * 2 + leaves.records.len() + record.len() > PAGE_LEN {
                leaves.end_leaf();
                leaves
                    .streams
                    .put_zeros(leaves.streams.len().next_multiple_of(PAGE_LEN) - leaves.streams.len());
                put("", stream, rows, &mut record);
            }
            if leaves.count == 0 {
                leaves.fence_texts.put(stream.entity.as_bytes());
            }
            if leaves.count.is_multiple_of(GROUP_LEN) {
                leaves.groups.push(leaves.records.len());
                first = stream.entity;
            }
            leaves.records.append(&mut record);
            leaves.count += 1;
        }
        leaves.end_leaf();
        leaves
    }

    fn end_leaf(&mut self) {
        if self.count == 0 {
            return;
        }
        let table_len = self.groups.len() * 2;
        for start in self.groups.drain(..) {
            self.streams.put_u16(u16::try_from(table_len + start).expect("within a page"));
        }
        self.streams.append(&mut self.records);
        self.total += std::mem::take(&mut self.count);
        self.leaves.put_u32(long_len(self.streams.len().div_ceil(PAGE_LEN)));
        self.leaves.put_u32(long_len(self.total));
        self.leaves.put_u32(long_len(self.fence_texts.len()));
    }
}

/// Makes `out` the stream behind the one whose entity is `first`.
fn put(first: &str, stream: &StreamTable<'_>, rows: &[Row], out: &mut Vec<u8>) {
    out.clear();
    let (shared_len, own) = parted(first, stream.entity);
    let has_extra = stream.lane != Lane(0);
    out.put(&[shared_len]);
    out.put_varint(own.len() as u64);
    out.put(own.as_bytes());
    out.put_varint(((stream.rows.len() as u64) << 1) | u64::from(has_extra));
    out.put_varint(stream.first_revision.0);
    if has_extra {
        out.put_u32(stream.lane.0);
        out.put_u64(stream.fork_depth.0);
    }
    for row in stream.rows {
        let offset = rows.get(*row as usize).map_or(0, |row| row.offset);
        out.put(&u24(*row));
        out.put_u32(offset);
    }
}

fn invalid(why: &'static str) -> Error {
    Error::Invalid { what: WHAT, why }
}
