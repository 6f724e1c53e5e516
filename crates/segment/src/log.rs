//! The segmented log, for its one writer: batches staged in memory, written and synced in flights, segments
//! rotated as they fill.
//!
//! Invariant: nothing is acknowledged here; a flight's owner knows that it landed, and how durable it is. The
//! first write or sync that fails stops the log for good: what became of that flight is unknown, and only
//! opening again finds out. One flight is out at a time.

mod flight;
mod prefix;
mod process;
mod recover;
mod rewrite;

use std::{path::Path, sync::Arc, time::Duration};

use annals_wire::{
    Batch, Chain, CleanEnd, Digest, FrameType, Generation, Manifest, NewFrame, PreviousEnd, Recorded,
    SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX, SegmentHeader, SegmentId, Sequence, StoreId, frame_len,
};

pub use flight::Flight;
pub use recover::{LogReport, Recovery};

use crate::{
    ActiveSegment, Directory, Entropy, Error, SealedPlace, Space, SpaceLimits, WriterLock,
    manifest::ManifestFile, space::ActiveLen,
};

/// How a log is kept.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made by the layer above, which has defaults")]
pub struct LogOptions {
    /// When a segment would be longer than this, the next one is begun. A batch that is longer gets a segment
    /// of its own.
    pub segment_bytes: u64,
    /// Whether zeros are written ahead of frames that are to be synced.
    pub prepare: bool,
    /// The frame types that the log's owner knows.
    pub frame_types: &'static [FrameType],
    /// How long to wait for another writer to let go.
    pub lock_timeout: Duration,
    /// How much space the log may take.
    pub space: SpaceLimits,
}

/// What the log's owner says of the moment: it goes into segment headers and the manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by the log's owner: every field must be given")]
pub struct Note {
    /// The owner's clock.
    pub recorded: Recorded,
    /// What identifies all that came before: in a store, the hash of the last event.
    pub mark: Digest,
}

/// A frame to be staged. Its place is the log's business.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever appends: every field must be given")]
pub struct Entry<'a> {
    /// What it holds.
    pub frame_type: FrameType,
    /// Whether it gets the next sequence.
    pub is_numbered: bool,
    /// Its stamp.
    pub stamp: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
    /// The CRC-32 of its body.
    pub body_crc: u32,
}

impl Entry<'_> {
    /// The bytes that its frame takes.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        frame_len(self.stamp.len(), self.body.len())
    }
}

/// A log, open for writing.
#[derive(Debug)]
pub struct Log {
    directory: Arc<dyn Directory>,
    options: LogOptions,
    entropy: Arc<dyn Entropy>,
    space: Arc<Space>,
    lock: WriterLock,
    manifest: ManifestFile,
    active: Arc<ActiveSegment>,
    /// Behind all that was staged, and what comes next.
    end: u64,
    chain: Chain,
    next_sequence: Sequence,
    staged: Vec<u8>,
    spare: Vec<u8>,
    written: u64,
    synced: u64,
    is_flying: bool,
    stopped: Option<Arc<Error>>,
}

