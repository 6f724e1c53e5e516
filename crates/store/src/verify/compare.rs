//! Bytes that were found, beside those that the frames give.
//!
//! Invariant: what a crash leaves of a write is told from what changed since.

/// The least that a disk writes at once.
const SECTOR_LEN: usize = 512;

/// Whether a footer that begins at `start` of its file is what a crash leaves of one that is being written: every
/// sector is as it should be, or absent, or zeros.
pub(super) fn is_unfinished(expected: &[u8], found: &[u8], start: u64) -> bool {
    let lead = usize::try_from(start % SECTOR_LEN as u64).unwrap_or(0);
    let sectors = (0..expected.len().max(found.len()) + lead).step_by(SECTOR_LEN);
    found != expected
        && sectors.map(|sector| sector.saturating_sub(lead)..sector + SECTOR_LEN - lead).all(|sector| {
            let part = |bytes: &[u8]| {
                bytes.get(sector.start..sector.end.min(bytes.len())).unwrap_or_default().to_vec()
            };
            let (expected, found) = (part(expected), part(found));
            let is_zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
            is_zeros(&found)
                || expected.starts_with(&found)
                || found.strip_prefix(&expected[..]).is_some_and(is_zeros)
        })
}

/// The first place at which the bytes found are not those expected.
pub(super) fn first_difference(expected: &[u8], found: &[u8]) -> Option<u64> {
    if expected == found {
        return None;
    }
    let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    Some(same as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_that_a_crash_cut_short_is_unfinished_and_a_changed_one_is_not() {
        let expected: Vec<u8> = (0..4000_u32).map(|number| (number % 251) as u8 + 1).collect();
        for start in [1024, 1032] {
            assert!(!is_unfinished(&expected, &expected, start), "it is whole");
            for len in (0..expected.len()).step_by(7) {
                assert!(is_unfinished(&expected, &expected[..len], start), "cut to {len}");
            }
            let lead = usize::try_from(start % 512).unwrap();
            let mut holed = expected.clone();
            holed[1024 - lead..1536 - lead].fill(0);
            assert!(is_unfinished(&expected, &holed, start), "a sector is missing");
            holed.extend([0; 700]);
            assert!(is_unfinished(&expected, &holed, start), "and zeros are behind it");
            for place in (0..expected.len()).step_by(13) {
                let mut changed = expected.clone();
                changed[place] ^= 0x80;
                assert!(!is_unfinished(&expected, &changed, start), "byte {place} is another");
                changed[place] = 0;
                assert!(
                    !is_unfinished(&expected, &changed, start),
                    "byte {place} is zero, and its sector is not"
                );
            }
            let longer = [&expected[..], &[7; 8]].concat();
            assert!(!is_unfinished(&expected, &longer, start), "something is behind it");
        }
    }
}
