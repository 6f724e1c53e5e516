//! Space: a budget is never passed, a full disk is told before it is met, and a store opens with no byte free.

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Store,
    disk::{SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_segment::CrashProfile;

fn options(seed: u64) -> Options {
    Options::new()
        .create(true)
        .segment_bytes(8192)
        .checkpoint_bytes(6000)
        .headroom(0)
        .background(Background::Manual)
        .entropy(SeededEntropy::new(seed))
}

/// The bytes of all files.
fn used(disk: &SimulatedDirectory) -> u64 {
    disk.names().iter().filter_map(|name| disk.file(name)).map(|bytes| bytes.len() as u64).sum()
}

/// Takes from the disk all that is free on it.
fn fill(disk: &SimulatedDirectory) {
    disk.set_capacity(used(disk));
}

fn append(store: &Store, number: u64, durability: Durability) -> Result<(), Error> {
    let coordinate = Coordinate::new(&format!("entity:{}", number % 3), "scope")?;
    let payload = number.to_le_bytes().repeat(usize::try_from(1 + number % 100).unwrap());
    let event = NewEvent::new(&coordinate, Kind::new(0x2001).unwrap(), &payload);
    store.append_with(&event, durability).map(drop)
}

/// The payloads of all events, in order.
fn payloads(store: &Store) -> Vec<Vec<u8>> {
    store.all().map(|event| event.unwrap().payload().unwrap().to_vec()).collect()
}

/// Appends until there is no room, whatever says so; returns how many were acknowledged.
fn fill_store(store: &Store, disk: &SimulatedDirectory, durability: Durability, budget: u64) -> (u64, Error) {
    for number in 0.. {
        if let Err(error) = append(store, number, durability) {
            assert!(error.is_out_of_space(), "{error}");
            return (number, error);
        }
        if number % 7 == 0 {
            // Footers and checkpoints that find no room are left out, and told.
            drop(store.pump());
        }
        assert!(used(disk) <= budget, "event {number}: {} of {budget}", used(disk));
    }
    unreachable!("every budget comes to its end");
}

#[test]
fn a_budget_is_never_passed_and_the_store_goes_on() {
    for budget in (20_000..90_000).step_by(3511) {
        for (headroom, durability) in [(0, Durability::Durable), (9000, Durability::Written)] {
            let row = format!("budget {budget}, headroom {headroom}, {durability:?}");
            let disk = SimulatedDirectory::new();
            let limited = || options(1).size_budget(budget).headroom(headroom);
            let store = limited().open_on(disk.clone()).unwrap();
            let (count, error) = fill_store(&store, &disk, durability, budget);
            assert!(matches!(error, Error::NoSpace { .. }), "{row}: {error}");
            let frames: u64 = (0..count).map(|number| 8 * (1 + number % 100)).sum();
            assert!(2 * frames + headroom + 24_000 > budget, "{row}: refused at {frames} bytes of payload");
            // Refused again, and for a name of a kind too; nothing of it was appended.
            assert!(matches!(append(&store, 99, durability), Err(Error::NoSpace { .. })), "{row}");
            store.sync().unwrap();
            assert_eq!(payloads(&store).len() as u64, count, "{row}");
            store.close().unwrap();
            assert!(used(&disk) <= budget, "{row}: {} after the close", used(&disk));
            let store = limited().open_on(disk.clone()).unwrap();
            assert!(store.report().log.torn.is_none() && !store.report().log.was_unclean, "{row}");
            assert_eq!(payloads(&store).len() as u64, count, "{row}");
            drop(store);
            let store = options(2).open_on(disk.clone()).unwrap();
            append(&store, count, durability).unwrap();
            store.close().unwrap();
            assert!(verify_on(disk, &mut |_| {}).unwrap().is_sound(), "{row}");
        }
    }
}

#[test]
fn headroom_is_left_to_the_file_system() {
    for headroom in [1, 4096, 20_000] {
        let disk = SimulatedDirectory::new();
        disk.set_capacity(60_000);
        // One segment: a footer would take from the headroom.
        let store = options(1).segment_bytes(1 << 20).headroom(headroom).open_on(disk.clone()).unwrap();
        for number in 0.. {
            match append(&store, number, Durability::Durable) {
                Ok(()) => assert!(number < 1000),
                Err(error @ Error::NoSpace { .. }) => {
                    assert!(error.to_string().contains("the file system"), "{error}");
                    break;
                }
                Err(error) => panic!("headroom {headroom}: the file system said it first: {error}"),
            }
        }
        let left = 60_000 - used(&disk);
        assert!((headroom..headroom + 2000).contains(&(left + prepared(&disk))), "{headroom}: {left} left");
        // Somebody else's file goes, and there is room again.
        disk.set_capacity(90_000);
        append(&store, 0, Durability::Durable).unwrap();
        store.close().unwrap();
    }
}

/// The zeros behind the frames of the newest segment, which frames may take.
fn prepared(disk: &SimulatedDirectory) -> u64 {
    let newest = disk.names().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
    let bytes = disk.file(&newest).unwrap();
    bytes.iter().rev().take_while(|byte| **byte == 0).count() as u64
}

#[test]
fn a_full_disk_ends_the_writer_with_a_typed_error_and_reads_go_on() {
    let mut stopped = 0;
    for capacity in (9000..60_000).step_by(211) {
        let disk = SimulatedDirectory::new();
        disk.set_capacity(capacity);
        let store = match options(1).open_on(disk.clone()) {
            Ok(store) => store,
            Err(error) => {
                assert!(error.is_out_of_space(), "{capacity}: {error}");
                continue;
            }
        };
        let (count, error) = fill_store(&store, &disk, Durability::Durable, capacity);
        if let Error::Stopped { durable, .. } = &error {
            stopped += 1;
            assert_eq!(durable.0, count, "{capacity}");
        }
        let expected = payloads(&store);
        assert_eq!(expected.len() as u64, count, "{capacity}");
        drop(store);
        open_without_space(&disk, &expected, &format!("capacity {capacity}"));
    }
    assert!(stopped > 20, "{stopped}: the file system was hardly ever asked in vain");
}

/// Opens the store on a disk without a free byte, and once more when there is room again.
fn open_without_space(disk: &SimulatedDirectory, least: &[Vec<u8>], row: &str) {
    let seen = options(7).open_read_only_on(disk.clone()).map(|store| payloads(&store));
    fill(disk);
    let store = options(8).open_on(disk.clone()).unwrap_or_else(|error| panic!("{row}: {error}"));
    let shown = payloads(&store);
    assert!(shown.starts_with(least), "{row}: {} of {} events", shown.len(), least.len());
    assert_eq!(seen.unwrap(), shown, "{row}");
    if store.report().is_read_only {
        assert!(store.report().no_space.is_some() && !store.report().is_clean(), "{row}");
        assert!(matches!(append(&store, 0, Durability::Durable), Err(Error::NoSpace { .. })), "{row}");
        store.close().unwrap();
    } else {
        drop(store);
    }
    disk.set_capacity(u64::MAX);
    let store = options(9).open_on(disk.clone()).unwrap_or_else(|error| panic!("{row}: {error}"));
    assert_eq!(payloads(&store), shown, "{row}: with room again");
    append(&store, 1, Durability::Durable).unwrap();
    store.close().unwrap();
    let verified = verify_on(disk.clone(), &mut |_| {}).unwrap();
    assert!(verified.is_sound(), "{row}: {:?}", verified.damage);
}

/// Some appends of each durability over two segments, with a footer and a checkpoint.
fn work(disk: &SimulatedDirectory, durable: &mut usize) -> Result<(), Error> {
    let store = options(1).open_on(disk.clone())?;
    for number in 0..40 {
        let durability = [Durability::Durable, Durability::Written][usize::from(number % 3 == 2)];
        append(&store, number, durability)?;
        if durability == Durability::Durable {
            *durable = usize::try_from(number).unwrap() + 1;
        }
        if number % 16 == 15 {
            store.pump()?;
        }
    }
    store.close()
}

#[test]
fn a_store_opens_with_no_byte_free_wherever_it_was_left() {
    let mut read_only = 0;
    for stop in 4.. {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        let mut durable = 0;
        let is_done = work(&disk, &mut durable).is_ok();
        let mut images = vec![("killed".to_owned(), disk.kill())];
        for profile in CrashProfile::ALL {
            images.extend((0..3).map(|seed| (format!("{profile:?} seed {seed}"), disk.crash(profile, seed))));
        }
        for (name, image) in images {
            let row = format!("stopped before operation {stop}, {name}");
            if image.file("000001.seg").is_none_or(|segment| segment.len() < 512) {
                // No store was made yet, and for a new one there is no room.
                fill(&image);
                assert!(options(8).open_on(image).unwrap_err().is_out_of_space(), "{row}");
                continue;
            }
            let least = expected(durable);
            let full = image.kill();
            fill(&full);
            read_only += u32::from(options(8).open_on(full).is_ok_and(|store| store.report().is_read_only));
            open_without_space(&image, &least, &row);
        }
        if is_done {
            break;
        }
    }
    assert!(read_only > 30, "{read_only}");
}

/// The payloads of the first `count` events of [`work`].
fn expected(count: usize) -> Vec<Vec<u8>> {
    (0..count as u64)
        .map(|number| number.to_le_bytes().repeat(usize::try_from(1 + number % 100).unwrap()))
        .collect()
}
