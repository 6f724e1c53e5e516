//! The view: all parts of the log in order, as one moment has them. Readers take one and ask it without a lock
//! on the others.
//!
//! Invariant: parts lie in order of sequence without a gap; all but the last are complete.

mod ids;

use std::ops::Range;

use annals_checkpoint::{ConsumerMoves, LazyRun, RunRange};
use annals_index::{Direction, Hidden, Index, Query, RunIndex, StreamView};
use annals_wire::{Depth, Digest, EventId, Key, Revision, SegmentId, Sequence, StoreId, StreamKey};

pub(crate) use self::ids::HashedId;
use crate::{Event, part::Part, sync::Arc};

/// All parts, oldest first, and the runs that say in which of them to look.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) store: StoreId,
    pub(crate) parts: Vec<Part>,
    /// Runs over segments with footers, oldest first; no two have a segment in common.
    pub(crate) runs: Vec<Arc<LazyRun>>,
    /// The events that no read shows.
    pub(crate) hidden: Arc<Hidden>,
    /// Where the consumers are whose positions are in the log. A writer has them in its turn.
    pub(crate) moves: Arc<ConsumerMoves>,
}

/// Why a view has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The tables of a part are damaged: index it from its frames and ask again.
    Index { segment: SegmentId, first_sequence: Sequence, why: String },
    /// A run is damaged or gone: ask its segments.
    Run { range: RunRange, why: String },
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
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub(crate) fork_depth: Depth,
}

/// An event that was found in the index.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) part: Part,
    pub(crate) sequence: Sequence,
    pub(crate) offset: u64,
    /// The event, where it had to be read to be found.
    event: Option<Event>,
}

impl Part {
    /// Asks the index; what is damaged becomes trouble that says where.
    pub(crate) fn try_ask<R>(
        &self,
        question: impl FnOnce(&dyn Index) -> Result<R, annals_index::Error>,
    ) -> Result<R, Trouble> {
        self.ask_opened(question)?.map_err(|error| self.trouble(error.to_string()))
    }

    /// The end of the stream `key` here; its last event is read where the index does not have its hash.
    pub(crate) fn head(&self, key: StreamKey<'_>) -> Result<Option<Head>, Trouble> {
        self.head_of(key, |index| index.find_stream(key))
    }

    /// The end of the stream `key`, which `find` finds.
    fn head_of(
        &self,
        key: StreamKey<'_>,
        find: impl for<'i> FnOnce(&'i dyn Index) -> Result<Option<StreamView<'i>>, annals_index::Error>,
    ) -> Result<Option<Head>, Trouble> {
        let stream = self.try_ask(|index| {
            let Some(stream) = find(index)? else { return Ok(None) };
            let last = index.placed(&stream.rows, stream.rows.len() - 1)?;
            let last = last.map(|(row, offset)| self.found(row, offset));
            Ok(Some((stream.last_revision(), stream.head, stream.fork_depth, last)))
        })?;
        match stream {
            None => Ok(None),
            Some((revision, Some(hash), fork_depth, _)) => Ok(Some(Head { revision, hash, fork_depth })),
            Some((revision, None, _, Some(last))) => self.read_head(key, revision, &last).map(Some),
            Some(_) => Err(self.trouble("a stream ends with a row that is not there".to_owned())),
        }
    }

    /// The hash of the event `last`, which the index gives as the one of `key` with `revision`.
    fn read_head(&self, key: StreamKey<'_>, revision: Revision, last: &Found) -> Result<Head, Trouble> {
        let event = last.read()?;
        let view = event.view();
        if view.stream == key && view.stamp.revision == revision {
            let fork_depth = view.fork.map_or(Depth(0), |fork| fork.depth);
            return Ok(Head { revision, hash: view.stamp.hash, fork_depth });
        }
        let (stream, found) = (view.stream, view.stamp.revision);
        Err(self
            .trouble(format!("{key} ends with revision {revision}, and that event is {found} of {stream}")))
    }

    /// The rows of the events here that `query`'s conversations began with.
    pub(crate) fn begun(
        &self,
        store: StoreId,
        query: &Query,
        rows: Range<u32>,
    ) -> Result<Vec<(EventId, u32)>, Trouble> {
        let mut begun = Vec::new();
        for id in query.correlations() {
            let row = |found: Found| u32::try_from(found.sequence.0 - self.first_sequence.0).ok();
            let row = self.find_id(HashedId::new(id, store))?.and_then(row).filter(|row| rows.contains(row));
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
        Found { part: self.clone(), sequence, offset: u64::from(offset), event: None }
    }
}

