//! `sanitize`: the tests under tools that see what no assertion does: undefined behaviour, data races, leaks.
//!
//! Miri interprets, some hundred times slower than the machine, so it gets the crates without I/O and scripts on
//! the simulated disk; the sanitizers get the rest, with real files and threads. What is left out of a run is
//! counted and shown. A tool that the machine lacks is told with how to get it, and is never counted as passed.

mod plan;
mod tally;

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use self::{
    plan::{RUNS, Run, Tool},
    tally::{Outcome, Tally},
};
use crate::{
    command::{cargo, root, shown, succeeds},
    failure::Failure,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The tool; all that the machine has, one after another, where none is named
    #[arg(value_enum)]
    tool: Option<Tool>,
    /// Only runs whose name contains this
    #[arg(long)]
    filter: Option<String>,
}

/// A run and what came of it.
struct Finished {
    run: &'static Run,
    outcome: Outcome,
    duration: Duration,
}

/// Runs everything that the machine has the tools for, also behind a run that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chosen: Vec<_> = RUNS
        .iter()
        .filter(|run| arguments.tool.is_none_or(|tool| tool == run.tool))
        .filter(|run| arguments.filter.as_ref().is_none_or(|part| run.name.contains(part.as_str())))
        .collect();
    let mut finished = Vec::new();
    for (number, run) in chosen.iter().enumerate() {
        eprintln!("sanitize: {} of {}: {} under {}", number + 1, chosen.len(), run.name, run.tool.name());
        let started = Instant::now();
        let outcome = if is_there(run.tool) { tried(run)? } else { Outcome::Skipped };
        finished.push(Finished { run, outcome, duration: started.elapsed() });
    }
    print!("{}", table(&finished));
    let count = |wanted: fn(&Outcome) -> bool| finished.iter().filter(|row| wanted(&row.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let passed = count(|outcome| matches!(outcome, Outcome::Passed(_)));
    match (failed, passed) {
        (0, 0) => Err(Failure::AllSkipped { verb: "sanitize" }),
        (0, _) => Ok(()),
        _ => Err(Failure::Unsound { failed, of: finished.len() }),
    }
}

fn is_there(tool: Tool) -> bool {
    match tool {
        Tool::Miri => succeeds(&mut cargo("+nightly miri --version")),
        Tool::Address => succeeds(&mut cargo("+nightly --version")),
        // The standard library is built along, or every lock in it looks like a race.
        Tool::Thread => {
            let sysroot = Command::new("rustc").args(["+nightly", "--print", "sysroot"]).output();
            let sysroot = sysroot.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned());
            sysroot.is_ok_and(|path| Path::new(&path).join("lib/rustlib/src/rust/library").is_dir())
        }
    }
}

/// Runs the tests of `run`; what they print goes to standard error as it comes.
fn tried(run: &Run) -> Result<Outcome, Failure> {
    let mut command = command(run);
    let again = shown(&command);
    let source = |source| Failure::Start { command: again.clone(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(source)?;
    let mut tally = Tally::default();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line.map_err(source)?;
        eprintln!("{line}");
        tally.take_in(&line);
    }
    let status = child.wait().map_err(source)?;
    // Where a filter matches nothing, nothing was looked at.
    Ok(if status.success() && tally.passed > 0 { Outcome::Passed(tally) } else { Outcome::Failed { again } })
}

fn command(run: &Run) -> Command {
    let Run { package, target, chosen, .. } = run;
    let (verb, flags) = match run.tool {
        Tool::Miri => ("miri test", String::new()),
        Tool::Address => ("test", format!("--target {}", host())),
        Tool::Thread => ("test", format!("-Zbuild-std --target {}", host())),
    };
    let mut command = cargo(&format!("+nightly {verb} --locked {flags} --package {package} {target} --"));
    command.args(chosen.iter());
    command.env("CARGO_TARGET_DIR", root().join("target/sanitize").join(run.tool.name()));
    command.env("PROPTEST_CASES", run.tool.cases().to_string());
    let (variable, value) = match run.tool {
        Tool::Miri => ("MIRIFLAGS", "-Zmiri-disable-isolation"),
        Tool::Address => ("RUSTFLAGS", "-Zsanitizer=address"),
        Tool::Thread => ("RUSTFLAGS", "-Zsanitizer=thread"),
    };
    command.env(variable, value);
    command
}

/// The triple of the machine: with a target named, build scripts and macros are built without the sanitizer.
fn host() -> String {
    let version = Command::new("rustc").args(["+nightly", "-vV"]).output();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map_or_else(|| format!("{}-unknown-linux-gnu", env::consts::ARCH), str::to_owned)
}

fn table(finished: &[Finished]) -> String {
    let mut text =
        format!("{:<9} {:<34} {:>7} {:>9} {:>10}\n", "tool", "tests", "passed", "left out", "seconds");
    for Finished { run, outcome, duration } in finished {
        let (tool, name, seconds) = (run.tool.name(), run.name, duration.as_secs_f64());
        text += &match outcome {
            Outcome::Passed(tally) => {
                let (passed, left_out) = (tally.passed, tally.left_out);
                format!("{tool:<9} {name:<34} {passed:>7} {left_out:>9} {seconds:>10.1}\n")
            }
            Outcome::Failed { again } => {
                format!("{tool:<9} {name:<34}  failed; to run it again: {again}\n")
            }
            Outcome::Skipped => format!("{tool:<9} {name:<34} skipped: {}\n", run.tool.how_to_get()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_tells_what_was_skipped_and_how_to_run_again_what_failed() {
        let row = |outcome| Finished { run: &RUNS[0], outcome, duration: Duration::from_secs(1) };
        let text = table(&[
            row(Outcome::Passed(Tally { passed: 7, left_out: 2 })),
            row(Outcome::Failed { again: "cargo x".to_owned() }),
            row(Outcome::Skipped),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].split_whitespace().collect::<Vec<_>>().ends_with(&["7", "2", "1.0"]), "{text}");
        assert!(lines[2].ends_with("failed; to run it again: cargo x"), "{text}");
        assert!(lines[3].contains("skipped: rustup "), "{text}");
    }

    #[test]
    fn every_run_names_a_package_and_modules_that_there_are() {
        for run in &RUNS {
            let package = run.package.strip_prefix("annals-").unwrap_or("store");
            let folder = root().join("crates").join(package);
            assert!(folder.join("Cargo.toml").is_file(), "{}", run.package);
            for (module, _) in run.chosen.iter().filter_map(|part| part.split_once("::")) {
                let is_there =
                    ["src", "tests/it"].map(|place| folder.join(place).join(format!("{module}.rs")));
                assert!(is_there.iter().any(|file| file.is_file()), "{}: {module}", run.package);
            }
        }
    }
}
