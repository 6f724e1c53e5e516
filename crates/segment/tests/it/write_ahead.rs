//! The write-ahead log for anyone, against a list of records: through power losses before any operation, read by
//! positions that were durable, followed from outside, and with its prefix dropped.

use std::{path::PathBuf, sync::Arc, thread};

use annals_segment::{
    CrashProfile, Directory, DiskDirectory, Errno, Error, Fault, Follower, MemoryDirectory, Replayed,
    SeededEntropy, SimulatedDirectory, SpaceLimits, Span, TornEnd, WriteAheadLog, WriteAheadOptions,
};
use annals_wire::{LogPosition, Sequence};

pub(crate) fn options() -> WriteAheadOptions {
    WriteAheadOptions::new().create(true).segment_bytes(2048).entropy(SeededEntropy::new(7))
}

pub(crate) fn record(number: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(1 + number % 23)
}

/// The records behind `from`, each with its number checked.
pub(crate) fn replay(log: &WriteAheadLog, from: &LogPosition) -> Result<Vec<Vec<u8>>, Error> {
    let (mut records, mut next) = (Vec::new(), from.sequence.0);
    log.replay(from, |replayed| {
        if let Replayed::Record { sequence, bytes } = replayed {
            next += 1;
            assert_eq!(sequence.0, next);
            records.push(bytes.to_vec());
        }
        Ok::<_, Error>(())
    })?;
    Ok(records)
}

pub(crate) fn poll(follower: &mut Follower) -> Result<Vec<Vec<u8>>, Error> {
    let mut records = Vec::new();
    let count = follower.poll(|replayed| {
        if let Replayed::Record { bytes, .. } = replayed {
            records.push(bytes.to_vec());
        }
        Ok::<_, Error>(())
    })?;
    assert_eq!(count, records.len() as u64);
    Ok(records)
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Append(usize),
    Mark,
    Flush,
    Sync,
    Rotate,
    /// Drops what the position says that so many syncs ago was durable.
    Truncate(usize),
    Reopen,
    Drop,
}

use Step::{Append, Drop, Flush, Mark, Reopen, Rotate, Sync, Truncate};

const SCRIPT: &[Step] = &[
    Append(1),
    Sync,
    Append(3),
    Flush,
    Mark,
    Append(20),
    Sync,
    Append(30),
    Rotate,
    Truncate(1),
    Append(2),
    Sync,
    Reopen,
    Append(25),
    Sync,
    Truncate(0),
    Append(1),
    Drop,
    Append(4),
    Sync,
    Rotate,
    Truncate(0),
    Append(2),
    Flush,
];

/// What was appended, and what is promised of it.
#[derive(Debug, Clone, Default)]
struct Sent {
    records: Vec<Vec<u8>>,
    /// After how many records a batch ended.
    ends: Vec<usize>,
    /// The positions that were durable, oldest first.
    durable: Vec<LogPosition>,
    /// Up to which record the log was told to drop.
    dropped: usize,
}

impl Sent {
    fn durable_count(&self) -> usize {
        self.durable.last().map_or(0, |position| count(position.sequence))
    }
}

pub(crate) fn count(sequence: Sequence) -> usize {
    usize::try_from(sequence.0).unwrap()
}

