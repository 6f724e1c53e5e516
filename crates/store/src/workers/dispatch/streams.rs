//! The streams of a dispatch: which of a stream's events comes next, and which wait for it.
//!
//! Invariant: of each stream at most the first event is listed as ready or later, and none while one is in
//! somebody's hands.

use std::{collections::BTreeSet, hash::Hash};

use annals_wire::{Digest, GroupRecord, Sequence};

use super::{Dispatch, Open, Put, cut};

/// The events of one stream that are not done.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) open: BTreeSet<Sequence>,
    pub(super) parked: BTreeSet<Sequence>,
    pub(super) in_hand: Option<Sequence>,
    /// The event that is listed as ready or later, and since when it may be handed out.
    pub(super) listed: Option<(u64, Sequence)>,
}

/// What is to be done about a stream.
enum Next {
    Forget,
    /// The first event may be handed out.
    List(Sequence),
    /// The first event waited behind one that is gone.
    Release(Sequence),
    /// The first event is parked, and these wait behind it.
    PutAside(Vec<Sequence>),
    Nothing,
}

impl<S: Clone + Eq + Hash> Dispatch<S> {
    /// Sees to it that the first event of `stream` is listed, if it may be handed out, and no other.
    pub(super) fn relist(&mut self, stream: &S) {
        loop {
            self.unlist(stream);
            match self.next_of(stream) {
                Next::Forget => {
                    self.streams.remove(stream);
                }
                Next::List(sequence) => self.list(stream, sequence),
                Next::Release(sequence) => {
                    if let Some(put) = self.unpark(sequence) {
                        self.open(sequence, put.stream, put.hash);
                    }
                    continue;
                }
                Next::PutAside(behind) => behind.into_iter().for_each(|sequence| self.put_aside(sequence)),
                Next::Nothing => {}
            }
            return;
        }
    }

    fn next_of(&self, stream: &S) -> Next {
        let Some(events) = self.streams.get(stream) else { return Next::Nothing };
        if events.in_hand.is_some() {
            return Next::Nothing;
        }
        let parked = events.parked.first().filter(|_| self.limits.holds || events.open.is_empty());
        match (events.open.first(), parked) {
            (None, None) => Next::Forget,
            (Some(open), None) => Next::List(*open),
            (Some(open), Some(parked)) if open < parked => Next::List(*open),
            (_, Some(parked)) => match self.parked.get(parked) {
                Some(put) if put.is_aside => Next::Release(*parked),
                _ => Next::PutAside(events.open.iter().copied().collect()),
            },
        }
    }

    fn list(&mut self, stream: &S, sequence: Sequence) {
        let not_before = self.open.get(&sequence).map_or(0, |open| open.not_before);
        if not_before == 0 {
            self.ready.insert(sequence);
        } else {
            self.later.insert((not_before, sequence));
        }
        if let Some(events) = self.streams.get_mut(stream) {
            events.listed = Some((not_before, sequence));
        }
    }

    fn unlist(&mut self, stream: &S) {
        let listed = self.streams.get_mut(stream).and_then(|events| events.listed.take());
        if let Some(place) = listed {
            self.ready.remove(&place.1);
            self.later.remove(&place);
        }
    }

    /// The event waits behind a parked one of its stream. Where there is no room it stays open, and holds the
    /// position back.
    fn put_aside(&mut self, sequence: Sequence) {
        if !self.has_room_to_park() {
            return;
        }
        let Some(open) = self.remove_open(sequence) else { return };
        if self.fresh.remove(&sequence) {
            self.records.push(GroupRecord::Aside { sequence });
        }
        self.put(sequence, Put { stream: open.stream, hash: open.hash, is_aside: true });
        self.move_position();
    }

    /// The event, which is open and in nobody's hands, is not handed out any more.
    pub(super) fn park_open(&mut self, sequence: Sequence, reason: &str, now: u64) {
        let Some(open) = self.remove_open(sequence) else { return };
        self.fresh.remove(&sequence);
        let (attempt, reason) = (open.attempts, cut(reason));
        self.records.push(GroupRecord::Parked { sequence, attempt, at: now, reason });
        self.put(sequence, Put { stream: open.stream, hash: open.hash, is_aside: false });
        self.move_position();
    }

    /// The event is in nobody's hands any more; returns its stream.
    pub(super) fn take_back(&mut self, sequence: Sequence) -> S {
        let open = self.open.get(&sequence).expect("what is in somebody's hands is open");
        let stream = open.stream.clone();
        let events = self.streams.get_mut(&stream).expect("an open event has a stream");
        assert_eq!(events.in_hand.take(), Some(sequence), "an event is given back once, by who has it");
        self.in_hand -= 1;
        stream
    }

    /// The event, which is neither open nor parked any more, is done.
    pub(super) fn note_done(&mut self, sequence: Sequence) {
        self.fresh.remove(&sequence);
        self.records.push(GroupRecord::Done { sequence });
        if sequence > self.position {
            self.done.insert(sequence);
            self.done_seen += usize::from(sequence <= self.scanned);
        }
        self.move_position();
    }

    pub(super) fn open(&mut self, sequence: Sequence, stream: S, hash: Digest) {
        let (attempts, not_before) = self.tried.remove(&sequence).unwrap_or_default();
        self.streams.entry(stream.clone()).or_default().open.insert(sequence);
        self.open.insert(sequence, Open { stream, hash, attempts, not_before });
    }

    pub(super) fn put(&mut self, sequence: Sequence, put: Put<S>) {
        self.streams.entry(put.stream.clone()).or_default().parked.insert(sequence);
        self.parked.insert(sequence, put);
    }

    pub(super) fn unpark(&mut self, sequence: Sequence) -> Option<Put<S>> {
        let put = self.parked.remove(&sequence)?;
        if let Some(events) = self.streams.get_mut(&put.stream) {
            events.parked.remove(&sequence);
        }
        Some(put)
    }

    pub(super) fn remove_open(&mut self, sequence: Sequence) -> Option<Open<S>> {
        let open = self.open.remove(&sequence)?;
        if let Some(events) = self.streams.get_mut(&open.stream) {
            events.open.remove(&sequence);
        }
        Some(open)
    }
}
