//! Aggregates: the fold of one stream, of whose state a snapshot may be kept.
//!
//! Invariant: nothing is kept in memory between two calls. The hash of the last event commits to its stream's whole
//! history, so a snapshot that has it is of that history.

use annals_wire::{ConsumerName, Coordinate, Lane, Revision, Sequence};

use super::{
    Fold, Folded,
    basis::{Basis, first_sequence, gone, hidden_of, is_as_hidden},
    shelf::{Loaded, Shelf, Subject},
};
use crate::{Error, Store, sync::Arc};

/// The state of one stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Aggregate<S> {
    /// The state, up to the last event of the stream that can be read and is not hidden.
    pub folded: Folded<S>,
    /// How many events were folded for it now: those that its snapshot did not have.
    pub new_count: u64,
    /// Why a snapshot that is there was not used.
    pub rejected: Option<String>,
}

impl Store {
    /// What `fold` makes of the trunk of `coordinate`: of its snapshot, where [`Store::save_stream`] made one that is of
    /// this history and this fold, and of what came since. Which events [`Fold::query`] asks for does not matter.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn book<F: Fold<State = i64>>(store: &Store, fold: &F, account: &Coordinate) -> Result<(), Error> {
    /// let balance = store.fold_stream(fold, account)?;
    /// if balance.new_count > 100 {
    ///     store.save_stream(fold, account, &balance)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::project`].
    pub fn fold_stream<F: Fold>(
        &self,
        fold: &F,
        coordinate: &Coordinate,
    ) -> Result<Aggregate<F::State>, Error> {
        let name = ConsumerName::new(fold.name())?;
        let nothing = || {
            let basis =
                Basis { fold_version: fold.version(), query: Arc::default(), hidden: hidden_of(self) };
            Folded::nothing(basis)
        };
        let loaded = Shelf::of_store().load(self, fold, &name, Subject::Stream(coordinate))?;
        let (mut folded, rejected) = match loaded {
            Loaded::Nothing => (nothing(), None),
            Loaded::Whole(folded) => (*folded, None),
            Loaded::Rejected(why) => (nothing(), Some(why)),
        };
        loop {
            let new_count = self.fold_rest(fold, coordinate, &mut folded)?;
            let is_whole = is_as_hidden(&folded.basis.hidden, &hidden_of(self), folded.sequence)
                || Subject::Stream(coordinate).count_upto(self, folded.sequence)? == folded.event_count;
            if is_whole {
                return Ok(Aggregate { folded, new_count, rejected });
            }
            folded = nothing();
        }
    }

    /// Folds what is behind `folded` in the stream; says how many events that were.
    fn fold_rest<F: Fold>(
        &self,
        fold: &F,
        coordinate: &Coordinate,
        folded: &mut Folded<F::State>,
    ) -> Result<u64, Error> {
        let before = folded.event_count;
        if folded.sequence == Sequence(0) {
            // With what is hidden: that is left out on purpose, and has its revision.
            let first = self.stream(coordinate).with_hidden().next().transpose()?;
            if first.is_some_and(|event| event.revision() > Revision(1)) {
                return Err(gone(first_sequence(self)));
            }
        }
        for event in self.stream(coordinate).after(folded.sequence) {
            let event = event?;
            fold.apply(&mut folded.state, &event)?;
            (folded.sequence, folded.event_count) = (event.sequence(), folded.event_count + 1);
        }
        Ok(folded.event_count - before)
    }

    /// Saves what [`Store::fold_stream`] gave, durably, in place of what was saved of that stream before. It is worth it
    /// where folding the stream takes longer than reading a file.
    ///
    /// # Errors
    /// As [`super::Projection::save`], and [`Error::Invalid`] where it is of another version of the fold, or of another
    /// stream.
    pub fn save_stream<F: Fold>(
        &self,
        fold: &F,
        coordinate: &Coordinate,
        aggregate: &Aggregate<F::State>,
    ) -> Result<(), Error> {
        let name = ConsumerName::new(fold.name())?;
        let folded = &aggregate.folded;
        if folded.fold_version() != fold.version() {
            let why = format!("it is of version {}, and this is {}", folded.fold_version(), fold.version());
            return Err(Error::Invalid { what: "fold", why });
        }
        if folded.sequence == Sequence(0) {
            return Ok(());
        }
        let last = self.shared.event_at(folded.sequence)?;
        if !last.is_some_and(|event| event.coordinate() == *coordinate && event.lane() == Lane(0)) {
            let why = format!("its last event, {}, is none of the stream {coordinate}", folded.sequence);
            return Err(Error::Invalid { what: "aggregate", why });
        }
        Shelf::of_store().save(self, &name, Subject::Stream(coordinate), folded).map(drop)
    }
}
