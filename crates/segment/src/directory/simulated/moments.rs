//! What a campaign of power losses asks of a disk beside its own operations: how it was at each moment, what of
//! the pending makes a difference, and what tells images apart.
//!
//! Invariant: asking changes nothing that an operation or a crash could tell.

use std::mem;

use super::{
    SimulatedDirectory,
    content::is_zero,
    image::{Inode, Unit},
    state::State,
};

impl SimulatedDirectory {
    /// Keeps from now on how the disk was before each operation that changes it, for [`Self::moments`].
    pub fn remember(&self) {
        self.disk.state().moments = Some(Vec::new());
    }

    /// The disk as it was before each operation since [`Self::remember`], and last as it is now, each as a
    /// killed process leaves it: a run of a program gives all the moments at which its power may go. What was
    /// remembered is handed out once.
    #[must_use]
    pub fn moments(&self) -> Vec<Self> {
        let mut state = self.disk.state();
        let mut moments = mem::take(&mut state.moments).unwrap_or_default();
        moments.push(state.after_kill());
        moments.into_iter().map(Self::with).collect()
    }

    /// The numbers of the pending units that make a difference, for [`Self::crash_subset`]: all but those of the
    /// bytes and lengths of the files `but`, and but those that write zeros where only zeros are and arrive.
    #[must_use]
    pub fn pending_units(&self, but: &[&str]) -> Vec<usize> {
        let state = self.disk.state();
        let left_out: Vec<Inode> = but.iter().filter_map(|name| state.cached.find_path(name).ok()).collect();
        let counts = |unit: &Unit| {
            !unit.content_of().is_some_and(|inode| left_out.contains(&inode)) && !writes_nothing(unit, &state)
        };
        let pending = state.pending.iter().enumerate();
        pending.filter(|(_, unit)| counts(unit)).map(|(index, _)| index).collect()
    }

    /// As [`Self::digest`], but of the files `but`: for those that mean nothing once their process is gone.
    #[must_use]
    pub fn digest_without(&self, but: &[&str]) -> u64 {
        self.disk.state().cached.digest(but)
    }

    /// The paths of the files that this disk and `other` do not both have with the same bytes, sorted.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let other = other.disk.state().cached.clone();
        self.disk.state().cached.differing(&other)
    }
}

/// Whether the unit writes zeros where there are zeros, whichever other units arrive.
fn writes_nothing(unit: &Unit, state: &State) -> bool {
    let Unit::Write { inode, offset, bytes } = unit else { return false };
    let end = offset + bytes.len() as u64;
    let fills = |other: &Unit| match other {
        Unit::Write { inode: written, offset: start, bytes } => {
            written == inode && *start < end && *offset < start + bytes.len() as u64 && !is_zero(bytes)
        }
        _ => false,
    };
    is_zero(bytes)
        && state.durable.is_zero_at(*inode, *offset, bytes.len())
        && !state.pending.iter().any(fills)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::directory::{Access, CrashProfile, Directory};

    #[test]
    fn a_moment_is_the_disk_at_which_the_power_would_have_gone() {
        let run = |disk: &SimulatedDirectory| {
            let file = disk.create("a")?;
            file.write_all_at(&[7; 5000], 0)?;
            file.sync_data()?;
            disk.sync()?;
            file.set_len(100)?;
            disk.rename("a", "b")
        };
        let disk = SimulatedDirectory::new();
        disk.remember();
        run(&disk).unwrap();
        let moments = disk.moments();
        assert_eq!(moments.len(), 7);
        for (stop, moment) in (0..).zip(moments) {
            let stopped = SimulatedDirectory::new();
            stopped.stop_before(stop);
            assert_eq!(run(&stopped).is_err(), stop < 6);
            for seed in 0..20 {
                let [one, other] =
                    [&moment, &stopped].map(|disk| disk.crash(CrashProfile::StrictPosix, seed).digest());
                assert_eq!(one, other);
            }
        }
        assert_eq!(disk.moments().len(), 1);
    }

    #[test]
    fn files_differ_by_what_can_be_read_of_them() {
        let disk = SimulatedDirectory::new();
        for name in ["same", "changed", "removed", "grown"] {
            disk.write_file(name, [7; 5000]);
        }
        let other = disk.kill();
        assert!(disk.differing(&other).is_empty());
        other.write_file("same", [7; 5000]);
        other.open("changed", Access::Write).unwrap().write_all_at(b"x", 4999).unwrap();
        other.open("grown", Access::Write).unwrap().set_len(9000).unwrap();
        other.remove("removed").unwrap();
        other.create("new").unwrap();
        for (one, other) in [(&disk, &other), (&other, &disk)] {
            assert_eq!(one.differing(other), ["changed", "grown", "new", "removed"]);
        }
    }

    #[test]
    fn units_that_make_no_difference_are_not_among_those_that_do() {
        let disk = SimulatedDirectory::new();
        disk.write_file("other", "bytes");
        let (file, other) = (disk.create("a").unwrap(), disk.create("left out").unwrap());
        disk.sync().unwrap();
        // Two pages and a length; zeros over nothing, and their length; zeros over bytes under way.
        file.write_all_at(&[7; 5000], 0).unwrap();
        file.write_all_at(&[0; 8192], 8192).unwrap();
        file.write_all_at(&[0; 8], 16).unwrap();
        other.write_all_at(b"bytes", 0).unwrap();
        let units = disk.pending_units(&["left out", "not there"]);
        assert_eq!(units, [0, 1, 2, 5, 6]);
        let digests = |units: &[usize]| -> BTreeSet<u64> {
            let images = (0..1_u32 << units.len()).map(|subset| {
                disk.crash_subset(|unit| {
                    units.iter().position(|of| *of == unit).is_some_and(|at| subset >> at & 1 == 1)
                })
            });
            images.map(|image| image.digest_without(&["left out"])).collect()
        };
        let all: Vec<usize> = (0..disk.pending_count()).collect();
        assert_eq!(digests(&units), digests(&all));
    }
}
