//! How a cursor is opened.
//!
//! Invariant: what an option says of where to begin is for a cursor that is not there yet.

use std::time::Duration;

use annals_wire::Sequence;

use crate::consumer::Begin;

/// How a cursor is opened. The defaults make it where there is none, from the first event on.
#[derive(Debug, Clone, Default)]
pub struct CursorOptions {
    pub(super) lock_timeout: Duration,
    pub(super) begin: Begin,
    pub(super) saves: Option<Saves>,
}

/// When a cursor saves its position by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saves {
    pub(super) events: u64,
    pub(super) time: Duration,
}

impl CursorOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long opening waits for another holder to let go. Default: not at all.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// A new cursor begins behind the newest event that is durable. One that is there already goes on where it was.
    #[must_use]
    pub fn from_now(mut self) -> Self {
        self.begin = Begin::Now;
        self
    }

    /// A new cursor begins behind `sequence`. One that is there already goes on where it was.
    #[must_use]
    pub fn after(mut self, sequence: Sequence) -> Self {
        self.begin = Begin::After(sequence);
        self
    }

    /// The position is saved whenever so many events were processed since, or so much time passed since the first of
    /// them: looked at when an event is asked for, and while one is waited for. Default: only when
    /// [`crate::consume::Cursor::save`] is called.
    #[must_use]
    pub fn save_every(mut self, events: u64, time: Duration) -> Self {
        self.saves = Some(Saves { events, time });
        self
    }
}
