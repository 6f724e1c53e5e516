//! What makes a verb fail.
//!
//! Invariant: the message alone says what to do next.

use std::{fmt, io, path::PathBuf, process::ExitStatus};

use crate::{kill::Left, powercut::Trouble, tidy::Violation};

/// Why a verb did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A program could not be started.
    Start { command: String, source: io::Error },
    /// A program ran and failed; it has said why itself.
    Status { command: String, status: ExitStatus },
    /// A file or directory of the repository could not be read.
    Read { path: PathBuf, source: io::Error },
    /// A file below `target` could not be written.
    Write { path: PathBuf, source: io::Error },
    /// A source is not Rust.
    Syntax { path: String, what: String },
    /// The instrumented copy fails where nothing is switched off.
    Undisturbed { program: String, test: String, how: &'static str },
    /// Something was switched off and nothing failed.
    Survived { count: usize, of: usize },
    /// A manifest is not TOML.
    Manifest { path: PathBuf, source: Box<toml::de::Error> },
    /// A test filter matches nothing: the run would have passed without testing anything.
    NoTests { package: &'static str, filter: &'static str },
    /// The tree breaks rules.
    Untidy(Vec<Violation>),
    /// cargo-fuzz is not installed.
    NoCargoFuzz,
    /// There is no fuzz target of this name.
    NoTarget { name: String, targets: Vec<String> },
    /// There is no benchmark of this name.
    NoBenchmark { name: String, benchmarks: Vec<&'static str> },
    /// A file of events can't be the input of a campaign of kills.
    Input { path: PathBuf, line: usize, why: &'static str },
    /// A build succeeded and named no program.
    NoProgram { command: String },
    /// An import that was killed left something wrong.
    Left(Box<Left>),
    /// Too many kills came when the import had ended.
    FewLanded { landed: usize, count: usize },
    /// Models of threads did not hold under some schedule.
    Unscheduled { count: usize },
    /// What a bite changes is not there once, or its model still held.
    Bite { what: String },
    /// A campaign of power cuts could not go on.
    PowerCut(Box<Trouble>),
    /// After a power cut something was not as it must be.
    AfterPowerCut { count: u64, kept: PathBuf },
    /// This machine lacks what a verb needs for anything; it was said what.
    AllSkipped { verb: &'static str },
    /// A kind of fault, or a point of it, that there is not.
    NoPoint { name: String, of: Vec<&'static str> },
    /// Points at which a promise was not kept; each was told.
    Broken { count: usize },
    /// The campaign could not be run.
    Torture { what: String },
    /// Runs under a tool that found something, or did not come to their end; each was told.
    Unsound { failed: usize, of: usize },
    /// A step of `verify` failed; it has said why itself.
    Step { name: &'static str, again: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { command, source } => write!(f, "could not start `{command}`: {source}"),
            Self::Status { command, status } => write!(f, "`{command}` failed: {status}"),
            Self::Read { path, source } => write!(f, "could not read {}: {source}", path.display()),
            Self::Write { path, source } => write!(f, "could not write {}: {source}", path.display()),
            Self::Syntax { path, what } => write!(f, "{path} does not parse: {what}"),
            Self::Undisturbed { program, test, how } => {
                write!(f, "{test} of {program} {how} with nothing switched off: mend that first")
            }
            Self::Survived { count, of } => {
                write!(f, "{count} of {of} survived: each is a missing test or a needless call")
            }
            Self::Manifest { path, source } => write!(f, "{} is not a manifest: {source}", path.display()),
            Self::NoTests { package, filter } => {
                write!(f, "no test of {package}'s tests/it has `{filter}` in its name: nothing was checked")
            }
            Self::Untidy(violations) => write_violations(f, violations),
            Self::NoCargoFuzz => f.write_str(NO_CARGO_FUZZ),
            Self::NoTarget { name, targets } => {
                write!(f, "no fuzz target `{name}`; there are: {}", targets.join(", "))
            }
            Self::NoBenchmark { name, benchmarks } => {
                write!(f, "no benchmark `{name}`; there are: {}", benchmarks.join(", "))
            }
            Self::Input { path, line, why } => write!(f, "{}: line {line} {why}", path.display()),
            Self::NoProgram { command } => write!(f, "`{command}` named no program that it built"),
            Self::Left(left) => left.fmt(f),
            Self::NoPoint { name, of } => write!(f, "there is no {name}; the kinds are: {}", of.join(", ")),
            Self::Broken { count } => write!(f, "{count} points at which a promise was not kept"),
            Self::Unsound { failed, of } => {
                write!(
                    f,
                    "{failed} of {of} runs failed; each says above what was found, and how to run it again"
                )
            }
            Self::Torture { what } => write!(f, "torture: {what}"),
            Self::FewLanded { landed, count } => write!(
                f,
                "only {landed} of {count} kills landed while the import ran, 80 % must: give a larger FILE, or \
                 leave the machine alone"
            ),
            Self::Unscheduled { count } => write!(f, "{count} models do not hold under every schedule"),
            Self::Bite { what } => f.write_str(what),
            Self::PowerCut(trouble) => write!(f, "powercut: {trouble}"),
            Self::AfterPowerCut { count, kept } => {
                write!(f, "{count} images were not as they must be; the first are kept in {}", kept.display())
            }
            Self::AllSkipped { verb } => write!(f, "{verb}: everything was skipped, nothing was checked"),
            Self::Step { name, again } => write!(f, "{name} failed; to run it again: {again}"),
        }
    }
}

const NO_CARGO_FUZZ: &str = "\
fuzzing needs cargo-fuzz:
    cargo install cargo-fuzz
and a compiler that takes its flags: either nightly, which is used where it is there,
    rustup toolchain install nightly --profile minimal
or the stable one, which is told to take them (RUSTC_BOOTSTRAP=1) where nightly is not there.";

fn write_violations(f: &mut fmt::Formatter<'_>, violations: &[Violation]) -> fmt::Result {
    for violation in violations {
        writeln!(f, "{violation}")?;
    }
    write!(f, "tidy: violations: {}", violations.len())
}
