//! The exploration: every model under every scheduler, from a seed, and what came of it.
//!
//! Each row goes to standard output as tab-separated cells: model, scheduler, schedules, most steps of one,
//! milliseconds. A failure says which schedule it was and how to run it again.

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId},
};

use crate::{closing, disk::Wanted, groups, replacing, rotating, stopping, subscribing, tickets, workers};

/// One promise, and the function that asserts it.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    /// Makes what is the same in every schedule, once.
    pub(crate) prepare: Option<fn()>,
    pub(crate) run: fn(),
}

impl Model {
    pub(crate) const fn new(name: &'static str, run: fn()) -> Self {
        Self { name, prepare: None, run }
    }
}

const MODULES: [&[Model]; 8] = [
    groups::MODELS,
    stopping::MODELS,
    rotating::MODELS,
    replacing::MODELS,
    closing::MODELS,
    tickets::MODELS,
    subscribing::MODELS,
    workers::MODELS,
];

/// How often PCT lowers a thread's priority at a random step, and one.
const PCT_DEPTH: usize = 4;
/// A schedule of more steps than this does not end.
const STEPS_MAX: usize = 200_000;
const STACK_BYTES: usize = 1 << 20;

/// What is to be explored.
struct Arguments {
    model: Option<String>,
    scheduler: Option<String>,
    iterations: usize,
    seed: u64,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut parsed = Self { model: None, scheduler: None, iterations: 100, seed: 1 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--model" => parsed.model = Some(value),
                "--scheduler" => parsed.scheduler = Some(value),
                "--iterations" => parsed.iterations = value.parse().ok()?,
                "--seed" => parsed.seed = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(parsed)
    }
}

pub(crate) fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("usage: [--model NAME] [--scheduler random|pct] [--iterations N] [--seed N]");
        return ExitCode::from(2);
    };
    let is_asked = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
    let models = MODULES.iter().copied().flatten();
    let models: Vec<_> = models.filter(|model| is_asked(&arguments.model, model.name)).collect();
    let schedulers = ["random", "pct"].into_iter().filter(|name| is_asked(&arguments.scheduler, name));
    let schedulers: Vec<_> = schedulers.collect();
    if models.is_empty() || schedulers.is_empty() {
        let names = MODULES.iter().copied().flatten().map(|model| model.name);
        eprintln!("no such model or scheduler; there are: {}", names.collect::<Vec<_>>().join(", "));
        return ExitCode::from(2);
    }
    expect_wanted_panics();
    let mut failed = false;
    for model in models {
        model.prepare.into_iter().for_each(once);
        // One that failed under one scheduler need not fail again.
        failed |= schedulers.iter().any(|scheduler| !explore(model, scheduler, &arguments));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is being explored, for whoever has to say how to run it again.
static EXPLORED: Mutex<Option<Explored>> = Mutex::new(None);

struct Explored {
    model: &'static str,
    scheduler: &'static str,
    seed: u64,
    counts: Arc<Counts>,
}

impl Explored {
    /// The command that runs the current schedule again.
    fn again(&self) -> String {
        let Self { model, scheduler, seed, counts } = self;
        let number = counts.schedules.load(Ordering::SeqCst);
        // A random schedule has a seed of its own; those of PCT build upon the ones before.
        let (seed, iterations) = match *scheduler {
            "random" => (seed.wrapping_add(number as u64).wrapping_sub(1), 1),
            _ => (*seed, number),
        };
        format!(
            "cargo xtask schedules --model {model} --scheduler {scheduler} --seed {seed} --iterations {iterations}"
        )
    }
}

/// Runs `model` under schedules of `scheduler`; whether it held.
fn explore(model: &Model, scheduler: &'static str, arguments: &Arguments) -> bool {
    let Arguments { iterations, seed, .. } = *arguments;
    let counts = Arc::new(Counts::default());
    let explored = Explored { model: model.name, scheduler, seed, counts: Arc::clone(&counts) };
    *EXPLORED.lock().unwrap() = Some(explored);
    let started = Instant::now();
    let run = model.run;
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| match scheduler {
        "random" => Runner::new(Counted::new(Seeded::new(seed, iterations), &counts), config()).run(run),
        _ => {
            let pct = PctScheduler::new_from_seed(seed, PCT_DEPTH, iterations);
            Runner::new(Counted::new(pct, &counts), config()).run(run)
        }
    }));
    let (schedules, steps) = (counts.schedules.load(Ordering::SeqCst), counts.most.load(Ordering::SeqCst));
    let millis = started.elapsed().as_millis();
    println!("{}\t{scheduler}\t{schedules}\t{steps}\t{millis}\t{}", model.name, u8::from(outcome.is_ok()));
    outcome.is_ok()
}

/// Runs `work` under one schedule.
fn once(work: fn()) {
    Runner::new(RandomScheduler::new_from_seed(0, 1), config()).run(work);
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    config
}

/// Panics that a model wants are not told; any other says how to run its schedule again, also where it ends the
/// process. Shuttle puts its own hook before any, once: it goes first.
fn expect_wanted_panics() {
    once(|| {});
    let hook = panic::take_hook();
    drop(hook);
    panic::set_hook(Box::new(|panic| {
        if panic.payload().is::<Wanted>() {
            return;
        }
        eprintln!("{panic}");
        if let Ok(Some(explored)) = EXPLORED.try_lock().as_deref() {
            eprintln!("to run this schedule again:\n    {}", explored.again());
        }
    }));
}

/// How many schedules there were, and the most steps of one.
#[derive(Default)]
struct Counts {
    schedules: AtomicUsize,
    most: AtomicUsize,
}

/// A scheduler that is counted.
struct Counted<S> {
    inner: S,
    counts: Arc<Counts>,
    steps: usize,
}

impl<S> Counted<S> {
    fn new(inner: S, counts: &Arc<Counts>) -> Self {
        Self { inner, counts: Arc::clone(counts), steps: 0 }
    }
}

impl<S: Scheduler> Scheduler for Counted<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.steps = 0;
        let schedule = self.inner.new_execution()?;
        self.counts.schedules.fetch_add(1, Ordering::SeqCst);
        Some(schedule)
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        // A step is one where there is a choice.
        self.steps += usize::from(runnable.len() > 1);
        self.counts.most.fetch_max(self.steps, Ordering::SeqCst);
        self.inner.next_task(runnable, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}

/// Random schedules, each with a seed of its own, so that each can be run alone.
struct Seeded {
    current: RandomScheduler,
    seed: u64,
    left: usize,
}

impl Seeded {
    fn new(seed: u64, count: usize) -> Self {
        Self { current: RandomScheduler::new_from_seed(seed, 1), seed, left: count }
    }
}

impl Drop for Seeded {
    /// One that is not at its end would print the seed in shuttle's words.
    fn drop(&mut self) {
        self.current.new_execution();
    }
}

impl Scheduler for Seeded {
    fn new_execution(&mut self) -> Option<Schedule> {
        // One that is at its end says nothing when it goes.
        if let Some(schedule) = self.current.new_execution() {
            self.left = self.left.checked_sub(1)?;
            return Some(schedule);
        }
        self.left = self.left.checked_sub(1)?;
        self.seed = self.seed.wrapping_add(1);
        self.current = RandomScheduler::new_from_seed(self.seed, 1);
        self.current.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.current.next_task(runnable, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.current.next_u64()
    }
}
