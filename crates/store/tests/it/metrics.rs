//! What a store counts: for a recorder of the `metrics` facade, and in its statistics; and that docs/metrics.md lists it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    Background, Coordinate, Durability, Kind, NewEvent, Options, Query, Store,
    disk::{Clock, SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, Span};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Sums of counters, last values of gauges, how often histograms were given one.
#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<BTreeMap<String, f64>>>, Arc<Mutex<Told>>);

/// What a recorder is told of metrics, as rows of docs/metrics.md; and the names and sorts that it was asked for.
#[derive(Debug, Default)]
struct Told {
    described: BTreeSet<String>,
    asked: BTreeSet<(String, &'static str)>,
}

#[derive(Debug)]
struct Named(Collected, String);

impl Named {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.0.lock().unwrap().entry(self.1.clone()).or_default());
    }
}

impl CounterFn for Named {
    fn increment(&self, value: u64) {
        self.change(|sum| *sum += f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, value: u64) {
        self.change(|sum| *sum = f64::from(u32::try_from(value).unwrap()));
    }
}

impl GaugeFn for Named {
    fn increment(&self, value: f64) {
        self.change(|last| *last += value);
    }

    fn decrement(&self, value: f64) {
        self.change(|last| *last -= value);
    }

    fn set(&self, value: f64) {
        self.change(|last| *last = value);
    }
}

impl HistogramFn for Named {
    fn record(&self, _: f64) {
        self.change(|count| *count += 1.0);
    }
}

impl Collected {
    fn named(&self, key: &Key, sort: &'static str) -> Arc<Named> {
        assert!(key.labels().any(|label| label.key() == "store" && label.value().len() == 36), "{key}");
        self.1.lock().unwrap().asked.insert((key.name().to_owned(), sort));
        Arc::new(Named(self.clone(), key.name().to_owned()))
    }

    fn note(&self, sort: &str, name: &KeyName, unit: Option<Unit>, what: &SharedString) {
        let row = format!("| `{}` | {sort} | {} | {what} |", name.as_str(), unit.unwrap().as_str());
        self.1.lock().unwrap().described.insert(row);
    }

    fn of(&self, name: &str) -> f64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

impl Recorder for Collected {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, what: SharedString) {
        self.note("counter", &name, unit, &what);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, what: SharedString) {
        self.note("gauge", &name, unit, &what);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, what: SharedString) {
        self.note("histogram", &name, unit, &what);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.named(key, "counter"))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.named(key, "gauge"))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.named(key, "histogram"))
    }
}

fn append(store: &Store, count: usize, durability: Durability) {
    let at = Coordinate::new("a", "s").unwrap();
    let events = vec![NewEvent::new(&at, Kind::new(0x2001).unwrap(), &[7; 500]); count];
    store.append_batch_with(&events, durability).unwrap();
}

#[test]
fn groups_are_counted_once_and_the_same_everywhere() {
    let (collected, disk) = (Collected::default(), SimulatedDirectory::new());
    let options = Options::new().create(true).segment_bytes(8192).background(Background::Manual);
    let options = options.entropy(SeededEntropy::new(1));
    let store = metrics::with_local_recorder(&collected, || options.open_on(disk.clone()).unwrap());
    let subscriptions = [(); 3].map(|()| store.subscribe(Query::all()));
    assert_eq!(collected.of("annals_subscriptions"), 3.0);
    drop(subscriptions);
    assert_eq!(collected.of("annals_subscriptions"), 0.0);
    append(&store, 3, Durability::Durable);
    append(&store, 2, Durability::Written);
    append(&store, 1, Durability::Queued);
    let tally = store.stats().unwrap().tally;
    assert_eq!(
        (tally.group_count, tally.sync_count, tally.event_count, tally.group_events_max),
        (2, 1, 5, 3)
    );
    assert!(tally.queue_bytes > 1_500 && collected.of("annals_queue_bytes") > 1_000.0);
    store.sync().unwrap();
    for _ in 0..12 {
        append(&store, 4, Durability::Durable);
        store.pump().unwrap();
    }
    store.checkpoint().unwrap();
    let tally = store.stats().unwrap().tally;
    assert_eq!((tally.event_count, tally.queue_bytes), (54, 0));
    let exactly = |number: u64| f64::from(u32::try_from(number).unwrap());
    assert_eq!(collected.of("annals_appended_events"), 54.0);
    assert_eq!(collected.of("annals_appended_bytes"), exactly(tally.byte_count));
    assert_eq!(collected.of("annals_group_events"), exactly(tally.group_count));
    assert_eq!(collected.of("annals_syncs"), exactly(tally.sync_count));
    let flights = collected.of("annals_sync_seconds") + collected.of("annals_write_seconds");
    assert!(flights >= exactly(tally.group_count), "a sync may be of none");
    assert_eq!(collected.of("annals_durable_sequence"), 54.0);
    assert_eq!(collected.of("annals_visible_sequence"), 54.0);
    assert!(collected.of("annals_rotations") >= 3.0 && collected.of("annals_checkpoint_seconds") >= 1.0);
    assert_eq!(collected.of("annals_incidents"), 0.0);
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Forever);
    assert!(store.checkpoint().is_err() || collected.of("annals_incidents") > 0.0);
    let reader = options_of_a_reader().open_read_only_on(disk.kill()).unwrap();
    assert_eq!(reader.stats().unwrap().tally, annals::report::Tally::default());
}

