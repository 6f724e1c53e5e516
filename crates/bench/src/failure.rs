//! What makes a measurement impossible. That a figure is not as good as it should be is none of these.
//!
//! Invariant: the message alone says what to look at.

use std::{io, path::PathBuf, process::ExitStatus};

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("could not {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the store in {}: {source}", path.display())]
    Store { path: PathBuf, source: Box<annals::Error> },
    #[error("the database {}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("{}: the log could not be looked at: {source}", path.display())]
    Log { path: PathBuf, source: Box<annals_segment::Error> },
    #[error("{} holds something already: a store is generated into an empty directory", path.display())]
    Occupied { path: PathBuf },
    #[error("{}: {what}", path.display())]
    Answer { path: PathBuf, what: String },
    #[error("no coordinate, tag or kind: {what}")]
    Content { what: String },
    #[error("`{command}` ended with {status}")]
    Child { command: String, status: ExitStatus },
    #[error("`{command}` did not print what was asked for: {source}")]
    Speech { command: String, source: serde_json::Error },
    #[error("no JSON: {source}")]
    Json { source: serde_json::Error },
}

impl Failure {
    /// The failure of an operation on `path`.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// The failure of the store in `path`.
    pub(crate) fn store(path: impl Into<PathBuf>) -> impl FnOnce(annals::Error) -> Self {
        let path = path.into();
        move |source| Self::Store { path, source: Box::new(source) }
    }

    /// The failure of the database `path`.
    pub(crate) fn sqlite(path: impl Into<PathBuf>) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.into();
        move |source| Self::Sqlite { path, source }
    }
}
