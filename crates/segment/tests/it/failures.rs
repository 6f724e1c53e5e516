//! An operation that fails stops the log for good, and opening again finds whole batches and all that was synced.

use std::{io::ErrorKind, sync::Arc};

use annals_segment::{CrashProfile, Directory, Error, MemoryDirectory, SimulatedDirectory};

use crate::{
    failing::{FailingDirectory, Fault},
    user::{Sent, open, work},
};

/// Opens what is left, checks it, appends and opens once more.
fn reopen(disk: SimulatedDirectory, sent: &Sent, row: &str) {
    let directory: Arc<dyn Directory> = Arc::new(disk);
    let opened = open(&directory).unwrap_or_else(|error| panic!("{row}: {error}"));
    sent.check(&opened.bodies, row);
    let mut after =
        Sent { synced: opened.bodies.len(), ends: vec![opened.bodies.len()], bodies: opened.bodies };
    let mut log = opened.log;
    assert_eq!(log.next_sequence().0, after.bodies.len() as u64 + 1, "{row}");
    after.stage(&mut log, 2, 50).and_then(|_| after.flush(&mut log, true)).unwrap();
    after.close(log).unwrap();
    let again = open(&directory).unwrap_or_else(|error| panic!("{row}, again: {error}"));
    after.check(&again.bodies, row);
    assert!(!again.report.was_unclean && again.oddities.is_empty(), "{row}: {again:?}");
}

#[test]
fn any_operation_that_fails_stops_the_log_and_nothing_synced_is_lost() {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    for kind in [ErrorKind::Other, ErrorKind::ReadOnlyFilesystem].into_iter().chain(full) {
        let (mut stopped, mut tolerated) = (0, 0);
        for at in 0.. {
            let row = format!("{kind:?} at operation {at}");
            let disk = SimulatedDirectory::new();
            let failing = FailingDirectory::new(Arc::new(disk.clone()), Fault::Error(kind), at);
            let mut sent = Sent::default();
            let directory: Arc<dyn Directory> = Arc::new(failing.clone());
            match work(&directory, &mut sent) {
                Ok(()) if !failing.has_failed() => break,
                Ok(()) => tolerated += 1,
                Err(Error::Stopped { .. } | Error::Io { .. }) => stopped += 1,
                Err(error) => panic!("{row}: {error}"),
            }
            for profile in CrashProfile::ALL {
                for seed in 0..3 {
                    reopen(disk.crash(profile, seed), &sent, &format!("{row}, {profile:?} {seed}"));
                }
            }
            reopen(disk.kill(), &sent, &row);
        }
        assert!(stopped > 50, "{kind:?}: {stopped}");
        // What is prepared ahead may find no room, and that is no failure.
        assert_eq!(tolerated > 0, full.contains(&kind), "{kind:?}: {tolerated}");
    }
}

#[test]
fn short_and_interrupted_writes_are_resumed() {
    let reference = MemoryDirectory::new();
    let mut expected = Sent::default();
    work(&(Arc::new(reference.clone()) as Arc<dyn Directory>), &mut expected).unwrap();
    for fault in [Fault::Short, Fault::Interrupted] {
        for at in 0.. {
            let memory = MemoryDirectory::new();
            let failing = FailingDirectory::new(Arc::new(memory.clone()), fault, at);
            let mut sent = Sent::default();
            work(&(Arc::new(failing.clone()) as Arc<dyn Directory>), &mut sent).unwrap();
            assert_eq!(sent.bodies, expected.bodies);
            for name in reference.names() {
                assert!(memory.file(&name) == reference.file(&name), "{fault:?} at operation {at}: {name}");
            }
            if !failing.has_failed() {
                break;
            }
        }
    }
}

#[test]
fn power_loss_before_any_operation_leaves_whole_batches_and_all_that_was_synced() {
    for stop in 0.. {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        let mut sent = Sent::default();
        let outcome = work(&(Arc::new(disk.clone()) as Arc<dyn Directory>), &mut sent);
        if outcome.is_ok() {
            break;
        }
        for profile in CrashProfile::ALL {
            for seed in 0..6 {
                let row = format!("{profile:?} seed {seed} before operation {stop}");
                reopen(disk.crash(profile, seed), &sent, &row);
            }
        }
    }
}
