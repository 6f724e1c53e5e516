//! A state and its log, against a list of records: through power losses anywhere, and with either damaged.

use std::sync::Arc;

use annals_checkpoint::{Error, Recovered, publish, recover};
use annals_segment::{
    CrashProfile, Directory, DiskDirectory, Error as LogError, MemoryDirectory, SeededEntropy,
    SimulatedDirectory, SpaceLimits, WriteAheadOptions,
};
use annals_wire::{LogPosition, Sequence};

/// The state is the list of all records.
type State = Vec<u64>;

fn options() -> WriteAheadOptions {
    WriteAheadOptions::new().create(true).segment_bytes(1024).entropy(SeededEntropy::new(7))
}

fn open(directory: impl Directory + 'static) -> Result<Recovered<State>, Error> {
    recover(Arc::new(directory), options(), State::new, |state, sequence, record| {
        state.push(u64::from_le_bytes(record.try_into()?));
        assert_eq!(state.len() as u64, sequence.0);
        Ok(())
    })
}

/// Appends records up to `last`.
fn count_to(recovered: &mut Recovered<State>, last: u64) -> Result<LogPosition, Error> {
    for number in recovered.state.len() as u64 + 1..=last {
        recovered.log.append(&number.to_le_bytes())?;
        recovered.state.push(number);
    }
    Ok(recovered.log.sync()?)
}

/// Appends and publishes, and notes what is durable. Published are 40, 80, 120 and 160 records, 200 are durable.
fn work(disk: &SimulatedDirectory, durable: &mut u64) -> Result<(), Error> {
    let mut recovered = open(disk.clone())?;
    for last in [40, 80, 120, 160] {
        let position = count_to(&mut recovered, last)?;
        *durable = last;
        publish(&mut recovered.log, &recovered.state, &position)?;
        if last == 80 {
            recovered.log.close()?;
            recovered = open(disk.clone())?;
        }
    }
    count_to(&mut recovered, 200)?;
    *durable = 200;
    Ok(recovered.log.close()?)
}

fn check(disk: &SimulatedDirectory, durable: u64, row: &str) {
    let mut recovered = open(disk.clone()).unwrap_or_else(|error| panic!("{row}: {error}"));
    let last = recovered.state.len() as u64;
    assert!((durable..=durable + 40).contains(&last), "{row}: {last} records, {durable} durable");
    assert!(recovered.state.iter().copied().eq(1..=last), "{row}");
    assert_eq!(recovered.position, recovered.log.durable(), "{row}");
    let position = count_to(&mut recovered, last + 3).unwrap();
    publish(&mut recovered.log, &recovered.state, &position).unwrap_or_else(|error| panic!("{row}: {error}"));
    recovered.log.close().unwrap();
    let again = open(disk.clone()).unwrap_or_else(|error| panic!("{row}: {error}"));
    assert_eq!(again.state, recovered.state, "{row}");
    assert_eq!(again.report.used, Some(Sequence(last + 3)), "{row}");
    assert!(again.report.rejected.is_empty() && again.report.replayed == 0, "{row}: {:?}", again.report);
    let states = disk.names().iter().filter(|name| name.contains(".state")).count();
    assert!(states <= 2, "{row}: {:?}", disk.names());
}

#[test]
fn the_power_may_go_before_any_operation() {
    for stop in 0.. {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        let mut durable = 0;
        let is_done = work(&disk, &mut durable).is_ok();
        for profile in CrashProfile::ALL {
            for seed in 0..3 {
                let row = format!("power lost before operation {stop}, {profile:?} seed {seed}");
                check(&disk.crash(profile, seed), durable, &row);
            }
        }
        check(&disk.kill(), durable, &format!("killed before operation {stop}"));
        if is_done {
            assert!(stop > 100, "{stop}");
            break;
        }
    }
}

/// A directory with two states of 200 records, and a log that begins behind its first record.
fn published() -> MemoryDirectory {
    let disk = SimulatedDirectory::new();
    work(&disk, &mut 0).unwrap();
    assert!(open(disk.clone()).unwrap().log.first() > Sequence(1));
    MemoryDirectory::from_files(
        disk.names().into_iter().map(|name| (name.clone(), disk.file(&name).unwrap())),
    )
}

