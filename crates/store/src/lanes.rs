//! Lanes: branches of a coordinate's history. A lane's first event names the event it forks from, whose hash its own
//! stands on; so one hash commits to the lane and to the trunk up to there.
//!
//! Invariant: a lane forks once, from an event of its own coordinate that lies before it. What a lane's events carry of
//! that, the depth of the fork, never changes, and so is known before the turn.

use annals_index::Direction;
use annals_wire::{Coordinate, Depth, Digest, EventId, Fork, Key, Lane, Revision, StreamKey};

use crate::{
    Durability, Error, Events, NewEvent, Store,
    new_event::Prepared,
    report::StreamInfo,
    store::{Shared, lock},
    sync::Arc,
};

/// The lane of an event that is being prepared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnLane {
    pub(crate) lane: Lane,
    pub(crate) fork: Fork,
    /// The hash of the event that it forks from; of the lane's first event only.
    pub(crate) fork_hash: Option<Digest>,
}

impl Store {
    /// The events of one lane of a coordinate, in order of revision, without those of the lane that it forks from.
    pub fn lane(&self, coordinate: &Coordinate, lane: Lane) -> Events {
        Events::stream(Arc::clone(&self.shared), coordinate, lane)
    }

    /// The lanes of a coordinate that have visible events, the trunk first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`].
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let step = store.kind("step")?;
    /// let run = Coordinate::new("run:1", "agent")?;
    /// let first = store.append(&NewEvent::new(&run, step, b"read the file"))?;
    /// store.append(&NewEvent::new(&run, step, b"edit it"))?;
    ///
    /// let other = store.free_lane(&run)?;
    /// store.append(&NewEvent::new(&run, step, b"ask first").fork(other, first.id))?;
    /// store.append(&NewEvent::new(&run, step, b"edit it then").lane(other))?;
    ///
    /// let lanes: Vec<_> = store.lanes(&run)?.iter().map(|lane| (lane.lane, lane.count)).collect();
    /// assert_eq!(lanes, [(Lane(0), 2), (Lane(1), 2)]);
    /// assert_eq!(store.lane(&run, other).next().unwrap()?.depth(), Depth(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn lanes(&self, coordinate: &Coordinate) -> Result<Vec<StreamInfo>, Error> {
        let visible = self.last_sequence();
        let mut lanes = self.shared.lanes(coordinate, |part| part.visible_rows(visible))?;
        lanes.retain(|lane| lane.count > 0);
        Ok(lanes)
    }

    /// The smallest lane of a coordinate that nothing was appended to, visible or not. Where another caller takes it
    /// first, the append that forks it is refused with [`Error::Conflict`].
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`], or [`Error::Invalid`] where all are taken.
    pub fn free_lane(&self, coordinate: &Coordinate) -> Result<Lane, Error> {
        let lanes = self.shared.lanes(coordinate, |part| part.row_count())?;
        let mut free = 1_u32;
        for taken in lanes.iter().filter(|lane| lane.lane != Lane(0)) {
            if taken.lane.0 == free {
                let why = format!("all lanes of {coordinate} are taken");
                free = free.checked_add(1).ok_or(Error::Invalid { what: "lane", why })?;
            }
        }
        Ok(Lane(free))
    }
}

impl Shared {
    /// The lanes of a coordinate, counted over as many rows of each part as `rows` says, in order.
    fn lanes(
        &self,
        coordinate: &Coordinate,
        rows: impl Fn(&crate::part::Part) -> u32,
    ) -> Result<Vec<StreamInfo>, Error> {
        let (scope, entity) = (coordinate.scope(), coordinate.entity());
        let keys = [[Key::Coordinate { scope, entity }.hash(self.report.store)]];
        self.ask(|view| {
            let (mut lanes, mut place) = (Vec::<StreamInfo>::new(), 0);
            while let Some(next) = view.next_part(&keys, place, Direction::Forward)? {
                let Some(part) = view.parts.get(next) else { break };
                let counted = rows(part);
                part.try_ask(|index| {
                    for place in index.find_coordinate(scope, entity)? {
                        let Some(stream) = index.stream(place)? else { continue };
                        let count = stream.rows.lower_bound(counted)? as u64;
                        StreamInfo::count(&mut lanes, stream.name.key(), stream.first_revision, count);
                    }
                    Ok(())
                })?;
                place = next + 1;
            }
            Ok(lanes)
        })
    }

    /// Where the lane of `event` forks; `None` on the trunk. `earlier` are the items before it in its batch.
    pub(crate) fn lane_of(
        &self,
        event: &NewEvent<'_>,
        earlier: &[Prepared<'_>],
    ) -> Result<Option<OnLane>, Error> {
        let (lane, from) = event.on_lane();
        let key = event.coordinate().stream(lane);
        let invalid = |why: String| Err(Error::Invalid { what: "lane", why });
        let begun = earlier.iter().find(|earlier| earlier.key() == key);
        match (lane, from, begun) {
            (Lane(0), None, _) => Ok(None),
            (Lane(0), Some(_), _) => invalid(format!("{key} is the trunk, which forks from nothing")),
            (_, Some(_), Some(_)) => {
                invalid(format!("{key} is forked behind another event of it in the batch"))
            }
            (_, Some(from), None) => self.fork_from(key, from).map(Some),
            (_, None, Some(begun)) => Ok(begun.lane.map(|begun| OnLane {
                fork: Fork { event: None, ..begun.fork },
                fork_hash: None,
                ..begun
            })),
            (_, None, None) => match self.ask(|view| view.head(key))? {
                Some(head) => {
                    let fork = Fork { depth: head.fork_depth, event: None };
                    Ok(Some(OnLane { lane, fork, fork_hash: None }))
                }
                None => invalid(format!("{key} has no event: its first one says where it forks")),
            },
        }
    }

    /// The fork of the lane `key` from the event `from`.
    fn fork_from(&self, key: StreamKey<'_>, from: EventId) -> Result<OnLane, Error> {
        let invalid = |why: String| Err(Error::Invalid { what: "fork", why });
        let Some(found) = self.ask(|view| view.find_id(from))? else {
            return invalid(format!("no event has the id {from}"));
        };
        let writer = self.writer()?;
        // It can be read only when the system has it.
        drop(self.settle_sequence(lock(&writer.turn), found.sequence, Durability::Written)?);
        let event = found.read()?;
        let view = event.view();
        if (view.stream.scope, view.stream.entity) != (key.scope, key.entity) {
            return invalid(format!("{from} is an event of {}, and not of {key}", view.stream));
        }
        let fork = Fork { depth: view.depth(), event: Some(from) };
        Ok(OnLane { lane: key.lane, fork, fork_hash: Some(view.stamp.hash) })
    }
}

impl StreamInfo {
    /// Counts `count` events of the stream `key`, of which the first has `first`, among `streams`, in order.
    fn count(streams: &mut Vec<Self>, key: StreamKey<'_>, first: Revision, count: u64) {
        let revision = Revision((first.0 + count).saturating_sub(1));
        match streams.binary_search_by_key(&key.lane, |stream| stream.lane) {
            Ok(place) => {
                let Some(stream) = streams.get_mut(place) else { return };
                if count > 0 {
                    (stream.count, stream.revision) = (stream.count + count, revision);
                }
            }
            Err(place) => {
                let (scope, entity) = (key.scope.to_owned(), key.entity.to_owned());
                streams.insert(place, Self { scope, entity, lane: key.lane, count, revision });
            }
        }
    }
}

/// The depth of the fork of an event's lane; 0 on the trunk.
pub(crate) fn fork_depth(lane: Option<OnLane>) -> Depth {
    lane.map_or(Depth(0), |lane| lane.fork.depth)
}
