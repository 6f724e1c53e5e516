//! Which of the pending units outlive a power loss: deciding, and nothing done.
//!
//! Invariant: the answer follows from the units, the profile and the seed alone. Whatever survives is made
//! of what was pending: garbage only takes the place of bytes that were being written. The profiles of file
//! systems follow what images of real ones had after a cut (dm-log-writes, between two flushes).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    content::{PAGE_LEN, pieces},
    image::{Inode, Name, Unit},
    random::Random,
};

/// What a disk writes at once, or not at all.
const SECTOR_LEN: usize = 512;

/// How a file system behaves when the power goes: what of the unsynced is there afterwards.
///
/// With every profile, seed 0 loses all that was pending and seed 1 keeps all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrashProfile {
    /// All that POSIX allows: any subset of pages, lengths and names.
    StrictPosix,
    /// Names in order, and lengths in order, at times behind the names, at times cut to a page; any subset
    /// of pages. So a length may run ahead of the data, which is then zeros, and a new name may have an
    /// empty file.
    Ext4,
    /// Names in order; pages and lengths in order, at times behind the names. Never a hole.
    Btrfs,
    /// All in order up to one page; or each file in order up to one page of its own, and names in order up to
    /// some place; or any subset, and some of the pages. Of such a page the bytes up to some place arrive, or some
    /// of the sectors; the others are as before or garbage.
    Torn,
    /// Names in any order, the two halves of a rename too; any subset of pages and lengths.
    RenameReorder,
}

impl CrashProfile {
    /// All profiles.
    pub const ALL: [Self; 5] = [Self::StrictPosix, Self::Ext4, Self::Btrfs, Self::Torn, Self::RenameReorder];
}

/// The units that arrive, in order: some of the pending ones, and parts of them.
pub(super) fn survivors(profile: CrashProfile, seed: u64, pending: &[Unit]) -> Vec<Unit> {
    let mut random = Random::new(seed);
    match (seed, profile) {
        (0, _) => Vec::new(),
        (1, _) => pending.to_vec(),
        (_, CrashProfile::StrictPosix) => any_subset(pending, &mut random),
        (_, CrashProfile::Ext4) => ordered_metadata(pending, &mut random),
        (_, CrashProfile::Btrfs) => ordered(pending, &mut random),
        (_, CrashProfile::Torn) => torn(pending, &mut random),
        (_, CrashProfile::RenameReorder) => halved_renames(pending, &mut random),
    }
}

/// How many eighths of the units survive, drawn once for each crash: half of many units would hardly ever
/// be nearly none or nearly all of them.
fn eighths(random: &mut Random) -> usize {
    1 + random.below(7)
}

fn any_subset(pending: &[Unit], random: &mut Random) -> Vec<Unit> {
    let eighths = eighths(random);
    pending.iter().filter(|_| random.chance(eighths, 8)).cloned().collect()
}

/// Up to where the names survive, and up to where the files do: half the time the same place, else earlier,
/// as data is written back after the journal has the name.
fn journal_ends(pending: &[Unit], random: &mut Random) -> (usize, usize) {
    let names_end = random.below(pending.len() + 1);
    let files_end = if random.chance(1, 2) { names_end } else { random.below(names_end + 1) };
    (names_end, files_end)
}

fn ordered(pending: &[Unit], random: &mut Random) -> Vec<Unit> {
    let (names_end, files_end) = journal_ends(pending, random);
    let mut units = Vec::new();
    for (index, unit) in pending.iter().enumerate() {
        let end = if unit.content_of().is_none() { names_end } else { files_end };
        if index < end {
            push_with_length(unit, &mut units);
        }
    }
    units
}

/// A write's length unit comes after its pages: where the pages are cut off from it, the file ends where
/// they do.
fn push_with_length(unit: &Unit, units: &mut Vec<Unit>) {
    units.push(unit.clone());
    if let Unit::Write { inode, offset, bytes } = unit {
        units.push(Unit::Grow { inode: *inode, len: offset + bytes.len() as u64 });
    }
}

fn ordered_metadata(pending: &[Unit], random: &mut Random) -> Vec<Unit> {
    let (names_end, files_end) = journal_ends(pending, random);
    let eighths = eighths(random);
    let mut units = Vec::new();
    for (index, unit) in pending.iter().enumerate() {
        let survives = match unit {
            Unit::Write { .. } => random.chance(eighths, 8),
            Unit::Grow { .. } | Unit::SetLen { .. } => index < files_end,
            _ => index < names_end,
        };
        if survives {
            units.push(unit.clone());
        } else if index == files_end
            && let Unit::Grow { inode, len } = unit
        {
            units.push(Unit::Grow { inode: *inode, len: page_bound_before(*len, random) });
        }
    }
    units
}

