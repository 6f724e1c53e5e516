//! A pass: one walk along the log for many folds.
//!
//! Invariant: each event is read once for all that stand before it, and given to those whose queries ask for it. What
//! one fold says of an event is its own: the others go on.

use std::time::Instant;

use annals_index::Query;
use annals_wire::Sequence;

use super::{
    Fold, Folded, Projection,
    basis::{Basis, stretch},
    desk::Turn,
    draft::Draft,
};
use crate::{Error, Event, Store, sync::Arc};

/// How many events two states may be apart for the older one to be folded up to the newer one instead of a copy.
const SPARE_EVENTS_MAX: u64 = 1024;

/// And how many times as many events the older one has: a state is seldom larger than what it was made of, so that one of
/// few events is copied in no time.
const SPARE_FACTOR: u64 = 8;

/// What is given events.
pub(super) trait Pass {
    /// Everything up to here was given.
    fn position(&self) -> Sequence;

    /// Which events are wanted.
    fn query(&self) -> &Query;

    /// Whether an event was refused: no more are wanted.
    fn has_failed(&self) -> bool;

    fn give(&mut self, event: &Event);

    /// Everything that is wanted up to `sequence` was given.
    fn reach(&mut self, sequence: Sequence);

    /// Serves what was made; false where it is outdated already, and begins with the first event again.
    fn finish(&mut self) -> Result<bool, Error>;
}

/// Several projections of one store, to be caught up together: the log is read once.
///
/// ```
/// # use annals::{*, consume::*, disk::*, report::*};
/// # fn catch_up<A: Fold, B: Fold>(a: &Projection<A>, b: &Projection<B>) -> Result<(), Error> {
/// let upto = Projections::new().with(a).with(b).catch_up()?;
/// assert!(a.read().sequence >= upto && b.read().sequence >= upto);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "nothing is folded before it is caught up"]
pub struct Projections<'a> {
    members: Vec<Box<dyn Member + 'a>>,
}

/// A projection of whatever type.
trait Member {
    /// Where it is in memory: the order in which turns are taken.
    fn place(&self) -> *const ();

    fn store(&self) -> &Store;

    /// What it takes to bring it to `target`: `None` where nothing, or where its turn was not free before `deadline`.
    fn begin(&self, target: Sequence, deadline: Option<Instant>)
    -> Result<Option<Box<dyn Pass + '_>>, Error>;
}

impl<'a> Projections<'a> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These and `projection`, which is of the same store.
    pub fn with<F: Fold>(mut self, projection: &'a Projection<F>) -> Self {
        self.members.push(Box::new(projection));
        self
    }

    /// Folds what is new in all of them; returns up to which event.
    ///
    /// # Errors
    /// The first that one of them has, as [`Projection::catch_up`], when those that have none were caught up.
    /// [`Error::Invalid`] where they are not all of one store: nothing was folded.
    pub fn catch_up(self) -> Result<Sequence, Error> {
        self.catch_up_until(None)
    }

    /// The same; those are left out that somebody else folds until `deadline`.
    pub(super) fn catch_up_until(mut self, deadline: Option<Instant>) -> Result<Sequence, Error> {
        // Everybody takes turns in the same order, and each once.
        self.members.sort_by_key(|member| member.place());
        self.members.dedup_by_key(|member| member.place());
        let Some(first) = self.members.first() else { return Ok(Sequence(0)) };
        let store = first.store();
        if self.members.iter().any(|member| !Arc::ptr_eq(&member.store().shared, &store.shared)) {
            let why = "they are of different stores, or of one that was opened more than once".to_owned();
            return Err(Error::Invalid { what: "projections", why });
        }
        let target = store.last_sequence();
        let (mut passes, mut refused) = (Vec::new(), None);
        for member in &self.members {
            match member.begin(target, deadline) {
                Ok(pass) => passes.extend(pass),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let finished = finish(store, passes, target);
        refused.map_or(finished, Err).map(|()| target)
    }
}

impl std::fmt::Debug for Projections<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projections").field("count", &self.members.len()).finish()
    }
}

/// Runs the passes until each serves or has failed; the first error of them.
fn finish(store: &Store, mut passes: Vec<Box<dyn Pass + '_>>, target: Sequence) -> Result<(), Error> {
    let mut refused = None;
    while !passes.is_empty() {
        let mut running: Vec<&mut dyn Pass> = passes.iter_mut().map(|pass| &mut **pass as _).collect();
        run(store, &mut running, target)?;
        passes.retain_mut(|pass| {
            pass.finish().map_or_else(
                |error| {
                    refused.get_or_insert(error);
                    false
                },
                |is_served| !is_served,
            )
        });
    }
    refused.map_or(Ok(()), Err)
}

/// Gives all of them the events up to `target`: those that stand furthest back first, up to where the next one stands.
pub(super) fn run(store: &Store, passes: &mut [&mut dyn Pass], target: Sequence) -> Result<(), Error> {
    loop {
        let position = |pass: &&mut dyn Pass| if pass.has_failed() { target } else { pass.position() };
        passes.sort_by_key(position);
        let Some(first) = passes.first().map(position).filter(|first| *first < target) else {
            return Ok(());
        };
        let count = passes.partition_point(|pass| position(pass) == first);
        let until = passes.get(count).map_or(target, position).min(target);
        give(store, passes.get_mut(..count).unwrap_or_default(), first, until)?;
    }
}

