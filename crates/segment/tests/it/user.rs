//! Somebody who uses the log, and remembers what was sent.
//!
//! Invariant: `sent` holds every frame staged, in order; `ends` after how many of them a batch ended; `synced`
//! how many are promised.

use std::{path::Path, sync::Arc, time::Duration};

use annals_segment::{
    Directory, Entry, Error, Inventory, Layout, Log, LogOptions, LogReport, Note, Outside, Recovery,
    SealedPlace, SealedSegment, SeededEntropy, SpaceLimits, Tail, WriterLock,
};
use annals_wire::{Batch, FrameType, crc};

pub(crate) const TYPES: &[FrameType] = &[FrameType(16)];

pub(crate) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 4096,
        prepare: true,
        frame_types: TYPES,
        lock_timeout: Duration::ZERO,
        space: SpaceLimits::default(),
    }
}

pub(crate) fn lock(directory: &Arc<dyn Directory>) -> Result<WriterLock, Error> {
    WriterLock::acquire(&**directory, Duration::ZERO, 0xe90c)
}

/// A log that was opened, with all that was read on the way.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) report: LogReport,
    pub(crate) bodies: Vec<Vec<u8>>,
    pub(crate) oddities: Vec<String>,
}

/// What can be read: bodies of all sealed segments and the newest.
pub(crate) fn replay(
    directory: &Arc<dyn Directory>,
    layout: &Layout,
) -> Result<(Vec<Vec<u8>>, Option<Tail>), Error> {
    let mut bodies = Vec::new();
    let mut next = 1;
    let mut visit = |_: u64, frame: &annals_wire::Frame<'_>| {
        assert_eq!(frame.header.sequence.0, next);
        next += 1;
        bodies.push(frame.body.to_vec());
        Ok(())
    };
    for place in &layout.sealed {
        let scanned = SealedSegment::new(Arc::clone(directory), *place, false).scan(TYPES, &mut visit)?;
        assert_eq!(scanned.position.offset, place.end);
    }
    let newest = layout.newest.as_ref();
    let tail = newest
        .map(|newest| Tail::walk(&**directory, newest, Outside::default(), TYPES, &mut visit))
        .transpose()?;
    Ok((bodies, tail))
}

/// Opens the log, or creates it where there is none.
pub(crate) fn open(directory: &Arc<dyn Directory>) -> Result<Opened, Error> {
    open_with(directory, options())
}

pub(crate) fn open_with(directory: &Arc<dyn Directory>, options: LogOptions) -> Result<Opened, Error> {
    let lock = lock(directory)?;
    let entropy = Arc::new(SeededEntropy::new(7));
    let (note, inventory) = (Note::default(), Inventory::take(&**directory)?);
    if inventory.is_empty() {
        let log = Log::create(Arc::clone(directory), lock, options, entropy, note)?;
        return Ok(Opened { log, report: LogReport::default(), bodies: Vec::new(), oddities: Vec::new() });
    }
    let layout = Layout::decide(&inventory, Path::new(""), None)?;
    let (bodies, tail) = replay(directory, &layout)?;
    let oddities = layout.oddities.clone();
    let directory = Arc::clone(directory);
    let recovery = Recovery { directory, lock, options, entropy, layout, tail, note };
    let (log, report, _) = recovery.run()?;
    Ok(Opened { log, report, bodies, oddities })
}

/// What was sent, and how much of it is promised.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) bodies: Vec<Vec<u8>>,
    pub(crate) ends: Vec<usize>,
    pub(crate) synced: usize,
}

impl Sent {
    /// Stages a batch of `count` frames with bodies of `len` bytes, in the next segment where this one is full.
    pub(crate) fn stage(
        &mut self,
        log: &mut Log,
        count: u32,
        len: usize,
    ) -> Result<Option<SealedPlace>, Error> {
        let stamp = b"stamp";
        let first = self.bodies.len();
        let bodies: Vec<Vec<u8>> =
            (first..).take(usize::try_from(count).unwrap()).map(|number| body(number, len)).collect();
        let entry =
            |body| Entry { frame_type: FrameType(16), is_numbered: true, stamp, body, body_crc: crc(body) };
        let total = bodies.iter().map(|body| entry(body).frame_len()).sum();
        let sealed = if log.needs_rotation(total)? { Some(self.rotate(log)?) } else { None };
        self.bodies.extend(bodies.iter().cloned());
        self.ends.push(self.bodies.len());
        for (index, body) in (0..).zip(&bodies) {
            log.stage(&entry(body), Batch { index, count })?;
        }
        Ok(sealed)
    }

    pub(crate) fn flush(&mut self, log: &mut Log, sync: bool) -> Result<(), Error> {
        log.flush(sync)?;
        self.synced = if sync { self.bodies.len() } else { self.synced };
        Ok(())
    }

    pub(crate) fn rotate(&mut self, log: &mut Log) -> Result<SealedPlace, Error> {
        let sealed = log.rotate(Note::default())?;
        self.synced = self.bodies.len();
        Ok(sealed)
    }

    pub(crate) fn close(&mut self, log: Log) -> Result<(), Error> {
        log.close(Note::default())?;
        self.synced = self.bodies.len();
        Ok(())
    }

    /// Checks that `bodies` are a prefix of whole batches that holds all that was synced.
    pub(crate) fn check(&self, bodies: &[Vec<u8>], row: &str) {
        assert!(self.bodies.starts_with(bodies), "{row}: not what was staged");
        assert!(bodies.len() >= self.synced, "{row}: {} of {} synced", bodies.len(), self.synced);
        assert!(bodies.is_empty() || self.ends.contains(&bodies.len()), "{row}: half a batch");
    }
}

fn body(number: usize, len: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

/// Batches, flushes with and without sync, rotations, a close, and the same again behind it.
pub(crate) fn work(directory: &Arc<dyn Directory>, sent: &mut Sent) -> Result<(), Error> {
    for _ in 0..2 {
        let mut log = open(directory)?.log;
        let outcome = steps(&mut log, sent);
        if outcome.is_err() {
            assert_stopped(log);
            return outcome;
        }
        sent.close(log)?;
    }
    Ok(())
}

fn steps(log: &mut Log, sent: &mut Sent) -> Result<(), Error> {
    sent.stage(log, 1, 40)?;
    sent.flush(log, true)?;
    sent.stage(log, 3, 300)?;
    sent.stage(log, 1, 8)?;
    sent.flush(log, false)?;
    sent.stage(log, 2, 1500)?;
    sent.flush(log, true)?;
    sent.flush(log, true)?;
    sent.stage(log, 1, 9000)?;
    sent.flush(log, false)?;
    sent.stage(log, 2, 100)?;
    sent.flush(log, true)?;
    sent.rotate(log)?;
    sent.stage(log, 1, 100)?;
    Ok(())
}

/// Whatever is tried on a log that failed is refused, with the first failure, and touches nothing.
fn assert_stopped(mut log: Log) {
    let stopped = |outcome: Result<(), Error>| match outcome {
        Err(Error::Stopped { cause }) => assert!(matches!(*cause, Error::Io { .. }), "{cause}"),
        other => panic!("the log goes on: {other:?}"),
    };
    let entry = Entry { frame_type: FrameType(16), is_numbered: true, stamp: b"", body: b"", body_crc: 0 };
    for _ in 0..2 {
        stopped(log.check());
        stopped(log.stage(&entry, Batch::SINGLE).map(drop));
        stopped(log.depart(true).map(drop));
        stopped(log.flush(true));
        stopped(log.flush(false));
        stopped(log.rotate(Note::default()).map(drop));
    }
    stopped(log.close(Note::default()));
}
