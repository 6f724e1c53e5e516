//! `conditions`: what a condition adds to a durable append, in stores of several sizes; tickets; and what a query for
//! few events takes among many.
//!
//! Invariant: the kinds of appends take turns in one process, one of each; what is compared shares the minute and the
//! disk.

use std::{num::NonZeroU64, path::PathBuf, time::Instant};

use annals::{Condition, Coordinate, Kind, NewEvent, Options, Query, QueryItem, Sequence, Store, Tag};
use serde::Serialize;

use crate::{
    content::Content,
    failure::Failure,
    figures::{Samples, grouped, per_second, shown, table},
    kept::{Shelf, streams_by_default},
    progress,
};

/// How many tickets one thread keeps on their way.
const TICKET_COUNT: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many events the stores have
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "10000,100000,1000000")]
    events: Vec<NonZeroU64>,
    /// How many appends of each kind
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    appends: u64,
    /// How many events are appended by tickets
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    tickets: usize,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload_bytes: u32,
    /// What the stores' content follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the stores are built: each is made anew, and appended to
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// One store's figures.
#[derive(Debug, Serialize)]
struct Figures {
    events: u64,
    /// The median of an append without a condition, in microseconds.
    plain_us: f64,
    conditions: Vec<Row>,
    tickets_per_second: f64,
    /// The median of reading the first ten events of a tag that one in a thousand has, in microseconds.
    ten_of_tag_us: f64,
    /// The same of the first ten events of all.
    ten_us: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    median_us: f64,
    ratio: f64,
}

/// A kind of append, and its condition behind the sequence that is known.
struct Case {
    what: &'static str,
    query: Option<Query>,
    /// Whether it is asked of all the history, and not only of what is new.
    is_of_all: bool,
}

/// Measures each size.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let figures = arguments.events.iter().map(|events| measure(arguments, *events));
    let figures = figures.collect::<Result<Vec<_>, _>>()?;
    if arguments.json {
        return serde_json::to_string_pretty(&figures).map_err(|source| Failure::Json { source });
    }
    Ok(text(&figures))
}

fn measure(arguments: &Arguments, events: NonZeroU64) -> Result<Figures, Failure> {
    let content = Content {
        events,
        streams: streams_by_default(events),
        payload_bytes: arguments.payload_bytes,
        seed: arguments.seed,
        tags: 2,
    };
    let shelf = Shelf::new(arguments.dir.as_deref())?;
    let mut place = shelf.place(&content, None)?;
    let (path, _) = place.take_store()?;
    let failed = Failure::store(&path);
    let store = Options::new().open(&path).map_err(Failure::store(&path))?;
    let figures = ask(arguments, &store, events.get()).map_err(failed)?;
    store.close().map_err(Failure::store(&path))?;
    place.end(false)?;
    Ok(figures)
}

fn ask(arguments: &Arguments, store: &Store, events: u64) -> Result<Figures, annals::Error> {
    let kind = store.kind("bench.kind-0")?;
    let rare = store.kind("bench.conditions")?;
    let tag = |tag: &str| QueryItem::new().tag(tag);
    let case = |what, query: QueryItem, is_of_all| Case { what, query: Some(Query::of(query)), is_of_all };
    let cases = [
        Case { what: "without", query: None, is_of_all: false },
        case("a tag that nothing has, from the start", tag("nobody:1"), true),
        case("a rare tag, after its last", tag("tag:007"), false),
        case("a hot tag, after its last", tag("hot"), false),
        case("a kind alone, after its last", QueryItem::new().kind(kind), false),
        case("two tags, after their last", tag("hot").tag("tag:007"), false),
        case("two tags, from the start", tag("hot").tag("nobody:2"), true),
    ];
    let payload = vec![7; arguments.payload_bytes as usize];
    let appender = Appender { store, at: Coordinate::new("conditions", "bench")?, rare, payload };
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    let bar = progress::bar("append", arguments.appends);
    for _ in 0..arguments.appends {
        for (case, times) in cases.iter().zip(&mut times) {
            times.push(appender.append(case)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut samples = times.into_iter().map(Samples::from_iter);
    let plain = samples.next().unwrap_or_default().median();
    let conditions = cases.iter().skip(1).zip(samples).map(|(case, samples)| {
        let median_us = samples.median();
        Row { what: case.what, median_us, ratio: median_us / plain }
    });
    let conditions = conditions.collect();
    Ok(Figures {
        events,
        plain_us: plain,
        conditions,
        tickets_per_second: appender.tickets(arguments.tickets)?,
        ten_of_tag_us: ten(store, &Query::of(tag("tag:007")))?,
        ten_us: ten(store, &Query::all())?,
    })
}

struct Appender<'a> {
    store: &'a Store,
    at: Coordinate,
    rare: Kind,
    payload: Vec<u8>,
}

impl Appender<'_> {
    fn event(&self) -> Result<NewEvent<'_>, annals::Error> {
        Ok(NewEvent::new(&self.at, self.rare, &self.payload).tag(Tag::new("hot")?))
    }

    /// The microseconds that one append takes.
    fn append(&self, case: &Case) -> Result<f64, annals::Error> {
        let event = [self.event()?];
        let known = if case.is_of_all { Sequence(0) } else { self.store.last_sequence() };
        let condition = case
            .query
            .iter()
            .fold(Condition::new(), |condition, query| condition.no_event(query.clone(), known));
        let start = Instant::now();
        self.store.append_if(&event, &condition)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    }

    /// How many events a second become durable, one ticket each.
    fn tickets(&self, count: usize) -> Result<f64, annals::Error> {
        let mut tickets = std::collections::VecDeque::with_capacity(TICKET_COUNT);
        let start = Instant::now();
        for _ in 0..count {
            if tickets.len() == TICKET_COUNT
                && let Some(oldest) = tickets.pop_front()
            {
                annals::Ticket::wait(oldest)?;
            }
            tickets.push_back(self.store.submit(&[self.event()?], &Condition::new())?);
        }
        tickets.into_iter().try_for_each(|ticket| ticket.wait().map(drop))?;
        Ok(per_second(count as u64, start.elapsed()))
    }
}

/// The microseconds that the first ten events of `query` take.
fn ten(store: &Store, query: &Query) -> Result<f64, annals::Error> {
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        for event in store.query(query.clone()).limit(10) {
            event?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times.into_iter().collect::<Samples>().median())
}

fn text(figures: &[Figures]) -> String {
    let rows = figures.iter().flat_map(|one| {
        let plain = [grouped(one.events), "without".to_owned(), shown(one.plain_us), "-".to_owned()];
        let row = |row: &Row| {
            [grouped(one.events), row.what.to_owned(), shown(row.median_us), format!("{:.3}", row.ratio)]
        };
        std::iter::once(plain).chain(one.conditions.iter().map(row))
    });
    let rows = table(["events stored", "append", "median us", "of without"], rows);
    let others = figures.iter().map(|one| {
        [grouped(one.events), shown(one.tickets_per_second), shown(one.ten_of_tag_us), shown(one.ten_us)]
    });
    let others = table(["events stored", "tickets/s", "ten of a tag, us", "ten of all, us"], others);
    format!("{rows}\n{others}")
}
