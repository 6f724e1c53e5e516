//! How long a durable append takes while checkpoints and merges run, beside a store in which none run.
//!
//! Invariant: the two stores lie on the same disk and take turns, some appends each.

use std::{
    ops::Range,
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use annals::{Durability, Kind, Options, Store, disk::DiskDirectory};
use serde::Serialize;

use super::counting::{CountingDirectory, Written};
use crate::{
    content::Content,
    failure::Failure,
    figures::Samples,
    generate::{Unfilled, append, fill, kinds},
    progress,
};

/// How many callers append at a time.
const CALLERS: [u64; 2] = [1, 16];

/// Durable appends by some callers.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) callers: u64,
    pub(crate) appends: usize,
    pub(crate) busy_p50_us: f64,
    pub(crate) busy_p99_us: f64,
    pub(crate) quiet_p50_us: f64,
    pub(crate) quiet_p99_us: f64,
    pub(crate) p99_ratio: f64,
    /// What the busy store wrote beside its log meanwhile.
    pub(crate) busy_derived_bytes: u64,
}

/// A store, and which of its events comes next.
struct Filled {
    store: Store,
    directory: CountingDirectory<DiskDirectory>,
    kinds: Vec<Kind>,
    content: Content,
    next: u64,
}

/// How much is appended, before anything is measured and then.
#[derive(Debug, Clone, Copy, clap::Args, Serialize)]
pub(crate) struct Load {
    /// How many events the stores have whose appends are timed
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    filled: u64,
    /// How many rounds of durable appends are timed, for one caller and for many
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// How many appends a round has
    #[arg(long, default_value_t = 1_600, value_parser = clap::value_parser!(u64).range(16..))]
    appends: u64,
    /// How much log comes between two checkpoints of the busy store: so little that there is always one to write
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    busy_checkpoint_bytes: u64,
    /// How many bytes a segment of the busy store has: so few that some are sealed and merged
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    busy_segment_bytes: u64,
}

/// Measures the load's rounds, for one caller and for many, with stores below `parent`.
pub(super) fn measure(parent: &Path, content: &Content, load: &Load) -> Result<Vec<Latency>, Failure> {
    let busy =
        Options::new().segment_bytes(load.busy_segment_bytes).checkpoint_bytes(load.busy_checkpoint_bytes);
    let quiet = Options::new().segment_bytes(1 << 30).checkpoint_bytes(u64::MAX);
    let mut stores = [
        Filled::new(&parent.join("busy"), content, busy, load.filled)?,
        Filled::new(&parent.join("quiet"), content, quiet, load.filled)?,
    ];
    let mut latencies = Vec::new();
    for callers in CALLERS {
        let bar = progress::bar(format!("append, {callers} at a time"), load.rounds);
        let before = derived(&stores);
        let mut times: [Vec<f64>; 2] = Default::default();
        for _ in 0..load.rounds {
            for (filled, times) in stores.iter_mut().zip(&mut times) {
                let round = filled.append(callers, load.appends);
                times.extend(round.map_err(|unfilled| unfilled.at(parent))?);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let [busy, quiet] = times.map(|times| times.into_iter().collect::<Samples>());
        latencies.push(Latency {
            callers,
            appends: busy.count(),
            busy_p50_us: busy.median(),
            busy_p99_us: busy.percentile(99.0),
            quiet_p50_us: quiet.median(),
            quiet_p99_us: quiet.percentile(99.0),
            p99_ratio: busy.percentile(99.0) / quiet.percentile(99.0),
            busy_derived_bytes: derived(&stores) - before,
        });
    }
    for Filled { store, .. } in stores {
        store.close().map_err(Failure::store(parent))?;
    }
    Ok(latencies)
}

/// What the busy store has written beside its log.
fn derived([busy, _]: &[Filled; 2]) -> u64 {
    Written::derived(&busy.directory.written())
}

impl Filled {
    fn new(path: &Path, content: &Content, options: Options, count: u64) -> Result<Self, Failure> {
        let directory = DiskDirectory::create(path).map_err(Failure::io("make", path))?;
        let directory = CountingDirectory::new(directory);
        let store = options.create(true).open_on(directory.clone()).map_err(Failure::store(path))?;
        let bar = progress::bar("fill", count);
        fill(&store, content, 0..count, Durability::Queued, &bar).map_err(|unfilled| unfilled.at(path))?;
        store.sync().map_err(Failure::store(path))?;
        bar.finish_and_clear();
        let kinds = kinds(&store).map_err(Failure::store(path))?;
        Ok(Self { store, directory, kinds, content: *content, next: count })
    }

    /// The microseconds that each of the next `count` events takes to be durable.
    fn append(&mut self, callers: u64, count: u64) -> Result<Vec<f64>, Unfilled> {
        let times = Mutex::new(Vec::new());
        let failed = Mutex::new(None);
        let share = count / callers;
        thread::scope(|scope| {
            for caller in 0..callers {
                let first = self.next + caller * share;
                let (filled, times, failed) = (&*self, &times, &failed);
                scope.spawn(move || match filled.append_each(first..first + share) {
                    Ok(found) => {
                        times.lock().map(|mut times| times.extend(found)).ok();
                    }
                    Err(unfilled) => {
                        failed.lock().map(|mut failed| failed.replace(unfilled)).ok();
                    }
                });
            }
        });
        self.next += callers * share;
        match failed.into_inner() {
            Ok(Some(unfilled)) => Err(unfilled),
            _ => Ok(times
                .into_inner()
                .unwrap_or_default()
                .iter()
                .map(|time: &Duration| time.as_secs_f64() * 1e6)
                .collect()),
        }
    }

    fn append_each(&self, events: Range<u64>) -> Result<Vec<Duration>, Unfilled> {
        let mut times = Vec::new();
        for event in events {
            let made = [self.content.event(event, &self.kinds)?];
            let start = Instant::now();
            append(&self.store, &made, Durability::Durable)?;
            times.push(start.elapsed());
        }
        Ok(times)
    }
}
