//! What a store that an import was killed in can do wrong.

use std::{fmt, io, path::PathBuf, process::ExitStatus};

use super::history::Difference;

/// Why a moment of a campaign fails.
#[derive(Debug)]
pub(super) enum Flaw {
    /// The export, or what was acknowledged, is not as the input demands.
    Difference(Difference),
    /// A command did not exit as it must; `words` is its standard error.
    Exit { command: String, status: ExitStatus, words: String },
    /// A command said something else than it must.
    Output { command: String, expected: String, found: String },
    /// The store was closed, and its log has a torn end.
    TornAfterClose,
    /// A command could not be run.
    Run { command: String, source: io::Error },
    /// A file or directory of the campaign's failed.
    File { operation: &'static str, path: PathBuf, source: io::Error },
}

impl From<Difference> for Flaw {
    fn from(difference: Difference) -> Self {
        Self::Difference(difference)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Difference(difference) => difference.fmt(f),
            Self::Exit { command, status, words } => write!(f, "`{command}`: {status}: {}", words.trim_end()),
            Self::Output { command, expected, found } => {
                write!(f, "`{command}` was to say {expected}, and said {}", found.trim_end())
            }
            Self::TornAfterClose => f.write_str("the store was closed, and its log has a torn end"),
            Self::Run { command, source } => write!(f, "could not run `{command}`: {source}"),
            Self::File { operation, path, source } => {
                write!(f, "could not {operation} {}: {source}", path.display())
            }
        }
    }
}