const STATES: [&str; 2] = ["00000000000000000160.state", "00000000000000000120.state"];

fn with(directory: &MemoryDirectory, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> MemoryDirectory {
    let files = directory.names().into_iter().filter_map(|name| {
        let bytes = directory.file(&name)?.to_vec();
        Some((name.clone(), change(&name, bytes)?))
    });
    MemoryDirectory::from_files(files)
}

#[test]
fn any_byte_of_the_newest_state_may_be_damaged_and_the_one_before_takes_over() {
    let directory = published();
    let len = directory.file(STATES[0]).unwrap().len();
    for at in 0..len {
        let damaged = with(&directory, |name, mut bytes| {
            if name == STATES[0] {
                bytes[at] ^= 0x40;
            }
            Some(bytes)
        });
        match open(damaged) {
            Ok(recovered) => {
                assert!(recovered.state.into_iter().eq(1..=200), "byte {at}");
                assert_eq!(recovered.report.used, Some(Sequence(120)), "byte {at}");
                assert_eq!(recovered.report.rejected[0].file, STATES[0], "byte {at}");
            }
            // Its version's bytes, with a checksum that is right, would be a newer program's.
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn states_cut_or_gone_are_told_and_a_log_without_any_is_refused() {
    let directory = published();
    let gone = open(with(&directory, |name, bytes| (name != STATES[0]).then_some(bytes))).unwrap();
    assert_eq!((gone.state.len(), gone.report.replayed), (200, 80));
    assert_eq!(gone.report.rejected.len(), 1, "{:?}", gone.report);
    assert!(gone.report.rejected[0].why.contains("the log records it"), "{:?}", gone.report);
    for len in 0..directory.file(STATES[0]).unwrap().len() {
        let cut = with(&directory, |name, mut bytes| {
            bytes.truncate(if name == STATES[0] { len } else { usize::MAX });
            Some(bytes)
        });
        assert_eq!(open(cut).unwrap().report.used, Some(Sequence(120)), "cut to {len} bytes");
    }
    for is_left in [false, true] {
        let neither = with(&directory, |name, bytes| match STATES.contains(&name) {
            true => is_left.then(|| bytes[..100].to_vec()),
            false => Some(bytes),
        });
        match open(neither.clone()) {
            Err(Error::NoState { first, rejected }) => {
                assert!(first > Sequence(1) && rejected.len() == 2 * usize::from(is_left));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_state_behind_which_records_are_gone_is_told_and_not_used() {
    let disk = SimulatedDirectory::new();
    let mut recovered = open(disk.clone()).unwrap();
    let position = count_to(&mut recovered, 40).unwrap();
    publish(&mut recovered.log, &recovered.state, &position).unwrap();
    let early = "00000000000000000040.state";
    let bytes = disk.file(early).unwrap();
    let directory = published();
    let with_gap = with(&directory, |name, bytes| (!STATES.contains(&name)).then_some(bytes));
    with_gap.create(early).unwrap().write_all_at(&bytes, 0).unwrap();
    match open(with_gap) {
        Err(Error::NoState { rejected, .. }) => assert_eq!(rejected[0].file, early),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_that_was_published_outlives_a_power_loss() {
    let disk = SimulatedDirectory::new();
    let mut recovered = open(disk.clone()).unwrap();
    for last in [10, 20, 30] {
        let position = count_to(&mut recovered, last).unwrap();
        publish(&mut recovered.log, &recovered.state, &position).unwrap();
        let after = open(disk.crash(CrashProfile::StrictPosix, 0)).unwrap();
        assert_eq!((after.report.used, after.report.rejected), (Some(Sequence(last)), Vec::new()));
    }
}

#[test]
fn what_has_a_states_name_and_is_no_file_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let disk = || DiskDirectory::open(directory.path()).unwrap();
    count_to(&mut open(disk()).unwrap(), 10).unwrap();
    std::fs::create_dir(directory.path().join(STATES[0])).unwrap();
    let recovered = open(disk()).unwrap();
    assert_eq!(recovered.state.len(), 10);
    assert_eq!(recovered.report.rejected[0].file, STATES[0]);
}

#[test]
fn a_log_that_ends_before_its_state_has_lost_something() {
    let directory = published();
    let newest = directory.names().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
    let without_log = with(&directory, |name, bytes| name.ends_with(".state").then_some(bytes));
    assert!(matches!(open(without_log.clone()), Err(Error::Log(LogError::Lost { .. }))));
    assert_eq!(without_log.names().iter().filter(|name| name.ends_with(".seg")).count(), 0);
    let without_segment = with(&directory, |name, bytes| (name != newest).then_some(bytes));
    assert!(matches!(open(without_segment), Err(Error::Log(LogError::MissingSegment { .. }))));
    // An older copy of the whole log beside a newer state.
    let disk = SimulatedDirectory::new();
    let mut recovered = open(disk.clone()).unwrap();
    count_to(&mut recovered, 10).unwrap();
    let older = disk.kill();
    let position = count_to(&mut recovered, 20).unwrap();
    publish(&mut recovered.log, &recovered.state, &position).unwrap();
    let state = "00000000000000000020.state";
    older.write_file(state, disk.file(state).unwrap());
    assert!(matches!(open(older), Err(Error::Log(LogError::Lost { .. }))));
}

#[test]
fn another_logs_state_is_none_of_this_log() {
    let directory = published();
    let mut other = recover(
        Arc::new(MemoryDirectory::new()),
        options().entropy(SeededEntropy::new(8)),
        State::new,
        |_, _, _| Ok(()),
    )
    .unwrap();
    let position = count_to(&mut other, 500).unwrap();
    let misplaced = publish(&mut open(published()).unwrap().log, &other.state, &position).unwrap_err();
    assert!(
        matches!(misplaced, Error::Log(LogError::NotHeld { .. } | LogError::Mismatch { .. })),
        "{misplaced}"
    );
    publish(&mut other.log, &other.state, &position).unwrap();
    let name = "00000000000000000500.state";
    let bytes =
        other.log.directory().open(name, annals_segment::Access::Read).unwrap().read_all(1 << 20).unwrap();
    let foreign = with(&directory, |_, bytes| Some(bytes));
    let file = foreign.create(name).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let recovered = open(foreign).unwrap();
    assert!(recovered.state.into_iter().eq(1..=200));
    assert_eq!(recovered.report.rejected[0].why, "it is another log's");
}

#[test]
fn what_is_not_durable_is_not_published() {
    let mut recovered = open(MemoryDirectory::new()).unwrap();
    count_to(&mut recovered, 10).unwrap();
    recovered.log.append(&11_u64.to_le_bytes()).unwrap();
    let beyond = recovered.log.end();
    let refused = publish(&mut recovered.log, &recovered.state, &beyond).unwrap_err();
    assert!(matches!(refused, Error::Log(LogError::NotHeld { .. })), "{refused}");
    let position = recovered.log.sync().unwrap();
    assert_eq!(position, beyond);
    publish(&mut recovered.log, &recovered.state, &position).unwrap();
}

#[test]
fn a_state_without_room_is_refused_and_the_log_goes_on() {
    let limits = SpaceLimits { budget: Some(20_000), headroom: 2000 };
    let directory = SimulatedDirectory::new();
    let mut recovered =
        recover(Arc::new(directory), options().space(limits), State::new, |_, _, _| Ok(())).unwrap();
    let position = count_to(&mut recovered, 50).unwrap();
    let large = vec![0_u64; 10_000];
    let refused = publish(&mut recovered.log, &large, &position).unwrap_err();
    assert!(matches!(refused, Error::Log(LogError::NoSpace { .. })), "{refused}");
    publish(&mut recovered.log, &recovered.state, &position).unwrap();
    count_to(&mut recovered, 51).unwrap();
}

#[test]
fn a_record_that_cannot_be_applied_is_named() {
    let disk = SimulatedDirectory::new();
    let mut recovered = open(disk.clone()).unwrap();
    count_to(&mut recovered, 4).unwrap();
    recovered.log.append(b"no number").unwrap();
    recovered.log.close().unwrap();
    let refused = open(disk).unwrap_err();
    assert!(matches!(refused, Error::Apply { sequence: Sequence(5), .. }), "{refused}");
}
