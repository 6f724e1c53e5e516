//! `bench`: the benchmarks, which measure what no test may. `generate`: the stores that they measure.
//!
//! Whole stores, and what it takes to open, ask and fill them, are measured by `annals-bench`, a program of its own;
//! parts of the code by benchmarks beside it. What they print is of the machine that they ran on; what they compare
//! within one run is not.

use std::{ffi::OsString, process::Command};

use crate::{
    command::{self, cargo},
    failure::Failure,
    kill::built,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    stores: Option<Stores>,
    /// The benchmark; all of them, one after another, where none is named
    name: Option<String>,
    /// Only measurements whose name contains this
    #[arg(long)]
    filter: Option<String>,
}

/// What is measured of whole stores; `--help` behind each says more.
#[derive(Debug, clap::Subcommand)]
enum Stores {
    /// Time to the first answers in a fresh process, beside SQLite and a plain file
    #[command(disable_help_flag = true)]
    Open(Words),
    /// Look-ups by random ids, in many segments and in one
    #[command(disable_help_flag = true)]
    Get(Words),
    /// What an ingest writes, and how long appends take meanwhile
    #[command(disable_help_flag = true)]
    Ingest(Words),
    /// What conditions add to durable appends, tickets, and queries for few events among many
    #[command(disable_help_flag = true)]
    Conditions(Words),
    /// The way from an append to a subscriber in the same process, and what idle subscriptions cost
    #[command(disable_help_flag = true)]
    Delivery(Words),
    /// Folding events, opening from a snapshot, following, and what readers see while everything is made anew
    #[command(disable_help_flag = true)]
    Projection(Words),
}

/// What the program is told, as it stands.
#[derive(Debug, clap::Args)]
pub(crate) struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    words: Vec<OsString>,
}

/// The benchmarks of parts: the package, and the name that its manifest gives them.
const BENCHMARKS: [(&str, &str); 5] = [
    ("annals", "torn_tail"),
    ("annals-segment", "frame_scan"),
    ("annals-index", "footer_look_up"),
    ("annals-index", "run_merge"),
    ("annals-checkpoint", "planner"),
];

/// Runs the benchmarks up to the first that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.stores {
        Some(Stores::Open(words)) => return run_program("open", words),
        Some(Stores::Get(words)) => return run_program("get", words),
        Some(Stores::Ingest(words)) => return run_program("ingest", words),
        Some(Stores::Conditions(words)) => return run_program("conditions", words),
        Some(Stores::Delivery(words)) => return run_program("delivery", words),
        Some(Stores::Projection(words)) => return run_program("projection", words),
        None => {}
    }
    for (package, name) in chosen(arguments.name.as_deref())? {
        let mut command = cargo(&format!("bench --package {package} --bench {name}"));
        if let Some(filter) = &arguments.filter {
            command.args(["--", filter]);
        }
        command::run(&mut command)?;
    }
    Ok(())
}

/// Generates a store.
pub(crate) fn generate(words: &Words) -> Result<(), Failure> {
    run_program("generate", words)
}

/// Runs `annals-bench` where the user stands, so that paths are theirs.
fn run_program(verb: &str, words: &Words) -> Result<(), Failure> {
    let program = built("--release --package annals-bench --bin annals-bench")?;
    command::run(Command::new(program).arg(verb).args(&words.words))
}

fn chosen(name: Option<&str>) -> Result<Vec<(&'static str, &'static str)>, Failure> {
    let chosen: Vec<_> =
        BENCHMARKS.into_iter().filter(|(_, found)| name.is_none_or(|name| name == *found)).collect();
    match name {
        Some(name) if chosen.is_empty() => Err(Failure::NoBenchmark {
            name: name.to_owned(),
            benchmarks: BENCHMARKS.map(|(_, found)| found).to_vec(),
        }),
        _ => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser as _;

    use super::*;
    use crate::command::root;

    #[test]
    fn every_benchmark_has_its_file_and_every_file_is_run() {
        let mut files: Vec<String> = fs::read_dir(root().join("crates"))
            .unwrap()
            .filter_map(|package| fs::read_dir(package.unwrap().path().join("benches")).ok())
            .flatten()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names = BENCHMARKS.map(|(_, name)| name);
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn what_a_program_is_told_reaches_it_as_it_stands() {
        #[derive(Debug, clap::Parser)]
        struct Told {
            #[command(flatten)]
            arguments: Arguments,
        }
        let told = |line: &str| Told::try_parse_from(line.split(' ')).unwrap().arguments;
        let arguments = told("bench open --events 10,20 --help");
        let Some(Stores::Open(Words { words })) = arguments.stores else { panic!("{arguments:?}") };
        assert_eq!(words, ["--events", "10,20", "--help"]);
        let arguments = told("bench torn_tail --filter x");
        assert!(arguments.stores.is_none(), "{arguments:?}");
        assert_eq!((arguments.name.as_deref(), arguments.filter.as_deref()), (Some("torn_tail"), Some("x")));
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_names_that_there_are() {
        assert_eq!(chosen(None).unwrap(), BENCHMARKS);
        let failure = chosen(Some("heap")).unwrap_err().to_string();
        assert_eq!(
            failure,
            "no benchmark `heap`; there are: torn_tail, frame_scan, footer_look_up, run_merge, planner"
        );
    }
}
