//! The directory that becomes a copy.
//!
//! Invariant: nothing is changed before the directory was found to be free, or an earlier copy of the same history,
//! and its lock is held. Of an earlier backup, what its manifest names stays as it is until everything else is there
//! and was read back; then the names are taken in order, each durable before the next.

use std::io;

use annals_checkpoint::{Plan, find_checkpoint, write_checkpoint};
use annals_segment::{
    Access, CHECKPOINT, Directory, Error as LogError, Inventory, Layout, MemoryDirectory, SealedPlace,
    TEMPORARY_SUFFIX, UNFINISHED, WriterLock, live_epoch, write_manifest,
};
use annals_wire::{CleanEnd, Manifest, Replaced, Sequence};

use super::{
    BackupProgress, BackupReport, Manner, Source,
    fitness::{self, refusal},
    piece::{self, Piece, Walked},
};
use crate::{Error, sync::Arc};

/// What a copy that was begun says of itself.
const NOTICE: &str = "This directory is a backup, or a restored store, that was not finished. Run the same command \
                      again to complete it, or remove the directory.\n";

/// The directory, locked and found fit.
#[derive(Debug)]
pub(super) struct Target<'a> {
    directory: Arc<dyn Directory>,
    source: &'a Source,
    inventory: Inventory,
    /// Whether there is no backup yet that has to stay.
    is_first: bool,
    /// Segments that are there under temporary names, and how to call them.
    staged: Vec<(String, String)>,
    report: BackupReport,
    _lock: WriterLock,
}

impl<'a> Target<'a> {
    /// Takes `directory` for a copy of `source`, if it may be; `epoch` is a random number.
    pub(super) fn take(directory: Arc<dyn Directory>, source: &'a Source, epoch: u64) -> Result<Self, Error> {
        // Looked at before the lock, which leaves a file.
        fitness::check(source, &*directory, &Inventory::take(&*directory)?)?;
        let own = live_epoch(&*source.directory)?;
        if own.is_some() && live_epoch(&*directory)? == own {
            return Err(refusal(&*directory, "is the directory of the store itself"));
        }
        let lock = WriterLock::acquire(&*directory, std::time::Duration::ZERO, epoch)?;
        if live_epoch(&*source.directory)? == Some(epoch) {
            return Err(refusal(&*directory, "is the directory of the store itself"));
        }
        let inventory = Inventory::take(&*directory)?;
        fitness::check(source, &*directory, &inventory)?;
        let is_first = inventory.manifest.is_none() || inventory.is_unfinished;
        let report = BackupReport { store: source.store(), ..BackupReport::default() };
        Ok(Self { directory, source, inventory, is_first, staged: Vec::new(), report, _lock: lock })
    }

    /// Makes the copy.
    pub(super) fn fill(mut self, progress: &mut dyn FnMut(BackupProgress)) -> Result<BackupReport, Error> {
        if self.is_first {
            self.begin()?;
        }
        let end = match self.gather(progress) {
            Ok(end) => end,
            Err(error) => {
                // Half a copy is of no use, and may have taken the last bytes that the disk had.
                for place in &self.source.places {
                    drop(remove(&*self.directory, &temporary(place)));
                }
                return Err(error.into());
            }
        };
        self.report.sequence = Sequence(end.next_sequence.0.saturating_sub(1));
        self.publish(end)?;
        Ok(self.report)
    }

