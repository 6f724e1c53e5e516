//! What a write-ahead log and its followers refuse to read: positions and segments that are not what they say;
//! and what a log that stopped refuses to do.

use std::sync::Arc;

use annals_segment::{
    CrashProfile, Directory, Errno, Error, Fault, Follower, MemoryDirectory, SimulatedDirectory, Span,
    WriteAheadLog,
};
use annals_wire::{Chain, LogPosition, SEGMENT_HEADER_LEN, SegmentHeader, SegmentId, Sequence};

use crate::write_ahead::{count, hundred, options, poll, record, replay};

fn is_stopped<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Stopped { .. }))
}

#[test]
fn a_log_that_stopped_refuses_everything_and_touches_nothing() {
    let disk = SimulatedDirectory::new();
    let mut log = options().open_on(disk.clone()).unwrap();
    for number in 0..40 {
        log.append(&record(number)).unwrap();
    }
    let durable = log.sync().unwrap();
    assert!(log.segment_count() > 2);
    log.append(b"lost").unwrap();
    disk.inject(disk.operation_count() + 1, Fault::Fail(Errno::Io), Span::Once);
    assert!(is_stopped(&log.sync()));
    let operations = disk.operation_count();
    for _ in 0..2 {
        assert!(is_stopped(&log.append(b"more")) && is_stopped(&log.append_batch(&[b"more", b"and more"])));
        assert!(is_stopped(&log.append_mark(b"mark")));
        assert!(is_stopped(&log.flush()) && is_stopped(&log.sync()) && is_stopped(&log.rotate()));
        assert!(is_stopped(&log.truncate_prefix(durable.sequence)));
        assert_eq!(replay(&log, &log.start()).unwrap().len(), 40);
    }
    assert!(is_stopped(&log.close()));
    assert_eq!(disk.operation_count(), operations);
}

#[test]
fn a_log_that_stopped_before_its_first_record_makes_no_file() {
    let disk = SimulatedDirectory::new();
    let mut log = options().open_on(disk.clone()).unwrap();
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    assert!(is_stopped(&log.rotate()));
    let (names, operations) = (disk.names(), disk.operation_count());
    assert!(is_stopped(&log.append(b"more")) && is_stopped(&log.append_mark(b"mark")));
    assert_eq!((disk.names(), disk.operation_count()), (names, operations));
}

#[test]
fn a_prefix_that_cannot_be_dropped_stops_the_log() {
    let log = |disk: &SimulatedDirectory| {
        let mut log = options().open_on(disk.clone()).unwrap();
        for number in 0..40 {
            log.append(&record(number)).unwrap();
        }
        log.sync().unwrap();
        log
    };
    let disk = SimulatedDirectory::new();
    let mut whole = log(&disk);
    let from = disk.operation_count();
    let dropped = whole.truncate_prefix(Sequence(40)).unwrap();
    assert!(dropped > 2);
    let operations = disk.operation_count() - from;
    // The names are gone for good when it returns.
    let gone = disk.crash(CrashProfile::StrictPosix, 0);
    assert_eq!(gone.names().iter().filter(|name| name.ends_with(".seg")).count(), whole.segment_count());
    for at in 0..operations {
        let disk = SimulatedDirectory::new();
        let mut log = log(&disk);
        disk.inject(from + at, Fault::Fail(Errno::Io), Span::Once);
        assert!(is_stopped(&log.truncate_prefix(Sequence(40))), "operation {at}");
        assert!(is_stopped(&log.append(b"more")), "operation {at}");
        drop(log);
        let again = options().open_on(disk.crash(CrashProfile::Ext4, at)).unwrap();
        let expected: Vec<_> = (count(again.first()) - 1..40).map(record).collect();
        assert_eq!(replay(&again, &again.start()).unwrap(), expected, "operation {at}");
    }
}

