//! The desk: where a projection is folded, by one at a time.
//!
//! Invariant: who has the turn has the work; it goes back when the turn ends, also by a panic, and somebody who waits is
//! told. No lock is held while events are read or folded.

use std::time::Instant;

use annals_wire::Sequence;

use super::{Fold, Folded};
use crate::{
    Event,
    store::lock,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// Where one at a time folds.
pub(super) struct Desk<F: Fold> {
    /// `None` while somebody has it.
    work: Mutex<Option<Work<F>>>,
    is_free: Condvar,
}

/// What only the one has who folds.
pub(super) struct Work<F: Fold> {
    pub(super) fold: Arc<F>,
    /// What served before, where no reader has it any more: the next state is made of it, without a copy.
    pub(super) spare: Option<Folded<F::State>>,
    pub(super) effect: Option<Effect<F::State>>,
}

/// What is called for events.
pub(super) struct Effect<S> {
    #[expect(clippy::type_complexity, reason = "a function, and what it may do")]
    pub(super) call: Box<dyn FnMut(&S, &Event) + Send>,
    /// It was called for, or passed by, all events up to here.
    pub(super) done: Sequence,
}

/// The right to fold.
pub(super) struct Turn<'d, F: Fold> {
    desk: &'d Desk<F>,
    work: Option<Work<F>>,
}

impl<F: Fold> Work<F> {
    pub(super) fn new(fold: F) -> Self {
        Self { fold: Arc::new(fold), spare: None, effect: None }
    }
}

impl<F: Fold> Desk<F> {
    pub(super) fn new(work: Work<F>) -> Self {
        Self { work: Mutex::new(Some(work)), is_free: Condvar::default() }
    }

    /// The turn, when it is free.
    pub(super) fn turn(&self) -> Turn<'_, F> {
        self.turn_until(None).expect("who waits for ever gets it")
    }

    /// The turn, when it is free; `None` where it was not before `deadline`.
    pub(super) fn turn_until(&self, deadline: Option<Instant>) -> Option<Turn<'_, F>> {
        let mut work = lock(&self.work);
        loop {
            if let Some(work) = work.take() {
                return Some(Turn { desk: self, work: Some(work) });
            }
            work = match deadline {
                None => self.is_free.wait(work).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.is_free.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl<F: Fold> Turn<'_, F> {
    pub(super) fn work(&mut self) -> &mut Work<F> {
        self.work.as_mut().expect("it goes back when the turn ends")
    }
}

impl<F: Fold> Drop for Turn<'_, F> {
    fn drop(&mut self) {
        *lock(&self.desk.work) = self.work.take();
        // One is enough: who does not get the turn after all was overtaken by somebody who will say so too.
        self.desk.is_free.notify_one();
    }
}
