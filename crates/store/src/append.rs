//! The append: what can be done before the turn, and what the turn decides.
//!
//! Invariant: one path for a single event and a batch. Everything is checked before the first frame is
//! staged, so a batch is staged whole or not at all.

mod repeat;
mod stamp;

use std::{
    collections::{HashMap, HashSet, hash_map},
    io,
};

use annals_segment::Log;
use annals_wire::{Batch, EVENT_STAMP_LEN, Lane, Recorded, StreamKey, frame_len};

use self::{
    repeat::repeat_receipts,
    stamp::{insert, stamp},
};
use crate::{
    Condition, Durability, Error, Expected, NewEvent, Receipt,
    checkpoint::LAG_BYTES_MAX,
    consumer::NewMove,
    lanes,
    new_event::Prepared,
    store::{Shared, lock},
    sync::{Arc, MutexGuard},
    turn::{Turn, Writer},
    view::{Found, Head, View},
};

/// Above this many bytes waiting to be written, who queues an event writes them.
const QUEUED_BYTES_MAX: usize = 256 << 10;

/// How long an append stays with its caller.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stay {
    /// Until its events are as durable.
    Until(Durability),
    /// Until they have their places. Where there is no room, until there is, or it is refused.
    Placed { waits_for_room: bool },
}

impl Stay {
    fn durability(self) -> Durability {
        match self {
            Self::Until(durability) => durability,
            Self::Placed { .. } => Durability::Queued,
        }
    }

    /// Whether it waits for nobody.
    fn is_brief(self) -> bool {
        matches!(self, Self::Placed { waits_for_room: false })
    }
}

/// What was looked up before the turn, in all parts but the one that grows.
struct Cold {
    view: Arc<View>,
    heads: Vec<Option<Head>>,
    ids: Vec<Option<Found>>,
    /// Where the condition's streams end, and why it cannot hold.
    condition_heads: Vec<Option<Head>>,
    failed: Option<Error>,
}

impl Shared {
    pub(crate) fn writer(&self) -> Result<&Writer, Error> {
        self.writer.as_ref().ok_or_else(|| match &self.no_space {
            Some(source) => Error::NoSpace { source: Arc::clone(source) },
            None => Error::ReadOnly,
        })
    }

    pub(crate) fn append(
        &self,
        events: &[NewEvent<'_>],
        condition: &Condition,
        stay: Stay,
    ) -> Result<Vec<Receipt>, Error> {
        if events.is_empty() {
            return self.writer().map(|_| Vec::new());
        }
        self.append_moving(events, condition, None, stay)
    }

    /// Appends `events`, and in the same batch where a consumer is then; also where there is no event.
    pub(crate) fn append_moving(
        &self,
        events: &[NewEvent<'_>],
        condition: &Condition,
        moved: Option<&NewMove>,
        stay: Stay,
    ) -> Result<Vec<Receipt>, Error> {
        let writer = self.writer()?;
        let now = self.options.clock.now_millis();
        let mut batch = Vec::with_capacity(events.len());
        for event in events {
            let lane = self.lane_of(event, &batch)?;
            let kind_of = |schema: &_| self.kind_of(schema);
            let prepared = event.prepare(lane, kind_of, &batch, || writer.ids.next(now))?;
            batch.push(prepared);
        }
        let len = self.check(&batch)? + moved.map_or(0, NewMove::frame_len_max);
        condition.check()?;
        let mut cold = self.look_up(&batch, condition)?;
        let mut turn = lock(&writer.turn);
        loop {
            self.check_writing(&turn)?;
            if !Arc::ptr_eq(&cold.view, &self.view()) {
                drop(turn);
                cold = self.look_up(&batch, condition)?;
                turn = lock(&writer.turn);
                continue;
            }
            moved.map_or(Ok(()), |moved| moved.check(&turn))?;
            let mut fresh = &*batch;
            let mut receipts = Vec::new();
            if let Some(found) = self.find_repeats(&cold, &batch)? {
                if moved.is_none() {
                    return self.repeat(turn, &batch, &found, stay);
                }
                // What came of it is there already: only the move is new.
                receipts = repeat_receipts(&batch, &found, stay.durability())?;
                fresh = &[];
            }
            let heads = self.heads(&cold, fresh)?;
            check_expected(fresh, &heads)?;
            self.check_condition(&mut cold, condition)?;
            log(&mut turn)?.check_space(len)?;
            turn = match self.make_room(turn, len, stay)? {
                Room::Made(turn) => turn,
                Room::There(mut turn) => {
                    receipts.extend(self.stage(&mut turn, fresh, moved, heads, stay.durability())?);
                    self.settle_append(turn, stay)?;
                    return Ok(receipts);
                }
            };
        }
    }

    /// Makes room for a batch of `len` bytes where there is none: in the segment, in the index, in the queue. The turn
    /// may have been let go of meanwhile.
    fn make_room<'t>(
        &'t self,
        mut turn: MutexGuard<'t, Turn>,
        len: u64,
        stay: Stay,
    ) -> Result<Room<'t>, Error> {
        let unsynced = turn.appended.bytes - turn.durable.bytes;
        let is_full = unsynced > 0 && unsynced.saturating_add(len) > self.options.queue_bytes_max;
        let busy = |what, len, max| {
            self.wake_to_flush();
            Err(Error::Busy { what, len, max })
        };
        if log(&mut turn)?.needs_rotation(len)? {
            if stay.is_brief() && (turn.is_led || unsynced > 0) {
                return busy("the segment, behind which a new one begins,", unsynced, 0);
            }
            return self.rotate(turn).map(Room::Made);
        }
        if self.is_index_behind(&turn) {
            if stay.is_brief() {
                return busy("the log without an index", turn.lag(), LAG_BYTES_MAX);
            }
            drop(turn);
            self.catch_up()?;
            return Ok(Room::Made(lock(&self.writer()?.turn)));
        }
        match stay {
            Stay::Placed { waits_for_room } if is_full => {
                if !waits_for_room {
                    return busy("the queue", unsynced.saturating_add(len), self.options.queue_bytes_max);
                }
                let bytes = turn.durable.bytes + unsynced.div_ceil(2);
                self.settle(turn, bytes, Durability::Durable).map(Room::Made)
            }
            _ => Ok(Room::There(turn)),
        }
    }

