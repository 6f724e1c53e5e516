//! The dispatch against a naive list, under random schedules: events seen, handed out, done, failed, parked, replayed
//! and passed over; lives that end, with the last records lost or kept.
//!
//! The list says at every step what must be handed out, where the position is, and what has which place. Beside it
//! stands what it cannot get wrong: an event is handed out when every earlier one of its stream was done once, and the
//! position never passes an event that was neither done once nor is parked.
//!
//! `ANNALS_GROUP_SCHEDULES=1000000` runs so many; a failure names the seed, and `ANNALS_GROUP_SEED` runs it alone.

mod list;

use std::collections::BTreeSet;

use annals_segment::{Entropy, SeededEntropy};
use annals_wire::{Digest, GroupRecord, Sequence};

use super::{Dispatch, Limits};
use crate::workers::ledger::Ledger;
use list::{List, Place};

/// One schedule.
struct Run {
    random: SeededEntropy,
    limits: Limits,
    /// The streams of the events, by sequence; `None` for one that is none of the group's.
    events: Vec<Option<u8>>,
    list: List,
    dispatch: Dispatch<u8>,
    /// All records, and how many are safe.
    records: Vec<GroupRecord>,
    safe: usize,
    /// The list as it was after so many records: what a life that ends goes back to.
    before: Vec<(usize, List)>,
    in_hand: Vec<u64>,
    done_once: BTreeSet<u64>,
    now: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let random = SeededEntropy::new(seed);
        let number = |below: u64| (&random as &dyn Entropy).number() % below;
        let limits = Limits {
            window: size(1 + number(6)),
            attempts_max: u32::try_from(1 + number(3)).unwrap(),
            parked_max: if number(3) == 0 { size(number(3)) } else { 100 },
            holds: number(3) > 0,
        };
        let stream_count = 1 + number(4);
        let count = 3 + number(10);
        let events = (0..count)
            .map(|_| (number(5) > 0).then(|| u8::try_from(number(stream_count)).unwrap()))
            .collect();
        Self {
            list: List::new(limits),
            dispatch: Dispatch::new(limits, &Ledger::default()),
            random,
            limits,
            events,
            records: Vec::new(),
            safe: 0,
            before: vec![(0, List::new(limits))],
            in_hand: Vec::new(),
            done_once: BTreeSet::new(),
            now: 0,
        }
    }

    fn number(&self, below: u64) -> u64 {
        (&self.random as &dyn Entropy).number() % below
    }

    fn step(&mut self) {
        match self.number(16) {
            0..=3 => self.see(),
            4..=8 => drop(self.take()),
            9..=11 => self.finish(),
            12 => self.fail(),
            13 => self.park_or_ask(),
            14 => self.save(),
            _ if self.number(4) == 0 => self.die(),
            _ => self.now += self.number(3),
        }
        self.note();
    }

    /// Sees the next event, if there is room for it.
    fn see(&mut self) {
        let at = self.dispatch.scanned().0;
        assert_eq!(self.dispatch.room(), self.list.room(), "the room");
        let Some(event) = self.events.get(size(at)).copied() else { return };
        let sequence = Sequence(at + 1);
        match event {
            None => {
                self.dispatch.pass(sequence);
                self.list.pass(sequence.0);
            }
            Some(stream) if self.dispatch.room() > 0 => {
                self.dispatch.see(sequence, &stream, hash(sequence), self.now);
                self.list.see(sequence.0, stream);
            }
            Some(_) => {}
        }
    }

    fn take(&mut self) -> bool {
        let expected = self.list.take(self.now);
        assert_eq!(self.dispatch.has_ready(self.now), expected.is_some(), "whether something is ready");
        let taken = self.dispatch.take(self.now);
        assert_eq!(taken.map(|taken| (taken.sequence.0, taken.attempt)), expected, "what is handed out");
        let Some((sequence, _)) = expected else { return false };
        let stream = self.events[size(sequence) - 1];
        let earlier = (1..sequence).filter(|at| self.events[size(*at) - 1] == stream);
        let undone: Vec<_> = earlier.filter(|at| !self.done_once.contains(at)).collect();
        let are_parked = || undone.iter().all(|at| self.list.place(*at) == Some(Place::Parked));
        assert!(undone.is_empty() || (!self.limits.holds && are_parked()), "{sequence} before {undone:?}");
        self.in_hand.push(sequence);
        true
    }

    fn hand(&mut self) -> Option<u64> {
        let count = self.in_hand.len() as u64;
        (count > 0).then(|| self.in_hand.swap_remove(size(self.number(count))))
    }

    fn finish(&mut self) {
        let Some(sequence) = self.hand() else { return };
        let (position, done) = self.dispatch.if_done(Sequence(sequence));
        self.dispatch.finish(Sequence(sequence));
        self.list.finish(sequence);
        self.done_once.insert(sequence);
        assert_eq!(self.dispatch.position(), position, "the position that was said before");
        assert_eq!(done.iter().map(|done| done.0).collect::<Vec<_>>(), self.list.done(), "what is done");
    }

    fn fail(&mut self) {
        let Some(sequence) = self.hand() else { return };
        let not_before = if self.number(2) == 0 { 0 } else { self.now + self.number(4) };
        self.dispatch.fail(Sequence(sequence), not_before, "it failed", self.now);
        self.list.fail(sequence, not_before, self.now);
    }

    /// Parks what is in somebody's hands, or asks for what is parked, or passes it over.
    fn park_or_ask(&mut self) {
        let sequence = 1 + self.number(self.events.len() as u64);
        match self.number(3) {
            0 => {
                if let Some(sequence) = self.hand() {
                    self.dispatch.park(Sequence(sequence), "it is of no use", self.now);
                    self.list.park(sequence, self.now);
                }
            }
            1 => {
                let asked = self.dispatch.replay(Sequence(sequence)).is_ok();
                assert_eq!(asked, self.list.replay(sequence), "whether {sequence} is handed out again");
            }
            _ => {
                let asked = self.dispatch.skip(Sequence(sequence)).is_ok();
                assert_eq!(asked, self.list.skip(sequence), "whether {sequence} is passed over");
                if asked {
                    self.done_once.insert(sequence);
                }
            }
        }
    }

    /// The position is saved, and everything is safe.
    fn save(&mut self) {
        self.note();
        let sequence = self.dispatch.position();
        self.records.push(GroupRecord::Position { number: 0, sequence, hash: hash(sequence) });
        self.safe = self.records.len();
        self.list.saved = sequence.0;
        self.before = vec![(self.safe, self.list.clone())];
    }

    /// The process ends. Of what was not safe some is lost.
    fn die(&mut self) {
        self.note();
        let at = size(self.number(self.before.len() as u64));
        let (kept, list) = self.before.swap_remove(at);
        self.records.truncate(kept);
        self.list = list;
        self.in_hand.clear();
        let ledger = self.ledger();
        assert_eq!(ledger.position.0, self.list.saved, "the saved position");
        self.dispatch = Dispatch::new(self.limits, &ledger);
        self.list.reopen();
        for (sequence, parked) in &ledger.parked {
            let stream = self.events[size(sequence.0) - 1].expect("an event of the group's");
            let event = (stream, hash(*sequence));
            self.dispatch.restore(*sequence, event, parked.is_aside, parked.is_replayed);
            self.list.relist(stream);
        }
        self.dispatch.park_spent(self.now);
        self.list.park_spent();
        self.safe = kept;
        self.before = vec![(kept, self.list.clone())];
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for record in &self.records {
            let record = GroupRecord::decode(&record.encode()).expect("encoded just now");
            ledger.apply(&record).expect("what was recorded");
        }
        ledger
    }

    /// Checks what holds after every step, and remembers it.
    fn note(&mut self) {
        let records = self.dispatch.take_records();
        let position = self.dispatch.position().0;
        assert_eq!(position, self.list.position(), "the position");
        for at in 1..=position {
            let is_ours = self.events[size(at) - 1].is_some();
            let is_put = || matches!(self.list.place(at), Some(Place::Parked | Place::Aside));
            let is_asked = || self.list.was_parked(at);
            assert!(!is_ours || self.done_once.contains(&at) || is_put() || is_asked(), "{at} was passed");
        }
        assert_eq!(self.dispatch.counts(), self.list.counts(), "in hand, waiting, parked");
        if !records.is_empty() {
            self.records.extend(records);
            self.before.push((self.records.len(), self.list.clone()));
        } else if let Some((_, list)) = self.before.last_mut() {
            list.clone_from(&self.list);
        }
    }

    /// Everything goes well from here on: nothing is left over.
    fn drain(&mut self) {
        self.limits.parked_max = 100;
        self.dispatch.limits.parked_max = 100;
        self.list.limits.parked_max = 100;
        for _ in 0..1_000 {
            self.now += 2_000;
            self.see();
            self.take();
            self.finish();
            let parked: Vec<_> = (1..=self.events.len() as u64)
                .filter(|at| self.list.place(*at) == Some(Place::Parked))
                .collect();
            for sequence in parked {
                self.dispatch.replay(Sequence(sequence)).expect("it is parked");
                assert!(self.list.replay(sequence));
            }
            self.note();
            let is_all = (1..)
                .zip(&self.events)
                .all(|(at, event)| event.is_none() || self.list.place(at) == Some(Place::Done));
            if is_all && self.dispatch.scanned().0 == self.events.len() as u64 {
                assert_eq!(self.dispatch.counts(), (0, 0, 0), "nothing is left");
                assert_eq!(self.dispatch.position().0, self.events.len() as u64);
                return;
            }
        }
        panic!("it never comes to an end");
    }
}

fn hash(sequence: Sequence) -> Digest {
    Digest([u8::try_from(sequence.0 % 251).expect("below 251"); 32])
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    let steps = 10 + run.number(40);
    for _ in 0..steps {
        run.step();
    }
    run.drain();
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn every_schedule_goes_as_the_list_says() {
    if let Some(seed) = setting("ANNALS_GROUP_SEED") {
        return run(seed);
    }
    let count = setting("ANNALS_GROUP_SCHEDULES").unwrap_or(120_000);
    for seed in 0..count {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("ANNALS_GROUP_SEED={seed} shows it again");
            std::panic::resume_unwind(panic);
        }
    }
}
