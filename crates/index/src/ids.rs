//! The ids of a growing index, and the row of each.
//!
//! Invariant: every row has an id, and no other row has the same.

use std::{hash::BuildHasher, hint::black_box};

use annals_wire::{EventId, Key, StoreId};
use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::slot::{Slot, half};

/// Ids in order of their rows, found by hash.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    by_row: Vec<EventId>,
    slots: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

impl Ids {
    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.by_row.reserve(count);
        self.slots.reserve(count, Slot::hash);
    }

    /// Gives `id`, whose half of a hash is `half`, to the next row; false where another has it.
    #[must_use]
    pub(crate) fn push(&mut self, id: EventId, half: u32) -> bool {
        let Self { by_row, slots, .. } = self;
        let is_id = |slot: &Slot| slot.half == half && by_row.get(slot.place as usize) == Some(&id);
        let place = u32::try_from(by_row.len()).expect("under ROW_COUNT_MAX");
        let slot = Slot { half, place };
        match slots.entry(slot.hash(), is_id, Slot::hash) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(slot);
                by_row.push(id);
                true
            }
        }
    }

    /// Looks where ids with these halves of hashes would be, so that giving them waits for no memory.
    pub(crate) fn touch(&self, halves: impl Iterator<Item = u32>) {
        let found = halves.filter(|half| {
            let slot = Slot { half: *half, place: 0 };
            self.slots.find(slot.hash(), |found| found.half == *half).is_some()
        });
        black_box(found.count());
    }

    pub(crate) fn find(&self, id: EventId) -> Option<u32> {
        let hash = self.half(id);
        let is_id = |slot: &Slot| slot.half == hash && self.by_row.get(slot.place as usize) == Some(&id);
        self.slots.find(Slot { half: hash, place: 0 }.hash(), is_id).map(|slot| slot.place)
    }

    /// The hashes that all ids have in `store`, with their rows, sorted.
    pub(crate) fn sorted_hashes(&self, store: StoreId) -> Vec<(u32, u32)> {
        let hashes = self.by_row.iter().map(|id| Key::Id(*id).hash(store));
        sorted_by_hash(hashes.zip(0..).collect())
    }

    /// Half of the hash of `id`.
    pub(crate) fn half(&self, id: EventId) -> u32 {
        half(self.hasher.hash_one(u128::from_le_bytes(id.0)))
    }
}

/// Pairs by hash, those of equal hashes in the order in which they are: in three passes over eleven bits each, which
/// takes a fraction of comparing them.
///
/// Source: radix sort from the least digit, Knuth, The Art of Computer Programming, volume 3, 5.2.5.
fn sorted_by_hash(mut pairs: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    const DIGIT_COUNT: usize = 1 << 11;
    let mut other = vec![(0, 0); pairs.len()];
    for shift in [0, 11, 22] {
        let digit = |hash: u32| (hash >> shift) as usize % DIGIT_COUNT;
        let mut places = [0; DIGIT_COUNT];
        for (hash, _) in &pairs {
            if let Some(count) = places.get_mut(digit(*hash)) {
                *count += 1;
            }
        }
        let mut before = 0;
        for place in &mut places {
            before += std::mem::replace(place, before);
        }
        for pair in &pairs {
            let place = places.get_mut(digit(pair.0)).expect("of a digit");
            *other.get_mut(*place).expect("a place for each") = *pair;
            *place += 1;
        }
        std::mem::swap(&mut pairs, &mut other);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ids: &mut Ids, id: EventId) -> bool {
        let half = ids.half(id);
        ids.push(id, half)
    }

    #[test]
    fn an_id_is_found_by_its_row() {
        let mut ids = Ids::default();
        let id = |row: u16| EventId(u128::from(row.wrapping_mul(40_503)).to_le_bytes());
        assert!((0..5_000).map(id).all(|id| push(&mut ids, id)));
        assert!((0..5_000).all(|row| ids.find(id(row)) == Some(u32::from(row))));
        assert_eq!(ids.find(id(5_000)), None);
        let hashes = ids.sorted_hashes(StoreId([1; 16]));
        assert!(hashes.is_sorted() && hashes.len() == 5_000);
    }

    #[test]
    fn pairs_are_sorted_by_hash_and_then_as_they_came() {
        let pair =
            |row: u32| (row.wrapping_mul(0x9e37_79b1) & [u32::MAX, 0xf00f_0000, 7][row as usize % 3], row);
        for count in [0, 1, 2, 500, 5_000] {
            let mut expected: Vec<(u32, u32)> = (0..count).map(pair).collect();
            let sorted = sorted_by_hash(expected.clone());
            expected.sort_unstable();
            assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn an_id_is_not_given_twice() {
        let mut ids = Ids::default();
        assert!(push(&mut ids, EventId([1; 16])) && !push(&mut ids, EventId([1; 16])));
        assert_eq!(ids.find(EventId([1; 16])), Some(0));
    }
}
