//! `ingest`: what filling a store writes beside its log, and how long durable appends take while it is written.

mod counting;
mod latency;

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Instant,
};

use annals::{Options, disk::DiskDirectory};
use serde::Serialize;

use self::{
    counting::{CountingDirectory, Written},
    latency::{Latency, Load},
};
use crate::{
    content::Content,
    disk::DiskUse,
    failure::Failure,
    figures::{grouped, mebibytes, millis, per_second, ratio, shown, table},
    generate::{Generated, Level, fill},
    kept::streams_by_default,
    progress,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many events
    #[arg(long, value_name = "N", default_value = "1000000")]
    events: NonZeroU64,
    /// Over how many streams; one for every ten events if not given
    #[arg(long, value_name = "S")]
    streams: Option<NonZeroU64>,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload_bytes: u32,
    /// What the content follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many bytes a segment has; the store's own default if not given
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// How durable a batch is before the next is appended
    #[arg(long, value_enum, default_value_t = Level::Written)]
    durability: Level,
    #[command(flatten)]
    load: Load,
    /// Below which directory the stores are; they are removed
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Figures {
    content: Content,
    seconds: f64,
    events_per_second: f64,
    close_ms: f64,
    written: Written,
    /// Derived bytes written, of the log's.
    derived_ratio: f64,
    bytes: DiskUse,
    bytes_per_event_beyond_payload: f64,
    load: Load,
    latencies: Vec<Latency>,
}

/// Measures an ingest, then appends.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let content = Content {
        events: arguments.events,
        streams: arguments.streams.unwrap_or_else(|| streams_by_default(arguments.events)),
        payload_bytes: arguments.payload_bytes,
        seed: arguments.seed,
        tags: 0,
    };
    let parent = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new().prefix("annals-ingest-").tempdir_in(&parent);
    let directory = directory.map_err(Failure::io("make a directory in", &parent))?;
    let mut figures = ingest(&directory.path().join("bulk"), &content, arguments)?;
    figures.latencies = latency::measure(directory.path(), &content, &arguments.load)?;
    if arguments.json {
        serde_json::to_string_pretty(&figures).map_err(|source| Failure::Json { source })
    } else {
        Ok(text(&figures))
    }
}

fn ingest(path: &Path, content: &Content, arguments: &Arguments) -> Result<Figures, Failure> {
    let directory = CountingDirectory::new(DiskDirectory::create(path).map_err(Failure::io("make", path))?);
    let options =
        arguments.segment_bytes.map_or_else(Options::new, |bytes| Options::new().segment_bytes(bytes));
    let bar = progress::bar("ingest", content.events.get());
    let start = Instant::now();
    let store = options.create(true).open_on(directory.clone()).map_err(Failure::store(path))?;
    let filled = fill(&store, content, 0..content.events.get(), arguments.durability.into(), &bar);
    filled.map_err(|unfilled| unfilled.at(path))?;
    let time = start.elapsed();
    bar.finish_and_clear();
    let closing = Instant::now();
    store.close().map_err(Failure::store(path))?;
    let close_ms = millis(closing.elapsed());
    let (written, bytes) = (directory.written(), DiskUse::of(path)?);
    Ok(Figures {
        content: *content,
        seconds: time.as_secs_f64(),
        events_per_second: per_second(content.events.get(), time),
        close_ms,
        written,
        derived_ratio: ratio(written.derived(), written.log),
        bytes,
        bytes_per_event_beyond_payload: Generated::beyond_payload(content, &bytes),
        load: arguments.load,
        latencies: Vec::new(),
    })
}

fn text(figures: &Figures) -> String {
    let on_disk = figures.bytes.rows();
    let row = |(name, bytes): (&str, u64)| {
        let kept = on_disk.iter().find(|(kind, _)| name.starts_with(kind)).map_or(0, |(_, bytes)| *bytes);
        let percent = shown(100.0 * ratio(bytes, figures.written.log));
        [name.to_owned(), shown(mebibytes(bytes)), percent, shown(mebibytes(kept))]
    };
    let written = figures.written.rows().into_iter().map(row);
    format!(
        "{} events over {} streams in {:.1} s, {} each second\n{}\n{}\n{}",
        grouped(figures.content.events.get()),
        grouped(figures.content.streams.get()),
        figures.seconds,
        shown(figures.events_per_second),
        table(["bytes", "written, MiB", "% of the log", "on the disk, MiB"], written),
        latencies(&figures.latencies),
        promises(figures),
    )
}

fn latencies(latencies: &[Latency]) -> String {
    let row = |found: &Latency| {
        let numbers = [
            found.busy_p50_us,
            found.quiet_p50_us,
            found.busy_p99_us,
            found.quiet_p99_us,
            found.p99_ratio,
            mebibytes(found.busy_derived_bytes),
        ];
        let [busy_p50, quiet_p50, busy_p99, quiet_p99, ratio, derived] = numbers.map(shown);
        [
            format!("{} of {}", found.appends, found.callers),
            busy_p50,
            quiet_p50,
            busy_p99,
            quiet_p99,
            ratio,
            derived,
        ]
    };
    let header = [
        "durable appends of callers",
        "p50 busy, us",
        "p50 quiet",
        "p99 busy",
        "p99 quiet",
        "ratio of p99",
        "derived, MiB",
    ];
    table(header, latencies.iter().map(row)).to_string()
}

/// What is promised of these figures, and whether it holds here.
fn promises(figures: &Figures) -> String {
    let slowest = figures.latencies.iter().map(|found| found.p99_ratio).max_by(f64::total_cmp);
    let promised = [
        ("derived bytes written, % of the log", 100.0 * figures.derived_ratio, 30.0),
        ("close, ms", figures.close_ms, 100.0),
        ("p99 while checkpoints and merges run, of that without", slowest.unwrap_or(f64::NAN), 2.0),
        ("bytes an event beyond the payload", figures.bytes_per_event_beyond_payload, 200.0),
    ];
    let row = |(name, figure, limit): (&str, f64, f64)| {
        let verdict = if figure <= limit { "holds" } else { "does not hold" };
        [name.to_owned(), shown(figure), shown(limit), verdict.to_owned()]
    };
    table(["promised", "measured", "at most", "here"], promised.map(row)).to_string()
}
