//! What a store counts and measures while it lives: for whoever collects it through the `metrics` facade, and for
//! [`crate::report::Stats`].
//!
//! Invariant: a group is counted once, by whoever led it; an append alone counts nothing. Without a recorder nothing is
//! collected but the tally.
//!
//! A recorder is installed before the store is opened. Every metric has the label `store`, the store's id. Counters:
//! `annals_appended_events`, `annals_appended_bytes`, `annals_syncs`, `annals_rotations`, `annals_incidents`.
//! Histograms: `annals_group_events`, `annals_write_seconds` and `annals_sync_seconds` (of groups that were only
//! written, and of those that were synced), `annals_checkpoint_seconds`. Gauges: `annals_durable_sequence`,
//! `annals_visible_sequence`, `annals_queue_bytes`, `annals_subscriptions`.
//!
//! Those of a cursor carry its name too, as `cursor`. Counters: `annals_cursor_deliveries`, `annals_cursor_saves`. Gauges,
//! as of the last move: `annals_cursor_position`, `annals_cursor_lag_events`, `annals_cursor_lag_seconds`.

use std::{fmt, time::Duration};

use annals_wire::{Sequence, StoreId};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use serde::Serialize;

use crate::turn::Reach;

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

/// The metrics of one cursor.
pub(crate) struct CursorMetrics {
    pub(crate) deliveries: Counter,
    pub(crate) saves: Counter,
    position: Gauge,
    lag_events: Gauge,
    lag_seconds: Gauge,
}

impl CursorMetrics {
    pub(crate) fn of(store: StoreId, cursor: &str) -> Self {
        let (store, cursor) = (store.to_string(), cursor.to_owned());
        Self {
            deliveries: counter!("annals_cursor_deliveries", "store" => store.clone(), "cursor" => cursor.clone()),
            saves: counter!("annals_cursor_saves", "store" => store.clone(), "cursor" => cursor.clone()),
            position: gauge!("annals_cursor_position", "store" => store.clone(), "cursor" => cursor.clone()),
            lag_events: gauge!("annals_cursor_lag_events", "store" => store.clone(), "cursor" => cursor.clone()),
            lag_seconds: gauge!("annals_cursor_lag_seconds", "store" => store, "cursor" => cursor),
        }
    }

    /// Notes where the cursor is, how many events lie behind that, and for how long the first of them has.
    pub(crate) fn note_move(&self, position: Sequence, lag_events: u64, lag_millis: u64) {
        self.position.set(precise(position.0));
        self.lag_events.set(precise(lag_events));
        self.lag_seconds.set(Duration::from_millis(lag_millis).as_secs_f64());
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
        let store = store.to_string();
        Self {
            appended_events: counter!("annals_appended_events", "store" => store.clone()),
            appended_bytes: counter!("annals_appended_bytes", "store" => store.clone()),
            syncs: counter!("annals_syncs", "store" => store.clone()),
            rotations: counter!("annals_rotations", "store" => store.clone()),
            incidents: counter!("annals_incidents", "store" => store.clone()),
            group_events: histogram!("annals_group_events", "store" => store.clone()),
            write_seconds: histogram!("annals_write_seconds", "store" => store.clone()),
            sync_seconds: histogram!("annals_sync_seconds", "store" => store.clone()),
            checkpoint_seconds: histogram!("annals_checkpoint_seconds", "store" => store.clone()),
            durable_sequence: gauge!("annals_durable_sequence", "store" => store.clone()),
            visible_sequence: gauge!("annals_visible_sequence", "store" => store.clone()),
            subscriptions: gauge!("annals_subscriptions", "store" => store.clone()),
            queue_bytes: gauge!("annals_queue_bytes", "store" => store),
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
