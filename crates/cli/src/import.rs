//! `import`: CloudEvents into the store.
//!
//! Invariant: importing the same input again appends nothing, wherever an earlier import of it was stopped.

mod batches;
mod lines;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use annals::Options;
use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use serde::Serialize;

use self::{
    batches::{BATCH_BYTES_MAX, Batches, Totals},
    lines::{LINE_BYTES_MAX, Lines},
};
use crate::{
    args::Durability,
    failure::Failure,
    opening,
    output::{Console, Unit},
};

/// What an event may take more than its line did.
const FRAME_BYTES: u64 = 1 << 20;
/// Every how many lines progress is shown.
const LINES_PER_TICK: u64 = 256;

const DETAILS: &str = "\
What becomes of a line:
  source, subject  the scope and the entity; together they name the stream
  type             the name of the event's kind
  id               the event's id: a UUID in lower case as it is; anything else
                   becomes a UUIDv5 of source and id, and is kept
  time             when the event occurred
  correlationid    the conversation, by the same rule as id
  causationid      the cause, by the same rule as id
  batch            consecutive lines with the same batch are one atomic append
  data             the payload, byte for byte; data_base64: what it decodes to
Every other attribute is kept, and `annals export` gives each line back, equal
as JSON.

An event that is in the store already is passed over, so the same input can be
imported again, after a crash too. A bad line stops the import and is named with
the reason; what was appended before it stays, the batch that it is in does not.
Blank lines are passed over. A line may have 64 MiB, a batch 256 MiB.

--acks is for programs that must know what is safe: the id that each event has
in the store, on a line of its own, flushed as soon as the event is as durable
as --durability says; with --json an object with id, sequence, line and
is_repeat. Nothing else is then on standard output. Durable events share a sync:
it comes when the input that has arrived is used up, at the latest after 4,096
events.

Compressed files are not read: zcat FILE | annals import -

Examples:
  annals import events.ndjson
  zcat events.ndjson.gz | annals import - --durability written
  annals import --entity sensor:7 readings.ndjson";

/// Append CloudEvents 1.0 in JSON, one per line
///
/// Makes the store where there is none.
#[derive(Debug, Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Import {
    /// The file to read; - is standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    /// The entity of lines that have no subject
    #[arg(long)]
    entity: Option<String>,

    /// How large a segment of the log becomes before the next is begun: 4 KiB to 1 GiB
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4 << 10..=1 << 30))]
    segment_bytes: Option<u64>,

    /// How durable an event is when it counts as appended; at the end all are durable
    #[arg(long, value_enum, default_value_t = Durability::Durable)]
    durability: Durability,

    /// Print the id of each event as soon as it is safe
    #[arg(long)]
    acks: bool,
}

#[derive(Serialize)]
struct SummaryJson {
    #[serde(flatten)]
    totals: Totals,
    last_sequence: u64,
    millis: u64,
}

impl Import {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let mut lines = Lines::open(&self.file)?;
        let mut options = Options::new().create(true).event_bytes_max(LINE_BYTES_MAX + FRAME_BYTES);
        options = options.batch_bytes_max(2 * BATCH_BYTES_MAX as u64);
        if let Some(bytes) = self.segment_bytes {
            options = options.segment_bytes(bytes);
        }
        let store = opening::for_writing(options, store, console)?;
        let mut batches = Batches::new(store.clone(), self.durability.into(), self.entity, self.acks);
        let read = read_all(&mut lines, &mut batches, console);
        // Whatever stopped the reading, what was appended before is made safe and acknowledged.
        let synced = batches.sync(console);
        let totals = batches.totals();
        let last_sequence = store.last_sequence().0;
        let closed = batches.close();
        let took = started.elapsed();
        console.say(format_args!("{}", summary(&totals, took)));
        read.and(synced)?;
        closed?;
        if console.is_json() && !self.acks {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            console.json(&SummaryJson { totals, last_sequence, millis })?;
        }
        Ok(())
    }
}

fn read_all(lines: &mut Lines, batches: &mut Batches, console: &mut Console<'_>) -> Result<(), Failure> {
    let total_bytes = lines.total_bytes();
    let bar = console.progress(total_bytes, if total_bytes.is_some() { Unit::Bytes } else { Unit::Events });
    let read = read_lines(lines, batches, console, &bar);
    bar.finish_and_clear();
    read
}

fn read_lines(
    lines: &mut Lines,
    batches: &mut Batches,
    console: &mut Console<'_>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    while let Some((number, line)) = lines.next()? {
        batches.take(number, line, console)?;
        if lines.is_drained() {
            batches.sync(console)?;
        }
        if number.is_multiple_of(LINES_PER_TICK) {
            bar.set_position(lines.total_bytes().map_or(number, |_| lines.read_bytes()));
        }
    }
    batches.append(console)
}

fn summary(totals: &Totals, took: Duration) -> String {
    let Totals { appended_count, repeat_count, batch_count, .. } = *totals;
    let mut parts = vec![format!("appended {} events", HumanCount(appended_count))];
    if repeat_count > 0 {
        parts.push(format!("{} were there already", HumanCount(repeat_count)));
    }
    if batch_count > 0 {
        parts.push(format!("{} batches", HumanCount(batch_count)));
    }
    format!("{} ({:.2} s)", parts.join(", "), took.as_secs_f64())
}
