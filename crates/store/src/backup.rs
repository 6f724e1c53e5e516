//! Backups: a copy of the store that opens as the store, made while appends go on.
//!
//! Sealed segments are linked where source and target share a file system, and copied elsewhere; the newest one is
//! copied as far as it is durable. Every segment is read back before it counts. A manifest is written last, as a
//! clean close writes it, so that a backup which lost a byte of its end is refused.
//!
//! Invariant: a crash leaves the old backup, or one that opens with more and says that it was not closed cleanly, or
//! a directory that says that it is unfinished; the next call completes it. What is refused is left as it is.

mod fitness;
mod piece;
mod target;

use std::{collections::BTreeMap, path::Path};

use annals_segment::{Directory, DiskDirectory, SealedPlace};
use annals_wire::{SegmentId, Sequence, StoreId};
use serde::Serialize;

use crate::{
    Error, Options, Store, open,
    part::Frames,
    store::{Shared, lock},
    sync::Arc,
};
use target::Target;

/// What a backup or a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// The store, and so its copy.
    pub store: StoreId,
    /// The last event that the copy has.
    pub sequence: Sequence,
    /// Segments that are now one file with the store's.
    pub linked_count: u64,
    /// Segments that were copied and read back.
    pub copied_count: u64,
    /// Segments that were there, were read, and are sound.
    pub kept_count: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Whether the store's checkpoint was taken along.
    pub has_checkpoint: bool,
}

/// How far a backup or a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// Bytes of segments that are in the copy and were read there.
    pub done_bytes: u64,
    /// Bytes of all segments.
    pub total_bytes: u64,
}

/// How a copy is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Into an earlier backup of the store, or where nothing is; linking where that can be.
    Backup,
    /// Where nothing is, and with nothing in common.
    Restore,
}

/// What is copied: the segments, the last one as far as it is durable.
#[derive(Debug)]
struct Source {
    directory: Arc<dyn Directory>,
    places: Vec<SealedPlace>,
    manner: Manner,
}

impl Store {
    /// Makes the directory `path` a backup of this store, or brings the backup that it is up to date. Everything
    /// that was appended before the call is in it; appends go on meanwhile. A backup opens as the store does.
    ///
    /// Every segment is read, those too that are kept: what is not sound in the backup is copied again. On the file
    /// system of the store, sealed segments are linked, not copied: that takes no space, and does not outlive the
    /// disk.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the directory holds something else: another store, another history of this one, or
    /// other files. [`Error::Corrupt`] where a segment of the store, or of the backup, is damaged, with its file and
    /// offset; [`Error::Locked`] where somebody writes in the directory; [`Error::Environment`]. An earlier backup
    /// stays in any case.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackupReport, Error> {
        self.backup_with(path, &mut |_| {})
    }

    /// As [`Store::backup`]; `progress` is told how far it is.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn backup_with(
        &self,
        path: impl AsRef<Path>,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<BackupReport, Error> {
        self.backup_to(made(path.as_ref())?, progress)
    }

    /// As [`Store::backup`], into `directory`, whatever it is made of.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn backup_to(
        &self,
        directory: impl Directory + 'static,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<BackupReport, Error> {
        self.shared.copy_into(Arc::new(directory), Manner::Backup, progress)
    }
}

/// Copies the backup in the directory `backup` to `path`, where nothing is yet. What is made is the store that was
/// backed up, with its id; `progress` is told how far it is. Any store that nobody writes can be copied so.
///
/// ```
/// # use annals::*;
/// # fn main() -> Result<(), Error> {
/// # let place = tempfile::tempdir().expect("a directory");
/// # let [live, backup, again] = ["live", "backup", "again"].map(|name| place.path().join(name));
/// let store = Store::open(&live)?;
/// store.backup(&backup)?;
/// restore(&backup, &again, &mut |progress| println!("{}", progress.done_bytes))?;
/// assert_eq!(Store::open(&again)?.id(), store.id());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Invalid`] where the directory `path` is not empty; [`Error::Unfinished`] where the backup is;
/// [`Error::Corrupt`] where it is damaged, [`Error::NotFound`] where there is none, [`Error::Environment`].
pub fn restore(
    backup: impl AsRef<Path>,
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackupReport, Error> {
    let store = Options::new().open_read_only(backup)?;
    store.shared.copy_into(Arc::new(made(path.as_ref())?), Manner::Restore, progress)
}

/// As [`restore`], from and to directories of any make.
///
/// # Errors
/// As [`restore`].
pub fn restore_on(
    backup: impl Directory + 'static,
    directory: impl Directory + 'static,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackupReport, Error> {
    let store = Options::new().open_read_only_on(backup)?;
    store.shared.copy_into(Arc::new(directory), Manner::Restore, progress)
}

/// The directory `path`, made where it is missing.
fn made(path: &Path) -> Result<DiskDirectory, Error> {
    DiskDirectory::create(path).map_err(|error| open::directory_error(path, error))
}

impl Shared {
    fn copy_into(
        &self,
        directory: Arc<dyn Directory>,
        manner: Manner,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<BackupReport, Error> {
        match self.sync() {
            // Of a store that stopped writing, all that is durable is saved: now more than ever.
            Ok(_) | Err(Error::ReadOnly | Error::Closed | Error::Stopped { .. }) => {}
            Err(error) => return Err(error),
        }
        let source = Source { directory: Arc::clone(&self.directory), places: self.places()?, manner };
        Target::take(directory, &source, self.options.entropy.number())?.fill(progress)
    }

    /// The segments that make up all that is durable.
    fn places(&self) -> Result<Vec<SealedPlace>, Error> {
        // First the end, then the view: what the view has more is left out.
        let landmark = self.writer.as_ref().map(|writer| lock(&writer.turn).landmark.clone());
        let view = self.view();
        let sealed = view.parts.iter().filter_map(|part| match &part.frames {
            Frames::Sealed(segment) => Some((segment.place().id, *segment.place())),
            Frames::Active(_) => None,
        });
        let mut places: BTreeMap<SegmentId, SealedPlace> = sealed.collect();
        if let Some(landmark) = landmark {
            places.retain(|id, _| *id < landmark.segment);
            places.insert(landmark.segment, landmark.prefix(self.report.store));
        }
        if places.is_empty() {
            return Err(Error::NotFound { path: self.directory.path().display().to_string() });
        }
        Ok(places.into_values().collect())
    }
}

impl Source {
    fn store(&self) -> StoreId {
        self.newest().store
    }

    /// The segment that was being written.
    fn newest(&self) -> &SealedPlace {
        self.places.last().expect("a store has a segment")
    }

    fn oldest(&self) -> SegmentId {
        self.places.first().expect("a store has a segment").id
    }

    fn find(&self, id: SegmentId) -> Option<&SealedPlace> {
        let place = self.places.binary_search_by_key(&id, |place| place.id).ok()?;
        self.places.get(place)
    }
}
