//! The naive list: every event with its place, looked through from the start for every question.

use super::super::{Limits, NO_ROOM_MILLIS};

/// What has become of an event that was seen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Open,
    Hand,
    Done,
    Parked,
    Aside,
}

/// An event of the group's.
#[derive(Debug, Clone)]
struct Item {
    sequence: u64,
    stream: u8,
    place: Place,
    attempts: u32,
    not_before: u64,
    was_parked: bool,
    /// Whether this life saw it.
    is_seen: bool,
}

/// All events that were ever seen, by sequence.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) limits: Limits,
    items: Vec<Item>,
    scanned: u64,
    pub(super) saved: u64,
    position: u64,
}

impl List {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, items: Vec::new(), scanned: 0, saved: 0, position: 0 }
    }

    pub(super) fn place(&self, sequence: u64) -> Option<Place> {
        self.items.iter().find(|item| item.sequence == sequence).map(|item| item.place)
    }

    pub(super) fn was_parked(&self, sequence: u64) -> bool {
        self.items.iter().any(|item| item.sequence == sequence && item.was_parked)
    }

    pub(super) fn done(&self) -> Vec<u64> {
        let is_done = |item: &&Item| item.place == Place::Done && item.sequence > self.position;
        self.items.iter().filter(is_done).map(|item| item.sequence).collect()
    }

    pub(super) fn room(&self) -> usize {
        let is_fresh = |item: &Item| matches!(item.place, Place::Open | Place::Hand) && !item.was_parked;
        let is_done = |item: &Item| item.place == Place::Done && item.sequence > self.position;
        let takes_room = |item: &&Item| item.is_seen && (is_fresh(item) || is_done(item));
        self.limits.window.saturating_sub(self.items.iter().filter(takes_room).count())
    }

    pub(super) fn pass(&mut self, to: u64) {
        self.scanned = self.scanned.max(to);
        self.position = self.position();
    }

    pub(super) fn position(&self) -> u64 {
        let holds_back = |item: &&Item| {
            item.is_seen && !item.was_parked && matches!(item.place, Place::Open | Place::Hand)
        };
        let first = self.items.iter().find(holds_back);
        first.map_or(self.scanned, |first| first.sequence - 1).max(self.position)
    }

    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: &[Place]| {
            let is_wanted = |item: &&Item| wanted.contains(&item.place) && (item.is_seen || item.was_parked);
            self.items.iter().filter(is_wanted).count()
        };
        (count(&[Place::Hand]), count(&[Place::Open]), count(&[Place::Parked, Place::Aside]))
    }

    pub(super) fn see(&mut self, sequence: u64, stream: u8) {
        let is_spent = |item: &Item, limits: &Limits| item.attempts >= limits.attempts_max;
        match self.items.iter_mut().find(|item| item.sequence == sequence) {
            Some(item) => {
                item.is_seen = true;
                let is_spent = item.place == Place::Open && !item.was_parked && is_spent(item, &self.limits);
                if is_spent {
                    self.put(sequence);
                }
            }
            None => self.items.push(Item {
                sequence,
                stream,
                place: Place::Open,
                attempts: 0,
                not_before: 0,
                was_parked: false,
                is_seen: true,
            }),
        }
        self.items.sort_by_key(|item| item.sequence);
        self.relist(stream);
        self.pass(sequence);
    }

    pub(super) fn take(&mut self, now: u64) -> Option<(u64, u32)> {
        let blocks = |item: &Item| match item.place {
            Place::Open => item.is_seen || item.was_parked,
            Place::Hand => true,
            Place::Done => false,
            Place::Parked | Place::Aside => self.limits.holds,
        };
        let is_busy =
            |stream| self.items.iter().any(|item| item.stream == stream && item.place == Place::Hand);
        let at = self.items.iter().enumerate().position(|(at, item)| {
            let is_there = item.place == Place::Open && (item.is_seen || item.was_parked);
            let mut earlier = self.items[..at].iter().filter(|earlier| earlier.stream == item.stream);
            is_there && item.not_before <= now && !is_busy(item.stream) && !earlier.any(blocks)
        })?;
        let item = &mut self.items[at];
        item.place = Place::Hand;
        item.attempts += 1;
        Some((item.sequence, item.attempts))
    }

    pub(super) fn finish(&mut self, sequence: u64) {
        self.change(sequence, |item| item.place = Place::Done);
    }

    pub(super) fn fail(&mut self, sequence: u64, not_before: u64, now: u64) {
        let attempts = self.item(sequence).attempts;
        if attempts >= self.limits.attempts_max {
            return self.park(sequence, now);
        }
        self.change(sequence, |item| (item.place, item.not_before) = (Place::Open, not_before));
    }

    pub(super) fn park(&mut self, sequence: u64, now: u64) {
        if self.put(sequence) {
            return self.change(sequence, |_| ());
        }
        let not_before = now + NO_ROOM_MILLIS;
        self.change(sequence, |item| (item.place, item.not_before) = (Place::Open, not_before));
    }

    pub(super) fn replay(&mut self, sequence: u64) -> bool {
        if self.place(sequence) != Some(Place::Parked) {
            return false;
        }
        self.change(sequence, |item| (item.place, item.attempts, item.not_before) = (Place::Open, 0, 0));
        true
    }

    pub(super) fn skip(&mut self, sequence: u64) -> bool {
        if !matches!(self.place(sequence), Some(Place::Parked | Place::Aside)) {
            return false;
        }
        self.change(sequence, |item| item.place = Place::Done);
        true
    }

    /// A new life: nothing is in anybody's hands, and what lies beyond the saved position is read again.
    pub(super) fn reopen(&mut self) {
        (self.scanned, self.position) = (self.saved, self.saved);
        for item in &mut self.items {
            if item.place == Place::Hand {
                item.place = Place::Open;
            }
            item.is_seen = item.sequence <= self.saved;
        }
    }

    /// What was parked once is parked again where it was in somebody's hands as often as it may.
    pub(super) fn park_spent(&mut self) {
        let is_spent = |item: &&Item| {
            item.was_parked && item.place == Place::Open && item.attempts >= self.limits.attempts_max
        };
        let spent: Vec<_> = self.items.iter().filter(is_spent).map(|item| item.sequence).collect();
        for sequence in spent {
            self.put(sequence);
            let stream = self.item(sequence).stream;
            self.relist(stream);
        }
    }

    /// What waits behind a parked event of the stream waits, and what no longer does is open.
    pub(super) fn relist(&mut self, stream: u8) {
        let is_busy = |item: &Item| item.stream == stream && item.place == Place::Hand;
        if self.items.iter().any(is_busy) {
            return;
        }
        let is_there = |item: &Item| item.is_seen || item.was_parked;
        let is_left = |item: &&Item| {
            let counts = self.limits.holds || item.place == Place::Open;
            item.stream == stream && item.place != Place::Done && is_there(item) && counts
        };
        let Some(first) = self.items.iter().find(is_left).map(|item| (item.sequence, item.place)) else {
            return;
        };
        match first {
            (sequence, Place::Aside) => self.item(sequence).place = Place::Open,
            (_, Place::Parked) => {
                let is_open =
                    |item: &&Item| item.stream == stream && item.place == Place::Open && is_there(item);
                let open: Vec<_> = self.items.iter().filter(is_open).map(|item| item.sequence).collect();
                for sequence in open {
                    if self.put(sequence) {
                        self.item(sequence).place = Place::Aside;
                    }
                }
            }
            _ => {}
        }
    }

    /// Parks the event, if there is room.
    fn put(&mut self, sequence: u64) -> bool {
        let is_put = |item: &&Item| matches!(item.place, Place::Parked | Place::Aside);
        if self.items.iter().filter(is_put).count() >= self.limits.parked_max {
            return false;
        }
        let item = self.item(sequence);
        (item.place, item.was_parked) = (Place::Parked, true);
        true
    }

    fn change(&mut self, sequence: u64, change: impl FnOnce(&mut Item)) {
        change(self.item(sequence));
        let stream = self.item(sequence).stream;
        self.relist(stream);
        self.position = self.position();
    }

    fn item(&mut self, sequence: u64) -> &mut Item {
        self.items.iter_mut().find(|item| item.sequence == sequence).expect("it was seen")
    }
}
