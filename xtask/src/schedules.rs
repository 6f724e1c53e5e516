//! `schedules`: the models of threads in crates/store/tests/schedules, each under many schedules.
//!
//! They are built with `--cfg shuttle`, which gives the store a scheduler's locks and threads (`program`). With
//! `--bite` each line that a model protects is changed in a copy of the repository (`bites`), and the model must
//! fail.
//!
//! Invariant: the same seed and count explore the same schedules. A bite that changes nothing, or whose model
//! still holds, is a failure.

mod bites;
mod program;

use std::fmt::Write as _;

use self::{
    bites::{BITES, Bite},
    program::{Program, Row},
};
use crate::{command::root, copy, crash::new_seed, failure::Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many schedules of each scheduler to run of each model
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// What the schedules follow from: the same seed runs the same. A new one each time by default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    /// Only schedules of this sort
    #[arg(long, value_parser = ["random", "pct"])]
    scheduler: Option<String>,
    /// Change each line that a model protects, one at a time: the model must fail
    #[arg(long)]
    bite: bool,
}

impl Arguments {
    /// What the program of the models is told, for `model` or all.
    fn words(&self, model: Option<&str>) -> Vec<String> {
        let mut words = vec!["--iterations".to_owned(), self.iterations.to_string()];
        words.extend(["--seed".to_owned(), self.seed.to_string()]);
        let scheduler = self.scheduler.as_deref();
        for (name, value) in [("--model", model), ("--scheduler", scheduler)] {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_owned()]));
        }
        words
    }
}

/// Runs the models, or the bites.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    eprintln!("schedules: seed {}", arguments.seed);
    if arguments.bite { bite(arguments) } else { explore(arguments) }
}

fn explore(arguments: &Arguments) -> Result<(), Failure> {
    let program = Program::of(root());
    program.build()?;
    let (rows, holds) = program.run(&arguments.words(arguments.model.as_deref()), true)?;
    print!("{}", table(&rows));
    let count = rows.iter().filter(|row| !row.holds).count();
    if holds { Ok(()) } else { Err(Failure::Unscheduled { count: count.max(1) }) }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<46} {:<9} {:>9} {:>6} {:>9}\n", "model", "scheduler", "schedules", "steps", "time");
    for Row { model, scheduler, schedules, steps, millis, holds } in rows {
        let seconds = Seconds(*millis);
        let mark = if *holds { "" } else { "  does not hold" };
        writeln!(text, "{model:<46} {scheduler:<9} {schedules:>9} {steps:>6} {seconds:>9}{mark}")
            .expect("a string takes all");
    }
    let (schedules, millis) =
        rows.iter().fold((0, 0), |(all, time), row| (all + row.schedules, time + row.millis));
    let seconds = Seconds(millis);
    text + &format!("{:<46} {:<9} {schedules:>9} {:>6} {seconds:>9}\n", "all", "", "")
}

/// Milliseconds, as seconds to one place.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{} s", self.0 / 1000, self.0 % 1000 / 100))
    }
}

/// Changes one line after another, and runs its model.
fn bite(arguments: &Arguments) -> Result<(), Failure> {
    let is_asked = |bite: &&Bite| arguments.model.as_deref().is_none_or(|model| model == bite.model);
    let chosen: Vec<_> = BITES.iter().filter(is_asked).collect();
    if chosen.is_empty() {
        return Err(Failure::Bite { what: "no bite is of that model".to_owned() });
    }
    for bite in &chosen {
        bite.check(&copy::text(bite.path)?)?;
    }
    let directory = root().join("target").join("schedules");
    let program = Program::of(&copy::place(&directory));
    let (mut text, mut missed) = (String::new(), 0);
    for bite in chosen {
        copy::write(&directory, |path, text| if path == bite.path { bite.applied(&text) } else { text })?;
        program.build()?;
        let (rows, holds) = program.run(&arguments.words(Some(bite.model)), false)?;
        missed += usize::from(holds);
        let line = outcome(bite, &rows, holds);
        eprintln!("schedules: {line}");
        writeln!(text, "{line}").expect("a string takes all");
    }
    print!("{text}");
    match missed {
        0 => Ok(()),
        _ => Err(Failure::Bite {
            what: format!("{missed} models held although what they protect was changed"),
        }),
    }
}

/// What came of one bite, as a row.
fn outcome(bite: &Bite, rows: &[Row], holds: bool) -> String {
    let line = bite.line.lines().next().unwrap_or_default().trim();
    let came = match rows.iter().find(|row| !row.holds) {
        Some(row) => format!("fails in schedule {} of {}", row.schedules, row.scheduler),
        // The process did not come to the end of its row: a panic met another.
        None if !holds => "fails, and the process with it".to_owned(),
        None => "HOLDS".to_owned(),
    };
    format!("{:<46} {:<32} {came}: {line}", bite.model, bite.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(schedules: u64, holds: bool) -> Row {
        let (model, scheduler) = ("a_model".to_owned(), "pct".to_owned());
        Row { model, scheduler, schedules, steps: 12, millis: 1_234, holds }
    }

    #[test]
    fn the_table_adds_up_and_marks_what_does_not_hold() {
        let text = table(&[row(7, true), row(5, false)]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].ends_with("7     12     1.2 s") && lines[2].ends_with("1.2 s  does not hold"));
        assert!(lines[3].starts_with("all ") && lines[3].ends_with("12            2.4 s"), "{}", lines[3]);
    }

    #[test]
    fn what_is_asked_reaches_the_program() {
        let arguments =
            Arguments { iterations: 5, seed: 3, model: None, scheduler: Some("pct".to_owned()), bite: false };
        let words = arguments.words(Some("a_model")).join(" ");
        assert_eq!(words, "--iterations 5 --seed 3 --model a_model --scheduler pct");
    }

    #[test]
    fn a_bite_says_what_came_of_it() {
        let bite = BITES.first().unwrap();
        assert!(outcome(bite, &[row(1, true), row(5, false)], false).contains("fails in schedule 5 of pct"));
        assert!(outcome(bite, &[], false).contains("fails, and the process with it"));
        assert!(outcome(bite, &[row(1, true)], true).contains("HOLDS"));
    }
}
