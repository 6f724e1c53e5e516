//! What a store must hold: a plain list of what was sent, and how much of it was acknowledged.
//!
//! Invariant: nothing here comes from the product but what it returned to its caller.

use annals::{Durability, EventId, Kind};

/// An event that was sent, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draft {
    /// What its id and its payload are made of.
    pub(super) number: u64,
    pub(super) entity: usize,
    pub(super) scope: usize,
    pub(super) kind: u16,
    /// A bit for each tag that it has.
    pub(super) tags: u8,
    pub(super) len: usize,
}

impl Draft {
    /// Its id; the order of ids is not that of numbers.
    pub(super) fn id(&self) -> EventId {
        let mixed = (u128::from(self.number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        EventId(mixed.to_le_bytes())
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let byte = |place: usize| (place as u64).wrapping_mul(31).wrapping_add(self.number).to_le_bytes()[0];
        (0..self.len).map(byte).collect()
    }

    pub(super) fn is_of_stream_of(&self, other: &Self) -> bool {
        (self.entity, self.scope) == (other.entity, other.scope)
    }
}

/// Where an append expects the stream of its events to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Anywhere,
    Nowhere,
    Somewhere,
    At(u64),
}

/// What one call put into the log, all of it or nothing.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Batch(Vec<Draft>),
    /// A name for a kind; which one is not known where the call failed.
    Name(String, Option<Kind>),
}

/// What an append must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    New,
    /// These events, by place, are there already.
    Repeat(Vec<usize>),
    Conflict,
    IdTaken,
    PartlyRepeated,
    Invalid,
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct Model {
    log: Vec<Record>,
    /// How many records outlive a power loss.
    durable: usize,
    /// How many records outlive the process.
    written: usize,
}

impl Model {
    /// All events, in order.
    pub(super) fn events(&self) -> Vec<Draft> {
        self.log.iter().flat_map(Record::events).copied().collect()
    }

    /// The names of kinds, in order.
    pub(super) fn names(&self) -> Vec<(String, Option<Kind>)> {
        let name = |record: &Record| match record {
            Record::Name(name, kind) => Some((name.clone(), *kind)),
            Record::Batch(_) => None,
        };
        self.log.iter().filter_map(name).collect()
    }

    /// The revision that the stream of `draft` has; 0 where it has no event.
    pub(super) fn revision(&self, draft: &Draft) -> u64 {
        self.events().iter().filter(|event| event.is_of_stream_of(draft)).count() as u64
    }

    /// What appending `batch` must come to.
    pub(super) fn predict(&self, batch: &[Draft], wanted: Wanted) -> Outcome {
        let events = self.events();
        let place = |draft: &Draft| events.iter().position(|event| event.number == draft.number);
        let places: Vec<_> = batch.iter().filter_map(place).collect();
        let is_twice =
            |(place, draft): (usize, &Draft)| batch[..place].iter().any(|other| other.number == draft.number);
        if batch.iter().enumerate().any(is_twice) {
            return Outcome::Invalid;
        }
        if places.len() == batch.len() {
            let is_same = places.iter().zip(batch).all(|(place, draft)| events[*place] == *draft);
            return if is_same { Outcome::Repeat(places) } else { Outcome::IdTaken };
        }
        if !places.is_empty() {
            return Outcome::PartlyRepeated;
        }
        let is_met = |draft: &Draft| match (wanted, self.revision(draft)) {
            (Wanted::Anywhere, _) | (Wanted::Nowhere, 0) => true,
            (Wanted::Nowhere, _) => false,
            (Wanted::Somewhere, revision) => revision > 0,
            (Wanted::At(wanted), revision) => wanted == revision,
        };
        if batch.iter().all(is_met) { Outcome::New } else { Outcome::Conflict }
    }

    /// Adds what was sent; whether it is there is not known before it is acknowledged.
    pub(super) fn push(&mut self, record: Record) {
        self.log.push(record);
    }

    /// Notes that all records are as durable as that.
    pub(super) fn acknowledge_all(&mut self, durability: Durability) {
        self.acknowledge(self.log.len(), durability);
    }

    /// Notes that the first `count` events, and all that came before the last of them, are as durable as that.
    /// Fails where they end within a batch.
    pub(super) fn acknowledge_events(&mut self, count: usize, durability: Durability) {
        let ends = self.ends();
        let records = ends.iter().position(|end| *end == count);
        self.acknowledge(records.unwrap_or_else(|| panic!("{count} events end within a batch")), durability);
    }

    /// Notes that the record with the event at `place` is as durable as that.
    pub(super) fn acknowledge_place(&mut self, place: usize, durability: Durability) {
        let records = self.ends().iter().position(|end| *end > place);
        self.acknowledge(records.expect("it was sent"), durability);
    }

    fn acknowledge(&mut self, records: usize, durability: Durability) {
        if durability >= Durability::Written {
            self.written = self.written.max(records);
        }
        if durability == Durability::Durable {
            self.durable = self.durable.max(records);
        }
    }

    /// How many events the first 0, 1, 2 ... records have.
    fn ends(&self) -> Vec<usize> {
        let mut ends = vec![0];
        ends.extend(self.log.iter().scan(0, |count, record| {
            *count += record.events().len();
            Some(*count)
        }));
        ends
    }

    /// Forgets what a store that was opened again does not have; fails where that was promised, or where what it
    /// has is no prefix. What it shows then is durable.
    pub(super) fn recover(&mut self, event_count: usize, name_count: usize, after_power_loss: bool) {
        let promised = if after_power_loss { self.durable } else { self.durable.max(self.written) };
        let ends = self.ends();
        let has_names = |records: usize| {
            self.log[..records].iter().filter(|record| matches!(record, Record::Name(..))).count()
                == name_count
        };
        let found = (0..ends.len()).find(|records| ends[*records] == event_count && has_names(*records));
        let kept = found.unwrap_or_else(|| {
            panic!("{event_count} events and {name_count} names are no prefix of {:?}", self.log)
        });
        assert!(
            kept >= promised,
            "{kept} records are there, {promised} were acknowledged; after a power loss: {after_power_loss}; {:?}",
            self.log
        );
        self.log.truncate(kept);
        (self.durable, self.written) = (kept, kept);
    }
}

impl Record {
    fn events(&self) -> &[Draft] {
        match self {
            Self::Batch(events) => events,
            Self::Name(..) => &[],
        }
    }
}
