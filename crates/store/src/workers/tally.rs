//! What a group counts and measures: for whoever collects it through the `metrics` facade.
//!
//! Every metric has the labels `store` and `group`. Counters: `annals_group_deliveries`, `annals_group_retries`,
//! `annals_group_parked`. Gauges: `annals_group_position`, `annals_group_lag_events`, `annals_group_parked_events`.

use std::fmt;

use annals_wire::{ConsumerName, Sequence, StoreId};
use metrics::{Counter, Gauge, counter, gauge};

use crate::{Store, metrics::precise};

/// The metrics of one group.
pub(super) struct GroupMetrics {
    pub(super) deliveries: Counter,
    pub(super) retries: Counter,
    parked: Counter,
    parked_events: Gauge,
    position: Gauge,
    lag_events: Gauge,
}

impl GroupMetrics {
    pub(super) fn of(store: StoreId, name: &ConsumerName) -> Self {
        let (store, group) = (store.to_string(), name.to_string());
        Self {
            deliveries: counter!("annals_group_deliveries", "store" => store.clone(), "group" => group.clone()),
            retries: counter!("annals_group_retries", "store" => store.clone(), "group" => group.clone()),
            parked: counter!("annals_group_parked", "store" => store.clone(), "group" => group.clone()),
            parked_events: gauge!("annals_group_parked_events", "store" => store.clone(), "group" => group.clone()),
            position: gauge!("annals_group_position", "store" => store.clone(), "group" => group.clone()),
            lag_events: gauge!("annals_group_lag_events", "store" => store, "group" => group),
        }
    }

    /// Notes how many events are parked or wait behind parked ones, after there were `before`.
    pub(super) fn note_parked(&self, before: usize, now: usize) {
        if now != before {
            self.parked.increment(now.saturating_sub(before) as u64);
            self.parked_events.set(precise(now as u64));
        }
    }

    /// Notes where the group is.
    pub(super) fn note_position(&self, store: &Store, position: Sequence) {
        self.position.set(precise(position.0));
        self.lag_events.set(precise(store.last_sequence().0.saturating_sub(position.0)));
    }
}

impl fmt::Debug for GroupMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMetrics").finish_non_exhaustive()
    }
}
