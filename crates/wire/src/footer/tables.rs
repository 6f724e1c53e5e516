//! How a footer's tables are read where they lie.
//!
//! Keys of one table lie one behind the other, and so do their rows and texts: an entry says where its own end,
//! and the entry before it where they begin.

use std::{borrow::Cow, cmp::Ordering, ops::Range};

use super::{
    Block, Footer, Postings, ROWS_PER_TIME,
    streams::{Record, Walk},
};
use crate::{
    Depth, Error, EventId, Key, Kind, Lane, Recorded, Revision, SieveLook, SievePlace, StreamKey, TableBytes,
    codec::{Reader, long_len, u24},
    key,
};

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
    pub const LEN: usize = 9;

    pub(super) fn encode(self) -> [u8; Self::LEN] {
        assert!(self.offset.is_multiple_of(8), "frames begin at multiples of eight");
        let [a, b, c, d] = (self.offset | u32::from(self.is_root)).to_le_bytes();
        let ([e, f, g], [h, i]) = (u24(self.stream), self.kind.number().to_le_bytes());
        [a, b, c, d, e, f, g, h, i]
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("footer row", bytes);
        let (place, stream) = (reader.u32()?, reader.u24()?);
        let kind = Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))?;
        if place & 0b110 != 0 {
            return Err(reader.invalid("its frame begins at no multiple of eight"));
        }
        Ok(Self { offset: place & !1, stream, kind, is_root: place & 1 != 0 })
    }
}

/// One stream's part of a segment, in place.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamEntry<'a> {
    /// Its entity.
    pub entity: Cow<'a, str>,
    /// Its lane.
    pub lane: Lane,
    /// The revision of its first event here.
    pub first_revision: Revision,
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub fork_depth: Depth,
    /// Its rows.
    pub rows: Postings<'a>,
}

/// One scope's part of a segment, in place.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScopeEntry<'a> {
    /// The scope.
    pub text: &'a str,
    /// The places of its streams.
    pub streams: Range<u32>,
    /// Its rows.
    pub rows: Postings<'a>,
}

