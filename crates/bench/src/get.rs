//! `get`: look-ups by random ids in a store of many segments, beside two stores of one: a small one, whose index is in
//! the processor's caches, and one as large as a segment can be. So what many files take and what many events take are
//! told apart.
//!
//! Invariant: the kinds of look-ups take turns, a batch of each; what they touch was touched in a pass before.

use std::{
    hint::black_box,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Instant,
};

use annals::{EventId, Options, Store};
use serde::Serialize;

use crate::{
    content::{Content, mix},
    failure::Failure,
    figures::{Samples, grouped, shown, table},
    kept::{Place, Shelf, streams_by_default},
    progress,
};

/// How many look-ups are timed at once.
const BATCH_COUNT: u64 = 1_000;

/// More than the events of the stores of one segment take.
const ONE_SEGMENT_BYTES: u64 = 1 << 30;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many events the large store has
    #[arg(long, value_name = "N", default_value = "1000000")]
    events: NonZeroU64,
    /// How many events the store of one segment has
    #[arg(long, value_name = "N", default_value = "100000")]
    one_events: NonZeroU64,
    /// How many events the larger store of one segment has; more do not fit than there are in a GiB
    #[arg(long, value_name = "N", default_value = "1000000")]
    large_events: NonZeroU64,
    /// How many look-ups of each kind
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    gets: u64,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload_bytes: u32,
    /// What the stores' content and all choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many bytes a segment of the large store has; the store's own default if not given
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// Where the stores are built; what an earlier run with the same arguments kept there is used again
    ///
    /// Whichever version of the program made it: after a change of the format, give another directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep what was built
    #[arg(long, requires = "dir")]
    keep: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Look-ups of one kind, in nanoseconds for each.
#[derive(Debug, Serialize)]
struct Figure {
    is_there: bool,
    many_ns: f64,
    many_p99_ns: f64,
    one_ns: f64,
    one_p99_ns: f64,
    ratio: f64,
    large_ns: f64,
    large_p99_ns: f64,
    large_ratio: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    events: u64,
    segments: u64,
    one_events: u64,
    large_events: u64,
    gets: u64,
    figures: Vec<Figure>,
}

/// A store that is asked.
struct Asked {
    store: Store,
    content: Content,
    path: PathBuf,
    segment_count: u64,
}

/// Measures look-ups in both stores.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let shelf = Shelf::new(arguments.dir.as_deref())?;
    let content = |events| Content {
        events,
        streams: streams_by_default(events),
        payload_bytes: arguments.payload_bytes,
        seed: arguments.seed,
        tags: 0,
    };
    let mut places = [
        shelf.place(&content(arguments.events), arguments.segment_bytes)?,
        shelf.place(&content(arguments.one_events), Some(ONE_SEGMENT_BYTES))?,
        shelf.place(&content(arguments.large_events), Some(ONE_SEGMENT_BYTES))?,
    ];
    let [many, one, large] = &mut places;
    let stores = [asked(many)?, asked(one)?, asked(large)?];
    if let Some(store) = stores.iter().skip(1).find(|store| store.segment_count != 1) {
        let what = format!("{} segments where one was to be: ask for fewer events", store.segment_count);
        return Err(Failure::Answer { path: store.path.clone(), what });
    }
    let figures = [true, false].into_iter().zip(measure(&stores, arguments.gets)?);
    let figures = Figures {
        events: arguments.events.get(),
        segments: stores[0].segment_count,
        one_events: arguments.one_events.get(),
        large_events: arguments.large_events.get(),
        gets: arguments.gets,
        figures: figures.map(|(is_there, samples)| figure(is_there, &samples)).collect(),
    };
    drop(stores);
    places.into_iter().try_for_each(|place| place.end(arguments.keep))?;
    if arguments.json {
        serde_json::to_string_pretty(&figures).map_err(|source| Failure::Json { source })
    } else {
        Ok(text(&figures))
    }
}

