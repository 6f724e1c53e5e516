//! What a store holds, in numbers.

use annals_segment::Inventory;
use annals_wire::Sequence;
use serde::Serialize;

use crate::{
    Error, Store,
    report::{CursorInfo, GroupInfo, Tally},
    store::{Shared, lock},
};

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Visible events.
    pub event_count: u64,
    /// Streams with visible events.
    pub stream_count: u64,
    /// Segments.
    pub segment_count: u64,
    /// Bytes of all segments, their footers and what was prepared included.
    pub segment_bytes: u64,
    /// Bytes of all files in the directory.
    pub file_bytes: u64,
    /// Kinds that have a name.
    pub kind_count: u64,
    /// The newest visible event.
    pub last_sequence: Sequence,
    /// When it was recorded, in Unix milliseconds.
    pub last_recorded_millis: Option<u64>,
    /// Sealed segments that are open now.
    pub open_segment_count: u64,
    /// What was written since the store was opened; nothing where it only reads.
    pub tally: Tally,
    /// The cursors: where they are, and how far behind.
    pub cursors: Vec<CursorInfo>,
    /// The groups of workers: where they are, how far behind, and what they have parked.
    pub groups: Vec<GroupInfo>,
    /// What went wrong since the store was opened and did not end it.
    pub incidents: Vec<String>,
}

impl Store {
    /// Counts what the store holds.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`].
    pub fn stats(&self) -> Result<Stats, Error> {
        let directory = &self.shared.directory;
        let inventory = Inventory::take(&**directory)?;
        let entries = directory.list().map_err(annals_segment::Error::io("list", directory.path()))?;
        let last = self.all().with_hidden().backwards().limit(1).next().transpose()?;
        let last_sequence = self.last_sequence();
        let first = self.shared.view().parts.first().map_or(1, |part| part.first_sequence.0);
        Ok(Stats {
            event_count: (last_sequence.0 + 1).saturating_sub(first),
            stream_count: self.streams()?.len() as u64,
            segment_count: inventory.segments.len() as u64,
            segment_bytes: inventory.segments.values().map(|file| file.len).sum(),
            file_bytes: entries.iter().map(|entry| entry.len).sum(),
            kind_count: self.kind_names().len() as u64,
            last_sequence,
            last_recorded_millis: last.map(|event| event.recorded().millis()),
            open_segment_count: self.shared.files.open_count() as u64,
            tally: self.shared.tally(),
            cursors: self.cursors()?,
            groups: self.groups()?,
            incidents: self.incidents(),
        })
    }
}

impl Shared {
    fn tally(&self) -> Tally {
        self.writer.as_ref().map_or_else(Tally::default, |writer| {
            let turn = lock(&writer.turn);
            Tally { queue_bytes: turn.appended.bytes - turn.durable.bytes, ..turn.tally }
        })
    }
}