impl Footer {
    /// How many rows there are.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.trailer.row_count
    }

    /// How many streams have events here.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.stream_count as usize
    }

    /// How many scopes have events here.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.count(Block::Scopes)
    }

    /// The row at `row`.
    ///
    /// # Errors
    /// [`Error`] where its page is damaged or there is no such row.
    pub fn row(&self, bytes: TableBytes<'_>, row: u32) -> Result<Row, Error> {
        Row::decode(self.entry(bytes, Block::Rows, row as usize)?)
    }

    /// The rows whose ids have the hash of `id`, in order. Usually one has it, and it is that of `id`; only its
    /// event says so.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_id<'a>(&'a self, bytes: TableBytes<'a>, id: EventId) -> Result<Postings<'a>, Error> {
        self.find_id_hash(bytes, Key::Id(id).hash(self.trailer.store))
    }

    /// As [`Footer::find_id`], for an id with this [hash](Key::hash) in the footer's store.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_id_hash<'a>(&'a self, bytes: TableBytes<'a>, wanted: u32) -> Result<Postings<'a>, Error> {
        let start = self.look_for_id(bytes, wanted)?.and_then(SieveLook::first_entry);
        let Some(start) = start else { return Ok(Postings::default()) };
        let hash = |place| self.number(bytes, Block::Ids, place, 0);
        let count = self.count(Block::Ids);
        let start = key::lower_bound(count, start, wanted.into(), |place| hash(place).map(u64::from))?;
        let mut end = start;
        while end < count && hash(end)? == wanted {
            end += 1;
        }
        Postings::listed(self, bytes, Block::IdRows, &(start..end))
    }

    /// The look that says whether there may be an id with this hash; `None` where there is no id at all.
    ///
    /// # Errors
    /// [`Error`] where its page is damaged.
    #[inline]
    pub fn look_for_id<'a>(&self, bytes: TableBytes<'a>, hash: u32) -> Result<Option<SieveLook<'a>>, Error> {
        self.look(bytes, (Block::IdSieve, self.row_count()), hash)
    }

    /// The look at one of the sieves, of so many entries.
    #[inline]
    fn look<'a>(
        &self,
        bytes: TableBytes<'a>,
        (block, count): (Block, u32),
        hash: u32,
    ) -> Result<Option<SieveLook<'a>>, Error> {
        let Some(place) = SievePlace::new(hash, count.into()) else { return Ok(None) };
        let line = self.entry(bytes, block, usize::try_from(place.line()).unwrap_or(usize::MAX))?;
        Ok(Some(SieveLook::new(place, line.first_chunk().expect("an entry of the sieve is a line"))))
    }

    /// The hashes of all ids, in order: [`Footer::row_count`] many.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn id_hashes<'a>(&self, bytes: TableBytes<'a>) -> Result<impl Iterator<Item = u32> + use<'a>, Error> {
        let table = self.get(bytes, Block::Ids, 0..self.place(Block::Ids).len())?;
        Ok(table.as_chunks().0.iter().map(|hash| u32::from_le_bytes(*hash)))
    }

    /// Where the first row lies that was recorded at `recorded` or later: it is one of these, of which there are
    /// under 256, or else the one behind them.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn rows_at(&self, bytes: TableBytes<'_>, recorded: Recorded) -> Result<Range<u32>, Error> {
        let is_before = |index| {
            let entry = self.entry(bytes, Block::Times, index)?;
            Ok(Reader::new("footer times", entry).u64()? < recorded.0)
        };
        let behind = partition(self.count(Block::Times), is_before)?;
        let row = |index| long_len(index).saturating_mul(ROWS_PER_TIME).min(self.row_count());
        Ok(behind.checked_sub(1).map_or(0, |before| row(before) + 1)..row(behind))
    }

    /// The stream at `index`.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged or there is no such stream.
    pub fn stream<'a>(&'a self, bytes: TableBytes<'a>, index: usize) -> Result<StreamEntry<'a>, Error> {
        let found = self.streams_from(bytes, index)?.next()?;
        let (_, record) = found.ok_or(Error::Invalid { what: "footer stream", why: "not there" })?;
        self.stream_entry(bytes, &record)
    }

    fn stream_entry<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        record: &Record<'a>,
    ) -> Result<StreamEntry<'a>, Error> {
        Ok(StreamEntry {
            entity: record.entity.whole()?,
            lane: record.lane,
            first_revision: record.first_revision,
            fork_depth: record.fork_depth,
            rows: Postings::of_stream(self, bytes, &record.rows),
        })
    }

    /// The entities of the streams at `places`, in order.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged or there is no such stream.
    pub fn entities<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        places: Range<u32>,
    ) -> Result<impl Iterator<Item = Result<Cow<'a, str>, Error>> + use<'a>, Error> {
        let start = places.start as usize;
        let mut walk = if places.is_empty() { None } else { Some(self.streams_from(bytes, start)?) };
        Ok(places.map(move |_| {
            let next = walk.as_mut().map_or(Ok(None), Walk::next)?;
            next.ok_or(Error::Invalid { what: "footer stream", why: "not there" })?.1.entity.whole()
        }))
    }

    /// The stream `key`, with its place.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_stream<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        key: StreamKey<'_>,
    ) -> Result<Option<(u32, StreamEntry<'a>)>, Error> {
        let Some((_, scope)) = self.find_scope(bytes, key.scope)? else { return Ok(None) };
        let mut found = None;
        self.of_entity(bytes, &scope, key.entity, &mut |place, record| {
            let is_it = record.lane == key.lane;
            found = if is_it { Some((place, record)) } else { None };
            !is_it
        })?;
        found.map(|(place, record)| Ok((place, self.stream_entry(bytes, &record)?))).transpose()
    }

    /// As [`Footer::find_stream`], for a coordinate with this [hash](Key::hash) in the footer's store. Where the tables
    /// are at hand, most streams that are not there cost one look.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_hashed_stream<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        key: StreamKey<'_>,
        hash: u32,
    ) -> Result<Option<(u32, StreamEntry<'a>)>, Error> {
        // A page that is still to be read tells more where the stream itself would be.
        if bytes.are_at_hand() {
            let look = self.look(bytes, (Block::StreamSieve, self.stream_count), hash)?;
            if !look.is_some_and(SieveLook::take) {
                return Ok(None);
            }
        }
        self.find_stream(bytes, key)
    }

    /// The places of the streams of an entity in `scope`: one for each lane, in order.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_entity(
        &self,
        bytes: TableBytes<'_>,
        scope: &ScopeEntry<'_>,
        entity: &str,
    ) -> Result<Range<u32>, Error> {
        let mut places = 0..0;
        self.of_entity(bytes, scope, entity, &mut |place, _| {
            places = if places.is_empty() { place..place + 1 } else { places.start..place + 1 };
            true
        })?;
        Ok(places)
    }

    /// Shows `visit` the streams of an entity in `scope`, with their places, until it wants no more.
    fn of_entity<'a>(
        &self,
        bytes: TableBytes<'a>,
        scope: &ScopeEntry<'_>,
        entity: &str,
        visit: &mut dyn FnMut(u32, Record<'a>) -> bool,
    ) -> Result<(), Error> {
        let places = scope.streams.start as usize..scope.streams.end as usize;
        if places.is_empty() {
            return Ok(());
        }
        let mut walk = self.streams_near(bytes, &places, entity)?;
        while let Some((place, record)) = walk.next()?.filter(|(place, _)| places.contains(place)) {
            match record.entity.order(entity) {
                Ordering::Less => {}
                Ordering::Equal if visit(long_len(place), record) => {}
                _ => break,
            }
        }
        Ok(())
    }

    /// The scope at `index`.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged or there is no such scope.
    pub fn scope<'a>(&'a self, bytes: TableBytes<'a>, index: usize) -> Result<ScopeEntry<'a>, Error> {
        let streams = self.span(bytes, Block::Scopes, index, 4)?;
        if streams.end > self.stream_count() {
            return Err(Error::Invalid { what: "footer scope", why: "of streams that are not there" });
        }
        Ok(ScopeEntry {
            text: self.text(bytes, [Block::Scopes, Block::ScopeTexts], index)?,
            streams: long_len(streams.start)..long_len(streams.end),
            rows: self.group(bytes, [Block::Scopes, Block::ScopeRows], index, 8)?,
        })
    }

    /// The scope `text`, with its place.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_scope<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        text: &str,
    ) -> Result<Option<(usize, ScopeEntry<'a>)>, Error> {
        let blocks = [Block::Scopes, Block::ScopeTexts];
        let found = search(self.scope_count(), |index| Ok(self.text(bytes, blocks, index)?.cmp(text)))?;
        let Some(index) = found else { return Ok(None) };
        Ok(Some((index, self.scope(bytes, index)?)))
    }

    /// The text of the scope that the stream at `stream` is in.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged or no scope has the stream.
    pub fn scope_of<'a>(&self, bytes: TableBytes<'a>, stream: usize) -> Result<&'a str, Error> {
        let is_before = |index| Ok(self.number(bytes, Block::Scopes, index, 4)? as usize <= stream);
        let scope = partition(self.scope_count(), is_before)?;
        self.text(bytes, [Block::Scopes, Block::ScopeTexts], scope)
    }

    /// The rows of `kind`.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_kind<'a>(&'a self, bytes: TableBytes<'a>, kind: Kind) -> Result<Postings<'a>, Error> {
        let number = |index| Reader::new("footer kind", self.entry(bytes, Block::Kinds, index)?).u16();
        let found = search(self.count(Block::Kinds), |index| Ok(number(index)?.cmp(&kind.number())))?;
        self.found(bytes, [Block::Kinds, Block::KindRows], found, 4)
    }

    /// The kinds that there are, sorted.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn kinds(&self, bytes: TableBytes<'_>) -> Result<Vec<Kind>, Error> {
        let kind = |index| {
            let mut reader = Reader::new("footer kind", self.entry(bytes, Block::Kinds, index)?);
            let kind =
                Kind::new(reader.u16()?).map_err(|_| reader.invalid("a kind of a reserved category"))?;
            reader.zeros(2)?;
            Ok(kind)
        };
        (0..self.count(Block::Kinds)).map(kind).collect()
    }

    /// The rows whose correlation is `id` and not their own id.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_correlation<'a>(&'a self, bytes: TableBytes<'a>, id: EventId) -> Result<Postings<'a>, Error> {
        self.find_id_group(bytes, id, [Block::Correlations, Block::CorrelationRows])
    }

    /// The correlations that are not their event's own id, sorted.
    pub fn correlations<'a>(
        &'a self,
        bytes: TableBytes<'a>,
    ) -> impl Iterator<Item = Result<EventId, Error>> + use<'a> {
        self.ids_of(bytes, Block::Correlations)
    }

    /// The rows that were caused by `id`.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_causation<'a>(&'a self, bytes: TableBytes<'a>, id: EventId) -> Result<Postings<'a>, Error> {
        self.find_id_group(bytes, id, [Block::Causations, Block::CausationRows])
    }

    /// The causations, sorted.
    pub fn causations<'a>(
        &'a self,
        bytes: TableBytes<'a>,
    ) -> impl Iterator<Item = Result<EventId, Error>> + use<'a> {
        self.ids_of(bytes, Block::Causations)
    }

    /// The rows with `tag`.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn find_tag<'a>(&'a self, bytes: TableBytes<'a>, tag: &str) -> Result<Postings<'a>, Error> {
        let text = |index| self.text(bytes, [Block::Tags, Block::TagTexts], index);
        let found = search(self.count(Block::Tags), |index| Ok(text(index)?.cmp(tag)))?;
        self.found(bytes, [Block::Tags, Block::TagRows], found, 4)
    }

    /// The tags, sorted.
    pub fn tags<'a>(
        &'a self,
        bytes: TableBytes<'a>,
    ) -> impl Iterator<Item = Result<&'a str, Error>> + use<'a> {
        (0..self.count(Block::Tags)).map(move |index| self.text(bytes, [Block::Tags, Block::TagTexts], index))
    }

    /// The offsets of the segment's control records, in order.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn controls<'a>(&'a self, bytes: TableBytes<'a>) -> Result<Postings<'a>, Error> {
        Postings::listed(self, bytes, Block::Controls, &(0..self.count(Block::Controls)))
    }

    /// The number at `at` of an entry of `block`.
    #[inline]
    pub(super) fn number(
        &self,
        bytes: TableBytes<'_>,
        block: Block,
        index: usize,
        at: usize,
    ) -> Result<u32, Error> {
        let start = index.saturating_mul(block.entry_len()).saturating_add(at);
        let number = self.get(bytes, block, start..start.saturating_add(4))?;
        Ok(number.first_chunk().map_or(0, |number| u32::from_le_bytes(*number)))
    }

    /// The entry at `index` of `block`: a row, or the offset of a control record's frame.
    #[inline]
    pub(super) fn listed_row(&self, bytes: TableBytes<'_>, block: Block, index: usize) -> Result<u32, Error> {
        let entry = self.entry(bytes, block, index)?;
        Ok(entry.iter().rev().fold(0, |row, byte| row << 8 | u32::from(*byte)))
    }

    /// What belongs to the entry at `index` of `block`, whose ends stand at `at` of the entries.
    pub(super) fn span(
        &self,
        bytes: TableBytes<'_>,
        block: Block,
        index: usize,
        at: usize,
    ) -> Result<Range<usize>, Error> {
        let start = match index.checked_sub(1) {
            Some(before) => self.number(bytes, block, before, at)? as usize,
            None => 0,
        };
        let end = self.number(bytes, block, index, at)? as usize;
        if start > end {
            return Err(Error::Invalid { what: "footer table", why: "ends that do not ascend" });
        }
        Ok(start..end)
    }

    /// The rows of the key at `index`, whose end stands at `at` of its entry.
    fn group<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        [keys, rows]: [Block; 2],
        index: usize,
        at: usize,
    ) -> Result<Postings<'a>, Error> {
        let range = self.span(bytes, keys, index, at)?;
        let is_single = matches!(keys, Block::Scopes | Block::Kinds) && self.count(keys) == 1;
        if !is_single {
            return Postings::listed(self, bytes, rows, &range);
        }
        if range != (0..self.row_count() as usize) {
            return Err(Error::Invalid { what: "footer table", why: "the only key does not have all rows" });
        }
        Ok(Postings::all(self.row_count()))
    }

    fn found<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        blocks: [Block; 2],
        found: Option<usize>,
        at: usize,
    ) -> Result<Postings<'a>, Error> {
        found.map_or(Ok(Postings::default()), |index| self.group(bytes, blocks, index, at))
    }

    fn find_id_group<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        id: EventId,
        blocks: [Block; 2],
    ) -> Result<Postings<'a>, Error> {
        let [keys, _] = blocks;
        let key = |index| Ok(self.entry(bytes, keys, index)?.get(..16).unwrap_or_default().cmp(&id.0));
        let found = search(self.count(keys), key)?;
        self.found(bytes, blocks, found, 16)
    }

    fn ids_of<'a>(
        &'a self,
        bytes: TableBytes<'a>,
        keys: Block,
    ) -> impl Iterator<Item = Result<EventId, Error>> + use<'a> {
        (0..self.count(keys))
            .map(move |index| Reader::new("footer id", self.entry(bytes, keys, index)?).array().map(EventId))
    }

    /// The text of the key at `index`, whose end its entry begins with.
    fn text<'a>(
        &self,
        bytes: TableBytes<'a>,
        [keys, texts]: [Block; 2],
        index: usize,
    ) -> Result<&'a str, Error> {
        let range = self.span(bytes, keys, index, 0)?;
        let text = self.get(bytes, texts, range)?;
        std::str::from_utf8(text).map_err(|_| Error::Invalid { what: "footer text", why: "not UTF-8" })
    }
}

/// How many of `count` entries come first for which `is_before` holds.
pub(super) fn partition(
    count: usize,
    is_before: impl Fn(usize) -> Result<bool, Error>,
) -> Result<usize, Error> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Binary search over `count` sorted entries.
fn search(count: usize, compare: impl Fn(usize) -> Result<Ordering, Error>) -> Result<Option<usize>, Error> {
    let place = partition(count, |index| Ok(compare(index)?.is_lt()))?;
    Ok(if place < count && compare(place)?.is_eq() { Some(place) } else { None })
}
