//! `verify`: every check that must hold before a change is handed in, the cheapest first.
//!
//! Invariant: CI and `.ci/run` call this and nothing else, so that what passes here passes there.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    command::{self, cargo, shown},
    crash,
    failure::Failure,
    tidy,
};

const CRASH_SECONDS: u64 = 60;

/// Runs all steps up to the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    run_steps(steps())
}

struct Step {
    name: &'static str,
    task: Task,
}

enum Task {
    Program(Command),
    Tidy,
    Crash(crash::Arguments),
}

fn steps() -> Vec<Step> {
    let program = |name, line| Step { name, task: Task::Program(cargo(line)) };
    let mut doc = cargo("doc --workspace --no-deps --locked");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    vec![
        program("fmt", "fmt --all --check"),
        Step { name: "tidy", task: Task::Tidy },
        program("clippy", "clippy --workspace --all-targets --locked -- -D warnings"),
        program("test", "test --workspace --locked"),
        Step { name: "doc", task: Task::Program(doc) },
        Step { name: "crash", task: Task::Crash(crash::Arguments::with_seed_of_its_own(CRASH_SECONDS)) },
    ]
}

impl Task {
    /// The command that runs the task alone.
    fn again(&self) -> String {
        match self {
            Self::Program(command) => shown(command),
            Self::Tidy => "cargo xtask tidy".to_owned(),
            Self::Crash(arguments) => arguments.again(),
        }
    }

    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Program(mut command) => command::run(&mut command),
            Self::Tidy => tidy::run(),
            Self::Crash(arguments) => crash::run(&arguments),
        }
    }
}

fn run_steps(steps: Vec<Step>) -> Result<(), Failure> {
    let mut finished = Vec::new();
    for Step { name, task } in steps {
        let again = task.again();
        eprintln!("verify: {name}: {again}");
        let start = Instant::now();
        let outcome = task.run();
        let duration = start.elapsed();
        finished.push(Finished { name, duration, passed: outcome.is_ok() });
        if let Err(failure) = outcome {
            eprintln!("{failure}");
            print!("{}", summary(&finished));
            return Err(Failure::Step { name, again });
        }
        eprintln!("verify: {name}: passed in {:.1} s", duration.as_secs_f64());
    }
    print!("{}", summary(&finished));
    Ok(())
}

struct Finished {
    name: &'static str,
    duration: Duration,
    passed: bool,
}

/// A table of the steps that ran, and how many passed.
fn summary(finished: &[Finished]) -> String {
    let row = |name: &str, duration: Duration, mark: &str| {
        format!("{name:<10} {:>8.1} s{mark}\n", duration.as_secs_f64())
    };
    let mut table = String::new();
    for step in finished {
        table += &row(step.name, step.duration, if step.passed { "" } else { "  failed" });
    }
    table += &row("total", finished.iter().map(|step| step.duration).sum(), "");
    let passed = finished.iter().filter(|step| step.passed).count();
    table + &format!("{passed} passed, {} failed\n", finished.len() - passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_passed_and_what_failed() {
        let fmt = Finished { name: "fmt", duration: Duration::from_millis(1_500), passed: true };
        let test = Finished { name: "test", duration: Duration::from_secs(60), passed: false };
        assert_eq!(
            summary(&[fmt, test]),
            "fmt             1.5 s\ntest           60.0 s  failed\ntotal          61.5 s\n1 passed, 1 failed\n"
        );
    }

    #[test]
    fn a_failing_step_stops_the_run_and_says_how_to_run_it_again() {
        let never = || Step { name: "never", task: Task::Program(Command::new("annals-no-such-program")) };
        let Err(Failure::Step { name, again }) = run_steps(vec![never(), never()]) else {
            panic!("the step cannot have run");
        };
        assert_eq!((name, again.as_str()), ("never", "annals-no-such-program"));
    }
}
