//! What a group counts and measures: for whoever collects it through the `metrics` facade. docs/metrics.md lists it.

use std::fmt;

use annals_wire::ConsumerName;
use metrics::{Counter, Gauge, counter, gauge};

use crate::{
    Store,
    metrics::{Progress, precise},
};

/// The metrics of one group.
pub(super) struct GroupMetrics {
    pub(super) deliveries: Counter,
    pub(super) retries: Counter,
    parked: Counter,
    parked_events: Gauge,
    pub(super) progress: Progress,
}

impl GroupMetrics {
    /// Those of the group `name`, of whose events so many are parked or wait behind parked ones.
    pub(super) fn of(store: &Store, name: &ConsumerName, parked_count: usize) -> Self {
        let labels = [("store", store.id().to_string()), ("group", name.to_string())];
        let progress = ["annals_group_position", "annals_group_lag_events", "annals_group_lag_seconds"];
        let metrics = Self {
            deliveries: counter!("annals_group_deliveries", &labels),
            retries: counter!("annals_group_retries", &labels),
            parked: counter!("annals_group_parked", &labels),
            parked_events: gauge!("annals_group_parked_events", &labels),
            progress: Progress::of(progress, &labels),
        };
        metrics.parked_events.set(precise(parked_count as u64));
        metrics
    }

    /// Notes how many events are parked or wait behind parked ones, after there were `before`.
    pub(super) fn note_parked(&self, before: usize, now: usize) {
        if now != before {
            self.parked.increment(now.saturating_sub(before) as u64);
            self.parked_events.set(precise(now as u64));
        }
    }
}

impl fmt::Debug for GroupMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMetrics").finish_non_exhaustive()
    }
}
