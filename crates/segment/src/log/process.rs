//! The one process that writes.
//!
//! A forked child has the lock, the descriptors and a copy of all state. What it wrote would lie over what its
//! parent writes, and both would acknowledge it. So a log writes in the process that opened it, and in no other.

use std::process;

use super::Log;
use crate::Error;

impl Log {
    /// Stops the log in any process but the one that took its lock.
    ///
    /// # Errors
    /// [`Error::Stopped`] with [`Error::Forked`].
    pub(super) fn check_process(&mut self) -> Result<(), Error> {
        let (opened_by, process) = (self.lock.process(), process::id());
        if opened_by == process {
            return Ok(());
        }
        let path = self.path().to_owned();
        self.stop_on_error(Err(Error::Forked { path, opened_by, process }))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use annals_wire::{Batch, CleanEnd, FrameType, Manifest};

    use crate::{
        Directory, Entry, Error, Log, LogOptions, Note, SeededEntropy, SimulatedDirectory, SpaceLimits,
        WriterLock,
    };

    fn log(disk: &SimulatedDirectory, lock: WriterLock) -> Log {
        let options = LogOptions {
            segment_bytes: 4096,
            prepare: false,
            frame_types: &[FrameType::RECORD],
            lock_timeout: Duration::ZERO,
            space: SpaceLimits::default(),
        };
        let directory: Arc<dyn Directory> = Arc::new(disk.clone());
        Log::create(directory, lock, options, Arc::new(SeededEntropy::new(7)), Note::default()).unwrap()
    }

    fn stage(log: &mut Log) -> Result<(), Error> {
        let (body, body_crc) = (b"body", annals_wire::crc(b"body"));
        let entry = Entry { frame_type: FrameType::RECORD, is_numbered: true, stamp: b"", body, body_crc };
        log.stage(&entry, Batch::SINGLE).map(drop)
    }

    fn check_refused(outcome: Result<(), Error>) {
        let error = outcome.unwrap_err();
        let Error::Stopped { cause } = &error else { panic!("{error:?}") };
        let own = std::process::id();
        assert!(matches!(**cause, Error::Forked { process, .. } if process == own), "{error}");
        assert!(error.to_string().contains("open it after the fork"), "{error}");
    }

    /// To fork takes `unsafe`; a log that another process opened is what a child has.
    #[test]
    fn a_log_that_another_process_opened_writes_nothing() {
        type Deed = fn(Log) -> Result<(), Error>;
        let deeds: [Deed; 4] = [
            |mut log| log.flush(true),
            |mut log| log.rotate(Note::default()).map(drop),
            |log| log.close(Note::default()),
            |mut log| log.drop_prefix(&[], annals_wire::SegmentId(1)),
        ];
        for (deed, is_staged) in deeds.into_iter().flat_map(|deed| [(deed, true), (deed, false)]) {
            let disk = SimulatedDirectory::new();
            let lock = WriterLock::acquire(&disk, Duration::ZERO, 1).unwrap();
            let mut log = log(&disk, lock.of_another_process());
            if is_staged {
                stage(&mut log).unwrap();
            }
            let (before, count) = (disk.kill(), disk.operation_count());
            check_refused(deed(log));
            assert_eq!(disk.operation_count(), count);
            assert!(before.differing(&disk).is_empty());
        }
    }

    /// The first append behind a clean close says in the manifest that the log is open.
    #[test]
    fn a_clean_close_is_not_taken_back_by_another_process() {
        let disk = SimulatedDirectory::new();
        let lock = WriterLock::acquire(&disk, Duration::ZERO, 1).unwrap();
        let mut log = log(&disk, lock.of_another_process());
        let (end, chain, next_sequence) = (log.end(), log.chain(), log.next_sequence());
        let Note { recorded, mark } = Note::default();
        let clean = Some(CleanEnd { end, chain, next_sequence, recorded, mark });
        log.manifest.write(Manifest { clean, ..log.manifest.current().clone() }).unwrap();
        let count = disk.operation_count();
        check_refused(stage(&mut log));
        assert_eq!(disk.operation_count(), count);
    }
}
