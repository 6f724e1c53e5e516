//! A draft: a state that is being folded, and that nobody sees.

use annals_index::Query;
use annals_wire::Sequence;

use super::{Fold, Folded, basis::Basis, pass::Pass};
use crate::{Error, Event, Store, sync::Arc};

/// A state on its way.
pub(super) struct Draft<F: Fold> {
    store: Store,
    fold: Arc<F>,
    next: Folded<F::State>,
    /// How many events were folded since it was begun.
    folded_count: u64,
    failed: Option<Error>,
}

impl<F: Fold> Draft<F> {
    pub(super) fn new(store: Store, fold: Arc<F>, next: Folded<F::State>) -> Self {
        Self { store, fold, next, folded_count: 0, failed: None }
    }

    pub(super) fn fold(&self) -> &Arc<F> {
        &self.fold
    }

    /// What it takes for the state to be right: that nothing was refused, and that what it was begun with still holds.
    /// Where that does not, it says why, and begins with the first event again.
    pub(super) fn check(&mut self) -> Result<Option<&'static str>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        // Not the query: it was asked for behind the choice of how far to go, and what it says later is later's.
        let query = Arc::clone(&self.next.basis.query);
        let now = Basis { query, hidden: super::basis::hidden_of(&self.store), ..self.next.basis.clone() };
        let outdated = self.next.outdated_by(&self.store, &now)?;
        if outdated.is_some() {
            self.next = Folded::nothing(Basis::now(&*self.fold, &self.store));
        }
        Ok(outdated)
    }

    /// Asks the fold again which events it wants.
    pub(super) fn renew(&mut self) -> Result<(), Error> {
        let now = Basis::now(&*self.fold, &self.store);
        if self.next.outdated_by(&self.store, &now)?.is_some() {
            self.next = Folded::nothing(now);
        } else {
            self.next.basis = now;
        }
        Ok(())
    }

    pub(super) fn folded_count(&self) -> u64 {
        self.folded_count
    }

    /// The state.
    pub(super) fn take(&mut self) -> Folded<F::State> {
        std::mem::replace(&mut self.next, Folded::nothing(Basis::default()))
    }
}

impl<F: Fold> Pass for Draft<F> {
    fn position(&self) -> Sequence {
        self.next.sequence
    }

    fn query(&self) -> &Query {
        &self.next.basis.query
    }

    fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn give(&mut self, event: &Event) {
        if self.failed.is_none() {
            let Folded { state, sequence, event_count, .. } = &mut self.next;
            match self.fold.apply(state, event) {
                Ok(()) => {
                    (*sequence, *event_count) = (event.sequence(), *event_count + 1);
                    self.folded_count += 1;
                }
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn reach(&mut self, sequence: Sequence) {
        if self.failed.is_none() {
            self.next.sequence = sequence;
        }
    }

    fn finish(&mut self) -> Result<bool, Error> {
        Ok(self.check()?.is_none())
    }
}
