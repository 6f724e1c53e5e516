//! Repeats: a batch whose events are there already is answered with what they got the first time.
//!
//! Invariant: an event is a repeat where its id and all of its content are those of the event that is there; a batch is
//! repeated as a whole, or refused.

use super::{Cold, Stay};
use crate::{
    Durability, Error, Receipt,
    new_event::Prepared,
    store::Shared,
    sync::MutexGuard,
    turn::Turn,
    view::{Found, HashedId},
};

impl Shared {
    /// The events that the batch repeats; `None` where it is wholly new.
    pub(super) fn find_repeats(
        &self,
        cold: &Cold,
        batch: &[Prepared<'_>],
    ) -> Result<Option<Vec<Found>>, Error> {
        let mut found = Vec::new();
        for (event, cold_id) in batch.iter().zip(&cold.ids) {
            let id = HashedId::new(event.id, cold.view.store);
            let warm = if event.is_given { self.ask(|_| cold.view.last().find_id(id))? } else { None };
            found.extend(warm.or_else(|| cold_id.clone()));
        }
        match found.len() {
            0 => Ok(None),
            known if known == batch.len() => Ok(Some(found)),
            known => Err(Error::PartlyRepeated { known, count: batch.len() }),
        }
    }

    /// Returns the first receipts of a batch that was appended before, once it is as durable as is asked now.
    pub(super) fn repeat(
        &self,
        turn: MutexGuard<'_, Turn>,
        batch: &[Prepared<'_>],
        found: &[Found],
        stay: Stay,
    ) -> Result<Vec<Receipt>, Error> {
        let last = found.iter().map(|found| found.sequence).max().unwrap_or_default();
        let turn = match stay {
            Stay::Until(durability) => {
                self.settle_sequence(turn, last, durability.max(Durability::Written))?
            }
            // It can be read only when the system has it.
            Stay::Placed { .. } => self.settle_sequence(turn, last, Durability::Written)?,
        };
        let durability =
            if last <= turn.durable.sequence { Durability::Durable } else { Durability::Written };
        drop(turn);
        repeat_receipts(batch, found, durability)
    }
}

/// The receipts of events that are there already, where they are the same events.
pub(super) fn repeat_receipts(
    batch: &[Prepared<'_>],
    found: &[Found],
    durability: Durability,
) -> Result<Vec<Receipt>, Error> {
    let receipts = batch.iter().zip(found).map(|(event, found)| repeat_receipt(event, found, durability));
    receipts.collect()
}

/// The receipt of an event that is there already, where it is the same event.
fn repeat_receipt(event: &Prepared<'_>, found: &Found, durability: Durability) -> Result<Receipt, Error> {
    let stored = found.read()?;
    let view = stored.view();
    let head = event.body.get(..event.head_len);
    let same_content = view.stamp.kind == event.kind
        && view.stamp.flags.without_erased() == event.flags
        && Some(view.head()) == head
        && view.payload.digest() == event.payload;
    if !same_content {
        return Err(Error::IdTaken { id: event.id, sequence: found.sequence });
    }
    Ok(Receipt {
        id: event.id,
        sequence: found.sequence,
        revision: view.stamp.revision,
        recorded: view.stamp.recorded,
        hash: view.stamp.hash,
        durability,
        is_repeat: true,
    })
}
