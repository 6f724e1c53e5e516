//! What events are found by, and the short hash of it that indexes are sorted by.
//!
//! Invariant: equal keys of one store have equal hashes, in every segment and every run. The hash only says
//! where to look: what is found there is compared in full. It is keyed by the store's id, so that who brings
//! ids or names cannot choose ones that meet without knowing it.
//!
//! Source: SipHash, Aumasson and Bernstein, 2012. Layout: docs/format.md, "Key hash".

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use crate::{EventId, Kind, StoreId};

/// What an event can be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Key<'a> {
    /// Its id.
    Id(EventId),
    /// Its coordinate, on whichever lane.
    Coordinate {
        /// The scope.
        scope: &'a str,
        /// The entity.
        entity: &'a str,
    },
    /// Its kind.
    Kind(Kind),
    /// Its scope.
    Scope(&'a str),
    /// A tag of it.
    Tag(&'a str),
    /// Its correlation, where that is not its own id.
    Correlation(EventId),
    /// Its causation.
    Causation(EventId),
}

impl Key<'_> {
    /// The hash of this key in `store`.
    #[must_use]
    pub fn hash(&self, store: StoreId) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&store.0);
        match self {
            Self::Id(id) => put_id(&mut hasher, 1, *id),
            Self::Coordinate { scope, entity } => {
                put(&mut hasher, 2, scope.as_bytes());
                // No text contains a zero byte, so two coordinates never give the same bytes.
                put(&mut hasher, 0, entity.as_bytes());
            }
            Self::Kind(kind) => put(&mut hasher, 3, &kind.number().to_le_bytes()),
            Self::Scope(scope) => put(&mut hasher, 4, scope.as_bytes()),
            Self::Tag(tag) => put(&mut hasher, 5, tag.as_bytes()),
            Self::Correlation(id) => put_id(&mut hasher, 6, *id),
            Self::Causation(id) => put_id(&mut hasher, 7, *id),
        }
        u32::try_from(hasher.finish() >> 32).expect("half of a hash")
    }
}

fn put(hasher: &mut SipHasher13, table: u8, bytes: &[u8]) {
    hasher.write(&[table]);
    hasher.write(bytes);
}

/// The same as [`put`], in one piece: there are more ids than anything else.
fn put_id(hasher: &mut SipHasher13, table: u8, id: EventId) {
    let mut bytes = [table; 17];
    if let Some(place) = bytes.last_chunk_mut() {
        *place = id.0;
    }
    hasher.write(&bytes);
}

/// The first of `count` sorted numbers that is `wanted` or larger, looked for from `guess` on in growing steps, and
/// then in halves: whatever lies there it is found, and soon where the guess was good.
///
/// Source: growing steps, Bentley and Yao, 1976.
///
/// # Errors
/// What `at` returns.
pub(crate) fn lower_bound<E>(
    count: usize,
    guess: usize,
    wanted: u64,
    mut at: impl FnMut(usize) -> Result<u64, E>,
) -> Result<usize, E> {
    let Some(last) = count.checked_sub(1) else { return Ok(0) };
    let guess = guess.min(last);
    let (mut low, mut high, mut step) = (0, count, STEP);
    if at(guess)? < wanted {
        low = guess + 1;
        while let Some(next) = low.checked_add(step).filter(|next| *next < high) {
            if at(next)? >= wanted {
                high = next;
                break;
            }
            (low, step) = (next + 1, step * 2);
        }
    } else {
        high = guess;
        while let Some(next) = high.checked_sub(step) {
            if at(next)? < wanted {
                low = next + 1;
                break;
            }
            (high, step) = (next, step * 2);
        }
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if at(middle)? < wanted { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// The first step from there: what lies in the same line of the processor's cache.
const STEP: usize = 8;

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible};

    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    #[test]
    fn the_same_bytes_in_another_table_or_store_have_another_hash() {
        let id = EventId([0x61; 16]);
        let text = "aaaaaaaaaaaaaaaa";
        let keys = [
            Key::Id(id),
            Key::Correlation(id),
            Key::Causation(id),
            Key::Scope(text),
            Key::Tag(text),
            Key::Coordinate { scope: "a", entity: "bc" },
            Key::Coordinate { scope: "ab", entity: "c" },
            Key::Kind(Kind::new(0x1001).unwrap()),
        ];
        let mut hashes: Vec<u32> = keys.iter().map(|key| key.hash(STORE)).collect();
        hashes.extend(keys.iter().map(|key| key.hash(StoreId([8; 16]))));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 16);
    }

    fn bound(sorted: &[u32], guess: usize, wanted: u32) -> (usize, usize) {
        let looks = Cell::new(0);
        let found = lower_bound(sorted.len(), guess, wanted.into(), |place| {
            looks.set(looks.get() + 1);
            Ok::<_, Infallible>(sorted[place].into())
        });
        (found.unwrap(), looks.get())
    }

    #[test]
    fn a_lower_bound_is_found_in_any_sorted_list() {
        let even: Vec<u32> = (0..1_000_u32).map(|place| place * 4_294_967).collect();
        let lists = [vec![], vec![5], vec![0; 70], vec![u32::MAX; 9], (0..99).collect(), even];
        for list in lists {
            let wanted = list.iter().flat_map(|hash| [hash.saturating_sub(1), *hash, hash.saturating_add(1)]);
            for wanted in wanted.chain([0, 1, u32::MAX]) {
                let expected = list.partition_point(|hash| *hash < wanted);
                for guess in [0, 7, expected, list.len(), usize::MAX] {
                    assert_eq!(bound(&list, guess, wanted).0, expected, "{wanted} from {guess} in {list:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_near_is_found_in_a_few_looks() {
        let sorted: Vec<u32> = (0..200_000).collect();
        for (distance, looks_max) in [(0, 6), (8, 8), (100, 13)] {
            for guess in [100_000 - distance, 100_000 + distance] {
                let (found, looks) = bound(&sorted, guess, 100_000);
                assert!(found == 100_000 && looks <= looks_max, "{looks} looks from {guess}");
            }
        }
    }
}
