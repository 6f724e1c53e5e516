//! The work behind the appends, as steps: a thread runs them, or a test pumps them.
//!
//! Invariant: what nobody waits for is durable within 100 ms, as long as the thread runs. No step is needed
//! for what was acknowledged to be safe.

use std::time::Duration;

use crate::{
    Durability, Error,
    store::{Shared, lock},
    sync::{Arc, AtomicBool, Condvar, Mutex, Ordering, PoisonError, Weak, thread},
};

/// How long what is appended may stay unsynced.
const SYNC_AFTER: Duration = Duration::from_millis(100);

/// What the thread has to do.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    needs: Mutex<Needs>,
    woken: Condvar,
    is_sync_due: AtomicBool,
    is_flush_due: AtomicBool,
    /// The same as [`Needs::stop`], to be looked at often.
    is_stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Needs {
    work: bool,
    stop: bool,
}

impl Worker {
    /// Something was appended that nobody syncs.
    pub(crate) fn wake_to_sync(&self) {
        self.raise(&self.is_sync_due);
    }

    /// Something was appended that is to be durable as soon as can be.
    fn wake_to_flush(&self) {
        self.raise(&self.is_flush_due);
    }

    fn raise(&self, flag: &AtomicBool) {
        if !flag.swap(true, Ordering::AcqRel) {
            drop(lock(&self.needs));
            self.woken.notify_one();
        }
    }

    /// There is something to seal, or a checkpoint to write.
    pub(crate) fn wake_to_work(&self) {
        lock(&self.needs).work = true;
        self.woken.notify_one();
    }

    /// Waits for at most `time`; false where the store is being closed.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let needs = lock(&self.needs);
        if needs.stop || time.is_zero() {
            return !needs.stop;
        }
        let (needs, _) = self.woken.wait_timeout(needs, time).unwrap_or_else(PoisonError::into_inner);
        !needs.stop
    }

    /// Whether the store is being closed.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        lock(&self.needs).stop = true;
        self.woken.notify_one();
    }

    /// Waits until there is something to do; false when there never will be again.
    fn wait(&self) -> bool {
        let mut needs = lock(&self.needs);
        loop {
            if needs.stop {
                return false;
            }
            if std::mem::take(&mut needs.work) || self.is_flush_due.load(Ordering::Acquire) {
                return true;
            }
            if self.is_sync_due.load(Ordering::Acquire) {
                let waited = self.woken.wait_timeout(needs, SYNC_AFTER);
                let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                needs = again;
                if timeout.timed_out() {
                    return !needs.stop;
                }
            } else {
                needs = self.woken.wait(needs).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// The thread, which is started when there is first something to do: who only reads has none.
#[derive(Debug, Default)]
pub(crate) enum WorkerThread {
    /// There is none, and will be none.
    #[default]
    None,
    /// It is started when asked.
    Waiting(Weak<Shared>),
    Running(thread::JoinHandle<()>),
}

impl WorkerThread {
    pub(crate) fn of(is_threaded: bool, store: &Weak<Shared>) -> Self {
        if is_threaded { Self::Waiting(Weak::clone(store)) } else { Self::None }
    }
}

/// Runs the thread that does the work of `store` until it is stopped or the store is gone.
fn run(worker: &Arc<Worker>, store: &Weak<Shared>) {
    while worker.wait() {
        let Some(shared) = store.upgrade() else { return };
        match shared.pump() {
            Ok(()) | Err(Error::Closed | Error::Stopped { .. }) => {}
            Err(error) => shared.incident(format!("work behind the appends failed: {error}")),
        }
    }
}

impl Shared {
    /// One round of everything that waits to be done.
    pub(crate) fn pump(&self) -> Result<(), Error> {
        self.pump_what_is_due()?;
        // Of a store that was closed and only read since, no file is touched.
        if lock(&self.writer()?.turn).has_frontier {
            self.merge_or_tell();
        }
        Ok(())
    }

    /// What the appends wait for, or will soon.
    pub(crate) fn pump_what_is_due(&self) -> Result<(), Error> {
        let writer = self.writer()?;
        if writer.worker.is_flush_due.swap(false, Ordering::AcqRel) {
            self.sync()?;
        }
        if writer.worker.is_sync_due.swap(false, Ordering::AcqRel) {
            self.sync()?;
        }
        self.seal_all()?;
        let is_due = self.is_checkpoint_due(self.options.checkpoint_bytes);
        if is_due { self.write_checkpoint_behind() } else { Ok(()) }
    }

    /// Closes the store for appending, and cleanly.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let Some(writer) = &self.writer else {
            self.watch.close();
            return Ok(());
        };
        writer.worker.stop();
        let turn = lock(&writer.turn);
        self.check_writing(&turn)?;
        let bytes = turn.appended.bytes;
        drop(self.settle(turn, bytes, Durability::Durable)?);
        // The thread may be in the middle of a footer, which is waited for.
        let ready = self.tables_ahead();
        self.stop_worker();
        self.seal_or_tell();
        if let Err(error) = self.write_last_checkpoint(ready) {
            self.incident(format!("no checkpoint was written at the close: {error}"));
        }
        let mut turn = lock(&writer.turn);
        while turn.is_led || turn.durable.bytes < turn.appended.bytes {
            let bytes = turn.appended.bytes;
            turn = self.settle(turn, bytes, Durability::Durable)?;
        }
        let note = turn.note();
        let log = turn.log.take().ok_or(Error::Closed)?;
        turn.frontier = None;
        self.watch.close();
        log.close(note).map_err(turn.failed())
    }

    pub(crate) fn stop_worker(&self) {
        let Some(writer) = &self.writer else { return };
        writer.worker.stop();
        let thread = std::mem::take(&mut *lock(&writer.thread));
        if let WorkerThread::Running(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // A panic of the thread was reported when it happened; what it did is in steps that can be left out.
            drop(thread.join());
        }
    }

    /// Lets go of the log, and makes durable what was written. No frame and no checkpoint is written: who wants that
    /// closes the store. Whoever only reads goes on.
    pub(crate) fn let_go(&self) {
        let Some(writer) = &self.writer else { return };
        let mut turn = lock(&writer.turn);
        turn.frontier = None;
        let Some(log) = turn.log.take() else { return };
        if let Err(error) = log.abandon() {
            tracing::error!(%error, "the store was dropped, and what was written could not be made durable");
        }
    }

    /// Starts the thread where it waits for that.
    pub(crate) fn start_worker(&self) {
        let Some(writer) = &self.writer else { return };
        let mut thread = lock(&writer.thread);
        let WorkerThread::Waiting(store) = &*thread else { return };
        let (worker, store) = (Arc::clone(&writer.worker), Weak::clone(store));
        let builder = thread::Builder::new().name("annals".to_owned());
        *thread = match builder.spawn(move || run(&worker, &store)) {
            Ok(handle) => WorkerThread::Running(handle),
            Err(error) => {
                self.incident(format!("no thread for the work behind the appends: {error}"));
                WorkerThread::None
            }
        };
    }

    /// Something was appended that is to be durable as soon as can be.
    pub(crate) fn wake_to_flush(&self) {
        if let Some(writer) = &self.writer {
            writer.worker.wake_to_flush();
        }
    }

    /// There is something to seal, or a checkpoint to write, perhaps before anything was appended.
    pub(crate) fn wake_to_work(&self) {
        self.start_worker();
        if let Some(writer) = &self.writer {
            writer.worker.wake_to_work();
        }
    }
}
