//! Why a command failed, in words and as an exit code.
//!
//! Invariant: a message says what to look at next, and nothing is printed in the form that `Debug` gives it.

use std::{error::Error as _, fmt, io, ops::RangeInclusive, path::PathBuf};

use annals::Error;

use crate::cloudevents::BadLine;

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const DAMAGED: u8 = 3;
const LOCKED: u8 = 4;
const NO_SPACE: u8 = 5;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store refused or failed.
    Store(Error),
    /// A line of the input is no event.
    Line { number: u64, why: BadLine },
    /// The store refused or failed to take the lines of one append.
    Lines { numbers: RangeInclusive<u64>, source: Box<Error> },
    /// A file of the user's failed.
    File { operation: &'static str, path: PathBuf, source: io::Error },
    /// Standard output failed.
    Output(io::Error),
    /// Standard output failed where who reads it needs to know all of it.
    Acknowledgement(io::Error),
    /// What was asked for is not there, or makes no sense.
    Refused(String),
    /// No store was named.
    NoStore,
    /// Verification found damage, and has told it.
    Damaged { count: usize },
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Store(error) => store_exit_code(error),
            Self::Lines { source, .. } => store_exit_code(source),
            Self::Damaged { .. } => DAMAGED,
            Self::NoStore => USAGE,
            _ => REFUSED,
        }
    }

    /// Whether the reader of standard output went away.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn store_exit_code(error: &Error) -> u8 {
    match error {
        Error::Corrupt { .. } => DAMAGED,
        Error::Locked { .. } => LOCKED,
        error if error.is_out_of_space() => NO_SPACE,
        _ => REFUSED,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => f.write_str(&with_causes(error)),
            Self::Line { number, why } => write!(f, "line {number}: {why}"),
            Self::Lines { numbers, source } if numbers.start() == numbers.end() => {
                write!(f, "line {}: {}", numbers.start(), with_causes(source))
            }
            Self::Lines { numbers, source } => {
                let (first, last) = (numbers.start(), numbers.end());
                write!(f, "lines {first} to {last}, one batch: {}", with_causes(source))
            }
            Self::File { operation, path, source } => {
                write!(f, "could not {operation} {}: {source}", path.display())
            }
            Self::Output(source) => write!(f, "could not write to standard output: {source}"),
            Self::Acknowledgement(source) => write!(
                f,
                "could not acknowledge on standard output: {source}; what was appended is there, the rest of the \
                 input was not read"
            ),
            Self::Refused(why) => f.write_str(why),
            Self::NoStore => f.write_str("which store? Say --store DIR, or set ANNALS_STORE"),
            Self::Damaged { count: 1 } => f.write_str("the store is damaged in one place"),
            Self::Damaged { count } => write!(f, "the store is damaged in {count} places"),
        }
    }
}

/// The error and its causes, those left out that its own words include.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