#[test]
fn much_that_nobody_syncs_is_handed_to_the_system() {
    let disk = SimulatedDirectory::new();
    let mut log = options().segment_bytes(8 << 20).open_on(disk.clone()).unwrap();
    log.append(&[7; 200 << 10]).unwrap();
    let held = |disk: &SimulatedDirectory| count(options().open_on(disk.kill()).unwrap().end().sequence);
    assert_eq!(held(&disk), 0);
    log.append(&[7; 200 << 10]).unwrap();
    assert_eq!(held(&disk), 2);
}

/// A log whose records 1 to 30 were dropped, and the position behind the thirtieth, which ended its segment.
fn dropped(marks: usize) -> (MemoryDirectory, WriteAheadLog, LogPosition) {
    let directory = MemoryDirectory::new();
    let mut log = options().segment_bytes(64 << 10).open_on(directory.clone()).unwrap();
    for number in 0..30 {
        log.append(&record(number)).unwrap();
    }
    let position = log.sync().unwrap();
    for _ in 0..marks {
        log.rotate().unwrap();
        log.append_mark(b"nothing but a mark").unwrap();
    }
    log.rotate().unwrap();
    for number in 30..40 {
        log.append(&record(number)).unwrap();
    }
    log.sync().unwrap();
    assert_eq!(log.truncate_prefix(Sequence(30)).unwrap(), 1 + marks);
    (directory, log, position)
}

#[test]
fn a_position_at_the_end_of_what_was_dropped_is_as_good() {
    for marks in [0, 1, 3] {
        let (_, log, position) = dropped(marks);
        let expected: Vec<_> = (30..40).map(record).collect();
        assert_eq!(replay(&log, &position).unwrap(), expected, "{marks} segments of marks");
    }
}

#[test]
fn a_position_in_what_was_dropped_is_compared_with_what_is_known_of_it() {
    let (directory, log, position) = dropped(0);
    let changed = [
        LogPosition { sequence: Sequence(31), ..position },
        LogPosition { offset: position.offset + 8, ..position },
        LogPosition { chain: Chain(position.chain.0 ^ 1), ..position },
    ];
    for changed in changed {
        let refused = replay(&log, &changed).unwrap_err();
        assert!(matches!(refused, Error::Mismatch { .. }), "{changed:?}: {refused}");
    }
    let earlier = LogPosition { sequence: Sequence(29), ..position };
    assert!(matches!(replay(&log, &earlier), Err(Error::NotHeld { asked: Sequence(30), .. })));
    let (_, log, position) = dropped(2);
    let later = LogPosition { sequence: Sequence(31), ..position };
    assert!(matches!(replay(&log, &later), Err(Error::Mismatch { .. })));
    let beyond = LogPosition { segment: SegmentId(99), ..position };
    let refused = poll(&mut Follower::from(Arc::new(directory), beyond)).unwrap_err();
    assert!(matches!(refused, Error::NotHeld { .. }), "{refused}");
}

/// Replaces the header of the segment's file by what `change` makes of it.
fn forge(directory: &MemoryDirectory, name: &str, change: impl FnOnce(&mut SegmentHeader)) {
    let file = directory.open(name, annals_segment::Access::Write).unwrap();
    let mut bytes = [0; SEGMENT_HEADER_LEN];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let mut header = SegmentHeader::decode(&bytes).unwrap();
    change(&mut header);
    file.write_all_at(&header.encode(), 0).unwrap();
}

#[test]
fn numbers_that_are_missing_between_two_segments_are_missed() {
    let directory = MemoryDirectory::new();
    let (mut log, _) = hundred(&directory);
    log.rotate().unwrap();
    let newest = format!("{:06}.seg", log.end().segment.0);
    drop(log);
    // It has no frame, so nothing but its header says where the numbers go on.
    forge(&directory, &newest, |header| header.first_sequence.0 += 5);
    let log = options().open_on(directory).unwrap();
    assert!(matches!(replay(&log, &log.start()), Err(Error::Mismatch { .. })));
}