    /// Checks what depends on nothing but the batch; returns how many bytes it takes.
    fn check(&self, batch: &[Prepared<'_>]) -> Result<u64, Error> {
        let mut ids = HashSet::new();
        let mut len = 0;
        for event in batch {
            let event_len = frame_len(EVENT_STAMP_LEN, event.body.len());
            if event_len > self.options.event_bytes_max {
                return Err(Error::TooLarge {
                    what: "an event",
                    len: event_len,
                    max: self.options.event_bytes_max,
                });
            }
            if batch.len() > 1 && !ids.insert(event.id) {
                let why = format!("the id {} is there twice", event.id);
                return Err(Error::Invalid { what: "batch", why });
            }
            len += event_len;
        }
        if len > self.options.batch_bytes_max {
            return Err(Error::TooLarge { what: "a batch", len, max: self.options.batch_bytes_max });
        }
        Ok(len)
    }

    /// Looks up what may touch cold pages, before the turn. What the growing part knows is looked up in it.
    fn look_up(&self, batch: &[Prepared<'_>], condition: &Condition) -> Result<Cold, Error> {
        self.ask(|view| {
            let head = |key: StreamKey<'_>| {
                let is_warm = view.last().head(key)?.is_some();
                if is_warm { Ok(None) } else { view.older_head(key) }
            };
            let mut cold = Cold {
                view: Arc::clone(view),
                heads: Vec::with_capacity(batch.len()),
                ids: Vec::with_capacity(batch.len()),
                condition_heads: Vec::with_capacity(condition.streams.len()),
                failed: condition.find_older(view)?,
            };
            for (coordinate, _) in &condition.streams {
                cold.condition_heads.push(head(coordinate.stream(Lane(0)))?);
            }
            for event in batch {
                cold.heads.push(head(event.key())?);
                cold.ids.push(if event.is_given { view.find_older_id(event.id)? } else { None });
            }
            Ok(cold)
        })
    }

    /// Where the batch's streams end, with everything that was staged.
    fn heads<'b>(
        &self,
        cold: &Cold,
        batch: &'b [Prepared<'_>],
    ) -> Result<HashMap<StreamKey<'b>, Option<Head>>, Error> {
        let mut heads = HashMap::with_capacity(batch.len());
        for (event, cold_head) in batch.iter().zip(&cold.heads) {
            let key = event.key();
            if let hash_map::Entry::Vacant(place) = heads.entry(key) {
                let warm = self.ask(|_| cold.view.last().head(key))?;
                place.insert(warm.or(*cold_head));
            }
        }
        Ok(heads)
    }

    /// Checks the condition against everything that was staged.
    fn check_condition(&self, cold: &mut Cold, condition: &Condition) -> Result<(), Error> {
        for ((coordinate, expected), cold_head) in condition.streams.iter().zip(&cold.condition_heads) {
            let key = coordinate.stream(Lane(0));
            let head = self.ask(|_| cold.view.last().head(key))?.or(*cold_head);
            check_head(key, *expected, head)?;
        }
        let found = match cold.failed.take() {
            Some(found) => Some(found),
            None => self.ask(|_| condition.find_in_last(&cold.view))?,
        };
        found.map_or(Ok(()), Err)
    }

    /// Gives the batch its place, stamps it and stages it, a consumer's move last. Nothing here fails once a frame is
    /// staged.
    fn stage<'b>(
        &self,
        turn: &mut Turn,
        batch: &'b [Prepared<'_>],
        moved: Option<&NewMove>,
        mut heads: HashMap<StreamKey<'b>, Option<Head>>,
        durability: Durability,
    ) -> Result<Vec<Receipt>, Error> {
        let exhausted = |what| Error::Environment { source: annals_segment::Error::Exhausted { what } };
        let frame_count = batch.len() + usize::from(moved.is_some());
        let count = u32::try_from(frame_count).map_err(|_| exhausted("the batch"))?;
        let next = log(turn)?.next_sequence();
        if next.0.checked_add(u64::from(count)).is_none() || turn.recorded.0 > u64::MAX - u64::from(count) {
            return Err(exhausted("the sequence or the clock"));
        }
        self.open_frontier(turn);
        let now = Recorded::from_millis(self.options.clock.now_millis());
        let view = self.view();
        let mut receipts = Vec::with_capacity(batch.len());
        for (index, event) in (0..).zip(batch) {
            let key = event.key();
            let head = heads.get(&key).copied().flatten();
            let stamped = stamp(turn, event, head, Batch { index, count }, now)?;
            let revision = stamped.stamp.revision;
            let fork_depth = lanes::fork_depth(event.lane);
            heads.insert(key, Some(Head { revision, hash: stamped.stamp.hash, fork_depth }));
            insert(view.last(), event, &stamped);
            receipts.push(Receipt {
                id: event.id,
                sequence: stamped.sequence,
                revision,
                recorded: stamped.stamp.recorded,
                hash: stamped.stamp.hash,
                durability,
                is_repeat: false,
            });
        }
        if let Some(moved) = moved {
            self.stage_move(turn, moved, Batch { index: count - 1, count })?;
        }
        Ok(receipts)
    }

    /// Waits until what was just staged is as durable as is asked.
    pub(crate) fn settle_append(&self, turn: MutexGuard<'_, Turn>, stay: Stay) -> Result<(), Error> {
        let Stay::Until(durability) = stay else {
            drop(turn);
            self.wake_to_flush();
            return Ok(());
        };
        let reach = turn.appended;
        let staged = turn.log.as_ref().map_or(0, Log::staged_len);
        let unsynced = reach.bytes - turn.durable.bytes;
        if durability == Durability::Durable || unsynced > self.options.queue_bytes_max {
            drop(self.settle(turn, reach.bytes, Durability::Durable)?);
        } else if durability == Durability::Written || staged > QUEUED_BYTES_MAX {
            drop(self.settle(turn, reach.bytes, Durability::Written)?);
            self.writer()?.worker.wake_to_sync();
        } else {
            drop(turn);
            self.writer()?.worker.wake_to_sync();
        }
        Ok(())
    }

    /// Whether the store still writes.
    pub(crate) fn check_writing(&self, turn: &Turn) -> Result<(), Error> {
        let Some(log) = &turn.log else { return Err(Error::Closed) };
        if self.writer()?.turn.is_poisoned() {
            // Whoever panicked in its turn may have staged half a batch. What is staged is never written.
            let cause =
                annals_segment::Error::io("append to", log.path())(io::Error::other("a thread panicked"));
            let source = annals_segment::Error::Stopped { cause: Arc::new(cause) };
            return Err(self.stopped(turn, source));
        }
        log.check().map_err(|source| self.stopped(turn, source))
    }

    /// That the writer stopped, which who waits for events is told too.
    pub(crate) fn stopped(&self, turn: &Turn, source: annals_segment::Error) -> Error {
        let durable = turn.durable.sequence;
        if let annals_segment::Error::Stopped { cause } = &source {
            self.watch.stop(durable, cause);
        }
        Error::Stopped { durable, source }
    }
}

/// Whether there is room for a batch.
enum Room<'t> {
    There(MutexGuard<'t, Turn>),
    /// It had to be made, and everything is to be looked at again.
    Made(MutexGuard<'t, Turn>),
}

pub(crate) fn log(turn: &mut Turn) -> Result<&mut Log, Error> {
    turn.log.as_mut().ok_or(Error::Closed)
}

fn check_expected(batch: &[Prepared<'_>], heads: &HashMap<StreamKey<'_>, Option<Head>>) -> Result<(), Error> {
    for event in batch {
        let key = event.key();
        let head = heads.get(&key).copied().flatten();
        if event.forks() {
            check_head(key, Expected::None, head)?;
        }
        check_head(key, event.expected, head)?;
    }
    Ok(())
}

fn check_head(key: StreamKey<'_>, expected: Expected, head: Option<Head>) -> Result<(), Error> {
    let actual = head.map(|head| head.revision);
    if expected.is_met(actual) {
        return Ok(());
    }
    Err(Error::Conflict { stream: key.to_string(), expected, actual })
}
