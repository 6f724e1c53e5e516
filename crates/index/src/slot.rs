//! What a hash table of places holds: beside each place half of its key's hash, so that the table grows without
//! reading the keys again, and few that are others' are compared.

/// A place, and half of the hash of what is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) half: u32,
    pub(crate) place: u32,
}

impl Slot {
    /// A hash whose low and high bits, which the table uses, both come from the half.
    pub(crate) fn hash(&self) -> u64 {
        u64::from(self.half) << 32 | u64::from(self.half)
    }
}

/// The half of a hash that is kept.
pub(crate) fn half(hash: u64) -> u32 {
    u32::try_from(hash >> 32).expect("half of a hash")
}
