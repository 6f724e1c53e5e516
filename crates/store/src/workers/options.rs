//! How a group is opened. The defaults are safe.

use std::time::Duration;

use annals_wire::Sequence;

use super::dispatch::Limits;
use crate::consumer::Begin;

/// What becomes of the later events of a stream of which one is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParkedStream {
    /// They wait until it was replayed and is done, or was skipped: the order within the stream is kept.
    Waits,
    /// They are handed out: the parked event then comes later than those behind it, if it comes at all.
    GoesOn,
}

/// How a group is opened. The defaults make it where there is none, from the first event on.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    pub(super) lock_timeout: Duration,
    pub(super) begin: Begin,
    pub(super) window: usize,
    pub(super) attempts_max: u32,
    pub(super) parked_max: usize,
    pub(super) parked_stream: ParkedStream,
    pub(super) save_count: u64,
    pub(super) save_time: Duration,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::ZERO,
            begin: Begin::Start,
            window: 1_024,
            attempts_max: 10,
            parked_max: 10_000,
            parked_stream: ParkedStream::Waits,
            save_count: 1_000,
            save_time: Duration::from_millis(100),
        }
    }
}

impl GroupOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long opening waits for the process that has the group to let go of it, or to die. Default: not at all.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// A new group begins behind the newest event that is durable. One that is there already goes on where it was.
    #[must_use]
    pub fn from_now(mut self) -> Self {
        self.begin = Begin::Now;
        self
    }

    /// A new group begins behind `sequence`. One that is there already goes on where it was.
    #[must_use]
    pub fn after(mut self, sequence: Sequence) -> Self {
        self.begin = Begin::After(sequence);
        self
    }

    /// How many events may lie between the position and the newest that was looked at, done or not: at least one. It
    /// bounds what is kept of what is done out of order. Default: 1,024.
    #[must_use]
    pub fn window(mut self, count: usize) -> Self {
        self.window = count.max(1);
        self
    }

    /// After how many attempts an event is parked: at least one. An attempt is counted when the event is handed out, and
    /// so that of a process that dies with it is counted too. Default: 10.
    #[must_use]
    pub fn attempts_max(mut self, count: u32) -> Self {
        self.attempts_max = count.max(1);
        self
    }

    /// How many events may be parked, or wait behind parked ones of their streams. Where there is no room, what would
    /// be parked is tried again every second, what would wait holds the position back, and so the group stands still
    /// when its window is full. Default: 10,000.
    #[must_use]
    pub fn parked_max(mut self, count: usize) -> Self {
        self.parked_max = count;
        self
    }

    /// What becomes of the later events of a stream of which one is parked. Default: they wait, which keeps what a
    /// group promises.
    #[must_use]
    pub fn parked_stream(mut self, parked_stream: ParkedStream) -> Self {
        self.parked_stream = parked_stream;
        self
    }

    /// What the group knows is made durable whenever so many events were done since, or so much time passed since the
    /// first of them: looked at when an event is done or asked for, and while one is waited for. What was done since is
    /// handed out again after a loss of power. Default: 1,000 events, 100 ms.
    #[must_use]
    pub fn save_every(mut self, events: u64, time: Duration) -> Self {
        (self.save_count, self.save_time) = (events.max(1), time);
        self
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            window: self.window,
            attempts_max: self.attempts_max,
            parked_max: self.parked_max,
            holds: self.parked_stream == ParkedStream::Waits,
        }
    }
}
