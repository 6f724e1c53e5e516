//! What people ask of a group that is held: what it has parked, to hand it out again or pass it over, and whether
//! nothing was left out.

use annals_wire::Sequence;

use super::{
    desk::Desk,
    dispatch::{Dispatch, NotReplayed},
    manage::ParkedEvent,
};
use crate::Error;

impl Desk {
    /// What is parked, with what the records say of it.
    pub(super) fn parked(&self) -> Result<Vec<ParkedEvent>, Error> {
        self.with_ledger(|ledger| {
            ledger.parked.iter().map(|(sequence, parked)| ParkedEvent::of(*sequence, parked)).collect()
        })
    }

    pub(super) fn replay(&self, sequence: Sequence) -> Result<(), Error> {
        self.ask(sequence, |dispatch| dispatch.replay(sequence))
    }

    pub(super) fn skip(&self, sequence: Sequence) -> Result<(), Error> {
        self.ask(sequence, |dispatch| dispatch.skip(sequence))
    }

    fn ask(
        &self,
        sequence: Sequence,
        ask: impl FnOnce(&mut Dispatch<super::desk::Stream>) -> Result<(), NotReplayed>,
    ) -> Result<(), Error> {
        let why = match self.change(sequence, ask) {
            Ok(()) => return self.save().map(drop),
            Err(NotReplayed::Unknown) => format!("{sequence} is not parked"),
            Err(NotReplayed::Behind(first)) => {
                format!("{sequence} waits behind {first}, which is parked: replay or skip that one")
            }
        };
        Err(Error::Invalid { what: "parked event", why })
    }

    /// Whether every event that was seen has its place.
    pub(super) fn check(&self) -> Result<(), Error> {
        // Read first: what is done meanwhile has a place as well.
        let (position, scanned, query) = {
            let core = self.core();
            (core.dispatch.position(), core.dispatch.scanned(), core.query.clone())
        };
        let events = self.store.query(query).after(position).until(scanned);
        for event in events {
            let sequence = event?.sequence();
            if !self.core().dispatch.accounts_for(sequence) {
                let why = format!("event {sequence} was seen, and has no place: it would be left out");
                return Err(Error::Invalid { what: "group", why });
            }
        }
        Ok(())
    }
}
