//! Recoveries that end at an unlucky moment, and what one has done when it returns.

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Sequence, Store,
    disk::{SeededEntropy, SimulatedDirectory},
};
use annals_segment::{CrashProfile, Errno, Fault, Span};
use annals_wire::Manifest;

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

fn append(store: &Store, len: usize, durability: Durability) -> Result<(), Error> {
    let at = Coordinate::new("a:1", "scope").unwrap();
    store.append_with(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), &vec![7; len]), durability).map(|_| ())
}

fn is_slot_whole(disk: &SimulatedDirectory, offset: usize) -> bool {
    disk.file("MANIFEST").is_some_and(|bytes| Manifest::decode(&bytes[offset..]).is_ok())
}

/// Opens again and again, killed before every operation, with the power lost after each: nothing acknowledged goes
/// and nothing is taken for damage but what is.
fn check_recoveries(disk: &SimulatedDirectory, is_damaged: bool, row: &str) {
    for again in 0.. {
        let killed = disk.kill();
        killed.stop_before(again);
        let is_done = options(3).open_on(killed.clone()).is_ok();
        let lost = [killed.crash_subset(|_| false)].into_iter();
        let torn = CrashProfile::ALL.into_iter().flat_map(|profile| (0..2).map(move |seed| (profile, seed)));
        for lost in lost.chain(torn.map(|(profile, seed)| killed.crash(profile, seed))) {
            let row = format!("{row}, recovery stopped before {again}");
            let has_whole_slots = is_slot_whole(&lost, 0) && is_slot_whole(&lost, 4096);
            let store = match options(4).open_on(lost) {
                Ok(store) => store,
                // A damaged slot beside a segment that has no header: nobody knows what it named.
                Err(Error::Corrupt { .. }) if is_damaged && !has_whole_slots => continue,
                Err(error) => panic!("{row}: {error}"),
            };
            assert!(store.last_sequence() >= Sequence(1), "{row}: {:?}", store.report());
        }
        if is_done {
            break;
        }
    }
}

/// A store with an event, and another that begins the next segment, killed before operation `stop` of that; `None`
/// where it did not come to it.
fn killed_in_rotation(stop: u64) -> Option<SimulatedDirectory> {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    append(&store, 2000, Durability::Durable).unwrap();
    disk.stop_before(disk.operation_count() + stop);
    append(&store, 2000, Durability::Durable).is_err().then(|| disk.kill())
}

#[test]
fn a_rotation_and_its_recovery_may_both_be_cut_short() {
    for stop in 0.. {
        let Some(killed) = killed_in_rotation(stop) else { break };
        check_recoveries(&killed, false, &format!("rotation stopped before {stop}"));
    }
}

#[test]
fn a_rotation_may_be_cut_short_beside_a_damaged_slot() {
    for stop in 0.. {
        let Some(killed) = killed_in_rotation(stop) else { break };
        for slot in [0, 4096] {
            let damaged = killed.kill();
            let mut manifest = damaged.file("MANIFEST").unwrap();
            manifest[slot + 100] ^= 1;
            // A file that is replaced as a whole is durable as a whole: both of its slots.
            damaged.write_file("MANIFEST", manifest);
            if options(3).open_on(damaged.kill()).is_ok() {
                check_recoveries(&damaged, true, &format!("stopped before {stop}, slot at {slot} damaged"));
            }
        }
    }
}

#[test]
fn what_a_recovery_says_it_removed_stays_away() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    append(&store, 10, Durability::Durable).unwrap();
    store.close().unwrap();
    disk.write_file("CHECKPOINT.tmp", b"half a checkpoint");
    let store = options(2).open_on(disk.clone()).unwrap();
    assert_eq!(store.report().log.removed, ["CHECKPOINT.tmp"]);
    assert!(!disk.crash_subset(|_| false).names().contains(&"CHECKPOINT.tmp".to_owned()));
}

#[test]
fn half_a_copy_of_torn_bytes_is_not_left() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    append(&store, 10, Durability::Durable).unwrap();
    append(&store, 1000, Durability::Written).unwrap();
    drop(store);
    let mut segment = disk.file("000001.seg").unwrap();
    let last = segment.iter().rposition(|byte| *byte != 0).unwrap();
    segment[last - 100] ^= 1;
    disk.write_file("000001.seg", segment);
    let is_torn = |name: &String| name.contains(".torn-");
    let mut refused = 0;
    for at in 0..20 {
        let disk = disk.kill();
        disk.inject(at, Fault::Fail(Errno::NoSpace), Span::Once);
        let store = options(2).open_on(disk.clone()).unwrap();
        let no_space = store.report().no_space.clone().unwrap_or_default();
        if no_space.starts_with("write ") && no_space.contains(".torn-") {
            refused += 1;
            assert!(!disk.names().iter().any(is_torn), "{at}: {:?}", disk.names());
        }
    }
    assert_eq!(refused, 1, "the copy is one write");
}

#[test]
fn a_footer_that_was_written_outlives_a_power_loss() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    append(&store, 2000, Durability::Durable).unwrap();
    append(&store, 2000, Durability::Durable).unwrap();
    store.pump().unwrap();
    drop(store);
    let store = options(2).open_on(disk.crash_subset(|_| false)).unwrap();
    assert_eq!((store.report().events.footers, store.report().events.frames), (1, 0));
}
