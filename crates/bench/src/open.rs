//! `open`: the time from opening to the first answers, in a fresh process each, beside SQLite and a plain file.
//!
//! For every size and shape: a `cell` is built or found; then it is measured as it was `closed`, `rebuilt` without
//! what is derived (also `cold`), and after an appending process was `killed`. `sequential` is what the machine can do at all,
//! `criteria` says which of the promised figures hold.
//!
//! Invariant: everything that opens for writing, or lacks files, does so on a copy.

mod cell;
mod row;

mod closed;
mod cold;
mod killed;
mod rebuilt;
mod sequential;

mod criteria;

use std::{
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
    thread,
};

use serde::Serialize;

use self::{
    cell::{Cell, Shape},
    criteria::Criterion,
    row::{FRAMES, FRAMES_COLD, Row},
    sequential::Sequential,
};
use crate::{
    content::Content,
    disk::fill_cache,
    failure::Failure,
    figures::{grouped, shown},
    generate::Generated,
    kept::Shelf,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many events the stores have
    #[arg(long, value_delimiter = ',', value_name = "N,..", default_value = "10000,100000,1000000,10000000")]
    events: Vec<NonZeroU64>,
    /// Over how many streams the events are spread
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SHAPE,..", default_value = "10k,tenth")]
    shapes: Vec<Shape>,
    /// How often each is opened; without what is derived at most five times
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How often an appending process is killed, at each durability
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload_bytes: u32,
    /// What the stores' content and all choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many bytes a segment has; the store's own default if not given
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// Also write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the stores are built; what an earlier run with the same arguments kept there is used again
    ///
    /// Whichever version of the program made it: after a change of the format, give another directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep what was built
    #[arg(long, requires = "dir")]
    keep: bool,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Figures {
    cores: usize,
    cells: Vec<CellFigures>,
    criteria: Vec<Criterion>,
}

/// The figures of one size and shape. Two shapes may be the same stores, which are then measured once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CellFigures {
    shape: Shape,
    generated: Generated,
    sqlite_bytes: u64,
    raw_bytes: u64,
    sequential: Sequential,
    rows: Vec<Row>,
}

impl CellFigures {
    fn events(&self) -> u64 {
        self.generated.content.events.get()
    }

    /// How fast a rebuild from frames went through the log, of what the machine reads and checksums where its caches
    /// are in the same state.
    fn of_sequential(&self, state: &str) -> Option<f64> {
        let sequential = match state {
            FRAMES_COLD => self.sequential.cold?,
            _ => self.sequential.two_cores,
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let log = self.generated.bytes.log as f64;
        Some(log / self.row("annals", state)?.median_ms * 1e3 / sequential)
    }

    fn row(&self, what: &str, state: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.what == what && row.state == state)
    }
}

/// Measures everything that was asked for, and tells each table when it is there: the largest take long.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let shelf = Shelf::new(arguments.dir.as_deref())?;
    let mut figures = Figures {
        cores: thread::available_parallelism().map_or(1, usize::from),
        cells: vec![],
        criteria: vec![],
    };
    for events in &arguments.events {
        for shape in &arguments.shapes {
            let content = arguments.content(*events, *shape);
            let cell = match figures.cells.iter().find(|cell| cell.generated.content == content) {
                Some(same) => CellFigures { shape: *shape, ..same.clone() },
                None => {
                    let cell = Cell::take(&shelf, *shape, content, arguments.segment_bytes)?;
                    let measured = measure(&cell, arguments)?;
                    println!("{}", told(&measured));
                    cell.end(arguments.keep)?;
                    measured
                }
            };
            figures.cells.push(cell);
            figures.criteria = criteria::of(&figures.cells);
            if let Some(path) = &arguments.json {
                figures.write(path)?;
            }
        }
    }
    Ok(criteria::text(&figures.criteria))
}

impl Figures {
    fn write(&self, path: &Path) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(self).map_err(|source| Failure::Json { source })?;
        fs::write(path, json).map_err(Failure::io("write", path))
    }
}

impl Arguments {
    fn content(&self, events: NonZeroU64, shape: Shape) -> Content {
        let (payload_bytes, seed) = (self.payload_bytes, self.seed);
        Content { events, streams: shape.streams(events), payload_bytes, seed, tags: 0 }
    }
}

fn measure(cell: &Cell, arguments: &Arguments) -> Result<CellFigures, Failure> {
    let mut rows = closed::measure(cell, arguments.runs)?;
    let cold = cold::measure(cell, arguments.runs)?;
    // The caches were dropped; all that follows is with warm ones.
    fill_cache(&cell.annals)?;
    let sequential = Sequential::measure(&cell.annals, cold.as_ref().map(|(rate, _)| *rate))?;
    rows.extend(rebuilt::measure(cell, arguments.runs)?);
    rows.extend(cold.map(|(_, row)| row));
    if arguments.kills > 0 {
        rows.extend(killed::measure(cell, arguments.kills)?);
    }
    Ok(CellFigures {
        shape: cell.shape,
        generated: cell.generated,
        sqlite_bytes: cell.sqlite_bytes,
        raw_bytes: cell.raw_bytes,
        sequential,
        rows,
    })
}

/// The table of one size, and what it stands on.
fn told(figures: &CellFigures) -> String {
    let share = |state| shown(figures.of_sequential(state).unwrap_or(f64::NAN));
    let cold = figures.sequential.cold.map_or_else(
        || "not permitted".to_owned(),
        |rate| format!("{} MB/s on two, from frames {} of it", shown(rate / 1e6), share(FRAMES_COLD)),
    );
    let Generated { content, events_per_second, bytes_total, bytes_per_event_beyond_payload, .. } =
        &figures.generated;
    format!(
        "{} events over {} streams; {} MB, {} bytes an event beyond the payload; {} events/s written\n\
         sqlite {} MB, raw {} MB\n\
         read and checksummed: {} MB/s on one core, {} MB/s on two, from frames {} of it; \
         with caches dropped: {cold}\n{}\n",
        grouped(content.events.get()),
        grouped(content.streams.get()),
        grouped(bytes_total / 1_000_000),
        shown(*bytes_per_event_beyond_payload),
        shown(*events_per_second),
        grouped(figures.sqlite_bytes / 1_000_000),
        grouped(figures.raw_bytes / 1_000_000),
        shown(figures.sequential.one_core / 1e6),
        shown(figures.sequential.two_cores / 1e6),
        share(FRAMES),
        row::table_of(&figures.rows),
    )
}
