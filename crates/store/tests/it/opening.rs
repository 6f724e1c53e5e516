//! Opening: every source agrees with every other, a clean open changes nothing, and what is no store of this
//! version is refused and left as it is.

use annals::{
    Durability, Error, NewEvent, Options, Sequence, Store,
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory, verify_on},
};
use proptest::prelude::*;

use crate::{
    history::{
        Answers, Draft, History, Image, Step, append, directory, frame_ends, id, image, options, segments,
        steps,
    },
    small_store::touch,
};

/// The sources that can be switched off, all combinations.
fn source_options(seed: u64) -> impl Iterator<Item = (String, Options)> {
    (0..16_u8).map(move |bits| {
        let is_on = |bit: u8| bits & bit == 0;
        let options = options(seed).use_footers(is_on(1)).use_checkpoint(is_on(2)).maps(is_on(4));
        let context = format!("footers {}, checkpoint {}, maps {}", is_on(1), is_on(2), is_on(4));
        (format!("{context}, runs {}", is_on(8)), options.use_runs(is_on(8)))
    })
}

/// Appends to a store that was opened, closes it and opens it again: all must fit to what was there.
fn go_on(directory: &MemoryDirectory, store: Store, expected: &Answers, context: &str) {
    let drafts: Vec<_> = (0..3).map(|number| Draft::rich(number, 50)).collect();
    let ids = (1_000_000..1_000_003).map(id).collect();
    let receipts = append(&store, &drafts, Some(&ids), Durability::Durable).unwrap();
    let first = expected.events.len() as u64 + 1;
    for (receipt, place) in receipts.iter().zip(0..) {
        assert_eq!(receipt.sequence, Sequence(first + place), "{context}");
    }
    store.close().unwrap();
    let verified = verify_on(directory.clone(), &mut |_| {}).unwrap();
    assert!(verified.is_sound(), "{context}: {:?}", verified.damage);
    assert_eq!(verified.event_count, first + 2, "{context}");
    let store = options(99).open_on(directory.clone()).unwrap();
    assert!(store.report().is_clean(), "{context}: {:?}", store.report());
    let events: Vec<_> = store.all().map(Result::unwrap).collect();
    let shown = expected.events.iter().filter(|event| !event.is_hidden);
    assert!(events.iter().zip(shown).all(|(event, facts)| event.hash() == facts.hash), "{context}");
    assert!(
        events.iter().rev().zip(receipts.iter().rev()).all(|(event, receipt)| event.hash() == receipt.hash)
    );
}

fn without_checkpoint(image: &Image) -> Image {
    image.iter().filter(|(name, _)| *name != "CHECKPOINT").map(|(n, b)| (n.clone(), b.clone())).collect()
}

/// Every sealed segment ends with its frames.
fn without_footers(image: &Image) -> Image {
    let mut image = image.clone();
    for (name, end) in frame_ends(&image) {
        image.get_mut(&name).unwrap().truncate(end);
    }
    image
}

