//! `backup` and `restore`: a copy of the store, and the store from a copy.

use std::path::{Path, PathBuf};

use annals::report::{BackupProgress, BackupReport};
use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar};

use crate::{
    failure::Failure,
    opening,
    output::{Console, Unit},
};

const BACKUP_DETAILS: &str = "\
Works while another process writes the store, and has all that was durable when
it began. The first call makes the directory; each later one brings it up to
date: what is there is read, and where it is sound it is not copied again.

On the file system of the store, segments that are full are linked, which takes
no time and no space, and protects from mistakes, not from a disk that fails.
Name a directory on another disk for that: there everything is copied.

A backup is a store: every command that reads works on it, and `annals verify`
checks it. What a crash leaves is the old backup, or a directory that says that
it is unfinished; the same command completes it. A directory of another store,
or of another history of this one, is refused and left as it is.

A copy made with cp while the store is written is refused when it is opened, or
is a shorter one that was not closed cleanly; never wrong, and rarely what is
wanted. Use this.

Examples:
  annals backup --store history /mnt/backup/history
  annals verify --store /mnt/backup/history";

const RESTORE_DETAILS: &str = "\
The store is where --store or ANNALS_STORE says. It has the id that it had, and
goes on where the backup ends; what came later than the backup is not in it.
Every segment is read back before the command ends. One that was interrupted
says so when it is opened; the same command completes it.

Example:
  annals restore --store history /mnt/backup/history";

/// Copy the store into a directory, or bring an earlier backup there up to date
#[derive(Debug, Args)]
#[command(after_long_help = BACKUP_DETAILS)]
pub(crate) struct Backup {
    /// The directory of the backup; made where there is none
    #[arg(value_name = "BACKUP")]
    directory: PathBuf,
}

/// Make the store from a backup, in a directory that is empty or not there
#[derive(Debug, Args)]
#[command(after_long_help = RESTORE_DETAILS)]
pub(crate) struct Restore {
    /// The directory of the backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

impl Backup {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let store = opening::for_reading(store, console)?;
        let bar = console.progress(Some(0), Unit::Bytes);
        let report = store.backup_with(&self.directory, &mut |progress| show(&bar, progress));
        bar.finish_and_clear();
        tell(&report?, "backed up to", &self.directory, console)
    }
}

impl Restore {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let bar = console.progress(Some(0), Unit::Bytes);
        let report = annals::restore(&self.backup, store, &mut |progress| show(&bar, progress));
        bar.finish_and_clear();
        tell(&report?, "restored to", store, console)
    }
}

fn show(bar: &ProgressBar, progress: BackupProgress) {
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.done_bytes);
}

fn tell(report: &BackupReport, what: &str, path: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    if console.is_json() {
        return console.json(report);
    }
    console.line(format_args!("{what} {}: all events up to sequence {}", path.display(), report.sequence))?;
    console.line(format_args!("{}", segments(report)))
}

/// What became of the segments, in a line.
fn segments(report: &BackupReport) -> String {
    let kinds = [
        (report.linked_count, "linked"),
        (report.copied_count, "copied"),
        (report.kept_count, "there already, and sound"),
    ];
    let parts = kinds.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, how)| format!("{} {how}", HumanCount(*count))).collect();
    format!("segments: {}; {} written", parts.join(", "), HumanBytes(report.copied_bytes))
}
