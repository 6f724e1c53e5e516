//! The streams and scopes of a footer: by place, by name, and by an entity's.
//!
//! Invariant: an answer is of the footer's own entries; a hash only says that there is none.

use std::{borrow::Cow, cmp::Ordering, ops::Range};

use super::{partition, search};
use crate::{
    Depth, Error, Lane, Revision, SieveLook, StreamKey, TableBytes,
    codec::long_len,
    footer::{
        Block, Footer, Postings,
        streams::{Record, Walk},
    },
};

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

    /// As [`Footer::find_stream`], for a coordinate with this [hash](crate::Key::hash) in the footer's store. Where the
    /// tables are at hand, most streams that are not there cost one look.
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
}
