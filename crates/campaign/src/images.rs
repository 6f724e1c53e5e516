//! What a power loss may make of a disk: every subset of what is pending where that is little, chosen ones where
//! it is much, and samples of every profile.
//!
//! Invariant: what is chosen follows from the disk and the seed alone. Bytes of the lock and the frontier, which
//! mean nothing once their process is gone and are never synced, are not among the units of subsets: they come
//! and go with them, and profiles lose any part of them.

use std::fmt;

use annals::disk::SimulatedDirectory;
use annals_segment::CrashProfile;

use crate::{flaw::Flaw, random::mix, tally::Sort};

/// Files that mean nothing once their process is gone.
pub(crate) const PASSING: [&str; 2] = ["LOCK", "FRONTIER"];

/// How thoroughly the images of one moment are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Width {
    /// Up to how many units every subset is tried.
    pub(crate) units_max: usize,
    /// How many subsets are drawn where there are more.
    pub(crate) drawn: u64,
    /// How many seeds each profile gets, beside none and all of the units.
    pub(crate) seeds: u64,
}

/// One image: how it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    Subset { kept: u128, of: usize },
    Profile(CrashProfile, u64),
}

impl Made {
    pub(crate) fn sort(self) -> Sort {
        match self {
            Self::Subset { .. } => Sort::Subsets,
            Self::Profile(profile, _) => Sort::of(profile),
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subset { kept, of } => write!(f, "of {of} pending units those in {kept:#b}"),
            Self::Profile(profile, seed) => write!(f, "{profile:?} with seed {seed:#x}"),
        }
    }
}

/// Shows `visit` what a power loss now may make of `disk`.
pub(crate) fn images(
    disk: &SimulatedDirectory,
    width: Width,
    seed: u64,
    visit: &mut dyn FnMut(Made, SimulatedDirectory) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let mut visit = |made: Made, image| visit(made, image).map_err(|flaw| flaw.within(made));
    for number in 0..width.seeds {
        for profile in CrashProfile::ALL {
            // The first two of a profile's seeds are none and all, which the subsets have.
            let seed = mix(seed.wrapping_add(number)).max(2);
            visit(Made::Profile(profile, seed), disk.crash(profile, seed))?;
        }
    }
    let units = disk.pending_units(&PASSING);
    for kept in subsets(units.len(), width, seed) {
        visit(Made::Subset { kept, of: units.len() }, subset(disk, &units, kept))?;
    }
    Ok(())
}

/// A few images of a moment: with nothing, with everything, with torn pages, and `count` more of any profile.
pub(crate) fn few(
    disk: &SimulatedDirectory,
    count: u64,
    seed: u64,
    visit: &mut dyn FnMut(Made, SimulatedDirectory) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let drawn = (0..=count).map(|number| {
        let seed = mix(seed.wrapping_add(number)).max(2);
        let any = profile(seed >> 32);
        Made::Profile(if number == 0 { CrashProfile::Torn } else { any }, seed)
    });
    let ends = [0, 1].map(|seed| Made::Profile(CrashProfile::StrictPosix, seed));
    for made in ends.into_iter().chain(drawn) {
        if let Made::Profile(profile, seed) = made {
            visit(made, disk.crash(profile, seed)).map_err(|flaw| flaw.within(made))?;
        }
    }
    Ok(())
}

/// One of the profiles.
pub(crate) fn profile(number: u64) -> CrashProfile {
    let mut profiles = CrashProfile::ALL.into_iter().cycle();
    let at = usize::try_from(number % CrashProfile::ALL.len() as u64).unwrap_or_default();
    profiles.nth(at).unwrap_or(CrashProfile::StrictPosix)
}

/// Which of `count` units are kept: all subsets, or where there are too many none, all, each only one, each all
/// but one, and some that are drawn.
fn subsets(count: usize, width: Width, seed: u64) -> Vec<u128> {
    if count <= width.units_max {
        return (0..1 << count).collect();
    }
    let all = u128::MAX >> (128 - count.min(128));
    let single = (0..count.min(128)).map(|unit| 1_u128 << unit);
    let drawn = (0..width.drawn).map(|number| {
        let half = |salt: u64| u128::from(mix(seed ^ mix(number.wrapping_add(salt))));
        (half(0) << 64 | half(1 << 32)) & all
    });
    let mut subsets = vec![0, all];
    subsets.extend(single.clone());
    subsets.extend(single.map(|unit| all & !unit));
    subsets.extend(drawn);
    subsets
}

fn subset(disk: &SimulatedDirectory, units: &[usize], kept: u128) -> SimulatedDirectory {
    let low = u64::try_from(kept & u128::from(u64::MAX)).unwrap_or_default();
    let keeps_passing = mix(low) & 1 == 1;
    disk.crash_subset(|unit| match units.binary_search(&unit) {
        // More than there are bits: a long history without a sync, of which the rest stays together.
        Ok(at) => kept >> at.min(127) & 1 == 1,
        Err(_) => keeps_passing,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_units_have_all_subsets_and_many_have_chosen_ones() {
        let width = Width { units_max: 4, drawn: 64, seeds: 0 };
        assert_eq!(subsets(0, width, 1), [0]);
        assert_eq!(subsets(4, width, 1), (0..16).collect::<Vec<_>>());
        let chosen = subsets(11, width, 1);
        assert_eq!(chosen.len(), 2 + 11 + 11 + 64);
        assert!(chosen.iter().all(|subset| *subset < 1 << 11));
        assert!(chosen.iter().collect::<BTreeSet<_>>().len() > 80);
        assert!(subsets(200, width, 1).contains(&u128::MAX));
    }
}
