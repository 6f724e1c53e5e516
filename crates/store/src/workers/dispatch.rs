//! The dispatch: which event of a group is handed out next, and what becomes of it. Decides, and does nothing.
//!
//! Invariant: of a stream at most one event is in somebody's hands, and always the first that is not done. Every
//! event that was seen is done, open, parked, or waits behind a parked one; the position stands before the first
//! that is open, but for those that were parked once. Whatever changes is told in records, in the order in which it
//! happened.
//!
//! Knows no file, thread or clock: times come in as Unix milliseconds, streams as keys.

mod streams;

#[cfg(test)]
mod model;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    mem,
    ops::Bound,
};

use annals_wire::{Digest, GroupRecord, REASON_LEN_MAX, Sequence};

use super::ledger::Ledger;
use streams::Stream;

/// How long an event waits that is to be parked where there is no room for it.
const NO_ROOM_MILLIS: u64 = 1_000;

/// What is said of an event that was in somebody's hands as often as it may when the process ended.
const PROCESS_ENDED: &str = "each time that it was handed out the process ended";

/// What a group allows itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many events may lie between the position and the newest that was seen.
    pub(crate) window: usize,
    /// After how many attempts an event is parked.
    pub(crate) attempts_max: u32,
    /// How many events may be parked or wait behind parked ones.
    pub(crate) parked_max: usize,
    /// Whether the later events of a stream wait for a parked one.
    pub(crate) holds: bool,
}

/// An event that was given into somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) sequence: Sequence,
    /// From 1.
    pub(crate) attempt: u32,
}

/// Why a parked event is not handed out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReplayed {
    /// It is not parked.
    Unknown,
    /// It waits behind this one.
    Behind(Sequence),
}

/// An event that is to be handed out, or was.
#[derive(Debug)]
struct Open<S> {
    stream: S,
    hash: Digest,
    attempts: u32,
    not_before: u64,
}

/// An event that is not to be handed out.
#[derive(Debug)]
struct Put<S> {
    stream: S,
    hash: Digest,
    is_aside: bool,
}

/// The state of a group while it is held. `S` is what tells streams apart.
#[derive(Debug)]
pub(crate) struct Dispatch<S> {
    limits: Limits,
    /// Every event up to here was seen, or is none of the group's.
    scanned: Sequence,
    position: Sequence,
    /// Beyond the position.
    done: BTreeSet<Sequence>,
    /// How many of them were seen: the others are met again when they are read.
    done_seen: usize,
    open: BTreeMap<Sequence, Open<S>>,
    /// Those of them that hold the position back: that were not parked before.
    fresh: BTreeSet<Sequence>,
    parked: BTreeMap<Sequence, Put<S>>,
    streams: HashMap<S, Stream>,
    /// The first events of the streams that may be handed out now, and those that may be later.
    ready: BTreeSet<Sequence>,
    later: BTreeSet<(u64, Sequence)>,
    in_hand: usize,
    /// What an earlier life tells of events that were not seen in this one yet.
    tried: BTreeMap<Sequence, (u32, u64)>,
    records: Vec<GroupRecord>,
}

impl<S: Clone + Eq + Hash> Dispatch<S> {
    /// The state that `ledger` tells of, but for what is parked: that is given to [`Dispatch::restore`].
    pub(crate) fn new(limits: Limits, ledger: &Ledger) -> Self {
        let tried = ledger.tried.iter();
        // What is read may say anything: below the position nothing counts.
        let done = ledger.done.iter().filter(|sequence| **sequence > ledger.position);
        Self {
            limits,
            scanned: ledger.position,
            position: ledger.position,
            done: done.copied().collect(),
            done_seen: 0,
            open: BTreeMap::new(),
            fresh: BTreeSet::new(),
            parked: BTreeMap::new(),
            streams: HashMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            in_hand: 0,
            tried: tried.map(|(sequence, tried)| (*sequence, (tried.attempts, tried.not_before))).collect(),
            records: Vec::new(),
        }
    }

    /// Takes in an event that an earlier life parked, or put aside; before the first event is seen, oldest first.
    pub(crate) fn restore(
        &mut self,
        sequence: Sequence,
        event: (S, Digest),
        is_aside: bool,
        is_replayed: bool,
    ) {
        let (stream, hash) = event;
        if is_replayed || (is_aside && !self.limits.holds) {
            self.open(sequence, stream.clone(), hash);
        } else {
            self.put(sequence, Put { stream: stream.clone(), hash, is_aside });
        }
        self.relist(&stream);
    }

