//! `annals-campaign`: runs the campaign, shows how far it is, and says what it came to.
//!
//! Invariant: the summary goes to standard output, all else to standard error. A flaw is exit code 1, with the
//! command that shows it again; a panic of the store is a flaw.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program speaks to a terminal")]

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use annals_campaign::{Campaign, Found, Summary, Tally, open_on};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

/// Loses power, kills and injects faults at every moment of a store on the simulated disk, and checks against an
/// oracle what the store holds afterwards.
///
/// First come fixed small workloads, at every operation: every subset of what is pending up to ten units, every
/// profile of a file system, kills, every fault, and all of it again within recoveries. Then come the same
/// deeper, and random workloads, until the time is over. The first promise that is not kept ends the run with
/// exit code 1 and the command that shows it again. A panic of the store counts as one; a store that hangs is
/// for the caller to bound.
#[derive(Debug, Parser)]
#[command(name = "annals-campaign")]
struct Arguments {
    /// How long to go on. The fixed workloads are tried to their end in any case
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the random choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only the round with this number, as a failure prints it
    #[arg(long)]
    round: Option<u64>,
    /// Only the fixed workloads, in a few seconds: what a tool runs that breaks the store on purpose
    ///
    /// The same images in every run: nothing depends on the time. Exit code 0 where all promises were kept, 1 at
    /// the first that was not.
    #[arg(long)]
    quick: bool,
    /// How many threads try images; all cores by default
    #[arg(long)]
    threads: Option<usize>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let campaign = Campaign {
        seed: arguments.seed,
        time: Duration::from_secs(arguments.seconds),
        is_quick: arguments.quick,
        round: arguments.round,
        threads: arguments.threads.unwrap_or_else(cores),
        opening: open_on,
    };
    let (tally, start) = (Tally::default(), Instant::now());
    let mut progress = Progress::new(&campaign, start);
    let outcome = campaign.run(&tally, &mut || progress.show(&tally));
    progress.end();
    let violations = u64::from(outcome.is_err());
    print_summary(&Summary::new(&tally, campaign.seed, start.elapsed(), violations), arguments.json);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(found) => {
            eprintln!("{}", told(&found, &arguments));
            ExitCode::FAILURE
        }
    }
}

fn told(found: &Found, arguments: &Arguments) -> String {
    let quick = if arguments.quick { " --quick" } else { "" };
    let again = format!("cargo xtask crash{quick} --seed {} --round {}", arguments.seed, found.round);
    format!("a promise was not kept:\n{}\nto see it again: {again}", found.flaw)
}

fn print_summary(summary: &Summary, is_json: bool) {
    match serde_json::to_string_pretty(summary) {
        Ok(json) if is_json => println!("{json}"),
        _ => println!("{}", summary.text()),
    }
}

/// Between two lines where nobody looks.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far the campaign is: a bar on a terminal, a line every some seconds elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    lines: u32,
}

impl Progress {
    fn new(campaign: &Campaign, start: Instant) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let is_timed = !campaign.is_quick && campaign.round.is_none();
            let bar =
                if is_timed { ProgressBar::new(campaign.time.as_secs()) } else { ProgressBar::no_length() };
            let template =
                if is_timed { "{bar:30} {pos}/{len} s  {msg}" } else { "{spinner} {pos} s  {msg}" };
            bar.with_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Self { bar, start, lines: 0 }
    }

    fn show(&mut self, tally: &Tally) {
        let elapsed = self.start.elapsed();
        let [_, tried, distinct] = tally.total();
        let words = || format!("{tried} images tried, {distinct} distinct");
        if let Some(bar) = &self.bar {
            bar.set_position(elapsed.as_secs());
            bar.set_message(words());
        } else if elapsed >= LINE_EVERY * (self.lines + 1) {
            self.lines += 1;
            eprintln!("crash: {} s, {}", elapsed.as_secs(), words());
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
