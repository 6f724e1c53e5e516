//! What a store counts and measures while it lives: for whoever collects it through the `metrics` facade, and for
//! [`crate::report::Stats`].
//!
//! Invariant: a group is counted once, by whoever led it; an append alone counts nothing. Without a recorder nothing is
//! collected but the tally.
//!
//! A recorder is installed before the store is opened. docs/metrics.md lists what it gets.

mod catalogue;

use std::{fmt, time::Duration};

use annals_wire::{ConsumerName, Sequence, StoreId};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use serde::Serialize;

use crate::{store::Shared, turn::Reach};

/// What a writer did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// Groups of appends that were written with one call.
    pub group_count: u64,
    /// Syncs, of groups and of what was written before.
    pub sync_count: u64,
    /// Events in all groups.
    pub event_count: u64,
    /// Bytes of their frames.
    pub byte_count: u64,
    /// The events of the largest group.
    pub group_events_max: u64,
    /// How long those took, with the writes before them, in microseconds.
    pub sync_micros: u64,
    /// The longest of them.
    pub sync_micros_max: u64,
    /// How many bytes are on their way to the disk now.
    pub queue_bytes: u64,
}

/// The metrics of one store.
pub(crate) struct Metrics {
    appended_events: Counter,
    appended_bytes: Counter,
    syncs: Counter,
    pub(crate) rotations: Counter,
    pub(crate) incidents: Counter,
    group_events: Histogram,
    write_seconds: Histogram,
    sync_seconds: Histogram,
    pub(crate) checkpoint_seconds: Histogram,
    durable_sequence: Gauge,
    pub(crate) visible_sequence: Gauge,
    pub(crate) subscriptions: Gauge,
    queue_bytes: Gauge,
}

/// Where a consumer is, and how far behind.
pub(crate) struct Progress {
    position: Gauge,
    lag_events: Gauge,
    lag_seconds: Gauge,
}

impl Progress {
    /// The gauges of these names: of the position, the lag in events and the lag in seconds.
    pub(crate) fn of([position, lag_events, lag_seconds]: [&'static str; 3], labels: &Labels) -> Self {
        Self {
            position: gauge!(position, labels),
            lag_events: gauge!(lag_events, labels),
            lag_seconds: gauge!(lag_seconds, labels),
        }
    }

    /// Notes that a consumer of the store is at `position`.
    pub(crate) fn note(&self, shared: &Shared, position: Sequence) {
        // Numbers for people: where the event behind cannot be read, who reads it next is told.
        let (events, millis) = shared.lag_behind(position).unwrap_or_default();
        self.note_lag(position, events, Duration::from_millis(millis));
    }

    /// Notes that a consumer is at `position`, behind which so many events lie, the first for so long.
    pub(crate) fn note_lag(&self, position: Sequence, events: u64, lag: Duration) {
        self.position.set(precise(position.0));
        self.lag_events.set(precise(events));
        self.lag_seconds.set(lag.as_secs_f64());
    }
}

/// The store, and which of its consumers.
pub(crate) type Labels = [(&'static str, String); 2];

/// The metrics of one cursor.
pub(crate) struct CursorMetrics {
    pub(crate) deliveries: Counter,
    pub(crate) saves: Counter,
    pub(crate) progress: Progress,
}

impl CursorMetrics {
    pub(crate) fn of(store: StoreId, name: &ConsumerName) -> Self {
        let labels = [("store", store.to_string()), ("cursor", name.to_string())];
        let progress = ["annals_cursor_position", "annals_cursor_lag_events", "annals_cursor_lag_seconds"];
        Self {
            deliveries: counter!("annals_cursor_deliveries", &labels),
            saves: counter!("annals_cursor_saves", &labels),
            progress: Progress::of(progress, &labels),
        }
    }
}

impl fmt::Debug for CursorMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorMetrics").finish_non_exhaustive()
    }
}

/// A group that landed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landed {
    /// How far the log was written before, and is now.
    pub(crate) before: Reach,
    pub(crate) reach: Reach,
    pub(crate) is_synced: bool,
    pub(crate) took: Duration,
    /// What was appended meanwhile.
    pub(crate) queue_bytes: u64,
}

impl Tally {
    pub(crate) fn note(&mut self, landed: &Landed) {
        let (events, bytes) = landed.size();
        self.group_count += u64::from(events > 0);
        self.event_count += events;
        self.byte_count += bytes;
        self.group_events_max = self.group_events_max.max(events);
        if landed.is_synced {
            let micros = u64::try_from(landed.took.as_micros()).unwrap_or(u64::MAX);
            self.sync_count += 1;
            self.sync_micros = self.sync_micros.saturating_add(micros);
            self.sync_micros_max = self.sync_micros_max.max(micros);
        }
    }
}

impl Metrics {
    pub(crate) fn of(store: StoreId) -> Self {
        catalogue::describe();
        let labels = [("store", store.to_string())];
        Self {
            appended_events: counter!("annals_appended_events", &labels),
            appended_bytes: counter!("annals_appended_bytes", &labels),
            syncs: counter!("annals_syncs", &labels),
            rotations: counter!("annals_rotations", &labels),
            incidents: counter!("annals_incidents", &labels),
            group_events: histogram!("annals_group_events", &labels),
            write_seconds: histogram!("annals_write_seconds", &labels),
            sync_seconds: histogram!("annals_sync_seconds", &labels),
            checkpoint_seconds: histogram!("annals_checkpoint_seconds", &labels),
            durable_sequence: gauge!("annals_durable_sequence", &labels),
            visible_sequence: gauge!("annals_visible_sequence", &labels),
            subscriptions: gauge!("annals_subscriptions", &labels),
            queue_bytes: gauge!("annals_queue_bytes", &labels),
        }
    }

    pub(crate) fn note(&self, landed: &Landed) {
        let (events, bytes) = landed.size();
        self.appended_events.increment(events);
        self.appended_bytes.increment(bytes);
        if events > 0 {
            self.group_events.record(precise(events));
        }
        self.queue_bytes.set(precise(landed.queue_bytes));
        if landed.is_synced {
            self.syncs.increment(1);
            self.sync_seconds.record(landed.took);
            self.durable_sequence.set(precise(landed.reach.sequence.0));
        } else {
            self.write_seconds.record(landed.took);
        }
    }
}

impl Landed {
    fn size(&self) -> (u64, u64) {
        let events = self.reach.sequence.0.saturating_sub(self.before.sequence.0);
        (events, self.reach.bytes.saturating_sub(self.before.bytes))
    }
}

/// The number as collectors take it: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge is read by people")]
pub(crate) fn precise(number: u64) -> f64 {
    number as f64
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
