//! A backup that is cut short, at every operation: the old one still opens, or the directory says what it is.
//!
//! The disk under the backup is simulated; what is cut short is done again, and must then be whole.

use annals::{
    Error,
    disk::{MemoryDirectory, SimulatedDirectory, restore_on, verify_on},
};
use annals_segment::{CrashProfile, Errno, Fault, Span};

use crate::{
    backup::{grow, history},
    history::{Facts, History, options},
};

const SEEDS: u64 = 3;

/// What a directory that a backup was cut short in says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Nothing,
    Unfinished,
    Old,
    /// Longer than the old one, and not closed cleanly, which the open's report says.
    Between,
    New,
}

/// What `disk` says, of which the first `old` events were in an earlier backup.
fn state(history: &History, disk: &SimulatedDirectory, old: Option<usize>, what: &str) -> State {
    let store = match options(9).open_read_only_on(disk.clone()) {
        Ok(store) => store,
        Err(error) if old.is_some() => panic!("{what}: the old backup is gone: {error}"),
        Err(Error::NotFound { .. }) => {
            // Nor is it a store to those who make one where there is none, unless nothing is there.
            assert!(disk.names().iter().all(|name| name == "LOCK"), "{what}: {:?}", disk.names());
            return State::Nothing;
        }
        Err(error) => {
            assert!(matches!(error, Error::Unfinished { .. }), "{what}: {error}");
            let written = options(9).create(true).open_on(disk.kill()).unwrap_err();
            assert!(matches!(written, Error::Unfinished { .. }), "{what}: {written}");
            verify_on(disk.clone(), &mut |_| {}).unwrap_err();
            return State::Unfinished;
        }
    };
    let events: Vec<_> = store.all().map(|event| Facts::of(&event.unwrap())).collect();
    assert!(events[..] == history.events[..events.len()], "{what}: a prefix");
    let is_clean = !store.report().log.was_unclean;
    match old {
        _ if is_clean && events.len() == history.events.len() => State::New,
        Some(old) if is_clean => {
            assert_eq!(events.len(), old, "{what}: the old or the new");
            State::Old
        }
        Some(old) => {
            assert!(events.len() >= old, "{what}: shorter than the old");
            State::Between
        }
        None => panic!("{what}: a first backup that opens and is not whole: {:?}", store.report()),
    }
}

/// A backup from `history` onto `disk`.
fn run(history: &History, disk: &SimulatedDirectory) -> Result<(), Error> {
    history.store().backup_to(disk.clone(), &mut |_| {}).map(drop)
}

/// Does what was cut short again, and checks that it is whole.
fn complete(history: &History, disk: &SimulatedDirectory, what: &str) {
    run(history, disk).unwrap_or_else(|error| panic!("{what}: not completed: {error}"));
    assert_eq!(state(history, disk, None, what), State::New);
    let verified = verify_on(disk.clone(), &mut |_| {}).unwrap();
    assert!(verified.is_sound() && verified.notes.is_empty(), "{what}: {verified:?}");
    assert!(!disk.names().iter().any(|name| name.ends_with(".tmp")), "{what}: {:?}", disk.names());
    let after = disk.crash_subset(|_| false);
    assert_eq!(state(history, &after, None, what), State::New, "{what}: what is said to be done is durable");
}

/// Cuts a backup of `history` onto copies of `disk` short before every operation, and shows `check` what is left.
fn cut_short(
    disk: &SimulatedDirectory,
    backup: impl Fn(&SimulatedDirectory) -> Result<(), Error>,
    mut check: impl FnMut(&SimulatedDirectory, &str),
) {
    for n in 0.. {
        let disk = disk.crash_subset(|_| true);
        disk.stop_before(n);
        let outcome = backup(&disk);
        if !disk.is_stopped() {
            outcome.unwrap();
            assert!(n > 10, "there is something to cut short");
            return;
        }
        outcome.unwrap_err();
        check(&disk.kill(), &format!("killed before operation {n}"));
        for profile in CrashProfile::ALL {
            for seed in 0..SEEDS {
                let what = format!("power lost before operation {n}, {profile:?}, seed {seed}");
                check(&disk.crash(profile, seed), &what);
            }
        }
    }
}

#[test]
fn a_first_backup_that_is_cut_short_is_nothing_or_says_so_and_is_completed() {
    let history = history(3);
    let mut seen = Vec::new();
    cut_short(
        &SimulatedDirectory::new(),
        |disk| run(&history, disk),
        |disk, what| {
            seen.push(state(&history, disk, None, what));
            complete(&history, disk, what);
        },
    );
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [State::Nothing, State::Unfinished, State::New]);
}

#[test]
fn a_later_backup_that_is_cut_short_leaves_the_old_one_or_more_and_is_completed() {
    let mut history = history(2);
    let disk = SimulatedDirectory::new();
    run(&history, &disk).unwrap();
    let old = history.events.len();
    (0..8).for_each(|_| grow(&mut history));
    let mut seen = Vec::new();
    cut_short(
        &disk,
        |disk| run(&history, disk),
        |disk, what| {
            seen.push(state(&history, disk, Some(old), what));
            complete(&history, disk, what);
        },
    );
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [State::Old, State::Between, State::New]);
}

#[test]
fn a_restore_that_is_cut_short_says_so_and_is_completed() {
    let history = history(2);
    let backup = MemoryDirectory::new();
    history.store().backup_to(backup.clone(), &mut |_| {}).unwrap();
    let restore = |disk: &SimulatedDirectory| restore_on(backup.clone(), disk.clone(), &mut |_| {}).map(drop);
    cut_short(&SimulatedDirectory::new(), restore, |disk, what| {
        if state(&history, disk, None, what) != State::New {
            restore(disk).unwrap_or_else(|error| panic!("{what}: not completed: {error}"));
        }
        assert_eq!(state(&history, disk, None, what), State::New);
    });
}

#[test]
fn an_operation_that_fails_is_told_and_the_old_backup_stays() {
    let mut history = history(2);
    let disk = SimulatedDirectory::new();
    run(&history, &disk).unwrap();
    let old = history.events.len();
    (0..5).for_each(|_| grow(&mut history));
    let whole = disk.crash_subset(|_| true);
    run(&history, &whole).unwrap();
    for n in 0..whole.operation_count() {
        let disk = disk.crash_subset(|_| true);
        disk.inject(n, Fault::Fail(Errno::Io), Span::Once);
        let what = format!("operation {n} fails");
        let outcome = run(&history, &disk);
        let found = state(&history, &disk, Some(old), &what);
        assert!(outcome.is_err() || found == State::New, "{what}: {found:?}");
        complete(&history, &disk, &what);
    }
}

#[test]
fn a_full_disk_is_told_and_the_old_backup_stays() {
    let mut history = history(2);
    let disk = SimulatedDirectory::new();
    run(&history, &disk).unwrap();
    let old = history.events.len();
    let used: usize = disk.names().iter().map(|name| disk.file(name).unwrap().len()).sum();
    (0..8).for_each(|_| grow(&mut history));
    for room in (0..20_000).step_by(700) {
        let disk = disk.crash_subset(|_| true);
        disk.set_capacity((used + room) as u64);
        let what = format!("{room} bytes of room");
        match run(&history, &disk) {
            Ok(()) => assert!(room > 6000, "{what}"),
            Err(error) => assert!(error.is_out_of_space(), "{what}: {error}"),
        }
        assert_ne!(state(&history, &disk, Some(old), &what), State::Between, "{what}");
        disk.set_capacity(1 << 30);
        complete(&history, &disk, &what);
    }
}