fn asked(place: &mut Place) -> Result<Asked, Failure> {
    let (path, _) = place.take_store()?;
    let store = Options::new().open_read_only(&path).map_err(Failure::store(&path))?;
    let segment_count = store.report().segment_count;
    Ok(Asked { store, content: place.content, path, segment_count })
}

/// For ids that are there and for those that are not: the nanoseconds of a look-up in each of the stores.
fn measure(stores: &[Asked; 3], gets: u64) -> Result<[[Samples; 3]; 2], Failure> {
    let bar = progress::bar("get", 2 * gets);
    let mut times: [[Vec<f64>; 3]; 2] = Default::default();
    for pass in 0..2 {
        for batch in 0..gets.div_ceil(BATCH_COUNT) {
            for (is_there, times) in [true, false].into_iter().zip(&mut times) {
                for (asked, times) in stores.iter().zip(times) {
                    let time = asked.time_batch(batch, is_there)?;
                    times.extend((pass == 1).then_some(time));
                }
            }
            bar.inc(BATCH_COUNT);
        }
    }
    bar.finish_and_clear();
    Ok(times.map(|times| times.map(|times| times.into_iter().collect())))
}

impl Asked {
    /// The nanoseconds that each look-up of a batch takes.
    fn time_batch(&self, batch: u64, is_there: bool) -> Result<f64, Failure> {
        let number = |place: u64| mix(!self.content.seed ^ (batch * BATCH_COUNT + place));
        let id = |place| match is_there {
            true => self.content.id(number(place) % self.content.events),
            false => self.content.absent_id(number(place)),
        };
        let ids: Vec<EventId> = (0..BATCH_COUNT).map(id).collect();
        let start = Instant::now();
        let mut found = 0;
        for id in &ids {
            let event = self.store.get(*id).map_err(Failure::store(&self.path))?;
            found += u64::from(black_box(event).is_some());
        }
        let time = start.elapsed();
        check(&self.path, found, if is_there { BATCH_COUNT } else { 0 })?;
        Ok(time.as_secs_f64() * 1e9 / ids.len() as f64)
    }
}

fn check(path: &Path, found: u64, expected: u64) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let what = format!("{found} of {BATCH_COUNT} ids were found where {expected} should be");
    Err(Failure::Answer { path: path.to_owned(), what })
}

fn figure(is_there: bool, [many, one, large]: &[Samples; 3]) -> Figure {
    Figure {
        is_there,
        many_ns: many.median(),
        many_p99_ns: many.percentile(99.0),
        one_ns: one.median(),
        one_p99_ns: one.percentile(99.0),
        ratio: many.median() / one.median(),
        large_ns: large.median(),
        large_p99_ns: large.percentile(99.0),
        large_ratio: many.median() / large.median(),
    }
}

fn text(figures: &Figures) -> String {
    let rows = figures.figures.iter().flat_map(|figure| {
        let ids = if figure.is_there { "there" } else { "not there" };
        let many = format!("{} in {} segments", grouped(figures.events), figures.segments);
        let one = |events| format!("{} in one", grouped(events));
        let row = |store, median, p99, ratio: Option<f64>| {
            [ids.to_owned(), store, shown(median), shown(p99), ratio.map_or_else(String::new, shown)]
        };
        [
            row(many, figure.many_ns, figure.many_p99_ns, None),
            row(one(figures.one_events), figure.one_ns, figure.one_p99_ns, Some(figure.ratio)),
            row(one(figures.large_events), figure.large_ns, figure.large_p99_ns, Some(figure.large_ratio)),
        ]
    });
    let header = ["ids", "events", "ns", "p99 of batches", "many segments take as many times"];
    let holds = figures.figures.iter().all(|figure| figure.ratio <= 3.0);
    format!(
        "{} look-ups of each kind\n{}\nat most three times a store of {} events: {}",
        grouped(figures.gets),
        table(header, rows),
        grouped(figures.one_events),
        if holds { "holds" } else { "does not hold" },
    )
}
