//! The keeper of a group's small log: records go in, and now and then the state that they make is published, so that
//! the log stays small.
//!
//! Invariant: `kept` is what the log's records make, no more and no less.

use annals_checkpoint::publish;
use annals_segment::WriteAheadLog;
use annals_wire::GroupRecord;

use super::ledger::Ledger;
use crate::Error;

/// How many bytes a segment of the log has.
pub(super) const SEGMENT_BYTES: u64 = 1 << 20;

/// After how many bytes of records the state is published.
const PUBLISH_BYTES: u64 = 1 << 20;

/// The log of a group that is held.
#[derive(Debug)]
pub(super) struct Keeper {
    log: WriteAheadLog,
    kept: Ledger,
    /// Bytes of records since the state was published.
    unpublished: u64,
}

impl Keeper {
    /// `kept` is what the records of `log` make, of which `replayed` are not in a published state.
    pub(super) fn new(log: WriteAheadLog, kept: Ledger, replayed: u64) -> Self {
        Self { log, kept, unpublished: replayed.saturating_mul(64) }
    }

    pub(super) fn kept(&self) -> &Ledger {
        &self.kept
    }

    /// Writes `records`, all or none, so that they outlive the process.
    pub(super) fn write(&mut self, records: &[GroupRecord]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let encoded: Vec<_> = records.iter().map(GroupRecord::encode).collect();
        let bodies: Vec<_> = encoded.iter().map(Vec::as_slice).collect();
        self.log.append_batch(&bodies)?;
        self.log.flush()?;
        for record in records {
            self.kept.apply(record).expect("a group writes what it can read");
        }
        self.unpublished += encoded.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Makes everything durable that was written; and the log small again, where it has grown.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.log.sync()?;
        if self.unpublished >= PUBLISH_BYTES {
            // What two states cover goes in whole segments.
            self.log.rotate()?;
            let position = self.log.durable();
            publish(&mut self.log, &self.kept, &position)?;
            self.unpublished = 0;
        }
        Ok(())
    }

    /// Closes the log, so that the next life has nothing to put in order.
    pub(super) fn close(self) -> Result<(), Error> {
        Ok(self.log.close()?)
    }
}
