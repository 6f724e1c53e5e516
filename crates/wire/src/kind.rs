//! Event kinds: a 4-bit category over a 12-bit type.
//!
//! Invariant: the categories 0x0 and 0xD are reserved, and a [`Kind`] never has one of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What sort of event it is.
///
/// ```
/// # use annals_wire::Kind;
/// let kind = Kind::new(0x2001)?;
/// assert_eq!((kind.category(), kind.to_string().as_str()), (0x2, "0x2001"));
/// assert!(Kind::new(0x0001).is_err(), "category 0x0 is not for events");
/// # Ok::<(), annals_wire::KindError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Kind(u16);

/// A number that is no kind, because its category is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("kind {0:#06x} is of a reserved category: 0x0 and 0xD are not for events")]
pub struct KindError(pub u16);

impl Kind {
    /// The largest type in a category.
    pub const TYPE_MAX: u16 = 0x0fff;

    /// The kind with this number.
    ///
    /// # Errors
    /// Where the category is reserved.
    pub const fn new(number: u16) -> Result<Self, KindError> {
        match number >> 12 {
            0x0 | 0xd => Err(KindError(number)),
            _ => Ok(Self(number)),
        }
    }

    /// The kind's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The kind's category, 0x1 to 0xF.
    #[must_use]
    pub const fn category(self) -> u16 {
        self.0 >> 12
    }
}

impl TryFrom<u16> for Kind {
    type Error = KindError;

    fn try_from(number: u16) -> Result<Self, KindError> {
        Self::new(number)
    }
}

impl From<Kind> for u16 {
    fn from(kind: Kind) -> Self {
        kind.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}
