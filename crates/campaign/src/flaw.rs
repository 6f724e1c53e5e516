//! What the campaign looks for: a promise that the store did not keep.
//!
//! Invariant: a flaw says where it was met, from the outside in, as it passes outwards; nothing is put into
//! words as long as all is well.

use std::{any::Any, fmt, io, panic, path::Path};

use annals::Error;

/// A promise that was not kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    what: String,
    /// The innermost place first.
    places: Vec<String>,
    /// Whether the store only told of a disk that fails.
    is_of_disk: bool,
}

impl Flaw {
    /// A flaw with these words.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), places: Vec::new(), is_of_disk: false }
    }

    /// A file beside the store cannot be read.
    #[must_use]
    pub fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(format!("{} cannot be read: {error}", path.display()))
    }

    /// The store could not do `what`: no flaw where the disk fails on, if it says so.
    pub(crate) fn refused(what: &str, error: &Error) -> Self {
        let is_of_disk = matches!(error, Error::Environment { .. });
        Self { is_of_disk, ..Self::new(format!("{what}: {error}")) }
    }

    /// Whether the store only told of a disk that fails.
    pub(crate) fn is_of_disk(&self) -> bool {
        self.is_of_disk
    }

    /// The same, met within `place`.
    #[must_use]
    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.places.push(place.to_string());
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.places.iter().rev() {
            writeln!(f, "{place}:")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Flaw {}

/// A flaw with the words of `what` unless `holds`.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Flaw> {
    if holds { Ok(()) } else { Err(Flaw::new(what())) }
}

/// What `attempt` returns; a panic of the store in it is a flaw too.
pub(crate) fn caught<T>(attempt: impl FnOnce() -> Result<T, Flaw>) -> Result<T, Flaw> {
    let attempt = panic::AssertUnwindSafe(attempt);
    panic::catch_unwind(attempt)
        .unwrap_or_else(|cause| Err(Flaw::new(format!("a panic: {}", words(&*cause)))))
}

fn words(cause: &(dyn Any + Send)) -> &str {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_says_where_it_was_met_from_the_outside_in() {
        let flaw = Flaw::new("an event is missing").within("seed 3").within("before operation 7");
        assert_eq!(flaw.to_string(), "before operation 7:\nseed 3:\nan event is missing");
    }

    #[test]
    fn a_panic_is_a_flaw() {
        let flaw = caught(|| -> Result<(), Flaw> { panic!("number {}", 7) }).unwrap_err();
        assert_eq!(flaw.to_string(), "a panic: number 7");
        assert_eq!(caught(|| Ok(7)), Ok(7));
    }
}