    /// Says, before anything else is there, that this is no store yet.
    fn begin(&self) -> Result<(), LogError> {
        let path = self.directory.path().join(UNFINISHED);
        let file = match self.directory.create(UNFINISHED) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.directory.open(UNFINISHED, Access::Write)
            }
            made => made,
        };
        let file = file.map_err(LogError::io("create", &path))?;
        file.write_all_at(NOTICE.as_bytes(), 0).map_err(LogError::io("write", &path))?;
        file.sync_data().map_err(LogError::io("sync", &path))?;
        self.sync()
    }

    /// Brings every segment into the directory, and says where the last one ends.
    fn gather(&mut self, progress: &mut dyn FnMut(BackupProgress)) -> Result<CleanEnd, LogError> {
        let source = self.source;
        let total_bytes = source.places.iter().map(|place| place.end).sum();
        let mut start = 0;
        let mut end = None;
        for place in &source.places {
            let mut show = |offset| progress(BackupProgress { done_bytes: start + offset, total_bytes });
            let walked = self.bring(place, &mut show)?;
            end = Some(walked.clean_end(place));
            start += place.end;
            progress(BackupProgress { done_bytes: start, total_bytes });
        }
        self.sync()?;
        Ok(end.expect("a store has a segment"))
    }

    /// Keeps the segment at `place` where it is there and sound, or links or copies it.
    fn bring(&mut self, place: &SealedPlace, show: &mut dyn FnMut(u64)) -> Result<Walked, LogError> {
        let is_newest = place.id == self.source.newest().id;
        if let Some(walked) = self.find_sound(place, is_newest, show)? {
            self.report.kept_count += 1;
            return Ok(walked);
        }
        let (from, name, temporary) = (&*self.source.directory, piece::name(place), temporary(place));
        remove(&*self.directory, &temporary)?;
        let links = !is_newest && self.source.manner == Manner::Backup;
        let linked = if links { piece::link(from, place, &*self.directory, &temporary, show)? } else { None };
        let walked = if let Some(walked) = linked {
            self.report.linked_count += 1;
            walked
        } else {
            let own = Piece::open(from, &name)?;
            let (walked, len) = own.copy_to(place, &*self.directory, &temporary, is_newest, show)?;
            self.report.copied_count += 1;
            self.report.copied_bytes += len;
            walked
        };
        self.staged.push((temporary, name));
        if self.is_first {
            self.settle()?;
        }
        Ok(walked)
    }

    /// What the segment at `place` gave, where the directory has it as it is to be.
    fn find_sound(
        &self,
        place: &SealedPlace,
        is_newest: bool,
        show: &mut dyn FnMut(u64),
    ) -> Result<Option<Walked>, LogError> {
        let found = self.inventory.segments.get(&place.id);
        if found.is_none_or(|found| found.len < place.end) {
            return Ok(None);
        }
        let there = Piece::open(&*self.directory, &piece::name(place))?;
        match there.walk(place, show) {
            Ok(walked) => Ok(there.ends_soundly(place, &walked, is_newest)?.then_some(walked)),
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives what was staged its names, each of them durable before the next.
    fn settle(&mut self) -> Result<(), LogError> {
        for (temporary, name) in std::mem::take(&mut self.staged) {
            let path = self.directory.path().join(&temporary);
            self.directory.rename(&temporary, &name).map_err(LogError::io("rename", path))?;
            // Two names of one file stay as they are.
            remove(&*self.directory, &temporary)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Makes what was gathered the backup.
    fn publish(&mut self, end: CleanEnd) -> Result<(), LogError> {
        let manifest = self.manifest(end);
        let is_old = !self.is_first && !self.staged.is_empty();
        if let Some(found) = self.inventory.manifest.as_ref().filter(|_| is_old) {
            // From here to the end the newest segment may be longer than the old backup's.
            write_manifest(&*self.directory, Manifest { clean: None, ..found.manifest.clone() })?;
        }
        self.settle()?;
        // Also where it says so already: whoever wrote it may have been killed before the disk had it.
        write_manifest(&*self.directory, manifest)?;
        let layout = self.read_back(end)?;
        self.take_checkpoint(&layout)?;
        remove(&*self.directory, UNFINISHED)?;
        self.sync()
    }

    fn manifest(&self, end: CleanEnd) -> Manifest {
        let replaced = self.source.places.iter().filter(|place| place.generation.0 > 0);
        let replaced = replaced.map(|place| Replaced {
            id: place.id,
            generation: place.generation,
            chain: place.chain,
            end: place.end,
        });
        Manifest {
            counter: 0,
            store: self.source.store(),
            oldest: self.source.oldest(),
            newest: self.source.newest().id,
            clean: Some(end),
            replaced: replaced.collect(),
        }
    }

    /// Looks at the directory as an open does, and checks that it has what was brought.
    fn read_back(&self, end: CleanEnd) -> Result<Layout, LogError> {
        let mut inventory = Inventory::take(&*self.directory)?;
        inventory.is_unfinished = false;
        let layout = Layout::decide(&inventory, self.directory.path(), None)?;
        let (newest, sealed) = self.source.places.split_last().expect("a store has a segment");
        let found = layout.newest.as_ref().map(|newest| (newest.header.id, newest.clean));
        if layout.sealed == sealed && found == Some((newest.id, Some(end))) {
            return Ok(layout);
        }
        Err(LogError::Mismatch {
            path: self.directory.path().to_owned(),
            offset: 0,
            what: "the log that was just copied",
            expected: format!("segments to {}, {end:?}", newest.id),
            found: format!("{found:?}"),
        })
    }

    /// Takes the store's checkpoint along, where it reaches no further than the copy. It is derived: where the store's
    /// cannot be read, the copy does without.
    fn take_checkpoint(&mut self, layout: &Layout) -> Result<(), LogError> {
        let Some(bytes) = read_all(&*self.source.directory) else { return Ok(()) };
        // Read once, and judged as it was read: the store may write the next one meanwhile.
        let alone = MemoryDirectory::from_files([(CHECKPOINT.to_owned(), bytes.clone())]);
        let Ok(Some(Ok(found))) = find_checkpoint(&alone) else { return Ok(()) };
        let newest = self.source.newest();
        let watermark = &found.head.watermark;
        let is_covered = found.head.store == newest.store
            && (watermark.segment, watermark.offset) <= (newest.id, newest.end)
            && Plan::check_checkpoint(&found.head, layout, self.directory.path()).is_ok();
        if !is_covered {
            return Ok(());
        }
        self.report.has_checkpoint = true;
        if read_all(&*self.directory).is_some_and(|there| there == bytes) {
            return Ok(());
        }
        write_checkpoint(&*self.directory, &bytes)
    }

    fn sync(&self) -> Result<(), LogError> {
        self.directory.sync().map_err(LogError::io("sync", self.directory.path()))
    }
}

/// Removes the file `name`, where there is one.
fn remove(directory: &dyn Directory, name: &str) -> Result<(), LogError> {
    match directory.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LogError::io("remove", directory.path().join(name))(error))
        }
        _ => Ok(()),
    }
}

fn temporary(place: &SealedPlace) -> String {
    piece::name(place) + TEMPORARY_SUFFIX
}

/// The bytes of the checkpoint, where there is one that can be read.
fn read_all(directory: &dyn Directory) -> Option<Vec<u8>> {
    directory.open(CHECKPOINT, Access::Read).ok()?.read_all(u64::MAX).ok()
}
