//! Opening a log for writing: what a crash left is put in order, durably, before anything new is written.
//!
//! Invariant: every step can be cut short and done again. The torn bytes are copied aside and durable before
//! they are cut; the cut is durable before the next segment is made; the next segment's header is durable
//! before the manifest names it. What survived unproven is written and synced again, because that it can be
//! read does not mean that it is on the disk. A log that was closed cleanly is not written at all.

use std::{ffi::OsStr, sync::Arc};

use annals_wire::{Manifest, PreviousEnd, SEGMENT_HEADER_LEN, Sequence};
use serde::Serialize;

use super::{Log, LogOptions, Note, place, rewrite::rewrite};
use crate::{
    Access, ActiveSegment, Directory, Entropy, Error, File, Layout, SealedPlace, Space, Tail, TornTail,
    WriterLock,
    layout::Newest,
    manifest::ManifestFile,
    name::{self, FileRole},
};

/// What opening did to the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogReport {
    /// Whether the log had not been closed cleanly.
    pub was_unclean: bool,
    /// The torn bytes that were cut off, and of which segment.
    pub torn: Option<(String, TornTail)>,
    /// The file that the torn bytes were copied to.
    pub sidecar: Option<String>,
    /// From where to where surviving bytes were written and synced again, because nothing proved them durable.
    pub rewritten: Option<(u64, u64)>,
    /// Files of unfinished work that were removed.
    pub removed: Vec<String>,
}

/// All that opening for writing needs.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever opens: every field must be given")]
pub struct Recovery {
    /// The directory.
    pub directory: Arc<dyn Directory>,
    /// The lock, held.
    pub lock: WriterLock,
    /// The log's options.
    pub options: LogOptions,
    /// Random numbers for a new segment.
    pub entropy: Arc<dyn Entropy>,
    /// Which segments there are.
    pub layout: Layout,
    /// The newest segment, walked; `None` where there is none.
    pub tail: Option<Tail>,
    /// The owner's clock and mark behind the tail.
    pub note: Note,
}

impl Recovery {
    /// Puts the log in order and opens it. Returns the log, what was done, and what is known of the newest
    /// segment where it was sealed on the way.
    ///
    /// # Errors
    /// [`Error::Io`]; opening again takes up where this ended.
    pub fn run(mut self) -> Result<(Log, LogReport, Option<SealedPlace>), Error> {
        self.lock.bind(&*self.directory)?;
        let mut report = LogReport { removed: self.layout.discard.clone(), ..LogReport::default() };
        let mut manifest = ManifestFile::open(&*self.directory, self.layout.manifest.clone())?;
        self.discard(&mut manifest)?;
        let (Some(newest), Some(tail)) = (self.layout.newest.clone(), self.tail.clone()) else {
            report.was_unclean = true;
            // The manifest's name may be in the page cache only: no segment may outlive a power loss without it.
            self.directory.sync().map_err(Error::io("sync", self.directory.path()))?;
            let log = self.begin(manifest, None, Sequence(1))?;
            return Ok((log, report, None));
        };
        if newest.clean.is_some() {
            return Ok((self.resume(manifest, &newest, &tail)?, report, None));
        }
        report.was_unclean = true;
        self.mend(&newest, &tail, &mut report)?;
        manifest.prove()?;
        if self.layout.is_manifest_damaged {
            // Before a segment is made: what a cut leaves of that is only told from damage by two whole slots.
            manifest.write(Manifest {
                newest: newest.header.id,
                clean: None,
                ..self.layout.manifest.clone()
            })?;
        }
        if newest.is_named && tail.torn.is_none() && tail.position.offset == SEGMENT_HEADER_LEN as u64 {
            return Ok((self.resume(manifest, &newest, &tail)?, report, None));
        }
        let previous = PreviousEnd {
            id: newest.header.id,
            generation: newest.header.generation,
            end: tail.position.offset,
            chain: tail.position.chain,
            mark: self.note.mark,
        };
        let sealed = place(&newest.header, previous.end, previous.chain);
        let log = self.begin(manifest, Some(previous), tail.position.next_sequence)?;
        Ok((log, report, Some(sealed)))
    }

