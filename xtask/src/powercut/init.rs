//! The first program of the machine: makes a file system, runs a workload on it, and switches the machine off.
//!
//! Invariant: any command of it that fails ends it, by which the machine panics and ends.

use std::path::Path;

use super::{
    file_system::FileSystem,
    history::BEGUN,
    needs::LOG_MODULES,
    subject::{Subject, Workload},
};

/// Where the store is, on the file system.
pub(super) const STORE: &str = "store";

/// The script. With `drivers`, the directory with the modules, all writes are logged, and each promise marked with
/// its number.
pub(super) fn script(
    file_system: FileSystem,
    subject: &Subject,
    workload: &Workload,
    drivers: Option<&Path>,
) -> String {
    let words: Vec<_> = workload.words.iter().map(|word| quoted(word)).collect();
    let (name, make) = (file_system.name(), file_system.make());
    let (begin, after_ack, end) = drivers.map_or_else(Default::default, logged);
    format!(
        "set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
test -e /dev/ubda || mount -t devtmpfs dev /dev
mkdir /dev/powercut
device=/dev/ubda
{begin}{make} $device
{mark}mount -t {name} $device /dev/powercut
echo 1 >/proc/sys/vm/dirty_writeback_centisecs
echo 1 >/proc/sys/vm/dirty_expire_centisecs
stty -F /dev/ttyS0 raw -echo
{subject} write /dev/powercut/{STORE} {words}{after_ack} >/dev/ttyS0
umount /dev/powercut
{end}echo o >/proc/sysrq-trigger
exec sleep 1000
",
        mark = if drivers.is_some() { format!("dmsetup message lw 0 mark {BEGUN}\n") } else { String::new() },
        subject = quoted(&subject.executable.to_string_lossy()),
        words = words.join(" "),
    )
}

/// What is done before, with each promise, and behind, where writes are logged.
fn logged(drivers: &Path) -> (String, &'static str, &'static str) {
    let load = |module: &str| format!("insmod {}\n", quoted(&format!("{}/{module}.ko", drivers.display())));
    let table = "0 $(blockdev --getsz $device) log-writes $device /dev/ubdb";
    let create = format!("dmsetup create lw --table \"{table}\"\ndmsetup mknodes\ndevice=/dev/mapper/lw\n");
    let begin = LOG_MODULES.map(load).concat() + &create;
    (begin, " --after-ack 'dmsetup message lw 0 mark'", "dmsetup remove lw\n")
}

/// `word` as a shell takes it for one.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(drivers: Option<&Path>) -> String {
        let subject = Subject { executable: "/t/it's".into() };
        let workload =
            Workload { name: "x".to_owned(), words: vec!["--script".to_owned(), "a b".to_owned()] };
        script(FileSystem::Xfs, &subject, &workload, drivers)
    }

    #[test]
    fn the_log_is_marked_when_the_file_system_is_made_and_after_each_promise() {
        let text = text(Some(Path::new("/modules")));
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
        let order = [
            "insmod '/modules/dm-mod.ko'",
            "insmod '/modules/dm-log-writes.ko'",
            "dmsetup create",
            "mkfs.xfs -q -K $device",
            "mark begun",
            "mount -t xfs $device",
            r"'/t/it'\''s' write /dev/powercut/store '--script' 'a b' --after-ack 'dmsetup message lw 0 mark'",
            "dmsetup remove",
            "sysrq-trigger",
        ];
        assert!(order.map(place).is_sorted(), "{text}");
    }

    #[test]
    fn nothing_is_logged_where_the_machine_is_to_be_killed() {
        let text = text(None);
        assert!(!text.contains("dmsetup") && !text.contains("insmod"), "{text}");
    }
}
