//! What can be wrong with bytes. Where they lie (which file, which offset) is added by who read them.

/// Why bytes were not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end before the structure does.
    #[error("{what}: {needed} bytes are needed and {available} are there")]
    Truncated {
        /// The structure or field.
        what: &'static str,
        /// How many bytes it takes.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// The bytes do not begin as the structure does.
    #[error("{what}: expected to begin with {expected:02x?}, found {found:02x?}")]
    Magic {
        /// The structure.
        what: &'static str,
        /// Its first bytes.
        expected: Vec<u8>,
        /// The bytes there.
        found: Vec<u8>,
    },
    /// A checksum is not that of the bytes.
    #[error("{what}: the checksum stored is {expected:08x}, that of the bytes is {found:08x}")]
    Checksum {
        /// The structure.
        what: &'static str,
        /// The checksum that is stored.
        expected: u32,
        /// The checksum of what is there.
        found: u32,
    },
    /// The structure was written by a newer version.
    #[error("{what}: version {found} is newer than {supported}, the newest that this program reads")]
    Version {
        /// The structure.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// The bytes passed their checksum and are still not what may stand there.
    #[error("{what}: {why}")]
    Invalid {
        /// The structure.
        what: &'static str,
        /// The rule that is broken.
        why: &'static str,
    },
}

impl Error {
    /// Whether the bytes are of a newer version, and so perhaps not damaged at all.
    #[must_use]
    pub fn is_newer_version(&self) -> bool {
        matches!(self, Self::Version { .. })
    }
}
