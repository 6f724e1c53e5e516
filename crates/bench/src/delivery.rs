//! `delivery`: from the beginning of an append to its event in the hands of a subscriber in the same process, beside a
//! mutex and a condition that hand over a number; and what idle subscriptions cost an append.
//!
//! Invariant: what is compared takes turns in one process. Each turn begins when whoever receives has gone to sleep.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use annals::{Coordinate, Durability, Kind, NewEvent, Options, Query, Store, consume::Subscription};
use serde::Serialize;

use crate::{
    failure::Failure,
    figures::{Samples, grouped, shown, table},
    progress,
};

/// How long whoever receives is left alone, so that it sleeps.
const REST: Duration = Duration::from_micros(200);

/// Appends in a row with and without idle subscriptions.
const TURN: u64 = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many events are delivered as soon as they are written
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    written: u64,
    /// How many events are delivered once they are durable
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    durable: u64,
    /// How many idle subscriptions there are
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    idle: usize,
    /// How many events are appended beside them, and as many without
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    appends: u64,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload_bytes: usize,
    /// In which directory the stores are made, and removed again
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Figures {
    rows: Vec<Row>,
    idle: Idle,
}

/// The microseconds from the beginning of an append, or of a hand-over, to whoever receives.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    median_us: f64,
    p99_us: f64,
}

/// The microseconds that an append takes.
#[derive(Debug, Serialize)]
struct Idle {
    subscriptions: usize,
    without_us: f64,
    with_us: f64,
    ratio: f64,
}

/// Measures both.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let mut rows = Vec::new();
    rows.extend(deliver(arguments, Durability::Written, arguments.written)?);
    rows.extend(deliver(arguments, Durability::Durable, arguments.durable)?);
    let figures = Figures { rows, idle: idle(arguments)? };
    if arguments.json {
        return serde_json::to_string_pretty(&figures).map_err(|source| Failure::Json { source });
    }
    Ok(text(&figures))
}

/// A store of its own whose events can be read when they are as durable as `level`, and what is appended to it.
struct Place {
    store: Store,
    path: PathBuf,
    at: Coordinate,
    kind: Kind,
    payload: Vec<u8>,
    level: Durability,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new(arguments: &Arguments, level: Durability) -> Result<Self, Failure> {
        let parent = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
        let directory = tempfile::tempdir_in(&parent).map_err(Failure::io("make a directory in", parent))?;
        let path = directory.path().join("store");
        let opened = Options::new().create(true).visibility(level).open(&path).and_then(|store| {
            let (at, kind) = (Coordinate::new("delivery", "bench")?, store.kind("bench.delivery")?);
            Ok((store, at, kind))
        });
        let (store, at, kind) = opened.map_err(Failure::store(&path))?;
        let payload = vec![7; arguments.payload_bytes];
        Ok(Self { store, path, at, kind, payload, level, _directory: directory })
    }

    /// Appends an event; returns how many microseconds that took.
    fn append(&self) -> Result<f64, Failure> {
        let start = Instant::now();
        let event = NewEvent::new(&self.at, self.kind, &self.payload);
        self.store.append_with(&event, self.level).map_err(Failure::store(&self.path))?;
        Ok(micros(start, Instant::now()))
    }

    /// Whoever receives the events, each with the moment at which it did.
    fn receive(&self) -> mpsc::Receiver<Instant> {
        let (sender, receiver) = mpsc::channel();
        let subscription = self.store.subscribe(Query::all()).from_now();
        thread::spawn(move || {
            for event in subscription {
                if event.is_err() || sender.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

fn micros(start: Instant, end: Instant) -> f64 {
    end.duration_since(start).as_secs_f64() * 1e6
}

/// A number behind a mutex, and a condition.
#[derive(Default)]
struct HandOver {
    number: Mutex<u64>,
    changed: Condvar,
}

impl HandOver {
    fn give(&self) {
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    fn receive(self: &Arc<Self>) -> mpsc::Receiver<Instant> {
        let (sender, receiver) = mpsc::channel();
        let this = Arc::clone(self);
        thread::spawn(move || {
            let mut seen = 0;
            loop {
                let number = this.number.lock().unwrap_or_else(PoisonError::into_inner);
                let changed = this.changed.wait_while(number, |number| *number == seen);
                seen = *changed.unwrap_or_else(PoisonError::into_inner);
                if sender.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

fn deliver(arguments: &Arguments, level: Durability, count: u64) -> Result<[Row; 3], Failure> {
    let place = Place::new(arguments, level)?;
    let by_hand = Arc::new(HandOver::default());
    let (events, numbers) = (place.receive(), by_hand.receive());
    let (mut appends, mut deliveries, mut hand_overs) = (Vec::new(), Vec::new(), Vec::new());
    let bar = progress::bar("deliver", count);
    for _ in 0..count {
        thread::sleep(REST);
        let start = Instant::now();
        appends.push(place.append()?);
        // Who received ended with its store, which the next append tells.
        deliveries.extend(events.recv().map(|end| micros(start, end)));
        thread::sleep(REST);
        let start = Instant::now();
        by_hand.give();
        hand_overs.extend(numbers.recv().map(|end| micros(start, end)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let names = match level {
        Durability::Durable => ["append, durable", "append to delivery, durable", "hand-over beside it"],
        _ => ["append, written", "append to delivery, written", "hand-over beside it"],
    };
    let row = |what, samples: Vec<f64>| {
        let samples: Samples = samples.into_iter().collect();
        Row { what, median_us: samples.median(), p99_us: samples.percentile(99.0) }
    };
    let [append, delivery, hand_over] = names;
    Ok([row(append, appends), row(delivery, deliveries), row(hand_over, hand_overs)])
}

/// Appends with and without idle subscriptions in turns.
fn idle(arguments: &Arguments) -> Result<Idle, Failure> {
    let place = Place::new(arguments, Durability::Written)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let bar = progress::bar("append", arguments.appends);
    for _ in 0..arguments.appends.div_ceil(TURN) {
        for _ in 0..TURN {
            without.push(place.append()?);
        }
        let subscribe = |_| place.store.subscribe(Query::all()).from_now();
        let subscriptions: Vec<Subscription> = (0..arguments.idle).map(subscribe).collect();
        for _ in 0..TURN {
            with.push(place.append()?);
        }
        drop(subscriptions);
        bar.inc(TURN);
    }
    bar.finish_and_clear();
    let [without_us, with_us] = [without, with].map(|times| times.into_iter().collect::<Samples>().median());
    Ok(Idle { subscriptions: arguments.idle, without_us, with_us, ratio: with_us / without_us })
}

fn text(figures: &Figures) -> String {
    let rows = figures.rows.iter().map(|row| [row.what.to_owned(), shown(row.median_us), shown(row.p99_us)]);
    let rows = table(["from a call to whoever receives", "median us", "99 % us"], rows);
    let Idle { subscriptions, without_us, with_us, ratio } = &figures.idle;
    let count = grouped(u64::try_from(*subscriptions).unwrap_or(u64::MAX));
    let idle = [count, shown(*without_us), shown(*with_us), format!("{ratio:.3}")];
    let idle = table(["idle subscriptions", "append without us", "with us", "of without"], [idle]);
    format!("{rows}\n{idle}")
}