impl Found {
    /// The same, with the event that was read where it is.
    pub(crate) fn with(self, event: Event) -> Self {
        Self { event: Some(event), ..self }
    }

    /// Reads the event, and makes sure that it is the one that the index means.
    pub(crate) fn read(&self) -> Result<Event, annals_segment::Error> {
        if let Some(event) = &self.event {
            return Ok(event.clone());
        }
        let bytes = self.part.frames.read(self.offset)?;
        let path = self.part.frames.path();
        let event = Event::new(bytes).map_err(annals_segment::Error::bytes(path, self.offset))?;
        if event.sequence() == self.sequence {
            return Ok(event);
        }
        Err(self.mismatch("the sequence", self.sequence.to_string(), event.sequence().to_string()))
    }

    /// That the event is not what it was.
    pub(crate) fn mismatch(
        &self,
        what: &'static str,
        expected: String,
        found: String,
    ) -> annals_segment::Error {
        let path = self.part.frames.path().to_owned();
        annals_segment::Error::Mismatch { path, offset: self.offset, what, expected, found }
    }
}

impl View {
    /// The last part, the only one that grows.
    pub(crate) fn last(&self) -> &Part {
        self.parts.last().expect("a store has at least its newest segment's part")
    }

    /// The end of the stream `key`.
    pub(crate) fn head(&self, key: StreamKey<'_>) -> Result<Option<Head>, Trouble> {
        self.head_in(key, self.parts.len())
    }

    /// The end of the stream `key` in the parts before the last.
    pub(crate) fn older_head(&self, key: StreamKey<'_>) -> Result<Option<Head>, Trouble> {
        self.head_in(key, self.parts.len() - 1)
    }

    fn head_in(&self, key: StreamKey<'_>, count: usize) -> Result<Option<Head>, Trouble> {
        let hash = self.coordinate_hash(key);
        let head = |part: &Part| part.head_of(key, |index| index.find_hashed_stream(key, hash));
        self.newest(hash, count, head)
    }

    /// The hash of `key`'s coordinate, by which runs are asked.
    pub(crate) fn coordinate_hash(&self, key: StreamKey<'_>) -> u32 {
        Key::Coordinate { scope: key.scope, entity: key.entity }.hash(self.store)
    }

    /// The place of the first of the parts `places` that has events of the stream `key`, and the first revision there.
    pub(crate) fn next_of_stream(
        &self,
        key: StreamKey<'_>,
        mut places: Range<usize>,
    ) -> Result<Option<(usize, Revision)>, Trouble> {
        let hash = self.coordinate_hash(key);
        while let Some(place) = self.next_part(&[[hash]], places.start, Direction::Forward)? {
            let Some(part) = self.parts.get(place).filter(|_| places.contains(&place)) else { break };
            let first = part.try_ask(|index| {
                Ok(index.find_hashed_stream(key, hash)?.map(|found| found.first_revision))
            })?;
            if let Some(first) = first {
                return Ok(Some((place, first)));
            }
            places.start = place + 1;
        }
        Ok(None)
    }

    /// The event with `sequence`, hidden or not, where it is there.
    pub(crate) fn find(&self, sequence: Sequence) -> Result<Option<Found>, Trouble> {
        let Some(part) = self.parts.get(self.part_of(sequence)) else { return Ok(None) };
        let row = sequence.0.checked_sub(part.first_sequence.0).map(u32::try_from);
        let Some(Ok(row)) = row.filter(|_| sequence > Sequence(0)) else { return Ok(None) };
        let found = part.try_ask(|index| index.row(row))?;
        Ok(found.map(|found| part.found(row, found.offset)))
    }

    /// The part that holds, or would hold, the event with `sequence`.
    pub(crate) fn part_of(&self, sequence: Sequence) -> usize {
        self.parts.partition_point(|part| part.first_sequence <= sequence).saturating_sub(1)
    }

