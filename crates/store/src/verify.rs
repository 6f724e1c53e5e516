//! Verification: every checksum, hash and chain of a store, and what is derived against what it derives from.
//!
//! Invariant: nothing is changed and nothing repaired. One damaged place does not end it: what can still be
//! checked is.

mod report;

mod checkpoint;
mod runs;
mod segments;

mod compare;
mod frames;

mod asked;
mod link;

use std::path::Path;

use annals_checkpoint::{FoundCheckpoint, RunRange};
use annals_segment::{Directory, DiskDirectory, Inventory, Layout, RunFile, live_epoch, read_frontier};
use annals_wire::{EventId, Frontier};

pub use self::report::{Damage, VerifyProgress, VerifyReport};
use self::{checkpoint::look_at_checkpoint, frames::Frames, runs::Keys};
use crate::{Error, Options, open, sync::Arc};

/// Verifies the store in the directory `path`, which may be open elsewhere, also for writing: then as far as its
/// writer lets others read. `progress` is told how far it is.
///
/// ```
/// # use annals::*;
/// # fn main() -> Result<(), Error> {
/// # let place = tempfile::tempdir().expect("a directory");
/// Store::open(place.path())?.close()?;
/// let report = verify(place.path(), &mut |progress| println!("{}", progress.done_bytes))?;
/// assert!(report.is_sound());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NotFound`], [`Error::NewerVersion`], or [`Error::Environment`] where something cannot be read.
/// Damage is no error: it is in the report.
pub fn verify(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let path = path.as_ref();
    let directory = DiskDirectory::open(path).map_err(|error| open::directory_error(path, error))?;
    verify_on(directory, progress)
}

/// Verifies the store in `directory`, whatever it is made of.
///
/// # Errors
/// As [`verify`].
pub fn verify_on(
    directory: impl Directory + 'static,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let directory: Arc<dyn Directory> = Arc::new(directory);
    verify_in(&directory, progress)
}

fn verify_in(
    directory: &Arc<dyn Directory>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let mut attempt = 0;
    loop {
        let epoch = live_epoch(&**directory)?;
        let outcome = verify_once(directory, epoch, progress);
        let may_be_a_race = epoch.is_some() || live_epoch(&**directory)? != epoch;
        let is_sound = outcome.as_ref().is_ok_and(VerifyReport::is_sound);
        if is_sound || !may_be_a_race || attempt == ATTEMPTS {
            return outcome;
        }
        // The writer was in the middle of something: a rotation, a footer, a checkpoint.
        attempt += 1;
    }
}

/// Beside a writer, what looks like damage is looked at this often.
const ATTEMPTS: usize = 5;

fn verify_once(
    directory: &Arc<dyn Directory>,
    epoch: Option<u64>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let mut report = VerifyReport::default();
    let frontier = match epoch {
        Some(epoch) => read_frontier(&**directory, epoch)?,
        None => None,
    };
    let upto = frontier.map(|frontier| frontier.segment);
    let mut run_files = Vec::new();
    let layout = Inventory::take(&**directory).and_then(|inventory| {
        run_files.clone_from(&inventory.runs);
        report.notes.extend(
            inventory.torn.iter().map(|name| format!("{name} holds bytes that an earlier recovery cut off")),
        );
        if inventory.foreign_count > 0 {
            report.notes.push(format!("{} files are nothing of the store's", inventory.foreign_count));
        }
        Layout::decide(&inventory, directory.path(), upto)
    });
    let layout = match layout {
        Ok(layout) => layout,
        Err(error) if error.is_damage() => {
            report.damaged(&error, None);
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    report.notes.extend(layout.oddities.iter().cloned());
    let checkpoint = look_at_checkpoint(&**directory, &mut report)?;
    let total_bytes = layout.sealed.iter().map(|place| place.end).sum::<u64>()
        + layout.newest.as_ref().map_or(0, |newest| newest.len);
    let mut show = |done_bytes| {
        progress(VerifyProgress { done_bytes, total_bytes, done_events: 0, total_events: 0 });
    };
    let walk =
        Walk { directory, layout: &layout, checkpoint: checkpoint.as_ref(), runs: &run_files, frontier };
    walk.run(&mut report, &mut show)?;
    Ok(report)
}

/// A walk over all segments.
struct Walk<'a> {
    directory: &'a Arc<dyn Directory>,
    layout: &'a Layout,
    checkpoint: Option<&'a FoundCheckpoint>,
    runs: &'a [RunFile],
    frontier: Option<Frontier>,
}

impl Walk<'_> {
    fn run(&self, report: &mut VerifyReport, show: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let mut frames = Frames::new();
        let mut keys = Keys::default();
        self.walk_sealed(&mut frames, &mut keys, report, show)?;
        self.compare_runs(&keys, report)?;
        if let Some(newest) = &self.layout.newest {
            self.newest(newest, &mut frames, report, show)?;
        }
        self.compare_head(report);
        report.event_count = frames.event_count;
        report.control_count = frames.control_count;
        report.stream_count = frames.stream_count();
        report.damage.append(&mut frames.damage);
        self.compare_forks(&frames.forks, report)
    }

    /// Compares the first event of each lane with the one that it forks from, wherever that lies. Where the log is
    /// damaged, it cannot be asked, and what is told already is why.
    fn compare_forks(&self, forks: &[EventId], report: &mut VerifyReport) -> Result<(), Error> {
        if forks.is_empty() || !report.is_sound() {
            return Ok(());
        }
        let store = open::open_read_only(&Options::new(), self.directory)?;
        for id in forks {
            let of_event = store.verify_event(*id)?;
            report.damage.extend(of_event.damage);
            report.notes.extend(of_event.notes);
        }
        Ok(())
    }

    /// Compares the runs over segments that were walked with their keys.
    fn compare_runs(&self, keys: &Keys, report: &mut VerifyReport) -> Result<(), Error> {
        for file in self.runs {
            let range = RunRange { first: file.first, last: file.last };
            if !keys.cover(range) {
                let why = "covers segments that are not there, or damaged, and was not compared";
                report.notes.push(format!("{} {why}", runs::name(file)));
                continue;
            }
            report.run_count += 1;
            if let Some(why) = keys.difference(&**self.directory, file)? {
                let path = self.directory.path().join(runs::name(file)).display().to_string();
                report.damaged_derived(
                    path,
                    None,
                    format!("{why}; it is made again while the store is written"),
                );
            }
        }
        Ok(())
    }
}