impl Log {
    /// Creates a log in an empty directory, durably, with its first segment.
    ///
    /// # Errors
    /// [`Error::Io`]; what was made until then is taken up by the next attempt.
    pub fn create(
        directory: Arc<dyn Directory>,
        mut lock: WriterLock,
        options: LogOptions,
        entropy: Arc<dyn Entropy>,
        note: Note,
    ) -> Result<Self, Error> {
        let temporary = format!("{}{}", crate::name::MANIFEST, crate::name::TEMPORARY_SUFFIX);
        match directory.remove(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", directory.path().join(temporary))(error));
            }
            _ => {}
        }
        let manifest = ManifestFile::create(&*directory, entropy.store_id())?;
        lock.bind(&*directory)?;
        Self::begin(directory, lock, options, entropy, manifest, None, Sequence(1), note)
    }

    /// A log whose first or next segment is made now, behind `previous`.
    #[expect(clippy::too_many_arguments, reason = "the parts of a log, handed on once each")]
    fn begin(
        directory: Arc<dyn Directory>,
        lock: WriterLock,
        options: LogOptions,
        entropy: Arc<dyn Entropy>,
        mut manifest: ManifestFile,
        previous: Option<PreviousEnd>,
        next_sequence: Sequence,
        note: Note,
    ) -> Result<Self, Error> {
        let space = Space::new(Arc::clone(&directory), options.space);
        let active =
            next_segment(&*directory, &space, &mut manifest, &*entropy, previous, next_sequence, note)?;
        let start = SEGMENT_HEADER_LEN as u64;
        Ok(Self {
            directory,
            options,
            entropy,
            space,
            lock,
            manifest,
            active: Arc::new(active),
            end: start,
            chain: Chain::default(),
            next_sequence,
            staged: Vec::new(),
            spare: Vec::new(),
            written: start,
            synced: start,
            is_flying: false,
            stopped: None,
        })
    }

    /// The log's id.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.manifest.current().store
    }

    /// The random number of this writer's life.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.lock.epoch()
    }

    /// The segment that is being written.
    #[must_use]
    pub fn active(&self) -> &Arc<ActiveSegment> {
        &self.active
    }

    /// Where the next frame will begin.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The chain of the active segment behind all that was staged.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The sequence that the next numbered frame gets.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// How far the active segment is written, with the operating system.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How far the active segment is durable.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// How many bytes are staged and not in flight.
    #[must_use]
    pub fn staged_len(&self) -> usize {
        self.staged.len()
    }

    /// Whether a flight is out.
    #[must_use]
    pub fn is_flying(&self) -> bool {
        self.is_flying
    }

    /// Whether the log still writes.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure.
    pub fn check(&self) -> Result<(), Error> {
        match &self.stopped {
            Some(cause) => Err(Error::Stopped { cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }

    /// Whether a batch of `len` bytes belongs into the next segment.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where no segment can hold it.
    pub fn needs_rotation(&self, len: u64) -> Result<bool, Error> {
        let max = SEGMENT_LEN_MAX - SEGMENT_HEADER_LEN as u64;
        if len > max {
            return Err(Error::TooLarge { what: "a batch", len, max });
        }
        Ok(self.end > SEGMENT_HEADER_LEN as u64
            && self.end + len > self.options.segment_bytes.min(SEGMENT_LEN_MAX))
    }

    /// Makes sure that a batch of `len` bytes has room, in this segment or the next.
    ///
    /// # Errors
    /// [`Error::NoSpace`], or [`Error::Io`] where looking fails: nothing was changed, and the log goes on.
    pub fn check_space(&self, len: u64) -> Result<(), Error> {
        self.space.check(len + SEGMENT_HEADER_LEN as u64, || {
            Ok(ActiveLen {
                end: self.end,
                prepared: self.active.prepared_end(),
                file: self.active.file_len()?,
            })
        })
    }

    /// The space that the log and what indexes it share.
    #[must_use]
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Stages one frame of a batch behind the others, in memory; returns its offset. Whoever stages the first
    /// frame of a batch stages them all, and has asked [`Log::check_space`] and [`Log::needs_rotation`] for their
    /// whole length.
    ///
    /// # Errors
    /// [`Error::Exhausted`]; [`Error::Stopped`] with the first failure, which may be that the manifest's record of
    /// a clean close could not be cleared.
    pub fn stage(&mut self, entry: &Entry<'_>, batch: Batch) -> Result<u64, Error> {
        self.check()?;
        if self.manifest.current().clean.is_some() {
            self.check_process()?;
            let manifest = Manifest { clean: None, ..self.manifest.current().clone() };
            let cleared = self.manifest.write(manifest);
            self.stop_on_error(cleared)?;
        }
        let sequence = if entry.is_numbered { self.next_sequence } else { Sequence(0) };
        if entry.is_numbered {
            self.next_sequence = sequence.next().ok_or(Error::Exhausted { what: "the sequence" })?;
        }
        let frame = NewFrame {
            frame_type: entry.frame_type,
            skippable: false,
            sequence,
            batch,
            synced_len: u32::try_from(self.synced).expect("a segment is under 4 GiB"),
            stamp: entry.stamp,
            body: entry.body,
            body_crc: entry.body_crc,
        };
        let offset = self.end;
        let header_crc = frame.encode(self.active.header().seed(), offset, &mut self.staged);
        self.chain = self.chain.then(header_crc);
        self.end += entry.frame_len();
        self.space.take(entry.frame_len());
        Ok(offset)
    }

    /// Takes all that was staged on a flight, to be written without the log; with `sync`, all that was
    /// written before becomes durable with it. `None` where there is nothing to do.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    ///
    /// # Panics
    /// Where a flight is out already.
    pub fn depart(&mut self, sync: bool) -> Result<Option<Flight>, Error> {
        self.check()?;
        self.check_process()?;
        assert!(!self.is_flying, "one flight at a time");
        if self.staged.is_empty() && !(sync && self.synced < self.written) {
            return Ok(None);
        }
        self.is_flying = true;
        let bytes = std::mem::replace(&mut self.staged, std::mem::take(&mut self.spare));
        let prepare = if sync && self.options.prepare { self.space.room() } else { 0 };
        Ok(Some(Flight::new(Arc::clone(&self.active), self.written, bytes, sync, prepare)))
    }

    /// Takes a flight back, with what became of it.
    ///
    /// # Errors
    /// The flight's own, which stops the log.
    pub fn land(&mut self, flight: Flight, outcome: Result<(), Error>) -> Result<(), Error> {
        self.is_flying = false;
        self.stop_on_error(outcome)?;
        self.written = flight.end();
        if flight.is_synced() {
            self.synced = self.written;
        }
        self.spare = flight.into_buffer();
        self.space.note_ahead(self.active.prepared_end().saturating_sub(self.end));
        Ok(())
    }

    /// Writes all that was staged, and makes it durable where `sync` says so.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure, this one or an earlier: the log writes no more.
    pub fn flush(&mut self, sync: bool) -> Result<(), Error> {
        let Some(flight) = self.depart(sync)? else { return Ok(()) };
        let outcome = flight.fly();
        self.land(flight, outcome)
    }

    /// Seals the active segment, durable to its end, and begins the next; returns what is known of the sealed
    /// one.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure, this one or an earlier: the log writes no more.
    pub fn rotate(&mut self, note: Note) -> Result<SealedPlace, Error> {
        self.flush(true)?;
        let sealed = self.seal(note);
        self.stop_on_error(sealed)
    }

    fn seal(&mut self, note: Note) -> Result<SealedPlace, Error> {
        let old = Arc::clone(&self.active);
        // Its frames are durable. What was prepared behind them may come back after a crash: it is zeros.
        old.trim(self.end)?;
        let header = old.header();
        let previous = PreviousEnd {
            id: header.id,
            generation: header.generation,
            end: self.end,
            chain: self.chain,
            mark: note.mark,
        };
        let sealed = place(header, self.end, self.chain);
        self.space.take(SEGMENT_HEADER_LEN as u64);
        let next = next_segment(
            &*self.directory,
            &self.space,
            &mut self.manifest,
            &*self.entropy,
            Some(previous),
            self.next_sequence,
            note,
        )?;
        self.active = Arc::new(next);
        self.end = SEGMENT_HEADER_LEN as u64;
        self.space.note_ahead(self.active.prepared_end().saturating_sub(self.end));
        self.chain = Chain::default();
        self.written = self.end;
        self.synced = self.end;
        Ok(sealed)
    }

    /// Makes what was written durable, and nothing else: what is only staged is lost. For an owner that goes
    /// away without closing.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Stopped`].
    pub fn abandon(self) -> Result<(), Error> {
        self.check()?;
        if self.synced < self.written { self.active.sync() } else { Ok(()) }
    }

    /// Makes everything durable, cuts off what was prepared and records in the manifest where the log ends.
    ///
    /// # Errors
    /// [`Error::Io`]; the log is then closed, but not cleanly. [`Error::Stopped`].
    pub fn close(mut self, note: Note) -> Result<(), Error> {
        self.flush(true)?;
        if self.manifest.current().clean.is_some() {
            return Ok(());
        }
        self.active.trim(self.end)?;
        let clean = CleanEnd {
            end: self.end,
            chain: self.chain,
            next_sequence: self.next_sequence,
            recorded: note.recorded,
            mark: note.mark,
        };
        let manifest = Manifest { clean: Some(clean), ..self.manifest.current().clone() };
        self.manifest.write(manifest)
    }

    /// The directory that the log is in.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.directory
    }

    /// Where the log is, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn stop_on_error<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.map_err(|error| match error {
            Error::Stopped { .. } => error,
            error => {
                let cause = Arc::new(error);
                tracing::error!(%cause, "the log stops writing");
                self.stopped = Some(Arc::clone(&cause));
                Error::Stopped { cause }
            }
        })
    }
}

fn place(header: &SegmentHeader, end: u64, chain: Chain) -> SealedPlace {
    SealedPlace {
        store: header.store,
        id: header.id,
        generation: header.generation,
        first_sequence: header.first_sequence,
        end,
        chain,
    }
}

/// Makes the segment behind `previous`, durable, and lets the manifest name it.
fn next_segment(
    directory: &dyn Directory,
    space: &Space,
    manifest: &mut ManifestFile,
    entropy: &dyn Entropy,
    previous: Option<PreviousEnd>,
    first_sequence: Sequence,
    note: Note,
) -> Result<ActiveSegment, Error> {
    let id = previous.map_or(SegmentId(0), |previous| previous.id);
    let id = id.next().ok_or(Error::Exhausted { what: "the segment's id" })?;
    let header = SegmentHeader {
        store: manifest.current().store,
        id,
        generation: Generation(0),
        salt: entropy.salt(),
        first_sequence,
        recorded: note.recorded,
        previous,
    };
    let segment = ActiveSegment::create(directory, header, space.room())?;
    manifest.write(Manifest { newest: id, clean: None, ..manifest.current().clone() })?;
    Ok(segment)
}