    /// Removes what is left over.
    fn discard(&self, manifest: &mut ManifestFile) -> Result<(), Error> {
        if self.layout.discard.iter().any(|name| self.may_be_named(name)) {
            // Whoever dropped it may have been killed, or lose the power, with one slot durable that does not name it
            // any more: were it removed now, the other could come back and name what is gone.
            for _slot in 0..2 {
                manifest.write(self.layout.manifest.clone())?;
            }
        }
        for name in &self.layout.discard {
            let path = self.directory.path().join(name);
            self.directory.remove(name).map_err(Error::io("remove", path))?;
        }
        if self.layout.discard.is_empty() {
            return Ok(());
        }
        self.directory.sync().map_err(Error::io("sync", self.directory.path()))
    }

    /// Whether a slot of earlier may name this file: a segment that was dropped or replaced.
    fn may_be_named(&self, file: &str) -> bool {
        matches!(name::role(OsStr::new(file)), FileRole::Segment(id, _) if id <= self.layout.manifest.newest)
    }

    fn begin(
        self,
        manifest: ManifestFile,
        previous: Option<PreviousEnd>,
        next_sequence: Sequence,
    ) -> Result<Log, Error> {
        let Self { directory, lock, options, entropy, note, .. } = self;
        Log::begin(directory, lock, options, entropy, manifest, previous, next_sequence, note)
    }

    /// Goes on in the newest segment, which ends where its whole batches end.
    fn resume(self, manifest: ManifestFile, newest: &Newest, tail: &Tail) -> Result<Log, Error> {
        let end = tail.position.offset;
        let active = ActiveSegment::open(&*self.directory, newest.header, end)?;
        Ok(Log {
            space: Space::new(Arc::clone(&self.directory), self.options.space),
            directory: self.directory,
            options: self.options,
            entropy: self.entropy,
            lock: self.lock,
            manifest,
            active: Arc::new(active),
            end,
            chain: tail.position.chain,
            next_sequence: tail.position.next_sequence,
            staged: Vec::new(),
            spare: Vec::new(),
            written: end,
            synced: end,
            is_flying: false,
            stopped: None,
        })
    }

    /// Cuts the newest segment behind its last whole batch and makes what is left durable.
    fn mend(&self, newest: &Newest, tail: &Tail, report: &mut LogReport) -> Result<(), Error> {
        let segment = name::segment_name(newest.header.id, newest.header.generation);
        let path = self.directory.path().join(&segment);
        let file = self.directory.open(&segment, Access::Write).map_err(Error::io("open", &path))?;
        if let Some(torn) = &tail.torn {
            let sidecar = name::torn_name(&segment, torn.offset);
            self.set_aside(&*file, &sidecar, torn)?;
            report.torn = Some((segment.clone(), torn.clone()));
            report.sidecar = Some(sidecar);
        }
        let (proven, end) = (tail.proven, tail.position.offset);
        file.set_len(end).map_err(Error::io("truncate", &path))?;
        if !newest.is_named {
            // Its header may be in the page cache only, too.
            file.write_all_at(&newest.header.encode(), 0).map_err(Error::io("rewrite", &path))?;
        }
        if proven < end {
            rewrite(&*file, &path, newest.header.seed(), proven..end)?;
            report.rewritten = Some((proven, end));
        }
        file.sync_data().map_err(Error::io("sync", &path))?;
        if newest.is_named {
            // Its name was durable before the manifest gave it.
            return Ok(());
        }
        self.directory.sync().map_err(Error::io("sync", self.directory.path()))
    }

    /// Copies the torn bytes into a file of their own, durably.
    fn set_aside(&self, from: &dyn File, sidecar: &str, torn: &TornTail) -> Result<(), Error> {
        let path = self.directory.path().join(sidecar);
        match self.directory.remove(sidecar) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error));
            }
            _ => {}
        }
        let to = self.directory.create(sidecar).map_err(Error::io("create", &path))?;
        if let Err(error) = copy(from, torn.offset, &*to, 0, torn.len) {
            // Half a copy is of no use, and may have taken the last bytes that the disk had.
            drop(self.directory.remove(sidecar));
            return Err(Error::io("write", path)(error));
        }
        to.sync_data().map_err(Error::io("sync", &path))?;
        self.directory.sync().map_err(Error::io("sync", self.directory.path()))
    }
}

fn copy(from: &dyn File, from_offset: u64, to: &dyn File, to_offset: u64, len: u64) -> std::io::Result<()> {
    let mut window = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(1 << 20)];
    let mut done = 0;
    while done < len {
        let count = usize::try_from(len - done).unwrap_or(usize::MAX).min(window.len());
        let bytes = window.get_mut(..count).unwrap_or_default();
        from.read_exact_at(bytes, from_offset + done)?;
        to.write_all_at(bytes, to_offset + done)?;
        done += count as u64;
    }
    Ok(())
}
