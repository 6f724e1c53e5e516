//! The interface of an index: what can be asked of one stretch of the log, whichever form it has.
//!
//! Invariant: a row is an event's place in the stretch, counted from 0, and its sequence is the first
//! sequence plus the row. The place of a stream means something only within the one index that gave it.

use annals_wire::{Depth, Digest, EventId, Kind, Revision, Row, Sequence, StreamKey};

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

    /// The row of the event with `id`.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_id(&self, id: EventId) -> Result<Option<u32>, Error>;

    /// The part of the stream `key` that lies here.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn find_stream(&self, key: StreamKey<'_>) -> Result<Option<StreamView<'_>>, Error>;

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

    /// The kinds that events here have, sorted.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn kinds(&self) -> Result<Vec<Kind>, Error>;
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
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StreamView<'a> {
    /// The stream's place in this index.
    pub place: u32,
    /// Coordinate and lane.
    pub key: StreamKey<'a>,
    /// The revision of its first event here.
    pub first_revision: Revision,
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub fork_depth: Depth,
    /// The hash of its last event here.
    pub head: Digest,
    /// Its rows: the event with revision R is at `R - first_revision`.
    pub rows: Rows<'a>,
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
