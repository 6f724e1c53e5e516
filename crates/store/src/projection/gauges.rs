//! How a projection is doing, for whoever asks and for the `metrics` facade.

use std::time::Duration;

use annals_wire::{ConsumerName, Sequence};
use metrics::{Counter, counter};
use serde::Serialize;

use super::{Fold, Folded, Projection, shelf::Loaded};
use crate::{Error, Store, metrics::Progress, store::lock, sync::Mutex};

/// How a projection is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectionInfo {
    /// Its name.
    pub name: String,
    /// The version of its fold.
    pub fold_version: u32,
    /// What serves has everything up to here.
    pub sequence: Sequence,
    /// How many events that is.
    pub event_count: u64,
    /// How many events can be read that lie behind, whether it wants them or not.
    pub lag_events: u64,
    /// For how long the first of them has been there.
    pub lag: Duration,
    /// Up to which event it is saved, as far as this process knows.
    pub saved: Option<Sequence>,
    /// How often it was folded from the first event on since it was opened.
    pub rebuild_count: u64,
    /// Why it was, the last time; where it was opened and there was no snapshot there is no reason.
    pub rebuilt_because: Option<String>,
}

/// What is counted of one projection.
pub(super) struct Gauges {
    progress: Progress,
    rebuilds: Counter,
    folded_events: Counter,
    story: Mutex<Story>,
}

#[derive(Default)]
struct Story {
    name: String,
    rebuild_count: u64,
    rebuilt_because: Option<String>,
}

impl Gauges {
    pub(super) fn new(store: &Store, name: &ConsumerName) -> Self {
        let labels = [("store", store.id().to_string()), ("projection", name.to_string())];
        let progress =
            ["annals_projection_position", "annals_projection_lag_events", "annals_projection_lag_seconds"];
        Self {
            progress: Progress::of(progress, &labels),
            rebuilds: counter!("annals_projection_rebuilds", &labels),
            folded_events: counter!("annals_projection_events", &labels),
            story: Mutex::new(Story { name: name.to_string(), ..Story::default() }),
        }
    }

    /// Notes what was found of a snapshot, and gives the state where it can be used.
    pub(super) fn note_loaded<S>(&self, store: &Store, loaded: Loaded<S>) -> Option<Folded<S>> {
        match loaded {
            Loaded::Whole(folded) => return Some(*folded),
            Loaded::Nothing => self.begin(None),
            Loaded::Rejected(why) => {
                let name = lock(&self.story).name.clone();
                store.shared.incident(format!("the snapshot of the projection {name} is not used: {why}"));
                self.begin(Some(format!("its snapshot is not used: {why}")));
            }
        }
        None
    }

    /// Notes that everything is folded from the first event on.
    pub(super) fn note_begun(&self, why: &str) {
        self.begin(Some(why.to_owned()));
    }

    fn begin(&self, why: Option<String>) {
        self.rebuilds.increment(1);
        let mut story = lock(&self.story);
        tracing::info!(projection = story.name, why, "a projection is folded from the first event on");
        (story.rebuild_count, story.rebuilt_because) = (story.rebuild_count + 1, why);
    }

    /// Notes what serves, and how many events were folded for it.
    pub(super) fn note_served<S>(&self, store: &Store, served: &Folded<S>, folded_count: u64) {
        self.folded_events.increment(folded_count);
        self.progress.note(&store.shared, served.sequence);
    }
}

impl<F: Fold> Projection<F> {
    /// How it is doing.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`]: for how long something lies behind is in the first event there.
    pub fn info(&self) -> Result<ProjectionInfo, Error> {
        let inner = &*self.inner;
        let served = self.read();
        let (lag_events, lag_millis) = inner.store.shared.lag_behind(served.sequence)?;
        let lag = Duration::from_millis(lag_millis);
        inner.gauges.progress.note_lag(served.sequence, lag_events, lag);
        let saved = lock(&inner.saved).map(|(sequence, _)| sequence);
        let story = lock(&inner.gauges.story);
        Ok(ProjectionInfo {
            name: inner.name.to_string(),
            fold_version: served.fold_version(),
            sequence: served.sequence,
            event_count: served.event_count,
            lag_events,
            lag,
            saved,
            rebuild_count: story.rebuild_count,
            rebuilt_because: story.rebuilt_because.clone(),
        })
    }
}
