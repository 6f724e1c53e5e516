//! `kill`: an import is killed at many moments, and what is in its store afterwards is compared with its input.
//!
//! Every moment has a store of its own. After a kill the store holds every event that the import had
//! acknowledged, and of the input a prefix in whole batches; `annals verify` finds no damage. Importing again
//! (killed once more at every second moment) completes it, with no event twice.
//!
//! Invariant: what was acknowledged is recorded in this process, outside the one that is killed. A store that
//! fails is kept.

mod flaw;
mod history;
mod plan;
mod program;
mod summary;
mod trial;

use std::{
    env,
    path::PathBuf,
    process,
    time::{Duration, Instant},
};

use self::{
    history::History,
    plan::Plan,
    program::Program,
    summary::{Found, Summary, listed},
    trial::Trial,
};
pub(crate) use self::{plan::random, program::built, trial::Left};
use crate::{command::root, crash::new_seed, failure::Failure};

const EXAMPLE: &str = "examples/redb-history.ndjson";

/// How often the undisturbed import is measured.
const MEASUREMENTS: usize = 3;

/// How often a moment is tried again where its kill came too late.
const RETRIES: usize = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The CloudEvents to import, one JSON object per line, with UUIDs for ids; the repository's example by
    /// default
    file: Option<PathBuf>,
    /// At how many moments of its duration the import is killed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    moments: u32,
    /// How durable an event is when the import acknowledges it
    #[arg(long, value_enum, default_value_t = Durability::Durable)]
    durability: Durability,
    /// How large a segment of the log becomes; the program's own default if not given
    #[arg(long, value_name = "N")]
    segment_bytes: Option<u64>,
    /// What moves the moments a little. A new one each time by default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
}

/// The levels that outlive the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Durability {
    Durable,
    Written,
}

impl Durability {
    /// What `annals` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Written => "written",
        }
    }
}

impl Arguments {
    fn input(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| root().join(EXAMPLE))
    }

    /// The command that runs this campaign again.
    fn again(&self) -> String {
        let file = self.file.as_ref().map_or_else(String::new, |file| format!(" {}", file.display()));
        let segment =
            self.segment_bytes.map_or_else(String::new, |bytes| format!(" --segment-bytes {bytes}"));
        let (moments, durability, seed) = (self.moments, self.durability.name(), self.seed);
        format!("cargo xtask kill{file} --moments {moments} --durability {durability}{segment} --seed {seed}")
    }
}

/// Runs the campaign, up to the first moment that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let input = arguments.input();
    let history = History::read(&input)?;
    let (durability, segment_bytes) = (arguments.durability.name(), arguments.segment_bytes);
    let program = Program { executable: program::build()?, input, durability, segment_bytes };
    let directory = env::temp_dir().join(format!("annals-kill-{}", process::id()));
    let campaign = Campaign { program, history, directory, again: arguments.again() };
    let durations = campaign.measure()?;
    let mut plan = Plan { seed: arguments.seed, count: arguments.moments, duration: middle(&durations) };
    eprintln!("kill: {plan}");
    let mut summary = Summary::new(campaign.facts(arguments, &durations));
    let outcome = campaign.run(&mut plan, &mut summary);
    summary.has_failed = outcome.is_err();
    summary.duration = started.elapsed();
    print!("{summary}");
    outcome?;
    if summary.has_landed() {
        Ok(())
    } else {
        Err(Failure::FewLanded { landed: summary.landed_count(), count: summary.first.len() })
    }
}

/// What all moments have in common.
struct Campaign {
    program: Program,
    history: History,
    /// Where each trial makes its store, one after another.
    directory: PathBuf,
    /// The command that runs the campaign again.
    again: String,
}

impl Campaign {
    /// How long the import takes undisturbed, in order. What it leaves must be right, or nothing else can be.
    fn measure(&self) -> Result<Vec<Duration>, Failure> {
        eprintln!("kill: {} events, measuring", self.history.event_count());
        let mut durations = Vec::new();
        for number in 1..=MEASUREMENTS {
            let trial = Trial::new(self, format!("undisturbed import {number}"))?;
            durations.push(trial.measure()?);
            trial.end()?;
        }
        durations.sort();
        Ok(durations)
    }

    /// Kills at every moment of `plan`, and adds what each finds to `summary`.
    ///
    /// Where the import had ended before its kill, the machine is faster than it was: `plan` is measured anew
    /// and the moment tried again.
    fn run(&self, plan: &mut Plan, summary: &mut Summary) -> Result<(), Failure> {
        for number in 0..plan.count {
            let mut found = self.kill(plan, number)?;
            for _ in 0..RETRIES {
                if found.0.has_landed {
                    break;
                }
                summary.retry_count += 1;
                plan.duration = middle(&self.measure()?);
                found = self.kill(plan, number)?;
            }
            summary.first.push(found.0);
            summary.second.extend(found.1);
        }
        Ok(())
    }

    /// Kills at one moment: what the first kill found, and the second where there is one.
    fn kill(&self, plan: &Plan, number: u32) -> Result<(Found, Option<Found>), Failure> {
        let moment = plan.moment(number);
        let name = format!("moment {} of {}, killed after {moment} ms", number + 1, plan.count);
        let trial = Trial::new(self, name.clone())?;
        let found = trial.run(moment)?;
        trial.end()?;
        eprintln!("kill: {name}: {}", found.0);
        Ok(found)
    }

    /// What the summary says of the campaign itself.
    fn facts(&self, arguments: &Arguments, durations: &[Duration]) -> Vec<(&'static str, String)> {
        let (events, batches) = (self.history.event_count(), self.history.batch_count());
        let segment_bytes = arguments.segment_bytes.map_or("default".to_owned(), |bytes| bytes.to_string());
        vec![
            ("input", format!("{}: {events} events, {batches} batches", self.program.input.display())),
            ("durability", arguments.durability.name().to_owned()),
            ("segment bytes", segment_bytes),
            ("seed", arguments.seed.to_string()),
            ("undisturbed", format!("{} ms", listed(durations))),
            ("moments", arguments.moments.to_string()),
        ]
    }
}

/// The middle one of sorted durations.
fn middle(durations: &[Duration]) -> Duration {
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_can_be_run_again() {
        let arguments = Arguments {
            file: Some("x.ndjson".into()),
            moments: 3,
            durability: Durability::Written,
            segment_bytes: Some(4096),
            seed: 7,
        };
        let expected =
            "cargo xtask kill x.ndjson --moments 3 --durability written --segment-bytes 4096 --seed 7";
        assert_eq!(arguments.again(), expected);
        let arguments = Arguments { file: None, segment_bytes: None, ..arguments };
        assert_eq!(arguments.again(), "cargo xtask kill --moments 3 --durability written --seed 7");
        assert!(arguments.input().is_file());
    }
}
