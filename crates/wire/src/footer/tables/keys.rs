//! The rows that a key of a footer has: an id, a kind, a correlation, a causation, a tag; and the control records.
//!
//! Invariant: keys are sorted, and each key's rows ascend.

use super::search;
use crate::{
    Error, EventId, Key, Kind, SieveLook, TableBytes,
    codec::Reader,
    footer::{Block, Footer, Postings},
    key,
};

impl Footer {
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

    /// The hashes of all ids, in order: [`Footer::row_count`] many.
    ///
    /// # Errors
    /// [`Error`] where a page is damaged.
    pub fn id_hashes<'a>(&self, bytes: TableBytes<'a>) -> Result<impl Iterator<Item = u32> + use<'a>, Error> {
        let table = self.get(bytes, Block::Ids, 0..self.place(Block::Ids).len())?;
        Ok(table.as_chunks().0.iter().map(|hash| u32::from_le_bytes(*hash)))
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
}