/// One of the last page bounds before `len`: a file grows by the pages written back, wherever in a write
/// they end.
fn page_bound_before(len: u64, random: &mut Random) -> u64 {
    let pages = (len / PAGE_LEN as u64).saturating_sub(random.below(4) as u64);
    pages * PAGE_LEN as u64
}

fn halved_renames(pending: &[Unit], random: &mut Random) -> Vec<Unit> {
    let eighths = eighths(random);
    let mut units = Vec::new();
    for unit in pending {
        let [first, second] = [random.chance(eighths, 8), random.chance(eighths, 8)];
        match unit {
            // Each half is about one name, so that any order of them ends like some subset of them.
            Unit::Rename { from, to, inode } => {
                units.extend(first.then(|| Unit::Unlink { name: from.clone() }));
                let to = Name { directory: from.directory, name: to.clone() };
                units.extend(second.then_some(Unit::Link { name: to, inode: *inode }));
            }
            _ => units.extend(first.then(|| unit.clone())),
        }
    }
    units
}

/// At times all that was under way is cut at one place, as by a disk with one write at a time; at times each file
/// is cut where it is, or each page for itself, as by one with several.
fn torn(pending: &[Unit], random: &mut Random) -> Vec<Unit> {
    let writes: Vec<(usize, Inode)> = pending.iter().enumerate().filter_map(write_of).collect();
    if writes.is_empty() {
        return ordered(pending, random);
    }
    let draw = |writes: &[(usize, Inode)], random: &mut Random| {
        writes.get(random.below(writes.len())).expect("drawn below their count").0
    };
    match random.below(3) {
        0 => return torn_anywhere(pending, random),
        1 => {
            let cut = draw(&writes, random);
            return torn_at(pending, cut, &|_| cut, random);
        }
        _ => {}
    }
    let inodes: BTreeSet<Inode> = writes.iter().map(|(_, inode)| *inode).collect();
    let mut cuts = BTreeMap::new();
    for inode in inodes {
        let own: Vec<_> = writes.iter().copied().filter(|(_, written)| *written == inode).collect();
        cuts.insert(inode, draw(&own, random));
    }
    let names_end = random.below(pending.len() + 1);
    torn_at(pending, names_end, &|inode| cuts.get(&inode).copied().unwrap_or(names_end), random)
}

fn write_of((index, unit): (usize, &Unit)) -> Option<(usize, Inode)> {
    match unit {
        Unit::Write { inode, .. } => Some((index, *inode)),
        _ => None,
    }
}

/// Names up to `names_end`, and each file up to its own cut, where the page is torn if one is written there.
fn torn_at(
    pending: &[Unit],
    names_end: usize,
    cut: &dyn Fn(Inode) -> usize,
    random: &mut Random,
) -> Vec<Unit> {
    let mut units = Vec::new();
    for (index, unit) in pending.iter().enumerate() {
        let end = unit.content_of().map_or(names_end, cut);
        if index < end {
            push_with_length(unit, &mut units);
        } else if index == end
            && let Unit::Write { inode, offset, bytes } = unit
        {
            tear(*inode, *offset, bytes, random, &mut units);
        }
    }
    units
}

/// Any subset of the units, and of the pages some torn.
fn torn_anywhere(pending: &[Unit], random: &mut Random) -> Vec<Unit> {
    let (eighths, torn_eighths) = (eighths(random), eighths(random));
    let mut units = Vec::new();
    for unit in pending {
        match unit {
            Unit::Write { inode, offset, bytes } if random.chance(torn_eighths, 8) => {
                tear(*inode, *offset, bytes, random, &mut units);
            }
            _ if random.chance(eighths, 8) => units.push(unit.clone()),
            _ => {}
        }
    }
    units
}

fn tear(inode: Inode, offset: u64, bytes: &[u8], random: &mut Random, units: &mut Vec<Unit>) {
    if random.chance(1, 2) {
        cut_at_byte(inode, offset, bytes, random, units);
    } else {
        lose_sectors(inode, offset, bytes, random, units);
    }
}

fn cut_at_byte(inode: Inode, offset: u64, bytes: &[u8], random: &mut Random, units: &mut Vec<Unit>) {
    let (arrived, _) = bytes.split_at(random.below(bytes.len()));
    if !arrived.is_empty() {
        units.push(Unit::Write { inode, offset, bytes: arrived.into() });
        units.push(Unit::Grow { inode, len: offset + arrived.len() as u64 });
    }
}

