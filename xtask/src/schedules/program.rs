//! The program of the models: how it is built and run, and the rows that it prints.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    command::{self, root, shown},
    failure::Failure,
};

/// The program, of the repository or of a copy.
pub(super) struct Program {
    tree: PathBuf,
}

/// One model under one scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) model: String,
    pub(super) scheduler: String,
    pub(super) schedules: u64,
    /// The most steps of one schedule at which there was a choice.
    pub(super) steps: u64,
    pub(super) millis: u64,
    pub(super) holds: bool,
}

impl Program {
    pub(super) fn of(tree: &Path) -> Self {
        Self { tree: tree.to_owned() }
    }

    /// A cargo command on the program. All that the repository and its copy share is built once.
    fn cargo(&self, verb: &str) -> Command {
        let mut command = Command::new("cargo");
        command.args([verb, "--quiet", "--locked", "--package", "annals", "--test", "schedules"]);
        command.arg("--target-dir").arg(root().join("target").join("schedules").join("build"));
        command.env("RUSTFLAGS", "--cfg shuttle").current_dir(&self.tree);
        command
    }

    pub(super) fn build(&self) -> Result<(), Failure> {
        command::run(&mut self.cargo("build"))
    }

    /// Runs it, and returns its rows and whether all models held. What it says of a failure goes to the terminal
    /// where it `tells`.
    pub(super) fn run(&self, words: &[String], tells: bool) -> Result<(Vec<Row>, bool), Failure> {
        let mut command = self.cargo("test");
        command.arg("--").args(words).stdout(Stdio::piped());
        command.stderr(if tells { Stdio::inherit() } else { Stdio::null() });
        let failed = |source| Failure::Start { command: shown(&self.cargo("test")), source };
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take().expect("standard output is a pipe");
        let mut rows = Vec::new();
        for row in BufReader::new(output).lines().map_while(Result::ok).filter_map(|line| Row::parse(&line)) {
            if tells {
                eprintln!("schedules: {} {}: {} ms", row.model, row.scheduler, row.millis);
            }
            rows.push(row);
        }
        let status = child.wait().map_err(failed)?;
        Ok((rows, status.success()))
    }
}

impl Row {
    /// The row that the program printed as cells between tabs; `None` for any other line.
    fn parse(line: &str) -> Option<Self> {
        let [model, scheduler, schedules, steps, millis, holds] =
            <[&str; 6]>::try_from(line.split('\t').collect::<Vec<_>>()).ok()?;
        Some(Self {
            model: model.to_owned(),
            scheduler: scheduler.to_owned(),
            schedules: schedules.parse().ok()?,
            steps: steps.parse().ok()?,
            millis: millis.parse().ok()?,
            holds: holds == "1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_from_other_lines() {
        let row = Row::parse("a_model\trandom\t100\t42\t7\t1").unwrap();
        assert_eq!((row.model.as_str(), row.schedules, row.steps, row.millis), ("a_model", 100, 42, 7));
        assert!(row.holds && !Row::parse("a_model\tpct\t1\t2\t3\t0").unwrap().holds);
        assert_eq!(Row::parse("running 3 tests"), None);
        assert_eq!(Row::parse("a\tb\tc\td\te\tf"), None);
    }
}
