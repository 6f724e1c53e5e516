//! What a publication that returned promises: its record and its files outlive the power, and nothing else is left.

use std::sync::Arc;

use annals_checkpoint::{Error, Recovered, publish, recover};
use annals_segment::{
    Directory, DiskDirectory, Errno, Fault, ReadFault, SeededEntropy, SimulatedDirectory, Span,
    WriteAheadOptions,
};
use annals_wire::{Chain, LogPosition, STATE_HEADER_LEN, Sequence, StateHeader};

/// The state is the count of records.
fn open(disk: &SimulatedDirectory) -> Recovered<u64> {
    try_open(disk).unwrap()
}

fn try_open(disk: &SimulatedDirectory) -> Result<Recovered<u64>, Error> {
    let options = WriteAheadOptions::new().create(true).segment_bytes(1024).entropy(SeededEntropy::new(7));
    recover(
        Arc::new(disk.clone()),
        options,
        || 0,
        |state, _, _| {
            *state += 1;
            Ok(())
        },
    )
}

fn count_to(recovered: &mut Recovered<u64>, last: u64) -> LogPosition {
    for number in recovered.state + 1..=last {
        recovered.log.append(&number.to_le_bytes()).unwrap();
    }
    recovered.state = last;
    recovered.log.sync().unwrap()
}

fn work(disk: &SimulatedDirectory) -> Recovered<u64> {
    work_from(open(disk), &[40, 80, 120, 160])
}

/// Publishes the state after so many records, each time.
fn work_from(mut recovered: Recovered<u64>, counts: &[u64]) -> Recovered<u64> {
    for last in counts {
        let position = count_to(&mut recovered, *last);
        publish(&mut recovered.log, &recovered.state, &position).unwrap();
    }
    recovered
}

fn state_name(sequence: u64) -> String {
    format!("{sequence:020}.state")
}

#[test]
fn what_was_published_is_recorded_and_what_it_supersedes_is_gone_for_good() {
    let disk = SimulatedDirectory::new();
    let recovered = work(&disk);
    let lost = disk.crash_subset(|_| false);
    assert_eq!(lost.names(), disk.names(), "nothing that went comes back");
    assert!(!lost.names().contains(&state_name(80)) && lost.names().contains(&state_name(160)));
    drop(recovered);
    lost.remove(&state_name(160)).unwrap();
    let report = open(&lost).report;
    assert_eq!(report.used, Some(Sequence(120)));
    assert!(report.rejected.iter().any(|rejected| rejected.file == state_name(160)), "{report:?}");
}

#[test]
fn a_state_that_was_left_unfinished_is_in_nobodys_way() {
    let disk = SimulatedDirectory::new();
    disk.write_file(&format!("{}.tmp", state_name(40)), b"half a state");
    drop(work(&disk));
    assert_eq!(open(&disk).report.used, Some(Sequence(160)));
}

#[test]
fn a_state_that_does_not_fit_the_disk_leaves_nothing() {
    let mut refused = 0;
    for at in 0..12 {
        let disk = SimulatedDirectory::new();
        let mut recovered = open(&disk);
        let position = count_to(&mut recovered, 3);
        disk.inject(disk.operation_count() + at, Fault::Fail(Errno::NoSpace), Span::Once);
        let outcome = publish(&mut recovered.log, &recovered.state, &position);
        if outcome
            .is_err_and(|error| error.to_string().contains("write ") && error.to_string().contains(".state"))
        {
            refused += 1;
            assert!(!disk.names().iter().any(|name| name.ends_with(".tmp")), "{at}: {:?}", disk.names());
        }
    }
    assert_eq!(refused, 2, "header and state are one write each");
}

/// What recovery says of the states, which it does not fail for.
fn rejected(disk: &SimulatedDirectory) -> Vec<String> {
    open(disk).report.rejected.into_iter().map(|rejected| rejected.why).collect()
}

