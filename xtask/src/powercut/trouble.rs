//! What keeps a campaign of power cuts from going on.
//!
//! Invariant: none of it is the store's. What a store does wrong is a finding, and the campaign goes on.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use super::{history::NoHistory, log::Unreadable};
use crate::command::shown;

/// Why a campaign ends early.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A command could not be run.
    Run { command: String, source: io::Error },
    /// A command failed; `words` is its standard error.
    Exit { command: String, status: ExitStatus, words: String },
    /// A file or directory of the campaign's failed.
    File { operation: &'static str, path: PathBuf, source: io::Error },
    /// The machine ended otherwise than by its own power switch; `words` is the end of its console.
    Machine { how: &'static str, words: String },
    /// What dm-log-writes left can't be read.
    Log(Unreadable),
    /// What dm-log-writes left is not the log of a workload.
    History(NoHistory),
    /// The checker said something else than a verdict.
    Verdict { command: String, found: String },
}

impl Trouble {
    /// That `operation` failed for `path`.
    pub(super) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }
}

impl From<Unreadable> for Trouble {
    fn from(unreadable: Unreadable) -> Self {
        Self::Log(unreadable)
    }
}

impl From<NoHistory> for Trouble {
    fn from(none: NoHistory) -> Self {
        Self::History(none)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { command, source } => write!(f, "could not run `{command}`: {source}"),
            Self::Exit { command, status, words } => write!(f, "`{command}`: {status}: {}", words.trim_end()),
            Self::File { operation, path, source } => {
                write!(f, "could not {operation} {}: {source}", path.display())
            }
            Self::Machine { how, words } => write!(f, "the machine {how}; its console ends with:\n{words}"),
            Self::Log(unreadable) => unreadable.fmt(f),
            Self::History(none) => none.fmt(f),
            Self::Verdict { command, found } => {
                write!(f, "`{command}` was to say its verdict, and said {}", found.trim_end())
            }
        }
    }
}

/// Runs `command`, which must succeed, and gives its standard output.
pub(super) fn finished(command: &mut Command) -> Result<Vec<u8>, Trouble> {
    let output = command.output().map_err(|source| Trouble::Run { command: shown(command), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Trouble::Exit { command: shown(command), status: output.status, words })
}
