//! A write-ahead log for anyone: numbered records, batches that are all or nothing, and the certainty of what
//! a sync made durable.
//!
//! Invariant: it is the same log that a store is made of, with records as its frames. A position that
//! [`WriteAheadLog::sync`] returned is durable, and so is everything before it.

mod follower;
mod open;
mod options;
mod replay;

use std::sync::Arc;

use annals_wire::{Batch, FrameType, LogPosition, Sequence, StoreId, crc, frame_len};

pub use follower::Follower;
pub use options::{TornEnd, WriteAheadOptions};
pub use replay::Replayed;

use crate::{Entry, Error, FrontierFile, Log, LogReport, Note, SealedPlace, Space};

/// The frames of such a log.
const FRAME_TYPES: &[FrameType] = &[FrameType::RECORD, FrameType::MARK];

/// Above this many bytes in memory, who appends hands them to the system.
const STAGED_BYTES_MAX: usize = 256 << 10;

/// A log of records, open for writing. Opened by [`WriteAheadOptions`].
///
/// ```
/// use annals_segment::{MemoryDirectory, Replayed, WriteAheadOptions};
///
/// let directory = MemoryDirectory::new();
/// let mut log = WriteAheadOptions::new().create(true).open_on(directory.clone())?;
/// log.append(b"one")?;
/// log.append_batch(&[b"two", b"three"])?; // both or neither
/// let durable = log.sync()?;
/// assert_eq!(durable.sequence.0, 3);
/// log.close()?;
///
/// let log = WriteAheadOptions::new().open_on(directory)?;
/// let mut records = Vec::new();
/// log.replay(&log.start(), |replayed| {
///     if let Replayed::Record { bytes, .. } = replayed {
///         records.push(bytes.to_vec());
///     }
///     Ok::<_, annals_segment::Error>(())
/// })?;
/// assert_eq!(records, [&b"one"[..], b"two", b"three"]);
/// # Ok::<_, annals_segment::Error>(())
/// ```
#[derive(Debug)]
pub struct WriteAheadLog {
    log: Log,
    options: WriteAheadOptions,
    report: LogReport,
    /// The sealed segments, oldest first.
    sealed: Vec<SealedPlace>,
    durable: LogPosition,
    /// Opened with the first record; `None` where that failed, and others then do not see what is appended.
    frontier: Option<FrontierFile>,
}