#[test]
fn a_state_is_the_one_that_its_name_says() {
    let disk = SimulatedDirectory::new();
    drop(work(&disk));
    assert_eq!(rejected(&disk), [""; 0]);
    disk.write_file(&state_name(170), disk.file(&state_name(160)).unwrap());
    assert_eq!(rejected(&disk), ["its name and its header disagree"]);
}

#[test]
fn a_state_that_cannot_be_opened_is_an_error_and_not_a_state_less() {
    let disk = SimulatedDirectory::new();
    drop(work(&disk));
    let count = {
        let disk = disk.kill();
        drop(open(&disk));
        disk.read_count()
    };
    for at in 0..count {
        let disk = disk.kill();
        disk.inject_read(at, ReadFault::Fail(Errno::TooManyFiles), Span::Once);
        let recovered = try_open(&disk);
        if let Ok(recovered) = recovered {
            assert!(recovered.report.rejected.is_empty(), "read {at}: {:?}", recovered.report);
        }
    }
}

#[test]
fn a_state_of_a_newer_version_is_refused() {
    let disk = SimulatedDirectory::new();
    drop(work(&disk));
    let mut bytes = disk.file(&state_name(160)).unwrap();
    bytes[8] = 2;
    let crc = annals_wire::crc(&bytes[..STATE_HEADER_LEN - 4]);
    bytes[STATE_HEADER_LEN - 4..STATE_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    disk.write_file(&state_name(160), bytes);
    let Err(Error::Log(error)) = try_open(&disk) else { panic!("not refused") };
    assert!(matches!(error, annals_segment::Error::Newer { .. }), "{error}");
}

#[test]
fn a_state_of_a_log_that_went_another_way_is_damage() {
    let disk = SimulatedDirectory::new();
    drop(work(&disk));
    let bytes = disk.file(&state_name(160)).unwrap();
    let (header, state) = StateHeader::decode_file(&bytes).unwrap();
    let position = LogPosition { chain: Chain(header.position.chain.0 ^ 1), ..header.position };
    let forged = StateHeader { position, ..header };
    disk.write_file(&state_name(160), [&forged.encode()[..], state].concat());
    let Err(Error::Log(error)) = try_open(&disk) else { panic!("not refused") };
    assert!(error.is_damage(), "{error}");
}

#[test]
fn a_publication_that_returned_outlives_a_power_loss() {
    let disk = SimulatedDirectory::new();
    let mut recovered = open(&disk);
    let position = count_to(&mut recovered, 3);
    publish(&mut recovered.log, &recovered.state, &position).unwrap();
    assert_eq!(open(&disk.crash_subset(|_| false)).report.used, Some(Sequence(3)));
}

#[test]
fn a_state_of_what_was_dropped_is_told_and_not_used() {
    let disk = SimulatedDirectory::new();
    let mut recovered = open(&disk);
    let position = count_to(&mut recovered, 40);
    publish(&mut recovered.log, &recovered.state, &position).unwrap();
    let bytes = disk.file(&state_name(40)).unwrap();
    drop(recovered);
    drop(work_from(open(&disk), &[80, 120, 160]));
    for sequence in [120, 160] {
        disk.remove(&state_name(sequence)).unwrap();
    }
    disk.write_file(&state_name(40), bytes);
    let Err(Error::NoState { rejected, .. }) = try_open(&disk) else { panic!("not refused") };
    assert_eq!(rejected[0].file, state_name(40));
}

#[test]
fn what_is_in_a_states_place_and_no_file_is_told_and_not_used() {
    let outer = tempfile::tempdir().unwrap();
    let open = || {
        let directory = DiskDirectory::open(outer.path()).unwrap();
        let options = WriteAheadOptions::new().create(true);
        recover(Arc::new(directory), options, || 0_u64, |_, _, _| Ok(())).unwrap()
    };
    open().log.close().unwrap();
    std::fs::create_dir(outer.path().join(state_name(7))).unwrap();
    let report = open().report;
    assert!(report.rejected.iter().any(|rejected| rejected.file == state_name(7)), "{report:?}");
}
