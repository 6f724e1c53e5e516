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

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

pub(crate) use self::flaw::Flaw;
use self::{
    history::History,
    plan::{Moment, millis},
    program::{Import, Program},
    summary::{Found, Summary, listed},
};
use crate::{command::root, crash::new_seed, failure::Failure};

const EXAMPLE: &str = "examples/redb-history.ndjson";

/// The program's own name for the file that makes a directory a store.
const MANIFEST: &str = "MANIFEST";

/// How often the undisturbed import is measured.
const MEASUREMENTS: usize = 3;

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
        let segment = self.segment_bytes.map_or_else(String::new, |bytes| format!(" --segment-bytes {bytes}"));
        let (moments, durability, seed) = (self.moments, self.durability.name(), self.seed);
        format!(
            "cargo xtask kill{file} --moments {moments} --durability {durability}{segment} --seed {seed}"
        )
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
    let undisturbed = durations.get(MEASUREMENTS / 2).copied().unwrap_or_default();
    let moments = plan::moments(arguments.seed, arguments.moments, undisturbed);
    let shown: Vec<_> = moments.iter().map(ToString::to_string).collect();
    eprintln!("kill: seed {}, moments in ms: {}", arguments.seed, shown.join(" "));
    let mut summary = Summary {
        facts: campaign.facts(arguments, &durations),
        moment_count: moments.len(),
        first: Vec::new(),
        second: Vec::new(),
        duration: Duration::ZERO,
        has_failed: false,
    };
    let outcome = campaign.run(&moments, &mut summary);
    summary.has_failed = outcome.is_err();
    summary.duration = started.elapsed();
    print!("{summary}");
    outcome?;
    if summary.has_landed() {
        Ok(())
    } else {
        Err(Failure::FewLanded { landed: summary.landed_count(), count: moments.len() })
    }
}

/// What all moments have in common.
struct Campaign {
    program: Program,
    history: History,
    /// Where each moment has its own directory.
    directory: PathBuf,
    again: String,
}

/// A flaw, and after what it was found.
struct Found_ {
    stage: &'static str,
    flaw: Flaw,
}