    /// Parks again what was asked for, or waited no longer, and was in somebody's hands as often as it may; when
    /// everything that earlier lives parked was taken in.
    pub(crate) fn park_spent(&mut self, now: u64) {
        let spent = self.open.iter().filter(|(_, open)| open.attempts >= self.limits.attempts_max);
        let spent: Vec<_> = spent.map(|(sequence, open)| (*sequence, open.stream.clone())).collect();
        for (sequence, stream) in spent {
            if self.has_room_to_park() {
                self.park_open(sequence, PROCESS_ENDED, now);
                self.relist(&stream);
            }
        }
    }

    /// How many more events may be seen now.
    pub(crate) fn room(&self) -> usize {
        self.limits.window.saturating_sub(self.fresh.len() + self.done_seen)
    }

    /// Takes in the next event of the query.
    pub(crate) fn see(&mut self, sequence: Sequence, stream: &S, hash: Digest, now: u64) {
        assert!(sequence > self.scanned, "events are read in order, each once");
        let is_known = self.done.contains(&sequence)
            || self.parked.contains_key(&sequence)
            || self.open.contains_key(&sequence);
        if is_known {
            return self.pass(sequence);
        }
        self.fresh.insert(sequence);
        self.open(sequence, stream.clone(), hash);
        self.pass(sequence);
        let is_spent = self.open.get(&sequence).is_some_and(|open| open.attempts >= self.limits.attempts_max);
        if is_spent && self.has_room_to_park() {
            self.park_open(sequence, PROCESS_ENDED, now);
        }
        self.relist(stream);
    }

    /// Every event of the query up to `to` was seen.
    pub(crate) fn pass(&mut self, to: Sequence) {
        if to <= self.scanned {
            return;
        }
        let seen = (Bound::Excluded(self.scanned), Bound::Included(to));
        self.done_seen += self.done.range(seen).count();
        self.scanned = to;
        self.move_position();
    }

    /// Gives the next event into somebody's hands; `None` where none may be handed out at `now`.
    pub(crate) fn take(&mut self, now: u64) -> Option<Taken> {
        while let Some((_, sequence)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.pop_first();
            self.ready.insert(sequence);
        }
        let sequence = self.ready.pop_first()?;
        let open = self.open.get_mut(&sequence).expect("what is ready is open");
        open.attempts = open.attempts.saturating_add(1);
        let (attempt, hash) = (open.attempts, open.hash);
        let stream = self.streams.get_mut(&open.stream).expect("an open event has a stream");
        (stream.listed, stream.in_hand) = (None, Some(sequence));
        self.in_hand += 1;
        self.records.push(GroupRecord::Begun { sequence, attempt, hash });
        Some(Taken { sequence, attempt })
    }

    /// The event could not be given into anybody's hands: that was no attempt.
    pub(crate) fn untake(&mut self, sequence: Sequence) {
        let stream = self.take_back(sequence);
        if let Some(open) = self.open.get_mut(&sequence) {
            open.attempts -= 1;
        }
        self.relist(&stream);
    }

    /// When the next event may be handed out, where none may be now.
    pub(crate) fn due(&self) -> Option<u64> {
        self.later.first().map(|(due, _)| *due)
    }

    /// Whether an event may be handed out at `now`.
    pub(crate) fn has_ready(&self, now: u64) -> bool {
        !self.ready.is_empty() || self.due().is_some_and(|due| due <= now)
    }

    /// The event in somebody's hands is done.
    pub(crate) fn finish(&mut self, sequence: Sequence) {
        let stream = self.take_back(sequence);
        self.remove_open(sequence);
        self.note_done(sequence);
        self.relist(&stream);
    }

    /// The attempt failed: there is another from `not_before` on, or the event is parked where there were enough.
    pub(crate) fn fail(&mut self, sequence: Sequence, not_before: u64, reason: &str, now: u64) {
        let attempts = self.open.get(&sequence).map_or(0, |open| open.attempts);
        if attempts >= self.limits.attempts_max {
            return self.park(sequence, reason, now);
        }
        self.put_off(sequence, not_before, reason);
    }

    /// The event in somebody's hands is not handed out any more. Where there is no room, it is put off.
    pub(crate) fn park(&mut self, sequence: Sequence, reason: &str, now: u64) {
        if !self.has_room_to_park() {
            return self.put_off(sequence, now.saturating_add(NO_ROOM_MILLIS), reason);
        }
        let stream = self.take_back(sequence);
        self.park_open(sequence, reason, now);
        self.relist(&stream);
    }

    /// The parked event is handed out again, and has all its attempts.
    pub(crate) fn replay(&mut self, sequence: Sequence) -> Result<(), NotReplayed> {
        let put = self.parked.get(&sequence).ok_or(NotReplayed::Unknown)?;
        if put.is_aside {
            let stream = self.streams.get(&put.stream);
            let first = stream.and_then(|stream| stream.parked.first().copied());
            return Err(NotReplayed::Behind(first.unwrap_or(sequence)));
        }
        let put = self.unpark(sequence).expect("found just now");
        self.records.push(GroupRecord::Replayed { sequence });
        self.tried.remove(&sequence);
        self.open(sequence, put.stream.clone(), put.hash);
        self.relist(&put.stream);
        Ok(())
    }

