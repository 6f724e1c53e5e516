//! Projections: folds of events to a state, which readers have at once and which is never of anything but a prefix of
//! the log.
//!
//! Invariant: a state that serves is the fold of exactly the events that its query asks for, up to its sequence, that
//! were not hidden when it was made; it never goes back. It is replaced as a whole: readers hold the one that they
//! took. A snapshot is used where all of that is shown to hold for it, and nowhere else.

mod aggregate;
mod basis;
mod desk;
mod draft;
mod gauges;
mod pass;
mod shelf;
mod switch;

use std::{
    fmt,
    time::{Duration, Instant},
};

use annals_index::Query;
use annals_segment::Directory;
use annals_wire::{ConsumerName, Sequence};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{aggregate::Aggregate, basis::Folded, gauges::ProjectionInfo, pass::Projections};
use self::{
    basis::Basis,
    desk::{Desk, Effect, Work},
    gauges::Gauges,
    shelf::{Shelf, Subject},
};
use crate::{
    Error, Event, Store,
    store::lock,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// A fold from events to a state: what a projection is made of.
pub trait Fold: Send + Sync + 'static {
    /// What it makes; its default is the state before the first event. It is saved as MessagePack, with the names of its
    /// fields.
    type State: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The projection's name: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or a digit. No other has it.
    fn name(&self) -> &str;

    /// The version of the fold. One that makes another state of the same events has another one: what was saved by any
    /// other is not used.
    fn version(&self) -> u32;

    /// Which events it folds. It is asked again whenever there are new events, for a name may have got its kind by then:
    /// where it then asks for other events among those that were folded, the state is made anew. Default: all.
    fn query(&self, _store: &Store) -> Query {
        Query::all()
    }

    /// Changes `state` by `event`, and by nothing else: the same events give the same state, whenever and however often
    /// they are folded.
    ///
    /// # Errors
    /// Whatever it says: nothing of what was new is then served, and the next call tries again.
    fn apply(&self, state: &mut Self::State, event: &Event) -> Result<(), Error>;
}

/// A projection that serves. Cheap to clone; all clones are the same one. It keeps the store open, as a clone of it does.
pub struct Projection<F: Fold> {
    inner: Arc<Inner<F>>,
}

/// What all clones share.
struct Inner<F: Fold> {
    store: Store,
    name: ConsumerName,
    served: RwLock<Arc<Folded<F::State>>>,
    desk: Desk<F>,
    shelf: Shelf,
    /// The newest that was saved, and by which version of the fold. Held while one is saved.
    saved: Mutex<Option<(Sequence, u32)>>,
    gauges: Gauges,
}

impl Store {
    /// The projection that `fold` makes, up to the newest event that can be read. What its snapshot has is not folded
    /// again; where there is none, or none that is of this store, this history and this fold, everything is, and
    /// [`Projection::info`] and [`Store::incidents`] say why.
    ///
    /// A store that was opened for reading only has its snapshots used, and writes none.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// struct Notes;
    ///
    /// impl Fold for Notes {
    ///     type State = u64;
    ///
    ///     fn name(&self) -> &str {
    ///         "notes"
    ///     }
    ///
    ///     fn version(&self) -> u32 {
    ///         1
    ///     }
    ///
    ///     fn apply(&self, count: &mut u64, _: &annals::Event) -> Result<(), Error> {
    ///         *count += 1;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let (at, kind) = (Coordinate::new("user:7", "app")?, store.kind("noted")?);
    /// let notes = store.project(Notes)?;
    /// let receipt = store.append(&NewEvent::new(&at, kind, b"one"))?;
    /// let folded = notes.wait(receipt.sequence, std::time::Duration::from_secs(1))?;
    /// assert_eq!(folded.map(|folded| folded.state), Some(1));
    /// notes.save()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where its name is none, [`Error::NewerVersion`] where a newer program saved it, what
    /// [`Fold::apply`] says, [`Error::Corrupt`], [`Error::Environment`].
    pub fn project<F: Fold>(&self, fold: F) -> Result<Projection<F>, Error> {
        self.open_projection(fold, Shelf::of_store())
    }

    /// The same with its snapshots in `directory`, each in a child that has the projection's name: so a store that was
    /// opened for reading only has some too.
    ///
    /// # Errors
    /// As [`Store::project`].
    pub fn project_in<F: Fold>(
        &self,
        fold: F,
        directory: impl Directory + 'static,
    ) -> Result<Projection<F>, Error> {
        self.open_projection(fold, Shelf::of_its_own(Arc::new(directory)))
    }