/// Gives all of them, who stand at `after`, the events up to `until`.
fn give(store: &Store, passes: &mut [&mut dyn Pass], after: Sequence, until: Sequence) -> Result<(), Error> {
    let queries = passes.iter().map(|pass| pass.query().clone());
    let query = queries.reduce(|one, other| one.or_those_of(&other)).unwrap_or_default();
    for event in stretch(store, &query, after, until)? {
        let event = event?;
        match &mut *passes {
            [one] => one.give(&event),
            many => {
                let wanted = many.iter_mut().filter(|pass| pass.query().matches(&event.view()));
                wanted.for_each(|pass| pass.give(&event));
            }
        }
        if passes.iter().all(|pass| pass.has_failed()) {
            return Ok(());
        }
    }
    passes.iter_mut().for_each(|pass| pass.reach(until));
    Ok(())
}

/// A draft that will serve.
pub(super) struct Serving<'p, F: Fold> {
    pub(super) projection: &'p Projection<F>,
    pub(super) turn: Turn<'p, F>,
    pub(super) draft: Draft<F>,
}

impl<F: Fold> Member for &Projection<F> {
    fn place(&self) -> *const () {
        Arc::as_ptr(&self.inner).cast()
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn begin(
        &self,
        target: Sequence,
        deadline: Option<Instant>,
    ) -> Result<Option<Box<dyn Pass + '_>>, Error> {
        let inner = &*self.inner;
        let Some(mut turn) = inner.desk.turn_until(deadline) else { return Ok(None) };
        let served = inner.read();
        let work = turn.work();
        let basis = Basis::now(&*work.fold, &inner.store);
        let next = match served.outdated_by(&inner.store, &basis)? {
            Some(why) => {
                inner.gauges.note_begun(why);
                Folded::nothing(basis)
            }
            None if served.sequence >= target => {
                let is_effected = work.effect.as_ref().is_none_or(|effect| effect.done >= served.sequence);
                if is_effected {
                    inner.gauges.note_served(&inner.store, &served, 0);
                    return Ok(None);
                }
                Folded { basis, ..(*served).clone() }
            }
            None => {
                let spare = work.spare.take().filter(|spare| is_near(spare, &served));
                let is_current =
                    |spare: &Folded<_>| spare.outdated_by(&inner.store, &basis).map(|why| why.is_none());
                let next = match spare {
                    Some(spare) if is_current(&spare)? => spare,
                    _ => (*served).clone(),
                };
                Folded { basis, ..next }
            }
        };
        let draft = Draft::new(inner.store.clone(), Arc::clone(&work.fold), next);
        Ok(Some(Box::new(Serving { projection: self, turn, draft })))
    }
}

/// Whether it is cheaper to fold `spare` up to `served` than to copy that.
fn is_near<S>(spare: &Folded<S>, served: &Folded<S>) -> bool {
    let between = served.event_count.saturating_sub(spare.event_count);
    between <= SPARE_EVENTS_MAX.min(spare.event_count / SPARE_FACTOR)
}

impl<F: Fold> Pass for Serving<'_, F> {
    fn position(&self) -> Sequence {
        self.draft.position()
    }

    fn query(&self) -> &Query {
        self.draft.query()
    }

    fn has_failed(&self) -> bool {
        self.draft.has_failed()
    }

    fn give(&mut self, event: &Event) {
        self.draft.give(event);
    }

    fn reach(&mut self, sequence: Sequence) {
        self.draft.reach(sequence);
    }

    fn finish(&mut self) -> Result<bool, Error> {
        let inner = &*self.projection.inner;
        // Who had the turn before may have gone further than was asked for here, and what it made be outdated since.
        let served = inner.read().sequence;
        run(&inner.store, &mut [&mut self.draft as &mut dyn Pass], served)?;
        if let Some(why) = self.draft.check()? {
            inner.gauges.note_begun(why);
            return Ok(false);
        }
        let next = Arc::new(self.draft.take());
        let before = inner.serve(Arc::clone(&next));
        let work = self.turn.work();
        work.fold = Arc::clone(self.draft.fold());
        // What no reader holds any more is what the next state is made of.
        work.spare = Arc::try_unwrap(before).ok().filter(|spare| is_near(spare, &next));
        inner.gauges.note_served(&inner.store, &next, self.draft.folded_count());
        self.call_effect(&next)?;
        Ok(true)
    }
}

impl<F: Fold> Serving<'_, F> {
    /// Calls the effect for the events up to those of `served` for which it was not called yet.
    fn call_effect(&mut self, served: &Folded<F::State>) -> Result<(), Error> {
        let Some(effect) = &mut self.turn.work().effect else { return Ok(()) };
        if effect.done >= served.sequence {
            return Ok(());
        }
        let store = &self.projection.inner.store;
        for event in stretch(store, &served.basis.query, effect.done, served.sequence)? {
            let event = event?;
            // Before the call: what panics is not called again.
            effect.done = event.sequence();
            (effect.call)(&served.state, &event);
        }
        effect.done = served.sequence;
        Ok(())
    }
}
