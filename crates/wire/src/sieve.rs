//! The sieve of a table that is sorted by hash: whether a hash is there, and near which entry, in one line of a
//! processor's cache.
//!
//! The hashes that there can be are divided evenly among the lines, and those of a line among the first half of its
//! bits. A line says how many entries lie before it, and has two bits set for each hash of them that is there: that one,
//! and one of the other half that follows from other bits of the hash.
//!
//! Invariant: where one of a hash's bits is not set, the table has no entry of it. Where both are set the table is asked:
//! other hashes may have the bits as well. No entry before the place that a line gives has the hash.
//!
//! Layout: docs/format.md, "Sieve".

/// The bytes of a line of a sieve.
pub const SIEVE_LINE_LEN: usize = 64;

/// For so many entries there is a line: 11.2 bits each, so that of hashes that are not there one in 36 has both of its
/// bits set.
const ENTRIES_PER_LINE: u64 = 40;
const BITS_AT: usize = 8;
/// The bits of a half.
const HALF_BITS: usize = (SIEVE_LINE_LEN - BITS_AT) * 8 / 2;

/// What a hash is multiplied with for its other bit: 2^32 by the golden ratio.
const OTHER_FACTOR: u32 = 0x9e37_79b1;

/// A line of a sieve.
pub type SieveLine = [u8; SIEVE_LINE_LEN];

/// Where a sieve has the bit of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SievePlace {
    line: u64,
    /// Which bit of the first half, and which of the line that is of the second.
    bit: usize,
    other: usize,
}

impl SievePlace {
    /// The place of `hash` in the sieve of `entry_count` entries; `None` where there are none.
    #[must_use]
    #[inline]
    pub fn new(hash: u32, entry_count: u64) -> Option<Self> {
        if entry_count == 0 {
            return None;
        }
        let scaled = u128::from(hash) * u128::from(Self::line_count(entry_count));
        let line = u64::try_from(scaled >> 32).unwrap_or(u64::MAX);
        let share = |of: u64| usize::try_from(((of & u64::from(u32::MAX)) * HALF_BITS as u64) >> 32);
        let bit = share(u64::try_from(scaled & u128::from(u32::MAX)).unwrap_or_default());
        let other = share(u64::from(hash.wrapping_mul(OTHER_FACTOR)));
        Some(Self { line, bit: bit.unwrap_or_default(), other: HALF_BITS + other.unwrap_or_default() })
    }

    /// How many lines the sieve of `entry_count` entries has.
    #[must_use]
    #[inline]
    pub fn line_count(entry_count: u64) -> u64 {
        entry_count.div_ceil(ENTRIES_PER_LINE)
    }

    /// The number of its line.
    #[must_use]
    #[inline]
    pub fn line(self) -> u64 {
        self.line
    }

    /// Whether its bits are set in `line`.
    #[must_use]
    #[inline]
    pub fn is_set(self, line: &SieveLine) -> bool {
        let bit = |bit: usize| word(line, 1 + bit / 64) >> (bit % 64);
        bit(self.bit) & bit(self.other) & 1 != 0
    }

    /// An entry before which, according to `line`, none has the hash. It is near the first that has.
    #[must_use]
    #[inline]
    pub fn first_entry(self, line: &SieveLine) -> usize {
        let whole: u32 = (1..=self.bit / 64).map(|number| word(line, number).count_ones()).sum();
        let part = word(line, 1 + self.bit / 64) & ((1 << (self.bit % 64)) - 1);
        let before = u64::from(whole + part.count_ones());
        usize::try_from(word(line, 0).saturating_add(before)).unwrap_or(usize::MAX)
    }

