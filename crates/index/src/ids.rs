//! The ids of a growing index, and the row of each.
//!
//! Invariant: every row has an id, and no other row has the same. The table holds part of each hash beside
//! the row, so that it grows without reading the ids again.

use std::hash::BuildHasher;

use annals_wire::{EventId, Key, StoreId};
use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

/// Ids in order of their rows, found by hash.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    by_row: Vec<EventId>,
    slots: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Slot {
    hash: u32,
    row: u32,
}

impl Ids {
    /// Gives `id` to the next row; false where another has it.
    #[must_use]
    pub(crate) fn push(&mut self, id: EventId) -> bool {
        let hash = self.hash(id);
        let Self { by_row, slots, .. } = self;
        let is_id = |slot: &Slot| slot.hash == hash && by_row.get(slot.row as usize) == Some(&id);
        let row = u32::try_from(by_row.len()).expect("under ROW_COUNT_MAX");
        match slots.entry(widened(hash), is_id, |slot| widened(slot.hash)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(slot) => {
                slot.insert(Slot { hash, row });
                by_row.push(id);
                true
            }
        }
    }

    pub(crate) fn find(&self, id: EventId) -> Option<u32> {
        self.row(self.hash(id), id)
    }

    /// The hashes that all ids have in `store`, with their rows, sorted.
    pub(crate) fn sorted_hashes(&self, store: StoreId) -> Vec<(u32, u32)> {
        let hashes = self.by_row.iter().map(|id| Key::Id(*id).hash(store));
        let mut sorted: Vec<(u32, u32)> = hashes.zip(0..).collect();
        sorted.sort_unstable();
        sorted
    }

    fn row(&self, hash: u32, id: EventId) -> Option<u32> {
        let is_id = |slot: &Slot| slot.hash == hash && self.by_row.get(slot.row as usize) == Some(&id);
        self.slots.find(widened(hash), is_id).map(|slot| slot.row)
    }

    fn hash(&self, id: EventId) -> u32 {
        let hash = self.hasher.hash_one(u128::from_le_bytes(id.0));
        u32::try_from(hash >> 32).expect("half of a hash")
    }
}

/// A hash whose low and high bits, which the table uses, both come from half of one.
fn widened(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_its_row() {
        let mut ids = Ids::default();
        let id = |row: u16| EventId(u128::from(row.wrapping_mul(40_503)).to_le_bytes());
        assert!((0..5_000).map(id).all(|id| ids.push(id)));
        assert!((0..5_000).all(|row| ids.find(id(row)) == Some(u32::from(row))));
        assert_eq!(ids.find(id(5_000)), None);
        let hashes = ids.sorted_hashes(StoreId([1; 16]));
        assert!(hashes.is_sorted() && hashes.len() == 5_000);
    }

    #[test]
    fn an_id_is_not_given_twice() {
        let mut ids = Ids::default();
        assert!(ids.push(EventId([1; 16])) && !ids.push(EventId([1; 16])));
        assert_eq!(ids.find(EventId([1; 16])), Some(0));
    }
}
