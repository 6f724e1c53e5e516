//! `projection`: what it takes to fold a store's events, to open from a snapshot, and to follow; and whether readers see
//! anything but folds of prefixes while everything is made anew beside what serves.
//!
//! Invariant: what readers saw is judged afterwards, by one more walk along the log.

mod reading;

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    path::PathBuf,
    time::{Duration, Instant},
};

use annals::{
    Durability, Error, Event, NewEvent, Options, Store,
    consume::{Fold, Projection},
};
use serde::{Deserialize, Serialize};

use crate::{
    content::{Content, coordinate, mix},
    failure::Failure,
    figures::{Samples, grouped, per_second, shown, table},
    kept::{Shelf, streams_by_default},
    projection::reading::{Seen, rebuild_beside},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many events the store has
    #[arg(long, value_name = "N", default_value_t = NonZeroU64::new(1_000_000).expect("not 0"))]
    events: NonZeroU64,
    /// How many are appended to be caught up at once
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    behind: u64,
    /// How many are appended and caught up one by one
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    single: u64,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload_bytes: u32,
    /// What the store's content follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the store is built: it is made anew, and appended to
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Figures {
    events: u64,
    entities: usize,
    /// Reading all events without folding them.
    walk_seconds: f64,
    /// The same with the fold: opened without a snapshot.
    fold_seconds: f64,
    save_seconds: f64,
    snapshot_bytes: u64,
    /// Opening from the snapshot, the median of five.
    open_ms: f64,
    /// Opening where the snapshot is of another version of the fold.
    refused_seconds: f64,
    caught_up_per_second: f64,
    /// Catching up with one event, the median.
    single_us: f64,
    rebuilding: Seen,
}

/// How often each entity has an event, and a hash of all that was folded, in order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    by_entity: BTreeMap<String, u64>,
    hash: u64,
}

impl Tally {
    pub(super) fn add(&mut self, event: &Event) {
        *self.by_entity.entry(event.entity().to_owned()).or_default() += 1;
        self.hash = next_hash(self.hash, event);
    }

    /// How many events it has, counted by what it is of each entity.
    pub(super) fn count(&self) -> u64 {
        self.by_entity.values().sum()
    }
}

/// The hash behind `event`, from the one before it.
pub(super) fn next_hash(hash: u64, event: &Event) -> u64 {
    mix(hash ^ mix(event.sequence().0 ^ event.payload().map_or(0, |payload| payload.len() as u64)))
}

/// The fold to tallies.
pub(super) struct Tallies {
    pub(super) version: u32,
}

impl Fold for Tallies {
    type State = Tally;

