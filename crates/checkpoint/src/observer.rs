//! Who is told how far a long open is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How far a part of an open is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Which part: one of those that the report has times of.
    pub phase: &'static str,
    /// The bytes of frames that were walked.
    pub done_bytes: u64,
    /// The bytes of frames that are to be walked.
    pub total_bytes: u64,
    /// The events that were indexed.
    pub done_events: u64,
}

/// Who is told; by default nobody.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Tell>>);

type Tell = dyn Fn(&Progress) + Send + Sync;

impl Observer {
    /// Tells `tell`, from whichever thread does the work, each time a part of the open begins and about once in each
    /// MiB of it.
    #[must_use]
    pub fn new(tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells how far it is.
    pub fn tell(&self, progress: &Progress) {
        if let Some(tell) = &self.0 {
            tell(progress);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(somebody)" } else { "Observer(nobody)" })
    }
}

/// How far a walk over frames is, by whichever threads.
#[derive(Debug)]
pub(crate) struct Walked<'a> {
    observer: &'a Observer,
    phase: &'static str,
    total_bytes: u64,
    bytes: AtomicU64,
    events: AtomicU64,
}

/// What one walk adds, told in steps.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    walked: &'a Walked<'a>,
    told: u64,
    events: u64,
}

/// After how many bytes of one walk somebody is told.
const STEP_LEN: u64 = 1 << 20;

impl<'a> Walked<'a> {
    pub(crate) fn new(observer: &'a Observer, phase: &'static str, total_bytes: u64) -> Self {
        let walked =
            Self { observer, phase, total_bytes, bytes: AtomicU64::new(0), events: AtomicU64::new(0) };
        walked.tell();
        walked
    }

    /// A walk that begins at `offset`.
    pub(crate) fn begin(&'a self, offset: u64) -> Step<'a> {
        Step { walked: self, told: offset, events: 0 }
    }

    fn tell(&self) {
        self.observer.tell(&Progress {
            phase: self.phase,
            done_bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes,
            done_events: self.events.load(Ordering::Relaxed),
        });
    }
}

impl Step<'_> {
    /// An event at `offset` was indexed.
    pub(crate) fn event(&mut self, offset: u64) {
        self.events += 1;
        if offset - self.told >= STEP_LEN {
            self.reach(offset);
        }
    }

    /// The walk has come to `offset`.
    pub(crate) fn reach(&mut self, offset: u64) {
        let bytes = offset - std::mem::replace(&mut self.told, offset);
        self.walked.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.walked.events.fetch_add(std::mem::take(&mut self.events), Ordering::Relaxed);
        self.walked.tell();
    }
}
