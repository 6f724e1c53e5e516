//! What a machine needs for a power cut, and how to get what it lacks.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::file_system::FileSystem;

/// Where the modules of the kernel in user mode are, in a directory for each of its versions.
pub(super) const MODULES: &str = "/usr/lib/uml/modules";

/// The kernel that runs as a process.
pub(super) const KERNEL: &str = "linux.uml";

/// What makes loop devices.
const LOOP_CONTROL: &str = "/dev/loop-control";

/// The modules that log writes, in the order in which they are loaded.
pub(super) const LOG_MODULES: [&str; 2] = ["dm-mod", "dm-log-writes"];

/// The programs that every file system needs here or in the machine, with the package that has each.
const PROGRAMS: [(&str, &str); 12] = [
    (KERNEL, "user-mode-linux"),
    ("insmod", "kmod"),
    ("dmsetup", "dmsetup"),
    ("blockdev", "util-linux"),
    ("losetup", "mount"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("kill", "procps"),
    ("stty", "coreutils"),
];

/// Something that a machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lack {
    what: String,
    remedy: String,
}

impl Lack {
    /// That a program is not there, which a package has.
    pub(super) fn program(name: &str, package: &str) -> Self {
        Self { what: format!("no {name}"), remedy: format!("apt-get install {package}") }
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        format!("{}: {}", self.what, self.remedy)
    }
}

/// What this machine lacks for `file_system`.
pub(super) fn lacks(file_system: FileSystem) -> Vec<Lack> {
    let mkfs = format!("mkfs.{}", file_system.name());
    let programs = PROGRAMS.iter().copied().chain([(mkfs.as_str(), file_system.package())]);
    let mut lacks: Vec<_> = programs
        .filter(|(name, _)| found(name).is_none())
        .map(|(name, package)| Lack::program(name, package))
        .collect();
    if modules().is_none() {
        lacks.push(lack("no module dm-log-writes for linux.uml", "apt-get install user-mode-linux"));
    }
    if !Path::new(LOOP_CONTROL).exists() {
        lacks.push(lack("no loop devices", "modprobe loop"));
    }
    if !is_root() {
        lacks.push(lack("mounting needs root", "run it as root"));
    }
    if !mounts(&fs::read_to_string("/proc/filesystems").unwrap_or_default(), file_system) {
        let remedy = format!("modprobe {}", file_system.name());
        lacks.push(Lack { what: format!("this kernel does not mount {}", file_system.name()), remedy });
    }
    lacks
}

fn lack(what: &str, remedy: &str) -> Lack {
    Lack { what: what.to_owned(), remedy: remedy.to_owned() }
}

/// Where the program `name` is.
fn found(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The directory with the drivers of device mapper, of the first version that has all that is needed.
pub(super) fn modules() -> Option<PathBuf> {
    let versions = fs::read_dir(MODULES).ok()?.filter_map(Result::ok);
    let drivers = versions.map(|version| version.path().join("kernel/drivers/md"));
    drivers.into_iter().find(|directory| has_modules(directory))
}

fn has_modules(directory: &Path) -> bool {
    LOG_MODULES.iter().all(|module| directory.join(format!("{module}.ko")).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether a kernel whose `/proc/filesystems` is `listed` mounts `file_system`.
fn mounts(listed: &str, file_system: FileSystem) -> bool {
    listed.lines().any(|line| line.trim() == file_system.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_says_what_it_mounts() {
        let listed = "nodev\ttmpfs\n\text4\n\tbtrfs\nnodev\txfs\n";
        let mounted = FileSystem::ALL.map(|file_system| mounts(listed, file_system));
        assert_eq!(mounted, [true, false, true]);
    }

    #[test]
    fn what_is_lacking_is_told_with_the_way_to_get_it() {
        assert_eq!(Lack::program("dmsetup", "dmsetup").words(), "no dmsetup: apt-get install dmsetup");
        assert!(found("annals-no-such-program").is_none());
    }
}