    fn name(&self) -> &str {
        "tallies"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(&self, tally: &mut Tally, event: &Event) -> Result<(), Error> {
        tally.add(event);
        Ok(())
    }
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let content = Content {
        events: arguments.events,
        streams: streams_by_default(arguments.events),
        payload_bytes: arguments.payload_bytes,
        seed: arguments.seed,
        tags: 2,
    };
    let shelf = Shelf::new(arguments.dir.as_deref())?;
    let mut place = shelf.place(&content, None)?;
    let (path, _) = place.take_store()?;
    let store = Options::new().open(&path).map_err(Failure::store(&path))?;
    let snapshot = path.join("projections/tallies/whole.snap");
    let mut figures = measure(arguments, &store).map_err(Failure::store(&path))?;
    figures.snapshot_bytes = std::fs::metadata(&snapshot).map_err(Failure::io("look at", &snapshot))?.len();
    store.close().map_err(Failure::store(&path))?;
    place.end(false)?;
    if arguments.json {
        return serde_json::to_string_pretty(&figures).map_err(|source| Failure::Json { source });
    }
    Ok(text(&figures))
}

fn measure(arguments: &Arguments, store: &Store) -> Result<Figures, Error> {
    let (walked, walk_seconds) =
        timed(|| store.all().try_fold(0, |hash, event| Ok(next_hash(hash, &event?))))?;
    let (projection, fold_seconds) = timed(|| store.project(Tallies { version: 1 }))?;
    assert_eq!(projection.read().state.hash, walked, "the fold of all");
    let (_, save_seconds) = timed(|| projection.save())?;
    let mut opened = Vec::new();
    for _ in 0..5 {
        let (again, seconds) = timed(|| store.project(Tallies { version: 1 }))?;
        assert_eq!(again.info()?.rebuild_count, 0, "its snapshot is used");
        opened.push(1e3 * seconds);
    }
    let (refused, refused_seconds) = timed(|| store.project(Tallies { version: 2 }))?;
    assert_eq!(refused.info()?.rebuild_count, 1, "the snapshot of another fold is not used");
    drop(refused);
    append(store, arguments.behind, arguments.payload_bytes)?;
    let (_, caught_up) = timed(|| projection.catch_up())?;
    let single = single(arguments, store, &projection)?;
    Ok(Figures {
        events: arguments.events.get(),
        entities: projection.read().state.by_entity.len(),
        walk_seconds,
        fold_seconds,
        save_seconds,
        snapshot_bytes: 0,
        open_ms: opened.into_iter().collect::<Samples>().median(),
        refused_seconds,
        caught_up_per_second: per_second(arguments.behind, Duration::from_secs_f64(caught_up)),
        single_us: single.median(),
        rebuilding: rebuild_beside(store, &projection)?,
    })
}

/// What each catching up takes with one event, which is in the cache.
fn single(arguments: &Arguments, store: &Store, projection: &Projection<Tallies>) -> Result<Samples, Error> {
    let mut times = Vec::new();
    for _ in 0..arguments.single {
        append(store, 1, arguments.payload_bytes)?;
        let (_, seconds) = timed(|| projection.catch_up())?;
        times.push(1e6 * seconds);
    }
    Ok(times.into_iter().collect())
}

/// Appends `count` events to a few entities, durably in the end.
pub(super) fn append(store: &Store, count: u64, payload_bytes: u32) -> Result<(), Error> {
    let kind = store.kind("bench.kind-0")?;
    let payload = vec![7; payload_bytes as usize];
    for number in 0..count {
        let at = coordinate(number % 100).expect("a name that the generator uses");
        store.append_with(&NewEvent::new(&at, kind, &payload), Durability::Queued)?;
    }
    store.sync().map(drop)
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, f64), Error> {
    let start = Instant::now();
    let made = work()?;
    Ok((made, start.elapsed().as_secs_f64()))
}

fn text(figures: &Figures) -> String {
    let seconds = |seconds: f64| format!("{} ms", shown(1e3 * seconds));
    let seen = &figures.rebuilding;
    let rows = [
        ["events".to_owned(), grouped(figures.events)],
        ["entities in the state".to_owned(), grouped(figures.entities as u64)],
        ["reading all of them".to_owned(), seconds(figures.walk_seconds)],
        ["opening without a snapshot".to_owned(), seconds(figures.fold_seconds)],
        ["saving".to_owned(), seconds(figures.save_seconds)],
        ["the snapshot's bytes".to_owned(), grouped(figures.snapshot_bytes)],
        ["opening from it".to_owned(), format!("{} ms", shown(figures.open_ms))],
        ["opening with one of another fold".to_owned(), seconds(figures.refused_seconds)],
        ["catching up, events/s".to_owned(), shown(figures.caught_up_per_second)],
        ["catching up with one".to_owned(), format!("{} us", shown(figures.single_us))],
        ["made anew beside what serves".to_owned(), seconds(seen.seconds)],
        ["events appended and folded meanwhile".to_owned(), grouped(seen.appended)],
        ["reads meanwhile".to_owned(), grouped(seen.reads)],
        ["states that they saw".to_owned(), grouped(seen.states)],
        ["wrong ones".to_owned(), grouped(seen.wrong)],
    ];
    table(["what", "figure"], rows).to_string()
}
