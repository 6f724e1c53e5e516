//! What shuttle's mutex and condition variable lack: whether a mutex is poisoned, and waiting with a time-out.
//!
//! Invariant: a time-out may be over at any moment after the mutex was let go of, and whoever schedules the
//! threads chooses the moment. A waiter that was woken before may find that the time is over as well. Shuttle wakes
//! nobody for nothing; here it happens, as the standard library allows.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        LockResult, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use shuttle::{
    rand::{Rng as _, thread_rng},
    sync as shuttled, thread,
};

/// One wait in so many ends for nothing.
const FOR_NOTHING: u32 = 32;

/// A mutex that can be asked whether it is poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    inner: shuttled::Mutex<T>,
    /// Noted by whoever locks it next, so that it is right for whoever holds it.
    is_poisoned: AtomicBool,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { inner: shuttled::Mutex::new(value), is_poisoned: AtomicBool::new(false) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.guard(self.inner.lock())
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.inner.get_mut()
    }

    /// Whether a thread panicked that held it; asked by one that holds it.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.is_poisoned.load(Ordering::SeqCst)
    }

    fn guard<'m>(&'m self, locked: LockResult<shuttled::MutexGuard<'m, T>>) -> LockResult<MutexGuard<'m, T>> {
        match locked {
            Ok(inner) => Ok(MutexGuard { inner, mutex: self }),
            Err(poisoned) => {
                self.is_poisoned.store(true, Ordering::SeqCst);
                Err(PoisonError::new(MutexGuard { inner: poisoned.into_inner(), mutex: self }))
            }
        }
    }
}

/// The hold on a mutex.
#[derive(Debug)]
pub(crate) struct MutexGuard<'m, T> {
    inner: shuttled::MutexGuard<'m, T>,
    mutex: &'m Mutex<T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// A condition variable on which one can wait with a time-out.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    inner: shuttled::Condvar,
    /// How often somebody was to be woken.
    woken_count: AtomicU64,
}

/// Whether the time was over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited {
    is_over: bool,
}

impl Waited {
    pub(crate) fn timed_out(self) -> bool {
        self.is_over
    }
}

impl Condvar {
    /// Now and then the waiter wakes although nobody woke it, as the standard library's may.
    pub(crate) fn wait<'m, T>(&self, guard: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        if thread_rng().gen_ratio(1, FOR_NOTHING) {
            let waited = self.wait_timeout(guard, Duration::ZERO);
            return waited
                .map(|(guard, _)| guard)
                .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0));
        }
        let MutexGuard { inner, mutex } = guard;
        mutex.guard(self.inner.wait(inner))
    }

    /// Time is not modelled: the waiter stays runnable, and when it is run again the time is over, unless it was
    /// woken meanwhile; then it may be.
    pub(crate) fn wait_timeout<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        _: Duration,
    ) -> LockResult<(MutexGuard<'m, T>, Waited)> {
        let MutexGuard { inner, mutex } = guard;
        let before = self.woken_count.load(Ordering::SeqCst);
        drop(inner);
        thread::yield_now();
        let locked = mutex.lock();
        let was_woken = self.woken_count.load(Ordering::SeqCst) != before;
        let waited = Waited { is_over: !was_woken || thread_rng().gen_bool(0.5) };
        match locked {
            Ok(guard) => Ok((guard, waited)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), waited))),
        }
    }

    pub(crate) fn notify_one(&self) {
        self.inner.notify_one();
        self.woken_count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn notify_all(&self) {
        self.inner.notify_all();
        self.woken_count.fetch_add(1, Ordering::SeqCst);
    }
}
