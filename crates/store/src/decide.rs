//! The decision: read what it depends on, decide, and append under the condition that nothing of it changed.
//!
//! Invariant: what is appended was decided knowing every event of the query that lies before it.

use annals_index::Query;
use annals_wire::Sequence;

use crate::{
    Condition, Durability, Error, Events, NewEvent, Receipt, Store,
    store::{Shared, lock},
    sync::Arc,
};

/// How often a decision is taken anew before the conflict is returned.
const DECISIONS_MAX: usize = 32;

impl Store {
    /// Reads the events of `query`, lets `decide` make new ones of them, and appends these as one batch if no other
    /// event of the query came between; else reads again and decides anew, at most 32 times in all. A decision to
    /// append nothing is one too. Returns the receipts, in order.
    ///
    /// `decide` may run several times and must have no effect but what it returns. The events that it gets end with
    /// the last one that is visible; where a conflict is with one that is not yet, that is made durable first.
    ///
    /// # Errors
    /// What `decide` returns; else as [`Store::append_if`]: [`Error::ConditionFailed`] where others were faster each
    /// time.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "deposited")]
    /// # struct Deposited { cents: i64 }
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "withdrawn")]
    /// # struct Withdrawn { cents: i64 }
    /// #[derive(Event)]
    /// enum Movement { Deposited(Deposited), Withdrawn(Withdrawn) }
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let account = Coordinate::new("account:1", "bank")?;
    /// store.append(&NewEvent::of(&account, &Deposited { cents: 100 })?)?;
    ///
    /// let movements = Query::of(QueryItem::new().scope("bank").entity("account:1"));
    /// store.decide(&movements, |events| {
    ///     let mut balance = 0;
    ///     for event in events.decode::<Movement>() {
    ///         match event?.1 {
    ///             Movement::Deposited(deposited) => balance += deposited.cents,
    ///             Movement::Withdrawn(withdrawn) => balance -= withdrawn.cents,
    ///         }
    ///     }
    ///     let withdrawal = NewEvent::of(&account, &Withdrawn { cents: 70 })?;
    ///     Ok::<_, Error>(if balance >= 70 { vec![withdrawal] } else { Vec::new() })
    /// })?;
    /// assert_eq!(store.all().count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn decide<'a, E: From<Error>>(
        &self,
        query: &Query,
        mut decide: impl FnMut(Events) -> Result<Vec<NewEvent<'a>>, E>,
    ) -> Result<Vec<Receipt>, E> {
        let mut attempt = 1;
        loop {
            let known = self.last_sequence();
            let events = decide(self.query(query.clone()).until(known))?;
            let condition = Condition::new().no_event(query.clone(), known);
            match self.append_if(&events, &condition) {
                Err(Error::ConditionFailed { found, .. }) if attempt < DECISIONS_MAX => {
                    self.shared.wait_until_visible(found)?;
                    attempt += 1;
                }
                appended => return Ok(appended?),
            }
        }
    }
}

impl Shared {
    /// Waits until the event with `sequence` can be read.
    pub(crate) fn wait_until_visible(self: &Arc<Self>, sequence: Sequence) -> Result<(), Error> {
        let turn = lock(&self.writer()?.turn);
        self.check_writing(&turn)?;
        let durability = self.options.visibility.max(Durability::Written);
        drop(self.settle_sequence(turn, sequence, durability)?);
        Ok(())
    }
}
