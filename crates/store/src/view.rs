//! The view: all parts of the log in order, as one moment has them. Readers take one and ask it without a lock
//! on the others.
//!
//! Invariant: parts lie in order of sequence without a gap; all but the last are complete.

use std::ops::Range;

use annals_index::{Index, Query};
use annals_wire::{Digest, EventId, Revision, SegmentId, Sequence, StreamKey};

use crate::{Event, part::Part};

/// All parts, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) parts: Vec<Part>,
}

/// Why a view has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The tables of a part are damaged: index it from its frames and ask again.
    Index { segment: SegmentId, first_sequence: Sequence, why: String },
    /// The log itself failed or is damaged.
    Log(annals_segment::Error),
}

impl From<annals_segment::Error> for Trouble {
    fn from(error: annals_segment::Error) -> Self {
        Self::Log(error)
    }
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) revision: Revision,
    pub(crate) hash: Digest,
}

/// An event that was found in the index.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) part: Part,
    pub(crate) sequence: Sequence,
    pub(crate) offset: u64,
}

impl Part {
    /// Asks the index; what is damaged becomes trouble that says where.
    pub(crate) fn try_ask<R>(
        &self,
        question: impl FnOnce(&dyn Index) -> Result<R, annals_index::Error>,
    ) -> Result<R, Trouble> {
        self.ask(question).map_err(|error| self.trouble(error.to_string()))
    }

    /// The event with `id`, which is read where the index has only the hashes of ids.
    pub(crate) fn find_id(&self, id: EventId) -> Result<Option<Found>, Trouble> {
        for candidate in 0.. {
            let found = self.try_ask(|index| {
                let Some((row, is_known)) = index.find_id(id)?.at(candidate)? else { return Ok(None) };
                Ok(index.row(row)?.map(|found| (self.found(row, found.offset), is_known)))
            })?;
            let Some((found, is_known)) = found else { break };
            if is_known || found.read()?.id() == id {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The end of the stream `key` here; its last event is read where the index does not have its hash.
    pub(crate) fn head(&self, key: StreamKey<'_>) -> Result<Option<Head>, Trouble> {
        let stream = self.try_ask(|index| {
            let Some(stream) = index.find_stream(key)? else { return Ok(None) };
            let last = stream.rows.at(stream.rows.len() - 1)?.unwrap_or_default();
            let last = index.row(last)?.map(|row| self.found(last, row.offset));
            Ok(Some((stream.last_revision(), stream.head, last)))
        })?;
        match stream {
            None => Ok(None),
            Some((revision, Some(hash), _)) => Ok(Some(Head { revision, hash })),
            Some((revision, None, Some(last))) => self.read_head(key, revision, &last).map(Some),
            Some(_) => Err(self.trouble("a stream ends with a row that is not there".to_owned())),
        }
    }

    /// The hash of the event `last`, which the index gives as the one of `key` with `revision`.
    fn read_head(&self, key: StreamKey<'_>, revision: Revision, last: &Found) -> Result<Head, Trouble> {
        let event = last.read()?;
        let view = event.view();
        if view.stream == key && view.stamp.revision == revision {
            return Ok(Head { revision, hash: view.stamp.hash });
        }
        let (stream, found) = (view.stream, view.stamp.revision);
        Err(self
            .trouble(format!("{key} ends with revision {revision}, and that event is {found} of {stream}")))
    }

    /// The rows of the events here that `query`'s conversations began with.
    pub(crate) fn begun(&self, query: &Query, rows: Range<u32>) -> Result<Vec<(EventId, u32)>, Trouble> {
        let mut begun = Vec::new();
        for id in query.correlations() {
            let row = |found: Found| u32::try_from(found.sequence.0 - self.first_sequence.0).ok();
            let row = self.find_id(id)?.and_then(row).filter(|row| rows.contains(row));
            begun.extend(row.map(|row| (id, row)));
        }
        Ok(begun)
    }

    /// Of this part's index, that it is damaged.
    fn trouble(&self, why: String) -> Trouble {
        Trouble::Index { segment: self.frames.segment(), first_sequence: self.first_sequence, why }
    }

    /// The event at `row`, whose frame begins at `offset`.
    pub(crate) fn found(&self, row: u32, offset: u32) -> Found {
        let sequence = Sequence(self.first_sequence.0 + u64::from(row));
        Found { part: self.clone(), sequence, offset: u64::from(offset) }
    }
}

impl Found {
    /// Reads the event, and makes sure that it is the one that the index means.
    pub(crate) fn read(&self) -> Result<Event, annals_segment::Error> {
        let bytes = self.part.frames.read(self.offset)?;
        let path = self.part.frames.path();
        let event = Event::new(bytes).map_err(annals_segment::Error::bytes(path, self.offset))?;
        if event.sequence() == self.sequence {
            return Ok(event);
        }
        Err(annals_segment::Error::Mismatch {
            path: path.to_owned(),
            offset: self.offset,
            what: "the sequence",
            expected: self.sequence.to_string(),
            found: event.sequence().to_string(),
        })
    }
}

impl View {
    /// The last part, the only one that grows.
    pub(crate) fn last(&self) -> &Part {
        self.parts.last().expect("a store has at least its newest segment's part")
    }

    /// All but the last part, newest first.
    pub(crate) fn older(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().rev().skip(1)
    }

    pub(crate) fn find_id(&self, id: EventId) -> Result<Option<Found>, Trouble> {
        first(self.parts.iter().rev(), |part| part.find_id(id))
    }

    /// The part that holds, or would hold, the event with `sequence`.
    pub(crate) fn part_of(&self, sequence: Sequence) -> usize {
        self.parts.partition_point(|part| part.first_sequence <= sequence).saturating_sub(1)
    }
}

/// The first answer that one of `parts` has.
pub(crate) fn first<'a, R>(
    parts: impl Iterator<Item = &'a Part>,
    mut question: impl FnMut(&Part) -> Result<Option<R>, Trouble>,
) -> Result<Option<R>, Trouble> {
    for part in parts {
        if let Some(answer) = question(part)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}
