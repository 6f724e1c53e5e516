//! `generate`: a store of any size, the same for the same arguments.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    time::Instant,
};

use annals::{Durability, Kind, NewEvent, Options, Store};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use crate::{
    content::{Content, Made, kind_names},
    disk::DiskUse,
    failure::Failure,
    figures::{grouped, millis, per_second, ratio, shown, table},
    progress,
};

/// How many events are appended at once.
const BATCH_COUNT: usize = 1_000;

/// How durable events are when an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Queued,
    Written,
    Durable,
}

impl From<Level> for Durability {
    fn from(level: Level) -> Self {
        match level {
            Level::Queued => Self::Queued,
            Level::Written => Self::Written,
            Level::Durable => Self::Durable,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The directory of the new store; it must hold nothing
    directory: PathBuf,
    #[command(flatten)]
    content: Content,
    /// How many bytes a segment has; the store's own default if not given
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// How durable a batch is before the next is appended; in the end everything is
    #[arg(long, value_enum, default_value_t = Level::Written)]
    durability: Level,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// What a generated store came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Generated {
    #[serde(flatten)]
    pub(crate) content: Content,
    pub(crate) seconds: f64,
    pub(crate) events_per_second: f64,
    pub(crate) close_ms: f64,
    pub(crate) bytes: DiskUse,
    pub(crate) bytes_total: u64,
    /// What an event takes beyond its payload, all files counted.
    pub(crate) bytes_per_event_beyond_payload: f64,
}

impl Generated {
    /// What the bytes on the disk are, for each event, without its payload.
    pub(crate) fn beyond_payload(content: &Content, bytes: &DiskUse) -> f64 {
        ratio(bytes.total(), content.events.get()) - f64::from(content.payload_bytes)
    }
}

/// Generates a store and tells what it came to.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let bar = progress::bar("generate", arguments.content.events.get());
    let mut options = Options::new();
    if let Some(bytes) = arguments.segment_bytes {
        options = options.segment_bytes(bytes);
    }
    let generated = generate(&arguments.directory, &arguments.content, options, arguments.durability, &bar)?;
    bar.finish_and_clear();
    if arguments.json {
        serde_json::to_string_pretty(&generated).map_err(|source| Failure::Json { source })
    } else {
        Ok(text(&generated))
    }
}

fn text(generated: &Generated) -> String {
    let events = generated.content.events.get();
    let row = |(name, bytes): (&str, u64)| [name.to_owned(), grouped(bytes), shown(ratio(bytes, events))];
    let rows = generated.bytes.rows().into_iter().chain([("total", generated.bytes_total)]).map(row);
    format!(
        "{}\n{} events over {} streams in {:.1} s, {} each second; closed in {} ms\n\
         each takes {} bytes beyond its payload of {}",
        table(["files", "bytes", "each event"], rows),
        grouped(events),
        grouped(generated.content.streams.get()),
        generated.seconds,
        shown(generated.events_per_second),
        shown(generated.close_ms),
        shown(generated.bytes_per_event_beyond_payload),
        generated.content.payload_bytes,
    )
}

/// Makes a store of `content` in `path` and closes it.
pub(crate) fn generate(
    path: &Path,
    content: &Content,
    options: Options,
    level: Level,
    bar: &ProgressBar,
) -> Result<Generated, Failure> {
    let is_occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if is_occupied {
        return Err(Failure::Occupied { path: path.to_owned() });
    }
    let start = Instant::now();
    let store = options.create(true).open(path).map_err(Failure::store(path))?;
    fill(&store, content, 0..content.events.get(), level.into(), bar).map_err(|error| error.at(path))?;
    store.sync().map_err(Failure::store(path))?;
    let time = start.elapsed();
    let closing = Instant::now();
    store.close().map_err(Failure::store(path))?;
    let close_ms = millis(closing.elapsed());
    let bytes = DiskUse::of(path)?;
    Ok(Generated {
        content: *content,
        seconds: time.as_secs_f64(),
        events_per_second: per_second(content.events.get(), time),
        close_ms,
        bytes,
        bytes_total: bytes.total(),
        bytes_per_event_beyond_payload: Generated::beyond_payload(content, &bytes),
    })
}

/// Why a store could not be filled.
#[derive(Debug)]
pub(crate) enum Unfilled {
    Store(annals::Error),
    Content(Failure),
}

impl Unfilled {
    /// The same, of the store in `path`.
    pub(crate) fn at(self, path: &Path) -> Failure {
        match self {
            Self::Store(error) => Failure::store(path)(error),
            Self::Content(failure) => failure,
        }
    }
}

impl From<annals::Error> for Unfilled {
    fn from(error: annals::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for Unfilled {
    fn from(failure: Failure) -> Self {
        Self::Content(failure)
    }
}

/// Appends these events of `content` in batches.
pub(crate) fn fill(
    store: &Store,
    content: &Content,
    events: Range<u64>,
    level: Durability,
    bar: &ProgressBar,
) -> Result<(), Unfilled> {
    let kinds = kinds(store)?;
    let mut made = Vec::with_capacity(BATCH_COUNT);
    for event in events.clone() {
        made.push(content.event(event, &kinds)?);
        if made.len() == BATCH_COUNT || event + 1 == events.end {
            append(store, &made, level)?;
            bar.inc(made.len() as u64);
            made.clear();
        }
    }
    Ok(())
}

/// The kinds of generated events, by name: the same numbers in every new store.
pub(crate) fn kinds(store: &Store) -> Result<Vec<Kind>, annals::Error> {
    kind_names().map(|name| store.kind(&name)).collect()
}

/// Appends one batch.
pub(crate) fn append(store: &Store, made: &[Made], level: Durability) -> Result<(), annals::Error> {
    let batch: Vec<NewEvent<'_>> = made.iter().map(Made::as_new).collect();
    store.append_batch_with(&batch, level).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn content(events: u64, seed: u64) -> Content {
        let number = |number| NonZeroU64::new(number).unwrap();
        Content { events: number(events), streams: number(30), payload_bytes: 100, seed, tags: 1 }
    }

    fn generated(seed: u64) -> (tempfile::TempDir, Generated) {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new().segment_bytes(64 << 10);
        let bar = ProgressBar::hidden();
        let content = content(1_500, seed);
        let generated = generate(directory.path(), &content, options, Level::Written, &bar).unwrap();
        (directory, generated)
    }

    /// All that a caller gave to the store.
    fn given(path: &Path) -> Vec<String> {
        let store = Store::open_read_only(path).unwrap();
        let event = |event: annals::Event| {
            let (kind, tags) = (store.kind_name(event.kind()), event.tags().collect::<Vec<_>>().join(" "));
            format!("{:?} {:?} {kind:?} {tags} {:?}", event.id(), event.coordinate(), event.payload())
        };
        store.all().map(|found| event(found.unwrap())).collect()
    }

    #[test]
    fn equal_arguments_give_stores_of_equal_events() {
        let stores = [generated(1), generated(1), generated(2)].map(|(directory, _)| given(directory.path()));
        assert_eq!(stores[0].len(), 1_500);
        assert!(stores[0] == stores[1], "the same seed gave other events");
        assert!(stores[0] != stores[2], "another seed gave the same events");
    }

    #[test]
    fn an_event_is_found_by_what_follows_from_its_number() {
        let (directory, _) = generated(5);
        let content = content(1_500, 5);
        let store = Store::open_read_only(directory.path()).unwrap();
        for event in [0, 1, 700, 1_499] {
            let found = store.get(content.id(event)).unwrap().unwrap();
            assert_eq!(found.sequence().0, event + 1);
            assert_eq!(crc32fast::hash(found.payload().unwrap()), content.payload_crc(event));
            assert_eq!(found.coordinate(), crate::content::coordinate(content.stream(event)).unwrap());
            assert_eq!(store.get(content.absent_id(event)).unwrap().map(|found| found.id()), None);
        }
    }

    #[test]
    fn all_bytes_on_the_disk_are_counted() {
        let (directory, generated) = generated(1);
        let files = crate::disk::files(directory.path()).unwrap();
        let len: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(generated.bytes_total, len);
        assert!(generated.bytes.footers > 0, "{generated:?}");
        assert!(generated.bytes.log > 1_500 * 100, "{generated:?}");
        let beyond = generated.bytes_per_event_beyond_payload;
        assert!((beyond - (len as f64 / 1_500.0 - 100.0)).abs() < 1e-6, "{beyond}");
        assert!(text(&generated).contains("1,500 events over 30 streams"));
    }

    #[test]
    fn a_directory_that_holds_something_is_refused() {
        let (directory, _) = generated(1);
        let refused =
            generate(directory.path(), &content(1, 1), Options::new(), Level::Queued, &ProgressBar::hidden());
        assert!(matches!(refused, Err(Failure::Occupied { .. })));
    }
}
