//! What the desk decides under its one lock: the dispatch, what it has seen, and what is to be written about it.

use std::{collections::VecDeque, time::Instant};

use annals_index::Query;
use annals_wire::{Digest, GroupRecord, Sequence};

use super::Stream;
use crate::{
    Error, Event,
    subscription::Subscription,
    workers::dispatch::{Dispatch, Taken},
};

/// What is decided under one lock.
#[derive(Debug)]
pub(in crate::workers) struct Core {
    pub(in crate::workers) dispatch: Dispatch<Stream>,
    pub(in crate::workers) subscription: Subscription,
    /// What it yields, for the check.
    pub(in crate::workers) query: Query,
    /// The event that was seen last: mostly it is handed out at once.
    pub(in crate::workers) seen: Option<Event>,
    /// What is to be written, each with the event that must be durable before.
    pub(in crate::workers) queue: VecDeque<(Sequence, GroupRecord)>,
    /// How many moves of the group the store's log has.
    pub(in crate::workers) number: u64,
    /// The position that was queued last.
    pub(in crate::workers) queued: Sequence,
    /// How many records were queued, and how many written.
    pub(in crate::workers) queued_count: u64,
    pub(in crate::workers) written_count: u64,
    /// How many had been queued when the last event was parked or put aside, and how many are durable.
    pub(in crate::workers) parked_count: u64,
    pub(in crate::workers) durable_count: u64,
    /// How many events were done since what is known was made durable, and since when.
    pub(in crate::workers) unsaved: u64,
    pub(in crate::workers) unsaved_since: Option<Instant>,
    pub(in crate::workers) sleeping: usize,
    pub(in crate::workers) is_watched: bool,
    /// Whether who watches waits for the end alone: there is no room for more events.
    pub(in crate::workers) is_blind: bool,
    pub(in crate::workers) is_closed: bool,
}

impl Core {
    pub(in crate::workers) fn new(
        dispatch: Dispatch<Stream>,
        subscription: Subscription,
        query: Query,
        number: u64,
    ) -> Self {
        let queued = dispatch.position();
        Self {
            dispatch,
            subscription,
            query,
            seen: None,
            queue: VecDeque::new(),
            number,
            queued,
            queued_count: 0,
            written_count: 0,
            parked_count: 0,
            durable_count: 0,
            unsaved: 0,
            unsaved_since: None,
            sleeping: 0,
            is_watched: false,
            is_blind: false,
            is_closed: false,
        }
    }

    /// Queues what the dispatch has decided: it may be written when `needs` is durable, and what is put aside as well.
    pub(in crate::workers) fn queue_records(&mut self, needs: Sequence) {
        for record in self.dispatch.take_records() {
            let aside = match record {
                GroupRecord::Aside { sequence } => Some(sequence),
                _ => None,
            };
            let parks = aside.is_some() || matches!(record, GroupRecord::Parked { .. });
            self.queue_one(needs.max(aside.unwrap_or_default()), record);
            if parks {
                self.parked_count = self.queued_count;
            }
        }
    }

    pub(in crate::workers) fn queue_one(&mut self, needs: Sequence, record: GroupRecord) {
        self.queue.push_back((needs, record));
        self.queued_count += 1;
    }

    /// Queues the position, where it has moved or `must` be said again. Its hash is looked up when it is written.
    pub(in crate::workers) fn queue_position(&mut self, needs: Sequence, must: bool) {
        let sequence = self.dispatch.position();
        if sequence > self.queued || must {
            self.queued = sequence;
            let record = GroupRecord::Position { number: self.number, sequence, hash: Digest::NONE };
            self.queue_one(needs.max(sequence), record);
        }
    }

    /// The event that is handed out at `now`, if there is one and the group was not closed.
    pub(in crate::workers) fn take(&mut self, now: u64) -> Option<Taken> {
        let taken = if self.is_closed { None } else { self.dispatch.take(now) }?;
        self.queue_records(taken.sequence);
        Some(taken)
    }

    /// Sees events until one can be handed out, or there are no more, or no room. Says why there will be no more.
    pub(in crate::workers) fn look(&mut self, now: u64) -> Result<Option<Error>, Error> {
        if self.is_closed {
            return Ok(Some(Error::Closed));
        }
        let mut end = None;
        while !self.dispatch.has_ready(now) && self.dispatch.room() > 0 {
            match self.subscription.try_next() {
                Ok(Some(event)) => {
                    let stream = (event.coordinate(), event.lane());
                    self.dispatch.see(event.sequence(), &stream, event.hash(), now);
                    self.queue_records(event.sequence());
                    self.seen = Some(event);
                }
                Ok(None) => break,
                Err(error) => {
                    // One worker is told. Whoever looks next is to be told the same, or to go on.
                    self.subscription.revive();
                    if !matches!(error, Error::Closed | Error::Stopped { .. }) {
                        return Err(error);
                    }
                    end = Some(error);
                    break;
                }
            }
        }
        self.dispatch.pass(self.subscription.delivered());
        if end.is_none() && self.dispatch.stands_still() {
            end = self.subscription.end();
        }
        Ok(end)
    }
}