#[test]
fn a_cursor_says_how_far_it_is_behind_in_events_and_in_time() {
    let (collected, clock) = (Collected::default(), Ticking::default());
    let options = Options::new().create(true).clock(clock.clone()).entropy(SeededEntropy::new(1));
    let store = options.open_on(SimulatedDirectory::new()).unwrap();
    append(&store, 1, Durability::Durable);
    clock.0.store(5_000, Ordering::SeqCst);
    append(&store, 3, Durability::Durable);
    clock.0.store(12_000, Ordering::SeqCst);
    let opened = metrics::with_local_recorder(&collected, || store.cursor("mail", Query::all()));
    let mut cursor = opened.unwrap();
    let of = |name: &str| collected.of(&format!("annals_cursor_{name}"));
    assert_eq!((of("position"), of("lag_events"), of("lag_seconds")), (0.0, 4.0, 12.0));
    cursor.try_next().unwrap();
    cursor.save().unwrap();
    assert_eq!((of("deliveries"), of("saves"), of("position")), (1.0, 2.0, 1.0));
    assert_eq!((of("lag_events"), of("lag_seconds")), (3.0, 7.0));
    let info = store.find_cursor("mail").unwrap().unwrap();
    assert_eq!((info.lag_events, info.lag_millis), (3, 7_000));
    while cursor.try_next().unwrap().is_some() {}
    cursor.append(&[]).unwrap();
    assert_eq!((of("position"), of("lag_events"), of("lag_seconds")), (4.0, 0.0, 0.0));
}

/// A clock that a test moves.
#[derive(Debug, Clone, Default)]
struct Ticking(Arc<AtomicU64>);

impl Clock for Ticking {
    fn now_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn options_of_a_reader() -> Options {
    Options::new().background(Background::Manual)
}

#[test]
fn a_group_says_how_far_it_is_behind_in_events_and_in_time() {
    let (collected, clock) = (Collected::default(), Ticking::default());
    let options = Options::new().create(true).clock(clock.clone()).entropy(SeededEntropy::new(1));
    let store = options.open_on(SimulatedDirectory::new()).unwrap();
    append(&store, 2, Durability::Durable);
    clock.0.store(9_000, Ordering::SeqCst);
    append(&store, 2, Durability::Durable);
    let of = |name: &str| collected.of(&format!("annals_group_{name}"));
    let group = metrics::with_local_recorder(&collected, || store.group("mail", Query::all())).unwrap();
    assert_eq!((of("position"), of("lag_events"), of("lag_seconds")), (0.0, 4.0, 9.0));
    group.try_next().unwrap().unwrap().done().unwrap();
    group.try_next().unwrap().unwrap().park("of no use").unwrap();
    group.save().unwrap();
    // What comes later of the stream waits behind the parked one, once it was seen.
    assert_eq!((of("position"), of("lag_events"), of("lag_seconds")), (2.0, 2.0, 0.0));
    assert_eq!((of("deliveries"), of("parked"), of("parked_events")), (2.0, 1.0, 1.0));
    drop(group);
    let collected = Collected::default();
    let group = metrics::with_local_recorder(&collected, || store.group("mail", Query::all())).unwrap();
    let of = |name: &str| collected.of(&format!("annals_group_{name}"));
    assert_eq!((of("parked"), of("parked_events"), of("position")), (0.0, 1.0, 2.0));
    drop(group);
}

struct Count;

impl annals::consume::Fold for Count {
    type State = u64;

    fn name(&self) -> &str {
        "count"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&self, count: &mut u64, _: &annals::Event) -> Result<(), annals::Error> {
        *count += 1;
        Ok(())
    }
}

#[test]
fn a_projection_says_how_far_behind_it_is() {
    let collected = Collected::default();
    let store = options_of_a_reader().create(true).open_on(SimulatedDirectory::new()).unwrap();
    append(&store, 5, Durability::Durable);
    let projection = metrics::with_local_recorder(&collected, || store.project(Count).unwrap());
    assert_eq!(collected.of("annals_projection_lag_events"), 0.0);
    append(&store, 3, Durability::Durable);
    assert_eq!(projection.info().unwrap().lag_events, 3);
    assert_eq!(collected.of("annals_projection_lag_events"), 3.0);
    assert!(collected.of("annals_projection_lag_seconds") >= 0.0);
    projection.catch_up().unwrap();
    assert_eq!(collected.of("annals_projection_lag_events"), 0.0);
    assert_eq!(collected.of("annals_projection_events"), 8.0);
    assert_eq!(collected.of("annals_projection_rebuilds"), 1.0);
    projection.rebuild().unwrap();
    assert_eq!(collected.of("annals_projection_events"), 16.0);
    assert_eq!(collected.of("annals_projection_rebuilds"), 2.0);
}

#[test]
fn every_metric_is_described_and_documented() {
    let collected = Collected::default();
    metrics::with_local_recorder(&collected, || {
        let store = options_of_a_reader().create(true).open_on(SimulatedDirectory::new()).unwrap();
        drop(store.cursor("a", Query::all()).unwrap());
        drop(store.group("b", Query::all()).unwrap());
        store.project(Count).unwrap();
    });
    let told = collected.1.lock().unwrap();
    let documented =
        include_str!("../../../../docs/metrics.md").lines().filter(|line| line.starts_with("| `"));
    assert_eq!(told.described, documented.map(str::to_owned).collect());
    let start = |(name, sort): &(String, &str)| format!("| `{name}` | {sort} |");
    let undescribed =
        told.asked.iter().map(start).find(|start| !told.described.iter().any(|row| row.starts_with(start)));
    assert_eq!(undescribed, None);
    assert_eq!(told.asked.len(), told.described.len(), "what nobody counts is described");
}
