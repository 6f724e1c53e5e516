//! A kind of fault: what it needs of the machine, its points, and what is done at a point.
//!
//! Invariant: a point follows from the seed and its number, so that it can be run alone.

use std::path::Path;

use super::{
    bench::{Bench, Place},
    errors,
    flaw::Flaw,
    kills, lost_sync, refusals, space,
};

/// What a point came to, when all was as it must be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// Whether the fault came while the program ran.
    pub(super) has_landed: bool,
    /// Whether the store failed with a typed error.
    pub(super) has_failed: bool,
    /// How many events were promised, and are there.
    pub(super) promised: u64,
}

/// What is done at a point.
pub(super) type Attempt = Box<dyn Fn(&Bench, &mut Place) -> Result<Found, Flaw> + Send + Sync>;

/// One fault at one moment.
pub(super) struct Point {
    pub(super) name: String,
    pub(super) attempt: Attempt,
}

/// What a kind of fault takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Root,
    Loops,
    Program(&'static str, &'static str),
}

pub(super) const STRACE: Need = Need::Program("strace", "strace");

impl Need {
    /// What is to be done to have it; `None` where it is there.
    pub(super) fn missing(self, is_root: bool) -> Option<String> {
        match self {
            Self::Root => (!is_root).then(|| "mounts take root: run it with sudo".to_owned()),
            Self::Loops => (!Path::new("/dev/loop-control").exists())
                .then(|| "no loop devices: modprobe loop, or run it outside of a container".to_owned()),
            Self::Program(name, package) => {
                let is_there = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
                    .iter()
                    .any(|directory| Path::new(directory).join(name).exists());
                (!is_there).then(|| format!("no {name}: apt-get install {package}"))
            }
        }
    }
}

/// A kind of fault.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What happens, for the summary.
    pub(super) what: &'static str,
    pub(super) needs: &'static [Need],
    /// All its points; a quick campaign takes some of them.
    pub(super) points: fn(&Bench, &mut Place) -> Result<Vec<Point>, Flaw>,
    /// Of how many points a quick campaign takes one.
    pub(super) quick_every: usize,
}

const fn kind(
    name: &'static str,
    what: &'static str,
    needs: &'static [Need],
    points: fn(&Bench, &mut Place) -> Result<Vec<Point>, Flaw>,
    quick_every: usize,
) -> Kind {
    Kind { name, what, needs, points, quick_every }
}

const PRLIMIT: Need = Need::Program("prlimit", "util-linux");
const CHATTR: Need = Need::Program("chattr", "e2fsprogs");
const EXT4: Need = Need::Program("mkfs.ext4", "e2fsprogs");
const XFS: Need = Need::Program("mkfs.xfs", "xfsprogs");

/// All kinds, in the order in which they are tried.
pub(super) const KINDS: &[Kind] = &[
    kind("kill-call", "SIGKILL at every system call", &[STRACE], kills::at_calls, 40),
    kind("kill-recovery", "SIGKILL at every system call of a recovery", &[STRACE], kills::in_recoveries, 20),
    kind("kill-time", "SIGKILL at random moments, twice", &[], kills::at_random, 12),
    kind("error", "a system call fails, once or for good", &[STRACE], errors::in_workloads, 200),
    kind("error-recovery", "the same within a recovery", &[STRACE], errors::in_recoveries, 60),
    kind("full-disk", "a disk of every size, full", &[Need::Root], space::full_disks, 8),
    kind("file-size", "a limit for the size of files", &[PRLIMIT], space::file_sizes, 8),
    kind("descriptors", "a limit for open files", &[PRLIMIT], space::descriptors, 3),
    kind("read-only", "a file system mounted read-only", &[Need::Root], refusals::read_only, 4),
    kind("immutable", "each file immutable or append-only", &[Need::Root, CHATTR], refusals::immutable, 12),
    kind("sync-ext4", "a real sync fails on ext4", &[Need::Root, Need::Loops, EXT4], lost_sync::on_ext4, 6),
    kind("sync-xfs", "a real sync fails on XFS", &[Need::Root, Need::Loops, XFS], lost_sync::on_xfs, 6),
];
