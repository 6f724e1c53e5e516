//! Opening a write-ahead log: lock, look, decide, walk the newest segment, recover.
//!
//! Invariant: nothing is changed before everything was found sound.

use std::{io, sync::Arc};

use annals_wire::{LogPosition, Sequence};

use super::{FRAME_TYPES, TornEnd, WriteAheadLog, WriteAheadOptions};
use crate::{
    Access, Directory, Error, Inventory, Layout, Log, LogOptions, LogReport, MANIFEST, Newest, Note, Outside,
    Recovery, SealedPlace, Tail, WriterLock, segment_name,
};

pub(super) fn open(
    options: WriteAheadOptions,
    directory: Arc<dyn Directory>,
) -> Result<WriteAheadLog, Error> {
    if !options.create {
        refuse_nothing(&*directory)?;
    }
    let lock = WriterLock::acquire(&*directory, options.lock_timeout, options.entropy.number())?;
    let inventory = Inventory::take(&*directory)?;
    let log_options = log_options(&options);
    if inventory.is_empty() {
        check_witness(&options, None, &[], &*directory)?;
        let entropy = Arc::clone(&options.entropy);
        let log = Log::create(directory, lock, log_options, entropy, Note::default())?;
        return Ok(WriteAheadLog::new(log, options, LogReport::default(), Vec::new()));
    }
    let layout = Layout::decide(&inventory, directory.path(), None)?;
    check_witness(&options, layout.newest.as_ref(), &layout.sealed, &*directory)?;
    let tail = match &layout.newest {
        Some(newest) => Some(walk(newest, &options, &*directory)?),
        None => None,
    };
    let mut sealed = layout.sealed.clone();
    let entropy = Arc::clone(&options.entropy);
    let recovery =
        Recovery { directory, lock, options: log_options, entropy, layout, tail, note: Note::default() };
    let (log, report, cut) = recovery.run()?;
    sealed.extend(cut);
    Ok(WriteAheadLog::new(log, options, report, sealed))
}

impl WriteAheadLog {
    /// A log that was opened: all that it holds is durable.
    fn new(log: Log, options: WriteAheadOptions, report: LogReport, sealed: Vec<SealedPlace>) -> Self {
        let header = log.active().header();
        let durable = LogPosition {
            sequence: Sequence(log.next_sequence().0 - 1),
            segment: header.id,
            generation: header.generation,
            offset: log.end(),
            chain: log.chain(),
        };
        Self { log, options, report, sealed, durable, frontier: None }
    }
}

/// Refuses a directory without a log before anything is left in it.
fn refuse_nothing(directory: &dyn Directory) -> Result<(), Error> {
    match directory.open(MANIFEST, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && Inventory::take(directory)?.is_empty() => {
            Err(Error::NotFound { path: directory.path().to_owned() })
        }
        _ => Ok(()),
    }
}

fn log_options(options: &WriteAheadOptions) -> LogOptions {
    LogOptions {
        segment_bytes: options.segment_bytes,
        prepare: options.prepare,
        frame_types: FRAME_TYPES,
        lock_timeout: options.lock_timeout,
        space: options.space,
    }
}

/// A log that does not reach as far as its owner knows it to have been durable has lost something. The newest
/// segment is judged by [`walk`].
fn check_witness(
    options: &WriteAheadOptions,
    newest: Option<&Newest>,
    sealed: &[SealedPlace],
    directory: &dyn Directory,
) -> Result<(), Error> {
    let Some(witness) = options.witness else { return Ok(()) };
    let newest = newest.map(|newest| (newest.header.id, newest.len));
    let held = sealed.iter().map(|place| (place.id, place.end)).chain(newest);
    let held = held.max().unwrap_or_default();
    let of_its_segment = sealed.iter().find(|place| place.id == witness.segment);
    let reaches = of_its_segment.is_none_or(|place| witness.offset <= place.end);
    if reaches && (witness.segment, witness.offset) <= held {
        return Ok(());
    }
    let path = directory.path().join(segment_name(witness.segment, witness.generation));
    let end = of_its_segment.map_or(0, |place| place.end);
    Err(Error::Lost { path, end, proven: witness.offset, witness: WITNESS })
}

const WITNESS: &str = "the position that the log's owner knows";

/// Walks the newest segment and judges its end.
fn walk(newest: &Newest, options: &WriteAheadOptions, directory: &dyn Directory) -> Result<Tail, Error> {
    let witness = options.witness.filter(|witness| witness.segment == newest.header.id);
    let checkpoint_end = witness.map_or(0, |witness| witness.offset);
    let outside = Outside { checkpoint_end, ..Outside::default() };
    let tail = Tail::walk(directory, newest, outside, FRAME_TYPES, &mut |_, _| Ok(()))?;
    match &tail.torn {
        Some(torn) if options.torn_end == TornEnd::Refuse => Err(Error::Mismatch {
            path: directory.path().join(segment_name(newest.header.id, newest.header.generation)),
            offset: torn.offset,
            what: "the end of the log, which is not to be cut,",
            expected: "followed by nothing".to_owned(),
            found: format!("followed by {} bytes: {}", torn.len, torn.why),
        }),
        _ => Ok(tail),
    }
}