/// Each sector arrives, or keeps what it had, or has garbage; how much garbage there is differs from crash
/// to crash. Bytes of the sector that were not being written stay: a disk that harms those harms what was
/// synced, and no log that appends outlives it.
fn lose_sectors(inode: Inode, offset: u64, bytes: &[u8], random: &mut Random, units: &mut Vec<Unit>) {
    let garbage_quarters = random.below(5);
    for (at, sector) in pieces(offset, bytes, SECTOR_LEN) {
        if random.chance(1, 2) {
            units.push(Unit::Write { inode, offset: at, bytes: sector.into() });
        } else if random.chance(garbage_quarters, 4) {
            let mut garbage = vec![0; sector.len()];
            random.fill(&mut garbage);
            units.push(Unit::Write { inode, offset: at, bytes: garbage.into() });
        }
    }
    units.push(Unit::Grow { inode, len: offset + bytes.len() as u64 });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Access, Directory, SimulatedDirectory};

    const SEEDS: u64 = 300;

    /// All that comes of `disk` by `profile`, each once.
    fn outcomes(disk: &SimulatedDirectory, profile: CrashProfile) -> Vec<SimulatedDirectory> {
        let mut seen = BTreeSet::new();
        let crashed = (0..SEEDS).map(|seed| disk.crash(profile, seed));
        crashed.filter(|image| seen.insert(image.digest())).collect()
    }

    /// A disk with the synced file `log`, and `bytes` appended to it since.
    fn appended(bytes: &[u8]) -> SimulatedDirectory {
        let disk = SimulatedDirectory::new();
        let log = disk.create("log").unwrap();
        log.write_all_at(b"synced", 0).unwrap();
        log.sync_data().unwrap();
        disk.sync().unwrap();
        log.write_all_at(bytes, 6).unwrap();
        disk
    }

    #[test]
    fn what_was_synced_survives_every_profile_and_seed() {
        let disk = appended(&[7; 9000]);
        disk.open("log", Access::Write).unwrap().write_all_at(&[8; 700], 5000).unwrap();
        disk.create("other").unwrap();
        for profile in CrashProfile::ALL {
            let images = outcomes(&disk, profile);
            assert!(images.len() > 5, "{profile:?} gives {} images", images.len());
            for image in images {
                assert!(image.file("log").unwrap().starts_with(b"synced"), "{profile:?}");
                assert_eq!(image.pending_count(), 0);
            }
        }
    }

    #[test]
    fn seed_0_loses_and_seed_1_keeps_all_that_was_pending() {
        let disk = appended(b" and not");
        disk.rename("log", "renamed").unwrap();
        disk.create("other").unwrap();
        for profile in CrashProfile::ALL {
            let none = disk.crash(profile, 0);
            assert_eq!(none.names(), ["log"]);
            assert_eq!(none.file("log").unwrap(), b"synced");
            let all = disk.crash(profile, 1);
            assert_eq!(all.names(), ["other", "renamed"]);
            assert_eq!(all.file("renamed").unwrap(), b"synced and not");
            assert_eq!(all.digest(), disk.digest());
        }
    }

    #[test]
    fn a_crash_follows_from_state_profile_and_seed_and_changes_nothing() {
        let (disk, same) = (appended(&[7; 20_000]), appended(&[7; 20_000]));
        for profile in CrashProfile::ALL {
            for seed in 0..SEEDS {
                assert_eq!(disk.crash(profile, seed).digest(), same.crash(profile, seed).digest());
            }
        }
        assert_eq!(disk.pending_count(), same.pending_count());
        assert_eq!(disk.digest(), same.digest());
    }

    #[test]
    fn a_name_that_was_not_synced_may_vanish_although_its_bytes_were() {
        let disk = SimulatedDirectory::new();
        let file = disk.create("new").unwrap();
        file.write_all_at(b"bytes", 0).unwrap();
        file.sync_data().unwrap();
        for profile in CrashProfile::ALL {
            let images = outcomes(&disk, profile);
            assert!(images.iter().any(|image| image.names().is_empty()), "{profile:?}");
            assert!(images.iter().any(|image| image.file("new").is_some_and(|bytes| bytes == b"bytes")));
            assert_eq!(images.len(), 2, "{profile:?}");
        }
    }

    /// A synced `old`, and a synced `new` renamed over it since.
    fn renamed_over() -> SimulatedDirectory {
        let disk = SimulatedDirectory::new();
        disk.write_file("old", "before");
        disk.write_file("new", "after");
        disk.rename("new", "old").unwrap();
        disk
    }

    #[test]
    fn a_rename_that_was_not_synced_gives_the_old_or_the_new() {
        for profile in
            [CrashProfile::StrictPosix, CrashProfile::Ext4, CrashProfile::Btrfs, CrashProfile::Torn]
        {
            let contents: BTreeSet<_> = outcomes(&renamed_over(), profile)
                .iter()
                .map(|image| (image.names(), image.file("old")))
                .collect();
            let both = vec!["new".to_owned(), "old".to_owned()];
            let one = vec!["old".to_owned()];
            let expected = [(both, Some(b"before".to_vec())), (one, Some(b"after".to_vec()))];
            assert_eq!(contents, BTreeSet::from(expected), "{profile:?}");
        }
    }

    #[test]
    fn the_halves_of_a_rename_may_come_apart() {
        let images = outcomes(&renamed_over(), CrashProfile::RenameReorder);
        assert_eq!(images.len(), 4);
        assert!(
            images.iter().any(|image| image.names() == ["old"] && image.file("old").unwrap() == b"before")
        );
        assert!(
            images
                .iter()
                .any(|image| image.names() == ["new", "old"] && image.file("old").unwrap() == b"after")
        );
    }

    #[test]
    fn a_rename_may_be_durable_before_the_bytes() {
        let disk = SimulatedDirectory::new();
        let file = disk.create("temporary").unwrap();
        file.write_all_at(&[7; 6000], 0).unwrap();
        disk.rename("temporary", "final").unwrap();
        for profile in CrashProfile::ALL {
            let lacks_bytes =
                |image: &SimulatedDirectory| image.file("final").is_some_and(|bytes| bytes != [7; 6000]);
            assert!(outcomes(&disk, profile).iter().any(lacks_bytes), "{profile:?}");
        }
    }

    /// Whether some image has zeros where bytes were written, and written bytes after them.
    fn has_hole(disk: &SimulatedDirectory, profile: CrashProfile) -> bool {
        outcomes(disk, profile).iter().any(|image| {
            let bytes = image.file("log").unwrap();
            let zero = bytes.iter().position(|byte| *byte == 0);
            zero.is_some_and(|zero| bytes[zero..].contains(&7))
        })
    }

    #[test]
    fn only_some_file_systems_leave_holes() {
        let disk = appended(&[7; 20_000]);
        assert!(has_hole(&disk, CrashProfile::StrictPosix));
        assert!(has_hole(&disk, CrashProfile::Ext4));
        assert!(!has_hole(&disk, CrashProfile::Btrfs));
    }

    #[test]
    fn an_ext4_file_may_end_with_zeros_up_to_a_page() {
        let images = outcomes(&appended(&[7; 20_000]), CrashProfile::Ext4);
        let ends = images.iter().map(|image| image.file("log").unwrap());
        assert!(ends.filter(|bytes| bytes.ends_with(&[0])).any(|bytes| bytes.len() == 16_384));
    }

    #[test]
    fn a_torn_page_is_cut_at_any_byte_or_has_old_sectors_or_garbage() {
        let images = outcomes(&appended(&[7; 20_000]), CrashProfile::Torn);
        let logs: Vec<Vec<u8>> = images.iter().map(|image| image.file("log").unwrap()).collect();
        assert!(logs.iter().any(|log| log.len() % 512 != 0 && log[6..].iter().all(|byte| *byte == 7)));
        assert!(logs.iter().any(|log| log.contains(&0)));
        assert!(logs.iter().any(|log| log[6..].iter().any(|byte| *byte != 0 && *byte != 7)));
    }

    #[test]
    fn two_files_may_be_torn_at_once_and_two_pages_of_one() {
        let disk = SimulatedDirectory::new();
        for name in ["one", "other"] {
            disk.write_file(name, [0; 8192]);
            disk.open(name, Access::Write).unwrap().write_all_at(&[7; 8192], 0).unwrap();
        }
        let is_torn = |image: &SimulatedDirectory, name, page: usize| {
            let bytes = image.file(name).unwrap();
            let page = &bytes[page * PAGE_LEN..][..PAGE_LEN];
            page.contains(&7) && page.iter().any(|byte| *byte != 7)
        };
        let images = outcomes(&disk, CrashProfile::Torn);
        assert!(images.iter().any(|image| is_torn(image, "one", 0) && is_torn(image, "other", 0)));
        assert!(images.iter().any(|image| is_torn(image, "one", 0) && is_torn(image, "one", 1)));
    }
}