    fn open_projection<F: Fold>(&self, fold: F, shelf: Shelf) -> Result<Projection<F>, Error> {
        let name = ConsumerName::new(fold.name())?;
        let gauges = Gauges::new(self, &name);
        let query = fold.query(self);
        let loaded = shelf.load(self, &fold, &name, Subject::Query(&query))?;
        let loaded = gauges.note_loaded(self, loaded);
        let saved = loaded.as_ref().map(|folded| (folded.sequence, fold.version()));
        let inner = Inner {
            store: self.clone(),
            served: RwLock::new(Arc::new(loaded.unwrap_or_else(|| Folded::nothing(Basis::now(&fold, self))))),
            desk: Desk::new(Work::new(fold)),
            name,
            shelf,
            saved: Mutex::new(saved),
            gauges,
        };
        let projection = Projection { inner: Arc::new(inner) };
        projection.catch_up()?;
        Ok(projection)
    }
}

impl<F: Fold> Projection<F> {
    /// What serves now. It does not change any more: who wants what is newer asks again.
    #[must_use]
    pub fn read(&self) -> Arc<Folded<F::State>> {
        self.inner.read()
    }

    /// Folds what is new, and returns what serves then. Who else is folding is waited for. It costs what the new events
    /// that match cost, and a copy of the state where readers hold the last two.
    ///
    /// # Errors
    /// What [`Fold::apply`] says, [`Error::Corrupt`], [`Error::Environment`]: what served before goes on serving.
    pub fn catch_up(&self) -> Result<Arc<Folded<F::State>>, Error> {
        Projections::new().with(self).catch_up()?;
        Ok(self.read())
    }

    /// Waits until the event with `sequence` can be read and is in the state, and folds what is new itself where nobody
    /// else does; `None` where that did not happen within `timeout`. What it folds itself takes as long as it takes.
    ///
    /// # Errors
    /// As [`Projection::catch_up`], and [`Error::Closed`] or [`Error::Stopped`] where that event will not come.
    pub fn wait(
        &self,
        sequence: Sequence,
        timeout: Duration,
    ) -> Result<Option<Arc<Folded<F::State>>>, Error> {
        let deadline = Instant::now().checked_add(timeout);
        let served = self.read();
        if served.sequence >= sequence {
            return Ok(Some(served));
        }
        let before = Sequence(sequence.0.saturating_sub(1));
        if self.inner.store.wait_visible(before, timeout)? < sequence {
            return Ok(None);
        }
        Projections::new().with(self).catch_up_until(deadline)?;
        Ok(Some(self.read()).filter(|served| served.sequence >= sequence))
    }

    /// Has `effect` called for each event that is folded from now on: in order, once, and after a state that contains
    /// it serves, which is handed over with it. A state that is made anew has it called for none of the events that it
    /// was called for, or passed by, before; and for none before it serves. Nothing of this is kept: what has to happen
    /// although the process ends is a durable cursor's business.
    ///
    /// It is called by whoever folds, who others may wait for: it must not wait for this projection.
    pub fn on_event(&self, effect: impl FnMut(&F::State, &Event) + Send + 'static) {
        let mut turn = self.inner.desk.turn();
        let done = self.read().sequence;
        turn.work().effect = Some(Effect { call: Box::new(effect), done });
    }

    /// Saves what serves, durably, in place of what was saved before, whatever version of the fold that was; returns up
    /// to which event, or `None` where there is nothing to save, or where a store that only reads cannot tell yet
    /// whether that event is durable. Reads and folds go on meanwhile.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] where the store was opened for reading only and has the snapshots; [`Error::Locked`] where
    /// another process saves this one; [`Error::Invalid`] where the state cannot be encoded; else as [`Store::sync`].
    /// What was saved before is then still there, or what was to be saved.
    pub fn save(&self) -> Result<Option<Sequence>, Error> {
        let inner = &*self.inner;
        let mut saved = lock(&inner.saved);
        let folded = inner.read();
        let version = folded.fold_version();
        if folded.sequence == Sequence(0) || *saved == Some((folded.sequence, version)) {
            return Ok(saved.map(|(sequence, _)| sequence));
        }
        if !inner.shelf.save(&inner.store, &inner.name, Subject::Query(&folded.basis.query), &folded)? {
            return Ok(None);
        }
        *saved = Some((folded.sequence, version));
        Ok(Some(folded.sequence))
    }
}

impl<F: Fold> Inner<F> {
    fn read(&self) -> Arc<Folded<F::State>> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has `next` served; returns what was.
    fn serve(&self, next: Arc<Folded<F::State>>) -> Arc<Folded<F::State>> {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        assert!(served.sequence <= next.sequence, "no reader sees less than it saw");
        std::mem::replace(&mut *served, next)
    }
}

impl<F: Fold> Clone for Projection<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<F: Fold> fmt::Debug for Projection<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = self.read();
        let mut shown = f.debug_struct("Projection");
        shown.field("name", &self.inner.name).field("sequence", &served.sequence).finish_non_exhaustive()
    }
}
