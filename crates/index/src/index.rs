//! The interface of an index: what can be asked of one stretch of the log, whichever form it has.
//!
//! Invariant: a row is an event's place in the stretch, counted from 0, and its sequence is the first
//! sequence plus the row. The place of a stream means something only within the one index that gave it.

use std::{borrow::Cow, ops::Range};

use annals_wire::{
    Depth, Digest, EventId, Kind, Lane, Recorded, Revision, Row, Sequence, StoreId, StreamKey,
};

use crate::{Error, Rows};

/// The index of one stretch of the log.
///
/// Every method fails only where the tables that it touches are damaged: then the stretch has to be indexed
/// again from its frames.
pub trait Index {
    /// The sequence of row 0, or that of the next event where there is none.
    fn first_sequence(&self) -> Sequence;

    /// How many events there are.
    fn row_count(&self) -> u32;

    /// The event at `row`, or `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn row(&self, row: u32) -> Result<Option<Row>, Error>;

    /// Where the event with `id` is, if it is here.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_id(&self, id: EventId) -> Result<IdRows<'_>, Error>;

    /// As [`Index::find_id`], for who asks many indexes: `hash` is that of the id in the log's store.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_hashed_id(&self, id: EventId, hash: u32) -> Result<IdRows<'_>, Error> {
        let _ = hash;
        self.find_id(id)
    }

    /// Where the first event is that was recorded at `recorded` or later: it is one of these rows, of which there
    /// are under 256, or else the one behind them. Where the index knows, there are none before it.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn rows_at(&self, recorded: Recorded) -> Result<Range<u32>, Error>;

    /// The part of the stream `key` that lies here.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_stream(&self, key: StreamKey<'_>) -> Result<Option<StreamView<'_>>, Error>;

    /// As [`Index::find_stream`], for who asks many indexes: `hash` is that of the coordinate in the log's store.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_hashed_stream(&self, key: StreamKey<'_>, hash: u32) -> Result<Option<StreamView<'_>>, Error> {
        let _ = hash;
        self.find_stream(key)
    }

    /// Where the frame of the event at `index` of `rows` begins, with its row; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn placed(&self, rows: &Rows<'_>, index: usize) -> Result<Option<(u32, u32)>, Error> {
        Ok(match rows.placed_at(index)? {
            Some((row, Some(offset))) => Some((row, offset)),
            Some((row, None)) => self.row(row)?.map(|found| (row, found.offset)),
            None => None,
        })
    }

    /// The places of a coordinate's streams, in order of their lanes.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_coordinate(&self, scope: &str, entity: &str) -> Result<Vec<u32>, Error>;

    /// How many streams have events here.
    fn stream_count(&self) -> u32;

    /// The stream at `place`, which [`Row::stream`] names, or `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn stream(&self, place: u32) -> Result<Option<StreamView<'_>>, Error>;

    /// The rows that `term` holds for.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn rows_of(&self, term: &Term<'_>) -> Result<Rows<'_>, Error>;

    /// Where the frames of the control records begin, in order, in bytes from the start of the segment.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn control_offsets(&self) -> Result<Vec<u32>, Error>;

    /// The hashes that all keys of all events here have in `store`, sorted, each once: what a run has of this
    /// index.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn key_hashes(&self, store: StoreId) -> Result<Vec<u32>, Error>;

    /// The kinds that events here have, sorted.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn kinds(&self) -> Result<Vec<Kind>, Error>;
}

/// Where an event is whose id is known.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "an index has the ids, or their hashes")]
pub enum IdRows<'a> {
    /// At this row.
    Known(u32),
    /// At one of these rows, or not here: only the events say. Usually there is one row where it is here, and
    /// none where it is not.
    Possible(Rows<'a>),
}

impl IdRows<'_> {
    /// The row at `index` of those where it may be, and whether it is known to be there.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn at(&self, index: usize) -> Result<Option<(u32, bool)>, Error> {
        match self {
            Self::Known(row) => Ok(Some((*row, true)).filter(|_| index == 0)),
            Self::Possible(rows) => Ok(rows.at(index)?.map(|row| (row, false))),
        }
    }
}

/// What events can be found by, beside their id and their stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Term<'a> {
    /// The kind.
    Kind(Kind),
    /// The scope.
    Scope(&'a str),
    /// A tag.
    Tag(&'a str),
    /// The correlation, where it is not the event's own id.
    Correlation(EventId),
    /// The causation.
    Causation(EventId),
}

/// The part of a stream that lies in one index; it has at least one event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamView<'a> {
    /// The stream's place in this index.
    pub place: u32,
    /// Coordinate and lane.
    pub name: StreamName<'a>,
    /// The revision of its first event here.
    pub first_revision: Revision,
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub fork_depth: Depth,
    /// The hash of its last event here, where the index has it: else the event does.
    pub head: Option<Digest>,
    /// Its rows: the event with revision R is at `R - first_revision`.
    pub rows: Rows<'a>,
}

/// What a stream is called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a key whose entity may have been put together")]
pub struct StreamName<'a> {
    /// Its scope.
    pub scope: &'a str,
    /// Its entity.
    pub entity: Cow<'a, str>,
    /// Its lane.
    pub lane: Lane,
}

impl StreamName<'_> {
    /// The same as a key.
    #[must_use]
    pub fn key(&self) -> StreamKey<'_> {
        StreamKey { scope: self.scope, entity: &self.entity, lane: self.lane }
    }
}

impl StreamView<'_> {
    /// The revision of its last event here.
    #[must_use]
    pub fn last_revision(&self) -> Revision {
        last_revision(self.first_revision, self.rows.len())
    }
}

/// The revision of the last of `count` events, of which there is at least one.
pub(crate) fn last_revision(first: Revision, count: usize) -> Revision {
    Revision(first.0.saturating_add((count as u64).saturating_sub(1)))
}