    fn set(self, line: &mut SieveLine) {
        for bit in [self.bit, self.other] {
            if let Some(byte) = line.get_mut(BITS_AT + bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

/// A look at a sieve that was not taken yet: so that many can be taken at once, of which none waits for another.
#[derive(Debug, Clone, Copy)]
pub struct SieveLook<'a> {
    place: SievePlace,
    line: &'a SieveLine,
}

impl<'a> SieveLook<'a> {
    /// The look at `place`, which is in `line`.
    #[must_use]
    #[inline]
    pub fn new(place: SievePlace, line: &'a SieveLine) -> Self {
        Self { place, line }
    }

    /// Whether there may be an entry with the hash.
    #[must_use]
    #[inline]
    pub fn take(self) -> bool {
        self.place.is_set(self.line)
    }

    /// An entry near the first with the hash; `None` where there is none.
    #[must_use]
    #[inline]
    pub fn first_entry(self) -> Option<usize> {
        if self.take() { Some(self.place.first_entry(self.line)) } else { None }
    }
}

#[inline]
fn word(line: &SieveLine, number: usize) -> u64 {
    line.get(number * 8..).and_then(|bytes| bytes.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Makes a sieve of hashes as they come, in order.
#[derive(Debug, Clone)]
pub struct SieveBuilder {
    entry_count: u64,
    /// How many hashes came until now.
    seen: u64,
    /// The line that is being filled, and its number.
    line: SieveLine,
    number: u64,
}

impl SieveBuilder {
    /// For the sieve of `entry_count` entries.
    #[must_use]
    pub fn new(entry_count: u64) -> Self {
        Self { entry_count, seen: 0, line: [0; SIEVE_LINE_LEN], number: 0 }
    }

    /// Takes the hash of the next entry; puts the lines that are whole into `out`.
    ///
    /// # Panics
    /// Where there were to be no entries.
    pub fn push(&mut self, hash: u32, out: &mut Vec<u8>) {
        let place = SievePlace::new(hash, self.entry_count).expect("the entries that were counted");
        while self.number < place.line {
            self.next_line(out);
        }
        place.set(&mut self.line);
        self.seen += 1;
    }

    /// Puts what is left.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        while self.number < SievePlace::line_count(self.entry_count) {
            self.next_line(out);
        }
    }

    fn next_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.line);
        self.number += 1;
        self.line = [0; SIEVE_LINE_LEN];
        let start = self.line.first_chunk_mut().expect("a line is longer");
        *start = self.seen.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, StoreId};

    fn sieve(hashes: &[u32]) -> Vec<u8> {
        let (mut builder, mut out) = (SieveBuilder::new(hashes.len() as u64), Vec::new());
        hashes.iter().for_each(|hash| builder.push(*hash, &mut out));
        builder.finish(&mut out);
        assert_eq!(out.len() as u64, SievePlace::line_count(hashes.len() as u64) * 64);
        out
    }

    fn sift(sieve: &[u8], count: usize, hash: u32) -> (bool, usize) {
        let place = SievePlace::new(hash, count as u64).unwrap();
        let line = sieve.as_chunks().0.get(usize::try_from(place.line()).unwrap()).unwrap();
        (place.is_set(line), place.first_entry(line))
    }

    fn hashes(count: u32) -> Vec<u32> {
        let hash = |number: u32| Key::Tag(&number.to_string()).hash(StoreId([7; 16]));
        let mut hashes: Vec<u32> = (0..count).map(hash).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn every_hash_that_is_there_is_found_behind_the_place_given() {
        let many = [vec![0, 0, 0, 9, u32::MAX, u32::MAX], vec![5; 500], (0..400).collect(), hashes(10_000)];
        for hashes in many {
            let sieve = sieve(&hashes);
            for wanted in &hashes {
                let (is_set, start) = sift(&sieve, hashes.len(), *wanted);
                let first = hashes.partition_point(|hash| hash < wanted);
                assert!(is_set && start <= first, "{wanted}: {start}, is at {first}");
            }
        }
    }

    #[test]
    fn of_hashes_that_are_not_there_one_in_36_has_its_bits_and_the_place_is_near() {
        let hashes = hashes(50_000);
        let sieve = sieve(&hashes);
        let (mut set, mut distance) = (0_usize, 0);
        for wanted in (0..50_000_u32).map(|number| number * 85_899) {
            let (is_set, start) = sift(&sieve, hashes.len(), wanted);
            set += usize::from(is_set);
            distance += hashes.partition_point(|hash| *hash < wanted) - start;
        }
        assert!((1_200..1_700).contains(&set), "{set} of 50,000");
        assert!(distance < 50_000 * 6, "{distance} entries in all");
    }

    #[test]
    fn no_entries_have_no_sieve() {
        assert_eq!(sieve(&[]), []);
        assert_eq!(SievePlace::new(5, 0), None);
    }
}
