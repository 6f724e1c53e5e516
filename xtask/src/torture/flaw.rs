//! What went wrong at a point of a kind of fault.

use std::{fmt, io, path::Path};

/// What went wrong, and what it cost.
#[derive(Debug, Clone, Default)]
pub(super) struct Flaw {
    pub(super) what: String,
    /// Promised events that are not there.
    pub(super) lost: u64,
    /// Whether the store did not open as it was to.
    pub(super) is_shut: bool,
}

impl Flaw {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// The system did not do what the campaign asked of it; says nothing of the store.
    pub(super) fn system(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("could not {what} {}", path.display());
        move |error| Self::new(format!("{what}: {error}"))
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
