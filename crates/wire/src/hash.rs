//! Digests and chains: BLAKE3 over events, CRC-32 along a segment.
//!
//! Invariant: one event hash commits to everything in its event and to all the history of its stream before
//! it. A payload enters by its digest, so a chain verifies after a payload was erased.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A BLAKE3 digest; all zeros stands for "nothing before".
///
/// ```
/// # use annals_wire::Digest;
/// assert_eq!(Digest::NONE.to_string(), "0".repeat(64));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What stands where there is nothing before.
    pub const NONE: Self = Self([0; 32]);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The BLAKE3 digest of `bytes`.
#[must_use]
pub fn blake3_digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// A BLAKE3 digest of bytes that come piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Digester(blake3::Hasher);

impl Digester {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// The hash over `parts`, one after the other, under a 16-byte domain tag.
pub(crate) fn tagged(domain: &[u8; 16], parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain);
    for part in parts {
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The hash of an event: over the hash `previous` of its stream (or of the event that its lane forks from),
/// the `fixed` fields of its frame, its body up to the payload, and its payload's digest. The layout is in
/// docs/format.md, "Event hash".
#[must_use]
pub fn event_hash(previous: Digest, fixed: &[u8], head: &[u8], payload: Digest) -> Digest {
    tagged(b"annals/event/v1\0", &[&previous.0, fixed, head, &payload.0])
}

/// The running CRC-32 over the header checksums of a segment's frames, in order. It says in four bytes which
/// frames came before; it is no proof against intent, which the event hashes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(pub u32);

impl Chain {
    /// The chain after one more frame.
    #[must_use]
    pub fn then(self, header_crc: u32) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&header_crc.to_le_bytes());
        Self(hasher.finalize())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