fn run(disk: &SimulatedDirectory, sent: &mut Sent) -> Result<(), Error> {
    let mut log = options().open_on(disk.clone())?;
    for step in SCRIPT {
        match *step {
            Append(count) => {
                let first = sent.records.len();
                let records: Vec<_> = (first..first + count).map(record).collect();
                sent.records.extend(records.iter().cloned());
                sent.ends.push(sent.records.len());
                let last = log.append_batch(&records.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
                assert_eq!(last.0, sent.records.len() as u64);
            }
            Mark => log.append_mark(b"a mark")?,
            Flush => log.flush()?,
            Sync => sent.durable.push(log.sync()?),
            Rotate => {
                log.rotate()?;
                sent.durable.push(log.durable());
            }
            Truncate(ago) => {
                let position = sent.durable[sent.durable.len() - 1 - ago];
                sent.dropped = count(position.sequence);
                let first = log.first();
                let dropped = log.truncate_prefix(position.sequence)?;
                assert_eq!(dropped > 0, log.first() > first);
            }
            Reopen => {
                log.close()?;
                log = options().open_on(disk.clone())?;
                sent.durable.push(log.durable());
            }
            Drop => {
                drop(log);
                log = options().open_on(disk.clone())?;
                let held = count(log.end().sequence);
                assert!(held >= sent.durable_count() && (held == 0 || sent.ends.contains(&held)));
                sent.records.truncate(held);
                sent.ends.retain(|end| *end <= held);
                sent.durable.push(log.durable());
            }
        }
    }
    log.close()
}

/// Opens what a crash left, checks it, goes on, and opens once more.
fn check(disk: &SimulatedDirectory, sent: &Sent, row: &str) {
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let mut follower = Follower::new(Arc::clone(&directory));
    let seen = poll(&mut follower).unwrap_or_default();
    let open = |options: WriteAheadOptions| {
        options.open_on(disk.clone()).unwrap_or_else(|error| panic!("{row}: {error}"))
    };
    let witnessed = |options: WriteAheadOptions| match sent.durable.last() {
        Some(position) => options.witness(*position),
        None => options,
    };
    let mut log = open(witnessed(options()));
    let (first, last) = (count(log.first()), count(log.end().sequence));
    assert!(first <= sent.dropped + 1, "{row}: record {first} is the first, {} may be gone", sent.dropped);
    assert!(last >= sent.durable_count() && last <= sent.records.len(), "{row}: ends behind {last}");
    assert!(last == 0 || sent.ends.contains(&last), "{row}: half a batch");
    let held = replay(&log, &log.start()).unwrap_or_else(|error| panic!("{row}: {error}"));
    assert_eq!(held, sent.records[first - 1..last], "{row}");
    assert!(held.starts_with(&seen), "{row}: a follower saw something else");
    for position in &sent.durable {
        let behind = count(position.sequence);
        match replay(&log, position) {
            Ok(records) => assert_eq!(records, sent.records[behind..last], "{row}: behind {position:?}"),
            Err(Error::NotHeld { asked, .. }) => assert!(asked < log.first(), "{row}: {position:?}"),
            Err(error) => panic!("{row}: {error}"),
        }
    }
    log.append_batch(&[b"on", b"and on"]).unwrap();
    log.sync().unwrap();
    assert_eq!(poll(&mut follower).unwrap().len(), last + 2 - (first - 1) - seen.len(), "{row}");
    log.close().unwrap();
    let log = open(options().torn_end(TornEnd::Refuse));
    assert!(!log.report().was_unclean, "{row}: {:?}", log.report());
    assert_eq!(count(log.end().sequence), last + 2, "{row}");
}

#[test]
fn a_log_keeps_its_promises_when_the_power_goes_before_any_operation() {
    for stop in 0.. {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        let mut sent = Sent::default();
        let is_done = run(&disk, &mut sent).is_ok();
        for profile in CrashProfile::ALL {
            for seed in 0..5 {
                let row = format!("power lost before operation {stop}, {profile:?} seed {seed}");
                check(&disk.crash(profile, seed), &sent, &row);
            }
        }
        check(&disk.kill(), &sent, &format!("killed before operation {stop}"));
        if is_done {
            assert!(stop > 60, "{stop}");
            break;
        }
    }
}

#[test]
fn any_operation_that_fails_stops_the_log_or_is_tolerated() {
    for (errno, is_full) in [(Errno::Io, false), (Errno::NoSpace, true)] {
        let mut stopped = 0;
        for at in 0.. {
            let disk = SimulatedDirectory::new();
            disk.inject(at, Fault::Fail(errno), Span::Once);
            let mut sent = Sent::default();
            match run(&disk, &mut sent) {
                Ok(()) => {}
                Err(error @ (Error::Stopped { .. } | Error::Io { .. })) => {
                    assert_eq!(error.is_out_of_space(), is_full);
                    stopped += 1;
                }
                Err(error) => panic!("{errno:?} at operation {at}: {error}"),
            }
            for seed in 0..4 {
                let row = format!("{errno:?} at operation {at}, seed {seed}");
                check(&disk.crash(CrashProfile::StrictPosix, seed), &sent, &row);
            }
            if disk.operation_count() <= at {
                break;
            }
        }
        assert!(stopped > 40, "{errno:?}: {stopped}");
    }
}

/// A log of a hundred records over several segments, with the position behind every tenth.
pub(crate) fn hundred(directory: &MemoryDirectory) -> (WriteAheadLog, Vec<LogPosition>) {
    let mut log = options().open_on(directory.clone()).unwrap();
    let mut positions = vec![log.start()];
    for number in 0..100 {
        log.append(&record(number)).unwrap();
        if number % 10 == 9 {
            positions.push(log.sync().unwrap());
        }
    }
    assert!(log.segment_count() > 4);
    (log, positions)
}

#[test]
fn a_covered_prefix_goes_in_segments_and_nothing_else_does() {
    let directory = MemoryDirectory::new();
    let (mut log, positions) = hundred(&directory);
    assert_eq!(log.truncate_prefix(Sequence(0)).unwrap(), 0);
    assert!(matches!(log.truncate_prefix(Sequence(101)), Err(Error::NotHeld { .. })));
    let (before, mut gone) = (log.segment_count(), 0);
    for position in &positions {
        gone += log.truncate_prefix(position.sequence).unwrap();
        assert_eq!(log.segment_count(), before - gone);
        assert!(log.first() <= position.sequence.next().unwrap());
        let expected: Vec<_> = (count(log.first()) - 1..100).map(record).collect();
        assert_eq!(replay(&log, &log.start()).unwrap(), expected);
        assert_eq!(
            replay(&log, position).unwrap(),
            expected[expected.len() - (100 - count(position.sequence))..]
        );
        let files = directory.names().iter().filter(|name| name.ends_with(".seg")).count();
        assert_eq!(files, log.segment_count());
    }
    assert!(gone > 3 && matches!(replay(&log, &positions[0]), Err(Error::NotHeld { .. })));
    log.rotate().unwrap();
    log.truncate_prefix(Sequence(100)).unwrap();
    assert_eq!((log.segment_count(), log.first(), log.end().sequence), (1, Sequence(101), Sequence(100)));
    log.append(b"next").unwrap();
    log.close().unwrap();
    let log = options().open_on(directory).unwrap();
    assert_eq!(replay(&log, &log.start()).unwrap(), [b"next"]);
}

#[test]
fn either_slot_of_the_manifest_is_enough_behind_a_dropped_prefix() {
    let directory = MemoryDirectory::new();
    let (mut log, _) = hundred(&directory);
    assert!(log.truncate_prefix(Sequence(60)).unwrap() > 1);
    drop(log);
    for slot in [0, 4096] {
        let names = directory.names().into_iter();
        let mut files: Vec<_> = names.map(|name| (name.clone(), directory.file(&name).unwrap())).collect();
        let manifest = files.iter_mut().find(|(name, _)| name == "MANIFEST").unwrap();
        manifest.1[slot + 50] ^= 1;
        let log = options().open_on(MemoryDirectory::from_files(files)).unwrap();
        let expected: Vec<_> = (count(log.first()) - 1..100).map(record).collect();
        assert_eq!(replay(&log, &log.start()).unwrap(), expected, "slot at {slot}");
    }
}

#[test]
fn a_position_of_another_history_is_refused() {
    let (log, positions) = hundred(&MemoryDirectory::new());
    let other = options().entropy(SeededEntropy::new(8)).open_on(MemoryDirectory::new());
    let mut other = other.unwrap();
    for number in 0..100 {
        other.append(&record(number)).unwrap();
    }
    other.sync().unwrap();
    for position in &positions[1..] {
        assert!(matches!(replay(&other, position), Err(Error::Mismatch { .. })), "{position:?}");
        for changed in [
            LogPosition { sequence: Sequence(position.sequence.0 + 1), ..*position },
            LogPosition { offset: position.offset - 8, ..*position },
            LogPosition { chain: log.start().chain, ..*position },
        ] {
            let error = replay(&log, &changed).unwrap_err();
            assert!(error.is_damage() || matches!(error, Error::NotHeld { .. }), "{changed:?}: {error}");
        }
    }
    let end = log.end();
    for beyond in [
        LogPosition { offset: end.offset + 8, ..end },
        LogPosition { segment: annals_wire::SegmentId(999), ..end },
    ] {
        assert!(matches!(replay(&log, &beyond), Err(Error::NotHeld { .. })), "{beyond:?}");
    }
}

#[test]
fn a_log_that_ends_before_what_its_owner_knows_is_refused_and_left_as_it_is() {
    let disk = SimulatedDirectory::new();
    let mut log = options().open_on(disk.clone()).unwrap();
    log.append(b"durable").unwrap();
    log.sync().unwrap();
    log.append(b"written").unwrap();
    log.flush().unwrap();
    let written = log.end();
    let lost = disk.crash_subset(|_| false);
    let segment = lost.file("000001.seg");
    for witness in [written, LogPosition { segment: annals_wire::SegmentId(2), ..written }] {
        let refused = options().witness(witness).open_on(lost.clone()).unwrap_err();
        assert!(matches!(refused, Error::Lost { .. }), "{refused}");
    }
    // But for the writer's name in the lock's file nothing was touched.
    assert_eq!(lost.file("000001.seg"), segment);
    assert!(options().open_on(lost).is_ok());
    let log = options().witness(written).open_on(disk.kill()).unwrap();
    assert_eq!(replay(&log, &log.start()).unwrap(), [&b"durable"[..], b"written"]);
}

#[test]
fn a_torn_end_is_cut_or_refused_as_asked() {
    let disk = SimulatedDirectory::new();
    let mut log = options().open_on(disk.clone()).unwrap();
    log.append(b"whole").unwrap();
    log.sync().unwrap();
    log.append(b"torn").unwrap();
    log.flush().unwrap();
    let end = usize::try_from(log.end().offset).unwrap();
    let image = disk.kill();
    let mut bytes = image.file("000001.seg").unwrap();
    bytes[end - 9] ^= 1;
    image.write_file("000001.seg", &bytes);
    let refused = options().torn_end(TornEnd::Refuse).open_on(image.clone()).unwrap_err();
    assert!(matches!(refused, Error::Mismatch { .. }), "{refused}");
    assert_eq!(image.file("000001.seg").unwrap(), bytes);
    let log = options().open_on(image).unwrap();
    assert_eq!(log.report().torn.as_ref().unwrap().1.len, 40);
    assert_eq!(replay(&log, &log.start()).unwrap(), [b"whole"]);
}

#[test]
fn a_follower_sees_what_is_durable_once_and_in_order() {
    let directory = MemoryDirectory::new();
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    let mut log = options().open_on(directory).unwrap();
    let (mut follower, mut late) = (Follower::new(Arc::clone(&shared)), Follower::new(Arc::clone(&shared)));
    let (mut seen, mut durable) = (Vec::new(), 0);
    for number in 0..200 {
        log.append(&record(number)).unwrap();
        if number % 7 == 3 {
            log.flush().unwrap();
        }
        if number % 5 == 4 {
            log.sync().unwrap();
        }
        durable = count(log.durable().sequence).max(durable);
        seen.extend(poll(&mut follower).unwrap());
        assert_eq!(seen.len(), durable, "at record {number}");
    }
    let expected: Vec<_> = (0..200).map(record).collect();
    assert_eq!(seen, expected);
    assert_eq!(poll(&mut late).unwrap(), expected);
    let middle = late.position().unwrap();
    log.append_batch(&[b"a", b"b"]).unwrap();
    log.rotate().unwrap();
    assert_eq!(poll(&mut Follower::from(Arc::clone(&shared), middle)).unwrap(), [b"a", b"b"]);
    log.truncate_prefix(Sequence(202)).unwrap();
    assert!(matches!(poll(&mut follower), Err(Error::NotHeld { asked: Sequence(201), .. })));
}

#[test]
fn followers_beside_a_writer_on_a_disk_miss_nothing() {
    const COUNT: usize = 3000;
    let directory = tempfile::tempdir().unwrap();
    let mut log = options().segment_bytes(16 << 10).open(directory.path()).unwrap();
    let follow = || {
        let shared: Arc<dyn Directory> = Arc::new(DiskDirectory::open(directory.path()).unwrap());
        let (mut follower, mut seen) = (Follower::new(shared), Vec::new());
        while seen.len() < COUNT {
            seen.extend(poll(&mut follower).unwrap());
            thread::yield_now();
        }
        seen
    };
    let seen: Vec<_> = thread::scope(|scope| {
        let followers = [scope.spawn(follow), scope.spawn(follow)];
        for number in 0..COUNT {
            log.append(&record(number)).unwrap();
            match number % 16 {
                3 => log.flush().unwrap(),
                15 => assert_eq!(log.sync().unwrap(), log.durable()),
                _ => {}
            }
        }
        log.sync().unwrap();
        followers.into_iter().map(|follower| follower.join().unwrap()).collect()
    });
    let expected: Vec<_> = (0..COUNT).map(record).collect();
    assert!(seen.iter().all(|seen| *seen == expected));
    log.close().unwrap();
}

#[test]
fn a_follower_that_missed_what_was_dropped_is_told() {
    let directory = MemoryDirectory::new();
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    let (mut log, positions) = hundred(&directory);
    let mut behind = Follower::from(Arc::clone(&shared), positions[1]);
    log.truncate_prefix(Sequence(90)).unwrap();
    assert!(matches!(poll(&mut behind), Err(Error::NotHeld { .. })));
    let mut from_the_start = Follower::new(shared);
    assert_eq!(poll(&mut from_the_start).unwrap().len(), 100 - count(log.first()) + 1);
}

#[test]
fn a_visitor_ends_a_poll_and_the_next_goes_on_there() {
    let directory = MemoryDirectory::new();
    let (log, _) = hundred(&directory);
    let mut follower = Follower::new(Arc::new(directory));
    let mut seen = Vec::new();
    for _ in 0..200 {
        let polled = follower.poll(|replayed| {
            let Replayed::Record { sequence, .. } = replayed else { return Ok(()) };
            if sequence.0 % 9 == 0 && seen.last() != Some(&0) {
                seen.push(0);
                return Err(Error::NotFound { path: PathBuf::new() });
            }
            seen.retain(|number| *number != 0);
            seen.push(sequence.0);
            Ok(())
        });
        if polled.is_ok() {
            break;
        }
    }
    assert_eq!(seen, (1..=log.end().sequence.0).collect::<Vec<_>>());
}

#[test]
fn what_is_too_much_is_refused_and_the_log_goes_on() {
    let limits = SpaceLimits { budget: Some(20_000), headroom: 1000 };
    let disk = SimulatedDirectory::new();
    let mut log = options().space(limits).record_bytes_max(500).open_on(disk.clone()).unwrap();
    assert!(matches!(log.append(&[0; 501]), Err(Error::TooLarge { .. })));
    let mut held = 0;
    let refused = loop {
        match log.append(&[7; 300]) {
            Ok(_) => held += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }) && held > 15, "{held}: {refused}");
    log.sync().unwrap();
    log.rotate().unwrap();
    log.truncate_prefix(log.durable().sequence).unwrap();
    log.append(&[7; 300]).unwrap();
    log.close().unwrap();
    let used: usize = disk.names().iter().map(|name| disk.file(name).unwrap().len()).sum();
    assert!(used <= 19_000 + 512, "{used}");
}

#[test]
fn where_there_is_no_log_none_is_made_unasked() {
    let disk = SimulatedDirectory::new();
    let refused = WriteAheadOptions::new().open_on(disk.clone()).unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }) && disk.names().is_empty(), "{refused}");
}
