//! `powercut`: a real program on real file systems, and the power goes.
//!
//! A machine of its own (a kernel in user mode, `machine`) runs a workload on a new file system, and dm-log-writes
//! keeps every write and flush that reaches its disk (`log`). From these follow the disks that a power cut at any
//! moment leaves (`history`, `choice`, `disk`): each is mounted here and checked against what was acknowledged at
//! that moment (`replay`). And machines are killed outright (`kills`). All of it happens apart from the rest of the
//! system (`apart`).
//!
//! Invariant: what the system lacks is said and skipped, and never counts as passed.

mod log;

mod disk;
mod history;

mod choice;

mod file_system;
mod needs;

mod subject;

mod init;

mod machine;

mod record;

mod jobs;
mod mount;

mod finds;
mod tally;

mod replay;

mod kills;

mod summary;

mod apart;
mod trouble;

use std::{path::PathBuf, thread, time::Instant};

pub(crate) use self::trouble::Trouble;
use self::{
    file_system::FileSystem,
    finds::Finds,
    subject::Subject,
    summary::{Row, Summary},
};
use crate::{crash::new_seed, failure::Failure, kill::random};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Only these file systems
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    fs: Vec<FileSystem>,
    /// How many crash images are tried on each file system, where there are so many
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// How often a machine is killed on each file system
    #[arg(long, default_value_t = 12)]
    kills: u32,
    /// What the choices follow from. The writes of a machine are never quite the same. A new one each time by
    /// default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
    /// Two workloads, at most 60 images and 2 kills on each file system: does it work here?
    #[arg(long)]
    quick: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Run here, in namespaces that were made for this
    #[arg(long, hide = true)]
    apart: bool,
}

/// The most that `--quick` tries.
const QUICK: (u32, u32) = (60, 2);

impl Arguments {
    fn file_systems(&self) -> Vec<FileSystem> {
        FileSystem::ALL.into_iter().filter(|one| self.fs.is_empty() || self.fs.contains(one)).collect()
    }

    fn images(&self) -> usize {
        let images = if self.quick { self.images.min(QUICK.0) } else { self.images };
        usize::try_from(images).unwrap_or(usize::MAX)
    }

    fn kills(&self) -> u64 {
        u64::from(if self.quick { self.kills.min(QUICK.1) } else { self.kills })
    }

    /// The words that ask for this campaign.
    fn words(&self) -> Vec<String> {
        let names: Vec<_> = self.fs.iter().map(|one| one.name()).collect();
        let fs = if names.is_empty() { Vec::new() } else { vec!["--fs".to_owned(), names.join(",")] };
        let numbers =
            [("--images", u64::from(self.images)), ("--kills", u64::from(self.kills)), ("--seed", self.seed)];
        let numbers = numbers.into_iter().flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
        let flags = [("--quick", self.quick), ("--json", self.json)];
        let flags = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name.to_owned());
        fs.into_iter().chain(numbers).chain(flags).collect()
    }
}

/// What all parts of a campaign have in common.
#[derive(Debug)]
struct Campaign {
    subject: Subject,
    /// The directory with the modules for the machine's kernel.
    drivers: PathBuf,
    /// Where the files of the campaign are, in memory.
    directory: PathBuf,
    finds: Finds,
    /// How many things are done at once.
    workers: usize,
}

/// Runs the campaign, apart where this machine can.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut summary = Summary::new(arguments.seed);
    let mut wanted = Vec::new();
    for file_system in arguments.file_systems() {
        match needs::lacks(file_system) {
            lacks if lacks.is_empty() => wanted.push(file_system),
            lacks => summary.skipped.push((file_system, lacks)),
        }
    }
    if wanted.is_empty() {
        print_summary(&summary, arguments.json);
        Err(Failure::AllSkipped { verb: "powercut" })
    } else if arguments.apart {
        cut(arguments, &wanted, summary)
    } else {
        let (words, name) = (arguments.words(), "powercut");
        let again = format!("cargo xtask powercut {}", words.join(" "));
        eprintln!("powercut: {again}");
        if apart::run(&words)? { Ok(()) } else { Err(Failure::Step { name, again }) }
    }
}

/// Cuts the power on `file_systems`, one after another, and prints what came of it.
fn cut(arguments: &Arguments, file_systems: &[FileSystem], mut summary: Summary) -> Result<(), Failure> {
    let (subject, start) = (Subject::build()?, Instant::now());
    let trouble = |trouble| Failure::PowerCut(Box::new(trouble));
    let drivers = needs::modules().unwrap_or_default();
    let directory = apart::directory().map_err(trouble)?;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let kept = apart::finds(arguments.seed);
    let campaign = Campaign { subject, drivers, directory, finds: Finds::new(kept.clone()), workers };
    let outcome = file_systems.iter().try_for_each(|file_system| {
        summary.rows.push(campaign.row(arguments, *file_system)?);
        Ok(())
    });
    summary.duration = start.elapsed();
    print_summary(&summary, arguments.json);
    campaign.finds.told().iter().for_each(|find| eprintln!("powercut: {find}"));
    outcome.map_err(trouble)?;
    match summary.failed_count() {
        0 => Ok(()),
        count => Err(Failure::AfterPowerCut { count, kept }),
    }
}

impl Campaign {
    /// All of one file system.
    fn row(&self, arguments: &Arguments, file_system: FileSystem) -> Result<Row, Trouble> {
        let start = Instant::now();
        let seed = random(arguments.seed, 0);
        let workloads = subject::replayed(seed, arguments.quick);
        let mut replayed = replay::Replayed::default();
        for (number, workload) in workloads.iter().enumerate() {
            // Those that come later take what the earlier ones had not enough of.
            let missing = arguments.images().saturating_sub(replayed.tried_count());
            let count = missing.div_ceil(workloads.len() - number);
            let choice = (count, random(seed, number as u64));
            replayed = replayed.and(replay::replay(self, file_system, workload, choice)?);
        }
        let killed = kills::kills(self, file_system, arguments.kills(), random(arguments.seed, 1))?;
        Ok(Row { file_system, replayed, killed, duration: start.elapsed() })
    }
}

fn print_summary(summary: &Summary, is_json: bool) {
    if is_json {
        println!("{}", summary.json());
    } else {
        print!("{summary}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments { fs: Vec::new(), images: 600, kills: 12, seed: 7, quick: false, json: false, apart: false }
    }

    #[test]
    fn a_campaign_can_be_run_again() {
        assert_eq!(arguments().words().join(" "), "--images 600 --kills 12 --seed 7");
        let fs = vec![FileSystem::Xfs, FileSystem::Ext4];
        let arguments = Arguments { fs, quick: true, json: true, ..arguments() };
        let expected = "--fs xfs,ext4 --images 600 --kills 12 --seed 7 --quick --json";
        assert_eq!(arguments.words().join(" "), expected);
        assert_eq!(arguments.file_systems(), [FileSystem::Ext4, FileSystem::Xfs]);
        assert_eq!((arguments.images(), arguments.kills()), (60, 2));
    }
}