    /// The answer of the newest of the first `count` parts that has one, of those that may hold the key with `hash`.
    fn newest<R>(
        &self,
        hash: u32,
        count: usize,
        question: impl Fn(&Part) -> Result<Option<R>, Trouble>,
    ) -> Result<Option<R>, Trouble> {
        let keys = [[hash]];
        let mut next = count.checked_sub(1);
        while let Some(place) = next {
            let Some(place) = self.next_part(&keys, place, Direction::Backward)? else { break };
            let answer = self.parts.get(place).map_or(Ok(None), &question)?;
            if answer.is_some() {
                return Ok(answer);
            }
            next = place.checked_sub(1);
        }
        Ok(None)
    }

    /// The place of the first part, from that at `place` on in `direction`, which may hold an event with all keys of
    /// one of the lists `keys`. Runs are asked where there are some; a part that no run covers may hold anything, if
    /// it has any event.
    pub(crate) fn next_part(
        &self,
        keys: &[impl AsRef<[u32]>],
        mut place: usize,
        direction: Direction,
    ) -> Result<Option<usize>, Trouble> {
        while let Some(part) = self.parts.get(place) {
            let segment = part.frames.segment();
            let Some(run) = self.run_of(segment) else {
                if part.row_count() > 0 {
                    return Ok(Some(place));
                }
                // It begins where the next one does, and whoever goes by sequences would be led astray.
                match direction {
                    Direction::Forward => place += 1,
                    Direction::Backward if place == 0 => break,
                    Direction::Backward => place -= 1,
                }
                continue;
            };
            let behind = match next_segment(run, keys, segment, direction)? {
                Some(found) if found == segment => return Ok(Some(place)),
                Some(found) => return Ok(Some(self.first_of(found))),
                None if direction == Direction::Forward => {
                    run.range().last.next().map_or(self.parts.len(), |next| self.first_of(next))
                }
                None => match self.first_of(run.range().first).checked_sub(1) {
                    Some(before) => before,
                    None => return Ok(None),
                },
            };
            place = behind;
        }
        Ok(None)
    }

    /// The run that covers `segment`.
    fn run_of(&self, segment: SegmentId) -> Option<&LazyRun> {
        let place = self.runs.partition_point(|run| run.range().last < segment);
        self.runs.get(place).filter(|run| run.range().contains(segment)).map(|run| &**run)
    }

    /// The place of the first part of `segment`. A segment that a run covers has one.
    fn first_of(&self, segment: SegmentId) -> usize {
        self.parts.partition_point(|part| part.frames.segment() < segment)
    }
}

/// The first segment, from `segment` on in `direction`, that according to `run` may hold an event with all keys of
/// one of the lists `keys`.
fn next_segment(
    run: &LazyRun,
    keys: &[impl AsRef<[u32]>],
    segment: SegmentId,
    direction: Direction,
) -> Result<Option<SegmentId>, Trouble> {
    let first = run.range().first.0;
    let trouble = |why: String| Trouble::Run { range: run.range(), why };
    let index = run.index().map_err(|why| trouble(why.to_owned()))?;
    let start = u16::try_from(segment.0 - first).expect("a run covers no more segments");
    let places = keys.iter().map(|keys| next_with_all(index, keys.as_ref(), start, direction));
    let mut places = places.filter_map(Result::transpose);
    let nearest = match direction {
        Direction::Forward => places.try_fold(None, |least: Option<u16>, place| {
            place.map(|place| Some(least.map_or(place, |least| least.min(place))))
        }),
        Direction::Backward => places.try_fold(None, |most: Option<u16>, place| {
            place.map(|place| Some(most.map_or(place, |most| most.max(place))))
        }),
    };
    let nearest = nearest.map_err(|error: annals_index::Error| trouble(error.to_string()))?;
    Ok(nearest.map(|place| SegmentId(first + u64::from(place))))
}

/// The first place, from `place` on in `direction`, at which `run` has all of `keys`.
fn next_with_all(
    run: &RunIndex,
    keys: &[u32],
    mut place: u16,
    direction: Direction,
) -> Result<Option<u16>, annals_index::Error> {
    let mut agreed = 0;
    for key in keys.iter().cycle() {
        if agreed == keys.len() {
            break;
        }
        let Some(next) = run.next(*key, place, direction)? else { return Ok(None) };
        agreed = if next == place { agreed + 1 } else { 1 };
        place = next;
    }
    Ok(Some(place))
}