/// Opens copies of `image` in all ways and puts all questions to each.
fn check_all_ways(image: &Image, expected: &Answers, is_clean: bool) {
    let whole = |context: &str, image: &Image, options: Options| {
        let directory = directory(image);
        let store = options.open_on(directory.clone()).unwrap();
        expected.check(&store, context);
        store.pump().unwrap();
        expected.check(&store, &format!("{context}, pumped"));
        go_on(&directory, store, expected, context);
    };
    let neither = without_checkpoint(&without_footers(image));
    for (context, options) in source_options(50) {
        whole(&context, image, options.clone());
        whole(&format!("{context}, no footers and checkpoint there"), &neither, options);
    }
    whole("no checkpoint there", &without_checkpoint(image), options(51));
    whole("no footers there", &without_footers(image), options(52));
    for (context, options) in source_options(53) {
        let directory = directory(image);
        let store = options.open_read_only_on(directory.clone()).unwrap();
        expected.check(&store, &format!("{context}, read-only"));
        assert!(store.report().is_read_only && (store.report().is_clean() || !is_clean));
        assert!(matches!(store.sync(), Err(Error::ReadOnly)));
        drop(store);
        assert!(self::image(&directory) == *image, "{context}: a reader changed something");
        assert_eq!(directory.file("LOCK"), None, "a reader takes no lock");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn all_sources_agree(steps in steps(), is_closed in any::<bool>()) {
        let mut history = History::of(&steps);
        if is_closed {
            history.close();
        } else {
            history.apply(&Step::Sync);
            history.leave();
        }
        check_all_ways(&image(&history.directory), &history.expected(), is_closed);
    }

    #[test]
    fn a_store_stays_the_same_however_often_it_is_opened(steps in steps(), drops in any::<u16>()) {
        let mut history = History::of(&steps);
        for time in 0..10 {
            history.apply(if drops & (1 << time) == 0 { &Step::Close } else { &Step::Drop });
            history.expected().check(history.store(), "opened again");
        }
        history.close();
        check_clean_open(&history.directory, &history.expected());
    }
}

/// A clean open has nothing to tell and changes nothing, with and without closing it again.
fn check_clean_open(directory: &MemoryDirectory, expected: &Answers) {
    let before = image(directory);
    for close in [false, true] {
        let store = options(60).checkpoint_bytes(1 << 20).open_on(directory.clone()).unwrap();
        assert!(store.report().is_clean(), "{:?}", store.report());
        expected.check(&store, "a clean open");
        store.pump().unwrap();
        if close {
            store.close().unwrap();
        }
        assert!(image(directory) == before, "opening, and nothing else, changed a file");
    }
}

/// A store of several segments, with names, a checkpoint and footers, closed.
fn closed() -> History {
    let mut history = History::new();
    for number in 0..30 {
        if number % 8 == 0 {
            history.apply(&Step::Name);
        }
        let drafts = (0..1 + number % 3).map(|index| Draft::rich(number + index, 200)).collect();
        history.apply(&Step::Batch(drafts, true, Durability::Durable));
        if number == 25 {
            history.apply(&Step::Checkpoint);
        }
    }
    history.close();
    assert!(segments(&image(&history.directory)).len() >= 4);
    history
}

#[test]
fn a_clean_open_changes_nothing() {
    let history = closed();
    check_clean_open(&history.directory, &history.expected());
}

#[test]
fn where_there_is_no_store_none_is_made_unasked() {
    for options in [options(1), options(1).create(false)] {
        let directory = MemoryDirectory::new();
        directory.write_file("notes.txt", b"mine".to_vec());
        assert!(matches!(options.clone().open_on(directory.clone()), Err(Error::NotFound { .. })));
        assert!(matches!(options.open_read_only_on(directory.clone()), Err(Error::NotFound { .. })));
        assert_eq!(directory.names(), ["notes.txt"], "nothing is left behind");
    }
}

#[test]
fn a_second_writer_is_locked_out_and_changes_nothing() {
    let mut history = closed();
    history.open();
    let (before, lock) = (image(&history.directory), history.directory.file("LOCK"));
    let error = options(7).open_on(history.directory.clone()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    assert!(image(&history.directory) == before && history.directory.file("LOCK") == lock);
    history.apply(&Step::Batch(vec![Draft::plain(1, 10)], true, Durability::Durable));
    history.close();
    history.open();
}

#[test]
fn whoever_removes_the_lock_of_a_living_writer_gets_no_further() {
    use annals::disk::Directory;
    let mut history = closed();
    history.open();
    history.directory.remove("LOCK").unwrap();
    let before = image(&history.directory);
    assert!(matches!(options(7).open_on(history.directory.clone()), Err(Error::Locked { .. })));
    assert!(image(&history.directory) == before);
}

#[test]
fn segments_without_a_manifest_are_no_new_store() {
    let image: Image =
        image(&closed().directory).into_iter().filter(|(name, _)| name != "MANIFEST").collect();
    refused(&image, "MANIFEST", |error| matches!(error, Error::Corrupt { .. }));
}

/// Opens `image` for writing and for reading: both are refused with an error that names `file`, at the open or when all
/// is read, and nothing is changed.
fn refused(image: &Image, file: &str, is_right: impl Fn(&Error) -> bool) {
    for is_read_only in [false, true] {
        let directory = directory(image);
        let options = options(8).create(true);
        let opened = if is_read_only {
            options.open_read_only_on(directory.clone())
        } else {
            options.open_on(directory.clone())
        };
        let error = opened.and_then(touch).map(drop).unwrap_err();
        assert!(is_right(&error) && error.to_string().contains(file), "{file}: {error}");
        assert!(self::image(&directory) == *image, "{file}: refused, and something was changed");
    }
}

/// Gives the structure at `start..end` of a file another version, and the checksum that belongs to it.
fn set_version(bytes: &mut [u8], start: usize, end: usize, version: u32) {
    bytes[start + 8..start + 12].copy_from_slice(&version.to_le_bytes());
    let crc = annals_wire::crc(&bytes[start..end - 4]);
    bytes[end - 4..end].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn newer_versions_are_refused_by_name() {
    let image = image(&closed().directory);
    let newer = |error: &Error| {
        matches!(error, Error::NewerVersion { .. }) && error.to_string().contains("version 2")
    };
    let patched = |name: &str, places: &[(usize, usize)]| {
        let mut image = image.clone();
        for (start, end) in places {
            set_version(image.get_mut(name).unwrap(), *start, *end, 2);
        }
        image
    };
    for name in segments(&image) {
        refused(&patched(&name, &[(0, 512)]), &name, newer);
    }
    for slots in [&[(0, 4096)][..], &[(4096, 8192)], &[(0, 4096), (4096, 8192)]] {
        refused(&patched("MANIFEST", slots), "MANIFEST", newer);
    }
}

#[test]
fn newer_versions_of_what_is_derived_are_left_as_they_are() {
    let history = closed();
    let (image, expected) = (image(&history.directory), history.expected());
    let footers = frame_ends(&image).into_iter().map(|(name, _)| {
        let len = image[&name].len();
        (name, len - annals_wire::TRAILER_LEN, len)
    });
    for (name, start, end) in footers.chain([("CHECKPOINT".to_owned(), 0, 32)]) {
        let mut image = image.clone();
        set_version(image.get_mut(&name).unwrap(), start, end, 2);
        let directory = directory(&image);
        let error = options(9).open_on(directory.clone()).and_then(touch).map(drop).unwrap_err();
        assert!(matches!(error, Error::NewerVersion { .. }), "{name}: {error}");
        assert!(error.to_string().contains(&name) && error.to_string().contains("version 2"), "{error}");
        let store = options(9).open_read_only_on(directory.clone()).unwrap();
        expected.check(&store, &name);
        let rejected = store.report().rejected.iter();
        let rejected = rejected.map(|rejected| format!("{}: {}", rejected.file, rejected.why));
        let told: Vec<_> = rejected.chain(store.incidents()).collect();
        assert!(told.len() == 1 && told[0].contains(&name) && told[0].contains("version 2"), "{told:?}");
        assert!(crate::history::image(&directory) == image);
    }
}

#[test]
fn foreign_files_are_counted_and_left_alone() {
    let history = closed();
    let mut image = image(&history.directory);
    let foreign = [".DS_Store", "foo.seg.bak", "notes.txt", "CHECKPOINT.old", "000001.seg.torn-x", "seg"];
    for name in foreign {
        image.insert(name.to_owned(), b"not the store's".to_vec());
    }
    let directory = directory(&image);
    for consumers in ["cursors", "groups", "projections"] {
        directory.write_file(&format!("{consumers}/one/000001.seg"), b"a consumer's own".to_vec());
    }
    let store = options(1).open_on(directory.clone()).unwrap();
    assert_eq!(store.report().foreign_count, foreign.len() as u64);
    assert!(store.report().is_clean());
    go_on(&directory, store, &history.expected(), "beside foreign files");
    assert!(foreign.iter().all(|name| directory.file(name).unwrap() == b"not the store's"));
}

#[test]
fn names_that_are_almost_a_segments_are_refused() {
    let image = image(&closed().directory);
    for name in [
        "1.seg",
        "0000001.seg",
        "000001.SEG",
        "000002 (1).seg",
        "000001-0.seg",
        "00000001-1.seg",
        "000000.seg",
    ] {
        let mut image = image.clone();
        image.insert(name.to_owned(), image["000001.seg"].clone());
        refused(&image, name, |error| matches!(error, Error::Corrupt { .. }));
    }
}

#[test]
fn an_oversized_batch_gets_a_segment_of_its_own() {
    let mut history = History::new();
    let small = || Step::Batch(vec![Draft::plain(0, 100)], true, Durability::Durable);
    let large =
        Step::Batch((0..4).map(|number| Draft::plain(number, 3000)).collect(), true, Durability::Durable);
    for step in [large.clone(), small(), large.clone(), large, small()] {
        history.apply(&step);
    }
    history.close();
    let image = image(&history.directory);
    let firsts: Vec<_> = segments(&image)
        .iter()
        .map(|name| annals_wire::SegmentHeader::decode(&image[name]).unwrap().first_sequence.0)
        .collect();
    assert_eq!(firsts, [1, 5, 6, 10, 14]);
    history.open();
    history.expected().check(history.store(), "oversized batches");
}

#[test]
fn many_rotations_number_segments_without_a_gap() {
    let mut history = History::new();
    for number in 0..120 {
        history.apply(&Step::Batch(vec![Draft::plain(number, 2500)], true, Durability::Written));
    }
    history.close();
    let image = image(&history.directory);
    let names: Vec<_> = (1..=120).map(|id| format!("{id:06}.seg")).collect();
    assert_eq!(segments(&image), names);
    history.open();
    history.expected().check(history.store(), "many segments");
}

/// A segment that holds nothing but names of kinds is a segment like any other, whatever becomes of it.
#[test]
fn segments_without_events_are_kept_and_covered() {
    for (lives, with_checkpoint) in (1..5).flat_map(|lives| [(lives, false), (lives, true)]) {
        let mut history = History::new();
        for _ in 0..lives {
            history.apply(&Step::Name);
            if with_checkpoint {
                history.apply(&Step::Checkpoint);
            }
            history.apply(&Step::Pump);
            history.apply(&Step::Drop);
        }
        history.apply(&Step::Checkpoint);
        history.apply(&Step::Batch(vec![Draft::plain(0, 10)], true, Durability::Durable));
        history.apply(&Step::Checkpoint);
        history.close();
        assert_eq!(history.names.len(), lives);
        check_clean_open(&history.directory, &history.expected());
        check_all_ways(&image(&history.directory), &history.expected(), true);
    }
}

/// An open that was cut short between any two operations while it made a store can be done again.
#[test]
fn a_creation_that_was_cut_short_can_be_done_again() {
    let create = |disk: &SimulatedDirectory| {
        let options = Options::new().create(true).background(annals::Background::Manual);
        options.entropy(SeededEntropy::new(1)).open_on(disk.clone())
    };
    let whole = SimulatedDirectory::new();
    drop(create(&whole).unwrap());
    for stop in 0..=whole.operation_count() {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        drop(create(&disk));
        let names = disk.crash_subset(|_| true).names();
        // Killed, and everything lost that was not synced.
        for again in [disk.kill(), disk.crash_subset(|_| true), disk.crash_subset(|_| false)] {
            let opened = options(2).open_on(again.clone());
            let is_there = again.names().iter().any(|name| name == "MANIFEST");
            assert!(opened.is_ok() == is_there, "before {stop} with {names:?}: {opened:?}");
            drop(opened);
            let store =
                create(&again).unwrap_or_else(|error| panic!("before {stop} with {names:?}: {error}"));
            let at = annals::Coordinate::new("a", "b").unwrap();
            let event = NewEvent::new(&at, annals::Kind::new(0x2001).unwrap(), b"x");
            assert_eq!(store.append(&event).unwrap().sequence, Sequence(1));
            store.close().unwrap();
            let store = create(&again).unwrap();
            assert!(
                store.report().is_clean() && store.last_sequence() == Sequence(1),
                "{:?}",
                store.report()
            );
            assert!(verify_on(again.clone(), &mut |_| {}).unwrap().is_sound());
        }
    }
}
