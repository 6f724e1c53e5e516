//! What several probes of one thing came to: a row of a table, and of the JSON.

use comfy_table::Table;
use serde::Serialize;

use crate::{
    figures::{Samples, shown, table},
    memory::Memory,
    probe::Probe,
};

/// The states that a store is opened in.
pub(super) const WARM: &str = "closed, cache warm";
pub(super) const COLD: &str = "closed, cache dropped";
pub(super) const NO_CHECKPOINT: &str = "without CHECKPOINT";
pub(super) const NO_RUNS: &str = "without runs";
pub(super) const FOOTERS: &str = "from footers";
pub(super) const FRAMES: &str = "from frames";
pub(super) const FRAMES_COLD: &str = "from frames, cache dropped";
pub(super) const KILLED_DURABLE: &str = "killed at durable";
pub(super) const KILLED_WRITTEN: &str = "killed at written";

/// What several probes of one thing came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(super) what: &'static str,
    pub(super) state: &'static str,
    runs: usize,
    /// From before the open to the last answer, in milliseconds.
    pub(super) median_ms: f64,
    least_ms: f64,
    pub(super) worst_ms: f64,
    /// The medians of its parts.
    open_ms: f64,
    get_ms: f64,
    read_ms: f64,
    /// The medians of what the process held afterwards, in bytes.
    pub(super) resident: Option<f64>,
    anonymous: Option<f64>,
    resident_max: Option<f64>,
    /// What Rust code had allocated; nothing where that is not all.
    heap: Option<f64>,
    /// Events of the whole store for each second of the median.
    pub(super) events_per_second: Option<f64>,
    /// What the slowest open said that it did.
    report: Option<serde_json::Value>,
}

impl Row {
    pub(super) fn new(what: &'static str, state: &'static str, probes: &[Probe]) -> Self {
        let samples = |of: fn(&Probe) -> f64| probes.iter().map(of).collect::<Samples>();
        let total = samples(|probe| probe.total_ms);
        let slowest = probes.iter().max_by(|left, right| left.total_ms.total_cmp(&right.total_ms));
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let memory = |of: fn(&Memory) -> Option<u64>| {
            let found: Samples =
                probes.iter().filter_map(|probe| of(&probe.memory)).map(|bytes| bytes as f64).collect();
            (found.count() > 0).then(|| found.median())
        };
        Self {
            what,
            state,
            runs: total.count(),
            median_ms: total.median(),
            least_ms: total.least(),
            worst_ms: total.greatest(),
            open_ms: samples(|probe| probe.open_ms).median(),
            get_ms: samples(|probe| probe.get_ms).median(),
            read_ms: samples(|probe| probe.read_ms).median(),
            resident: memory(|memory| memory.resident),
            anonymous: memory(|memory| memory.anonymous),
            resident_max: memory(|memory| memory.resident_max),
            heap: memory(|memory| Some(memory.heap)).filter(|_| what != "sqlite"),
            events_per_second: None,
            report: slowest.and_then(|probe| probe.report.clone()),
        }
    }

    /// The same, as the rate at which `events` were indexed.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn with_rate(mut self, events: u64) -> Self {
        self.events_per_second = Some(events as f64 / self.median_ms * 1e3);
        self
    }
}

/// The table of `rows`.
pub(super) fn table_of(rows: &[Row]) -> Table {
    let header = [
        "what",
        "state",
        "runs",
        "median ms",
        "open",
        "get",
        "read",
        "least",
        "worst",
        "resident MiB",
        "anon MiB",
        "heap MiB",
        "events/s",
    ];
    let mebibytes = |bytes: Option<f64>| shown(bytes.unwrap_or(f64::NAN) / f64::from(1 << 20));
    let cells = |row: &Row| {
        [
            row.what.to_owned(),
            row.state.to_owned(),
            row.runs.to_string(),
            shown(row.median_ms),
            shown(row.open_ms),
            shown(row.get_ms),
            shown(row.read_ms),
            shown(row.least_ms),
            shown(row.worst_ms),
            mebibytes(row.resident),
            mebibytes(row.anonymous),
            mebibytes(row.heap),
            shown(row.events_per_second.unwrap_or(f64::NAN)),
        ]
    };
    table(header, rows.iter().map(cells))
}
