//! The watch: how far events can be read, and who waits for more.
//!
//! Invariant: no waiter misses what it waits for. It counts itself and then looks; who publishes stores and then looks
//! whether anybody is counted. These four are sequentially consistent, so that one of the two sees the other; and a
//! waiter looks with the lock held that a wake takes before it notifies. Where nobody waits, publishing takes no lock.
//!
//! Everybody who waits has this, and nothing of the store: who waits keeps nothing open.

use std::time::{Duration, Instant};

use annals_wire::Sequence;

use crate::{
    Error,
    store::lock,
    sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, PoisonError},
};

/// How far a store can be read, and whether there will be more.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The newest event that may be read.
    visible: AtomicU64,
    /// How many threads wait, or are about to.
    waiting: AtomicU64,
    phase: Mutex<Phase>,
    changed: Condvar,
}

/// Whether more may become visible.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Open,
    /// Nothing will: a write failed.
    Stopped { durable: Sequence, cause: Arc<annals_segment::Error> },
    /// Nothing will: the store was closed, or let go of.
    Closed,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to read.
    ToRead,
    /// The time is over.
    Late,
    /// There is nothing to read and never will be, or the waiter was told to end.
    ToEnd,
}

/// How long somebody waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Until(Instant),
    Endless,
}

impl Patience {
    /// From now on for `time`; endless where no clock goes that far.
    pub(crate) fn of(time: Duration) -> Self {
        Instant::now().checked_add(time).map_or(Self::Endless, Self::Until)
    }

    /// The same, but from now on for `time` at most.
    pub(crate) fn at_most(self, time: Duration) -> Self {
        match (self, Self::of(time)) {
            (Self::Until(one), Self::Until(other)) => Self::Until(one.min(other)),
            (Self::Endless, other) => other,
            (until, Self::Endless) => until,
        }
    }

    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Until(deadline) if deadline <= Instant::now())
    }
}

impl Watch {
    pub(crate) fn new(visible: Sequence) -> Self {
        Self { visible: AtomicU64::new(visible.0), ..Self::default() }
    }

    /// The newest event that may be read.
    pub(crate) fn visible(&self) -> Sequence {
        Sequence(self.visible.load(Ordering::SeqCst))
    }

    /// Lets everybody read as far as `visible`, which is in the view already.
    pub(crate) fn publish(&self, visible: Sequence) {
        self.visible.store(visible.0, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    /// Lets everybody who waits look again.
    pub(crate) fn wake(&self) {
        drop(lock(&self.phase));
        self.changed.notify_all();
    }

    /// Nothing more will become visible, because a write failed. The first such word stands.
    pub(crate) fn stop(&self, durable: Sequence, cause: &Arc<annals_segment::Error>) {
        let mut phase = lock(&self.phase);
        if matches!(*phase, Phase::Open) {
            *phase = Phase::Stopped { durable, cause: Arc::clone(cause) };
            drop(phase);
            self.changed.notify_all();
        }
    }

    /// Nothing more will become visible, because the store was closed.
    pub(crate) fn close(&self) {
        let mut phase = lock(&self.phase);
        if matches!(*phase, Phase::Open) {
            *phase = Phase::Closed;
        }
        drop(phase);
        self.changed.notify_all();
    }

    /// Whether nothing more will become visible.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(*lock(&self.phase), Phase::Open)
    }

    /// Why nothing more will become visible.
    pub(crate) fn end(&self) -> Error {
        match &*lock(&self.phase) {
            Phase::Stopped { durable, cause } => {
                let source = annals_segment::Error::Stopped { cause: Arc::clone(cause) };
                Error::Stopped { durable: *durable, source }
            }
            Phase::Open | Phase::Closed => Error::Closed,
        }
    }

    /// Waits until something behind `after` may be read, or `is_ending` is raised and everybody woken.
    pub(crate) fn wait(&self, after: Sequence, is_ending: &AtomicBool, patience: Patience) -> Woken {
        let mut phase = lock(&self.phase);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut is_late = false;
        let woken = loop {
            if is_ending.load(Ordering::SeqCst) {
                break Woken::ToEnd;
            }
            if self.visible() > after {
                break Woken::ToRead;
            }
            if !matches!(*phase, Phase::Open) {
                break Woken::ToEnd;
            }
            if is_late {
                break Woken::Late;
            }
            (phase, is_late) = self.rest(phase, patience);
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        woken
    }

    /// Waits once; whether the time is over.
    fn rest<'p>(&'p self, phase: MutexGuard<'p, Phase>, patience: Patience) -> (MutexGuard<'p, Phase>, bool) {
        let Patience::Until(deadline) = patience else {
            return (self.changed.wait(phase).unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (phase, true);
        }
        let (phase, timeout) = self.changed.wait_timeout(phase, left).unwrap_or_else(PoisonError::into_inner);
        (phase, timeout.timed_out())
    }
}