impl WriteAheadLog {
    /// The log's id, which no other log has.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.log.id()
    }

    /// What opening did to the files.
    #[must_use]
    pub fn report(&self) -> &LogReport {
        &self.report
    }

    /// The first record that the log still holds, or will hold.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.sealed.first().map_or(self.log.active().header().first_sequence, |place| place.first_sequence)
    }

    /// The position before the first record that the log still holds.
    #[must_use]
    pub fn start(&self) -> LogPosition {
        let oldest = self.sealed.first().copied().unwrap_or_else(|| self.active_place(self.log.end()));
        replay::start_of(&oldest)
    }

    /// The position behind everything that was appended, durable or not.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        let header = self.log.active().header();
        LogPosition {
            sequence: Sequence(self.log.next_sequence().0 - 1),
            segment: header.id,
            generation: header.generation,
            offset: self.log.end(),
            chain: self.log.chain(),
        }
    }

    /// The position up to which everything is durable.
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        self.durable
    }

    /// How many segments the log has.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.sealed.len() + 1
    }

    /// The space that the log shares with what its owner keeps beside it.
    #[must_use]
    pub fn space(&self) -> &Arc<Space> {
        self.log.space()
    }

    /// The directory that the log is in.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn crate::Directory> {
        self.log.directory()
    }

    /// Appends one record, and returns its number. It is durable when a later [`WriteAheadLog::sync`] returns.
    ///
    /// # Errors
    /// As [`WriteAheadLog::append_batch`].
    pub fn append(&mut self, record: &[u8]) -> Result<Sequence, Error> {
        self.append_batch(&[record])
    }

    /// Appends all of `records` or none, through every crash; returns the number of the last.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NoSpace`], [`Error::Exhausted`]: nothing was appended, and the log goes on.
    /// [`Error::Stopped`] with the first failure of a write or sync: nothing more is appended.
    pub fn append_batch(&mut self, records: &[&[u8]]) -> Result<Sequence, Error> {
        let count = self.check(records)?;
        let len = records.iter().map(|record| frame_len(0, record.len())).sum();
        self.make_room(len)?;
        for (index, record) in (0..count).zip(records) {
            self.log.stage(&entry(FrameType::RECORD, record), Batch { index, count })?;
        }
        self.flush_much()?;
        Ok(self.end().sequence)
    }

    /// Appends a mark: what the log's owner writes about the log itself. It has no number, and who replays
    /// records can pass it over.
    ///
    /// # Errors
    /// As [`WriteAheadLog::append_batch`].
    pub fn append_mark(&mut self, mark: &[u8]) -> Result<(), Error> {
        self.check(&[mark])?;
        self.make_room(frame_len(0, mark.len()))?;
        self.log.stage(&entry(FrameType::MARK, mark), Batch::SINGLE)?;
        self.flush_much()
    }

    /// Hands everything to the system: it then survives the end of the process, not of the system.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.log.flush(false)
    }

    /// Makes everything durable that was appended, and returns the position behind it.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure: what became durable is only known when the log is opened again,
    /// and no later sync ever says otherwise.
    pub fn sync(&mut self) -> Result<LogPosition, Error> {
        self.log.flush(true)?;
        self.durable = self.end();
        self.publish();
        Ok(self.durable)
    }

    /// Makes everything durable and begins a new segment, so that the one before can be dropped some day.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure.
    pub fn rotate(&mut self) -> Result<(), Error> {
        let sealed = self.log.rotate(Note::default())?;
        self.sealed.push(sealed);
        self.durable = self.end();
        self.publish();
        Ok(())
    }

    /// Drops the segments that hold nothing but records up to `covered`, durably; returns how many went. The
    /// segment that is written always stays.
    ///
    /// # Errors
    /// [`Error::NotHeld`] where `covered` is beyond what is durable: nothing was dropped. [`Error::Stopped`] with
    /// the first failure.
    pub fn truncate_prefix(&mut self, covered: Sequence) -> Result<usize, Error> {
        self.check_held(covered)?;
        let active = self.log.active().header();
        let behind = self.sealed.iter().skip(1).map(|place| (place.id, place.first_sequence));
        // A segment is covered where the one behind it begins at most one record later.
        let behind = behind.chain([(active.id, active.first_sequence)]).take(self.sealed.len());
        let covered: Vec<_> = behind.take_while(|(_, first)| first.0 - 1 <= covered.0).collect();
        let Some((oldest, _)) = covered.last() else { return Ok(0) };
        let count = covered.len();
        self.log.drop_prefix(self.sealed.get(..count).unwrap_or_default(), *oldest)?;
        self.sealed.drain(..count);
        Ok(count)
    }

    /// Makes everything durable and records that the log was closed cleanly: the next open has nothing to put in
    /// order.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Io`]: what a sync made durable is safe all the same.
    pub fn close(self) -> Result<(), Error> {
        self.log.close(Note::default())
    }

    fn check(&self, records: &[&[u8]]) -> Result<u32, Error> {
        let max = self.options.record_bytes_max;
        if let Some(record) = records.iter().find(|record| record.len() > max) {
            return Err(Error::TooLarge { what: "a record", len: record.len() as u64, max: max as u64 });
        }
        let exhausted = || Error::Exhausted { what: "the sequence, or the batch," };
        let count = u32::try_from(records.len()).map_err(|_| exhausted())?;
        self.log.next_sequence().0.checked_add(u64::from(count)).ok_or_else(exhausted)?;
        Ok(count)
    }

    /// Makes sure that `len` bytes of one batch have room, in this segment or the next.
    fn make_room(&mut self, len: u64) -> Result<(), Error> {
        self.log.check()?;
        self.log.check_space(len)?;
        if self.log.needs_rotation(len)? {
            self.rotate()?;
        }
        if self.frontier.is_none() {
            // Before the first byte is written, so that others know from then on that a writer lives.
            match FrontierFile::open(&**self.log.directory()) {
                Ok(file) => self.frontier = Some(file),
                Err(error) => tracing::warn!(%error, "followers do not see what is appended"),
            }
            self.publish();
        }
        Ok(())
    }

    fn flush_much(&mut self) -> Result<(), Error> {
        if self.log.staged_len() > STAGED_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    fn check_held(&self, sequence: Sequence) -> Result<(), Error> {
        if sequence <= self.durable.sequence {
            return Ok(());
        }
        Err(Error::NotHeld { asked: sequence, first: self.first(), last: self.durable.sequence })
    }

    /// Lets followers see what is durable.
    fn publish(&self) {
        let Some(frontier) = &self.frontier else { return };
        frontier.publish(&annals_wire::Frontier {
            epoch: self.log.epoch(),
            segment: self.durable.segment,
            end: self.durable.offset,
            visible: self.durable.sequence,
            durable: self.durable.sequence,
        });
    }
}

fn entry(frame_type: FrameType, body: &[u8]) -> Entry<'_> {
    Entry { frame_type, is_numbered: frame_type == FrameType::RECORD, stamp: &[], body, body_crc: crc(body) }
}
