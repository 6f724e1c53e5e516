//! A counter that survives: increments in a write-ahead log, the sum published now and then, and a thousand
//! crashes on a simulated disk that loses what was not synced.
//!
//! The n-th increment adds n, so that a sum is right where it is n (n + 1) / 2, and a wrong one shows whether an
//! increment was lost, applied twice or invented.
//!
//! `cargo run --release --example counter [CRASHES [SEED]]`

use std::{
    env, fmt,
    io::{self, Write as _},
    sync::Arc,
};

use annals_checkpoint::{Error, Recovered, publish, recover};
use annals_segment::{
    CrashProfile, Entropy, SeededEntropy, SimulatedDirectory, WriteAheadLog, WriteAheadOptions,
};
use serde::{Deserialize, Serialize};

/// What the program keeps.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Counter {
    increments: u64,
    sum: u64,
}

impl Counter {
    /// Takes in one record of the log.
    fn apply(&mut self, record: &[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.sum += u64::from_le_bytes(record.try_into()?);
        self.increments += 1;
        Ok(())
    }

    fn is_right(&self) -> bool {
        self.sum == self.increments * (self.increments + 1) / 2
    }
}

/// Opens the log, and recovers the counter from what was published and what the log says since.
fn open(disk: &SimulatedDirectory, seed: u64) -> Result<(Counter, WriteAheadLog, Totals), Error> {
    let entropy = SeededEntropy::new(seed);
    let options = WriteAheadOptions::new().create(true).segment_bytes(1024).entropy(entropy);
    let apply = |counter: &mut Counter, _, record: &[u8]| counter.apply(record);
    let Recovered { state, log, report, .. } =
        recover(Arc::new(disk.clone()), options, Counter::default, apply)?;
    let totals = Totals {
        replayed: report.replayed,
        torn: u64::from(report.log.torn.is_some()),
        from_state: u64::from(report.used.is_some()),
        ..Totals::default()
    };
    Ok((state, log, totals))
}

/// What a life knows to be durable, also when the power goes in the middle of it.
#[derive(Debug, Default, Clone, Copy)]
struct Life {
    counter: Counter,
    durable: u64,
    totals: Totals,
}

/// Counts until the power goes.
fn live(disk: &SimulatedDirectory, seed: u64, life: &mut Life) -> Result<(), Error> {
    let random: &dyn Entropy = &SeededEntropy::new(seed);
    let (counter, mut log, totals) = open(disk, seed)?;
    *life = Life { counter, durable: counter.increments, totals };
    loop {
        let (action, count) = (random.number() % 8, 1 + random.number() % 4);
        let first = life.counter.increments + 1;
        let records: Vec<_> = (first..first + count).map(u64::to_le_bytes).collect();
        for record in &records {
            life.counter
                .apply(record)
                .map_err(|source| Error::Apply { sequence: log.end().sequence, source })?;
        }
        // All or none of them, also when the power goes within.
        log.append_batch(&records.iter().map(<[u8; 8]>::as_slice).collect::<Vec<_>>())?;
        if action < 4 {
            // With the system, and lost with the power.
            log.flush()?;
        } else {
            let position = log.sync()?;
            life.durable = life.counter.increments;
            if action == 7 {
                let published = publish(&mut log, &life.counter, &position)?;
                life.totals.published += 1;
                life.totals.dropped_segments += published.dropped_segments as u64;
            }
        }
    }
}

/// What happened in all lives.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Totals {
    /// How often the power went.
    pub(crate) crashes: u64,
    /// How often there were torn bytes to cut.
    pub(crate) torn: u64,
    /// How often a published state was found.
    pub(crate) from_state: u64,
    /// How many states were published.
    pub(crate) published: u64,
    /// How many segments went.
    pub(crate) dropped_segments: u64,
    /// How many increments were replayed.
    pub(crate) replayed: u64,
    /// The increments in the end.
    pub(crate) increments: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "crashes           {:>8}", self.crashes)?;
        writeln!(f, "torn ends cut     {:>8}", self.torn)?;
        writeln!(f, "states published  {:>8}", self.published)?;
        writeln!(f, "begun from one    {:>8}", self.from_state)?;
        writeln!(f, "segments dropped  {:>8}", self.dropped_segments)?;
        writeln!(f, "replayed          {:>8}", self.replayed)?;
        write!(f, "increments        {:>8}", self.increments)
    }
}

/// Lives and crashes so often, each time with another part of what was not synced gone.
///
/// # Panics
/// Where the sum is ever wrong, or an increment that was durable is gone.
pub(crate) fn run(crashes: u64, seed: u64) -> Result<Totals, Error> {
    let random: &dyn Entropy = &SeededEntropy::new(seed);
    let mut disk = SimulatedDirectory::new();
    let mut totals = Totals::default();
    let mut durable = 0;
    for crash in 0..crashes {
        disk.stop_before(disk.operation_count() + random.number() % 120);
        let mut life = Life { durable, ..Life::default() };
        let stopped = live(&disk, random.number(), &mut life);
        assert!(disk.is_stopped(), "crash {crash} of seed {seed}: {stopped:?}");
        durable = life.durable.max(durable);
        let number = usize::try_from(random.number() % CrashProfile::ALL.len() as u64).unwrap_or(0);
        let profile = CrashProfile::ALL.get(number).copied().unwrap_or(CrashProfile::StrictPosix);
        disk = disk.crash(profile, random.number());
        // What is shown now is kept through the next crash.
        let (counter, _, opened) = open(&disk, random.number())?;
        assert!(counter.is_right(), "crash {crash} of seed {seed}: {counter:?}");
        let (found, limit) = (counter.increments, life.counter.increments.max(durable));
        assert!(
            (durable..=limit).contains(&found),
            "crash {crash} of seed {seed}: {found}, {durable} durable"
        );
        totals.add(life.totals);
        totals.add(opened);
        totals.crashes += 1;
        totals.increments = found;
        durable = found;
    }
    Ok(totals)
}

impl Totals {
    fn add(&mut self, life: Self) {
        self.torn += life.torn;
        self.from_state += life.from_state;
        self.published += life.published;
        self.dropped_segments += life.dropped_segments;
        self.replayed += life.replayed;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse().unwrap_or(1));
    let crashes = arguments.next().unwrap_or(1000);
    let totals = run(crashes, arguments.next().unwrap_or(1))?;
    Ok(writeln!(io::stdout(), "{totals}\nnever a wrong sum")?)
}
