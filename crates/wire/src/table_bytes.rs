//! Where the bytes of tables come from: memory, or a file that is read where it is first touched.
//!
//! Invariant: the same range gives the same bytes for as long as they are borrowed.

use std::{fmt, ops::Range};

use crate::Error;

/// Bytes that may still have to be fetched. Whatever is bytes is at hand.
pub trait FetchBytes: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, where they are at hand.
    fn at_hand(&self) -> Option<&[u8]>;

    /// Those at `range`, which does not end behind the last.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they cannot be read.
    fn fetch(&self, range: Range<usize>) -> Result<&[u8], Error>;
}

impl<T: AsRef<[u8]> + Send + Sync> FetchBytes for T {
    fn len(&self) -> usize {
        self.as_ref().len()
    }

    fn at_hand(&self) -> Option<&[u8]> {
        Some(self.as_ref())
    }

    fn fetch(&self, range: Range<usize>) -> Result<&[u8], Error> {
        TableBytes::from(self.as_ref()).get(range)
    }
}

/// The bytes that tables are read from.
#[derive(Clone, Copy)]
pub struct TableBytes<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    AtHand(&'a [u8]),
    Fetched(&'a dyn FetchBytes),
}

impl<'a> TableBytes<'a> {
    /// The bytes of `source`.
    #[inline]
    #[must_use]
    pub fn of(source: &'a dyn FetchBytes) -> Self {
        Self(source.at_hand().map_or(Source::Fetched(source), Source::AtHand))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Source::AtHand(bytes) => bytes.len(),
            Source::Fetched(source) => source.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether none of them has still to be fetched.
    #[inline]
    pub(crate) fn are_at_hand(self) -> bool {
        matches!(self.0, Source::AtHand(_))
    }

    /// Those at `range`.
    ///
    /// # Errors
    /// [`Error::Truncated`] where it ends behind the last, or [`Error::Invalid`] where they cannot be read.
    #[inline]
    pub fn get(self, range: Range<usize>) -> Result<&'a [u8], Error> {
        let truncated = |available: usize| Error::Truncated {
            what: "tables",
            needed: range.end.max(range.start) as u64,
            available: available as u64,
        };
        match self.0 {
            Source::AtHand(bytes) => bytes.get(range.clone()).ok_or_else(|| truncated(bytes.len())),
            Source::Fetched(source) if range.start > range.end || range.end > source.len() => {
                Err(truncated(source.len()))
            }
            Source::Fetched(source) => source.fetch(range),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for TableBytes<'a> {
    fn from(bytes: &'a T) -> Self {
        Self(Source::AtHand(bytes.as_ref()))
    }
}

impl fmt::Debug for TableBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.0 {
            Source::AtHand(_) => "at hand",
            Source::Fetched(_) => "fetched",
        };
        write!(f, "TableBytes({source}, {} bytes)", self.len())
    }
}
