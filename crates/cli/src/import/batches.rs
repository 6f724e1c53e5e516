//! From lines to appends: lines of one batch become one append, and what is safe is acknowledged.
//!
//! Invariant: a batch is appended when it is known to be whole, so a bad line leaves nothing of its batch. An
//! event counts as acknowledged when it is as durable as was asked for, never before.

use std::collections::HashMap;

use annals::{Durability, Error, Kind, NewEvent, Receipt, Store};
use serde::Serialize;

use crate::{
    cloudevents::{BadLine, Line, Record, decode},
    failure::Failure,
    output::Console,
};

/// The most bytes that the lines of one batch may have together: they are in memory until it is whole.
pub(super) const BATCH_BYTES_MAX: usize = 256 << 20;

/// After how many events a sync is due, though there is more to read.
const UNSYNCED_COUNT_MAX: usize = 4096;

/// What an import has done.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Totals {
    /// Lines that are not blank.
    pub(super) line_count: u64,
    pub(super) appended_count: u64,
    /// Events that were there already.
    pub(super) repeat_count: u64,
    /// Batches that the lines name, new or there already.
    pub(super) batch_count: u64,
}

/// Lines on their way into a store.
pub(super) struct Batches {
    store: Store,
    durability: Durability,
    default_entity: Option<String>,
    has_acks: bool,
    kinds: HashMap<String, Kind>,
    /// The batch that is being collected.
    batch: Option<String>,
    collected: Vec<Collected>,
    collected_bytes: usize,
    /// Events that were appended and are not known to be durable.
    unsynced_count: usize,
    unacknowledged: Vec<Ack>,
    totals: Totals,
}

/// An event of the batch that is being collected.
struct Collected {
    number: u64,
    record: Record,
}

/// What is known of an event that is safe.
#[derive(Debug, Serialize)]
struct Ack {
    id: String,
    sequence: u64,
    line: u64,
    is_repeat: bool,
}

impl Batches {
    pub(super) fn new(
        store: Store,
        durability: Durability,
        default_entity: Option<String>,
        has_acks: bool,
    ) -> Self {
        Self {
            store,
            durability,
            default_entity,
            has_acks,
            kinds: HashMap::new(),
            batch: None,
            collected: Vec::new(),
            collected_bytes: 0,
            unsynced_count: 0,
            unacknowledged: Vec::new(),
            totals: Totals::default(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Takes a line. What was collected is appended where the line does not belong to it.
    pub(super) fn take(
        &mut self,
        number: u64,
        bytes: &[u8],
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let bad = |why| Failure::Line { number, why };
        let line = Line::parse(bytes).map_err(bad)?;
        let batch = line.batch().map_err(bad)?;
        if batch.as_deref() != self.batch.as_deref() {
            self.append(console)?;
        }
        let record = decode(&line, self.default_entity.as_deref()).map_err(bad)?;
        self.collected_bytes += bytes.len();
        if self.collected_bytes > BATCH_BYTES_MAX {
            return Err(bad(BadLine::new("its batch is larger than 256 MiB")));
        }
        self.totals.line_count += 1;
        self.collected.push(Collected { number, record });
        self.batch = batch.map(Into::into);
        if self.batch.is_none() { self.append(console) } else { Ok(()) }
    }

    /// Appends what was collected: the batch is whole.
    pub(super) fn append(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        self.collected_bytes = 0;
        let was_batch = self.batch.take().is_some();
        let collected = std::mem::take(&mut self.collected);
        let receipts =
            self.append_collected(&collected).map_err(|source| self.failure(&collected, source))?;
        self.totals.batch_count += u64::from(was_batch);
        for (event, receipt) in collected.iter().zip(&receipts) {
            let total = if receipt.is_repeat {
                &mut self.totals.repeat_count
            } else {
                &mut self.totals.appended_count
            };
            *total += 1;
            if self.has_acks {
                let (id, sequence) = (receipt.id.to_string(), receipt.sequence.0);
                let is_repeat = receipt.is_repeat;
                self.unacknowledged.push(Ack { id, sequence, line: event.number, is_repeat });
            }
        }
        self.unsynced_count += receipts.len();
        if self.durability < Durability::Durable {
            self.acknowledge(console)
        } else if self.unsynced_count >= UNSYNCED_COUNT_MAX {
            self.sync(console)
        } else {
            Ok(())
        }
    }

    fn append_collected(&mut self, collected: &[Collected]) -> Result<Vec<Receipt>, Error> {
        let mut events: Vec<NewEvent<'_>> = Vec::with_capacity(collected.len());
        for Collected { record, .. } in collected {
            events.push(record.new_event(self.kind(&record.kind)?));
        }
        // Durable appends share a sync.
        let durability = match self.durability {
            Durability::Durable => Durability::Queued,
            durability => durability,
        };
        self.store.append_batch_with(&events, durability)
    }

    fn kind(&mut self, name: &str) -> Result<Kind, Error> {
        if let Some(kind) = self.kinds.get(name) {
            return Ok(*kind);
        }
        let kind = self.store.kind(name)?;
        self.kinds.insert(name.to_owned(), kind);
        Ok(kind)
    }

    /// Makes what was appended as durable as was asked for, and acknowledges it.
    pub(super) fn sync(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        if self.durability == Durability::Durable && self.unsynced_count > 0 {
            self.store.sync()?;
        }
        self.acknowledge(console)
    }

    fn acknowledge(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        self.unsynced_count = 0;
        if self.unacknowledged.is_empty() {
            return Ok(());
        }
        let acks = std::mem::take(&mut self.unacknowledged);
        let print = |ack: &Ack| {
            if console.is_json() { console.json(ack) } else { console.line(format_args!("{}", ack.id)) }
        };
        let printed = acks.iter().try_for_each(print).and_then(|()| console.flush());
        printed.map_err(|failure| match failure {
            Failure::Output(source) => Failure::Acknowledgement(source),
            failure => failure,
        })
    }

    /// Names the line that is to blame, or all of the batch.
    fn failure(&self, collected: &[Collected], source: Error) -> Failure {
        let source = match source {
            Error::PartlyRepeated { .. } => self.find_taken(collected).unwrap_or(source),
            source => source,
        };
        let taken = match &source {
            Error::IdTaken { id, .. } => collected.iter().find(|event| event.record.id == *id),
            _ => None,
        };
        let first = taken.or(collected.first()).map_or(0, |event| event.number);
        let last = taken.or(collected.last()).map_or(0, |event| event.number);
        Failure::Lines { numbers: first..=last, source: Box::new(source) }
    }

    /// Whether what the store has of a batch are other events with the same ids: then the batch is no repeat in
    /// part, and one of its lines is wrong.
    fn find_taken(&self, collected: &[Collected]) -> Option<Error> {
        self.store.sync().ok()?;
        collected.iter().find_map(|Collected { record, .. }| {
            let there = self.store.get(record.id).ok()??;
            let is_other = there.coordinate() != record.coordinate
                || self.store.find_kind(&record.kind) != Some(there.kind());
            is_other.then(|| Error::IdTaken { id: record.id, sequence: there.sequence() })
        })
    }

    /// Closes the store, by which everything that was appended is durable.
    pub(super) fn close(self) -> Result<(), Error> {
        self.store.close()
    }
}