#[test]
fn a_segment_is_compared_with_what_the_next_one_says_of_it() {
    let directory = MemoryDirectory::new();
    let (log, _) = hundred(&directory);
    log.close().unwrap();
    forge(&directory, "000002.seg", |header| header.previous.as_mut().unwrap().chain.0 ^= 1);
    let log = options().open_on(directory).unwrap();
    assert!(matches!(replay(&log, &log.start()), Err(Error::Mismatch { .. })));
}

#[test]
fn a_segment_that_was_changed_under_an_open_log_is_told() {
    let directory = MemoryDirectory::new();
    let (log, _) = hundred(&directory);
    let sound = replay(&log, &log.start()).unwrap();
    let file = directory.open("000002.seg", annals_segment::Access::Write).unwrap();
    let bytes = file.read_all(1 << 20).unwrap();
    let at = 600;
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    assert!(matches!(replay(&log, &log.start()), Err(Error::Corrupt { .. })));
    file.write_all_at(&bytes, 0).unwrap();
    assert_eq!(replay(&log, &log.start()).unwrap(), sound);
    let other =
        directory.open("000001.seg", annals_segment::Access::Read).unwrap().read_all(1 << 20).unwrap();
    file.write_all_at(&other, 0).unwrap();
    assert!(matches!(replay(&log, &log.start()), Err(Error::Misplaced { .. })));
}

#[test]
fn a_follower_tells_damage_in_what_is_being_written() {
    let directory = MemoryDirectory::new();
    let mut log = options().open_on(directory.clone()).unwrap();
    for number in 0..3 {
        log.append(&record(number)).unwrap();
    }
    log.sync().unwrap();
    let file = directory.open("000001.seg", annals_segment::Access::Write).unwrap();
    file.write_all_at(&[0xff], log.durable().offset - 9).unwrap();
    let mut follower = Follower::new(Arc::new(directory));
    assert!(matches!(poll(&mut follower), Err(Error::Corrupt { .. })));
}

/// The process is killed at any operation of dropping a prefix, and the power goes at any operation of the opening
/// after that: no slot that comes back names a segment that is gone.
#[test]
fn a_prefix_dropped_half_by_a_killed_process_is_dropped_when_the_power_goes_at_the_next_opening() {
    let filled = || {
        let disk = SimulatedDirectory::new();
        let mut log = options().open_on(disk.clone()).unwrap();
        for number in 0..80 {
            log.append(&record(number)).unwrap();
        }
        log.sync().unwrap();
        (disk, log)
    };
    let operations = |disk: &SimulatedDirectory, run: &mut dyn FnMut()| {
        let before = disk.operation_count();
        run();
        before..disk.operation_count()
    };
    let (whole, mut log) = filled();
    let dropping = operations(&whole, &mut || _ = log.truncate_prefix(Sequence(40)).unwrap());
    assert!(dropping.end > dropping.start + 4, "two slots, and segments");
    for at in dropping {
        let killed = || {
            let (disk, mut log) = filled();
            disk.stop_before(at);
            assert!(log.truncate_prefix(Sequence(40)).is_err());
            drop(log);
            disk.kill()
        };
        let disk = killed();
        let opening = operations(&disk, &mut || drop(options().open_on(disk.clone()).unwrap()));
        for then in opening {
            let disk = killed();
            disk.stop_before(then);
            drop(options().open_on(disk.clone()));
            for is_kept in [
                |_| false,
                |_| true,
                |unit: usize| unit.is_multiple_of(2),
                |unit: usize| !unit.is_multiple_of(2),
            ] {
                let lost = disk.crash_subset(is_kept);
                let log = options().open_on(lost).unwrap_or_else(|error| {
                    panic!("killed at operation {at}, without power at operation {then}: {error}")
                });
                assert!(log.end().sequence == Sequence(80), "killed at {at}, without power at {then}");
            }
        }
    }
}