    /// The parked event counts as done.
    pub(crate) fn skip(&mut self, sequence: Sequence) -> Result<(), NotReplayed> {
        let put = self.unpark(sequence).ok_or(NotReplayed::Unknown)?;
        self.note_done(sequence);
        self.relist(&put.stream);
        Ok(())
    }

    /// What changed since this was last asked.
    pub(crate) fn take_records(&mut self) -> Vec<GroupRecord> {
        mem::take(&mut self.records)
    }

    /// Everything up to here is done, parked, waits behind a parked one, or is none of the group's.
    pub(crate) fn position(&self) -> Sequence {
        self.position
    }

    /// Everything up to here was seen, or is none of the group's.
    pub(crate) fn scanned(&self) -> Sequence {
        self.scanned
    }

    /// The position and what is done beyond it, if the event in somebody's hands were done.
    pub(crate) fn if_done(&self, sequence: Sequence) -> (Sequence, Vec<Sequence>) {
        let first = self.fresh.iter().find(|fresh| **fresh != sequence);
        let position = first.map_or(self.scanned, |first| Sequence(first.0 - 1)).max(self.position);
        let mut done: Vec<_> = self.done.iter().copied().filter(|done| *done > position).collect();
        if sequence > position {
            let place = done.partition_point(|done| *done < sequence);
            done.insert(place, sequence);
        }
        (position, done)
    }

    /// Whether the event was parked before: the position may have passed it.
    pub(crate) fn is_replayed(&self, sequence: Sequence) -> bool {
        !self.fresh.contains(&sequence)
    }

    /// How many events are in somebody's hands, wait to be, and are parked or wait behind parked ones.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.in_hand, self.open.len() - self.in_hand, self.parked.len())
    }

    /// Whether nothing is handed out any more, whatever comes, until somebody asks for what is parked.
    pub(crate) fn stands_still(&self) -> bool {
        self.room() == 0 && self.in_hand == 0 && self.ready.is_empty() && self.later.is_empty()
    }

    /// Whether an event that was seen has its place.
    pub(crate) fn accounts_for(&self, sequence: Sequence) -> bool {
        sequence <= self.position
            || self.done.contains(&sequence)
            || self.open.contains_key(&sequence)
            || self.parked.contains_key(&sequence)
    }

    fn has_room_to_park(&self) -> bool {
        self.parked.len() < self.limits.parked_max
    }

    fn move_position(&mut self) {
        let position = self.fresh.first().map_or(self.scanned, |first| Sequence(first.0 - 1));
        if position > self.position {
            let before = self.done.len();
            self.done = self.done.split_off(&Sequence(position.0 + 1));
            self.done_seen -= before - self.done.len();
            self.position = position;
        }
    }

    fn put_off(&mut self, sequence: Sequence, not_before: u64, reason: &str) {
        let stream = self.take_back(sequence);
        if let Some(open) = self.open.get_mut(&sequence) {
            open.not_before = not_before;
        }
        self.records.push(GroupRecord::Failed { sequence, not_before, reason: cut(reason) });
        self.relist(&stream);
    }
}

/// `reason`, as long as a record may have it.
fn cut(reason: &str) -> Box<str> {
    let end = reason.floor_char_boundary(REASON_LEN_MAX);
    reason.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_given_into_anybodys_hands_was_no_attempt() {
        let limits = Limits { window: 2, attempts_max: 1, parked_max: 1, holds: true };
        let mut dispatch = Dispatch::new(limits, &Ledger::default());
        dispatch.see(Sequence(1), &"a stream", Digest([1; 32]), 0);
        for _ in 0..3 {
            assert_eq!(dispatch.take(0), Some(Taken { sequence: Sequence(1), attempt: 1 }));
            dispatch.untake(Sequence(1));
        }
        assert_eq!(dispatch.counts(), (0, 1, 0));
    }

    #[test]
    fn what_is_read_of_events_below_the_position_counts_for_nothing() {
        let limits = Limits { window: 2, attempts_max: 1, parked_max: 1, holds: true };
        let ledger = Ledger { position: Sequence(5), done: [1, 7].map(Sequence).into(), ..Ledger::default() };
        let mut dispatch = Dispatch::<&str>::new(limits, &ledger);
        dispatch.pass(Sequence(6));
        assert_eq!((dispatch.position(), dispatch.room()), (Sequence(6), 2));
        dispatch.pass(Sequence(8));
        assert_eq!((dispatch.position(), dispatch.room()), (Sequence(8), 2));
    }
}
