//! Index runs: whatever happens to them, every question is answered as without them.

use annals::{
    Durability, Store,
    disk::{MemoryDirectory, verify_on},
};
use annals_segment::{Errno, Fault, SimulatedDirectory, Span};
use annals_wire::{RUN_PAGE_LEN, RunHeader};

use crate::history::{Answers, Draft, History, Image, Step, append, directory, id, image, options, segments};

/// Appends an event: until then an open store that was closed changes no file.
fn begin(store: Store) -> Store {
    let ids = [id(1_000_000 + store.last_sequence().0)].to_vec();
    append(&store, &[Draft::plain(0, 10)], Some(&ids), Durability::Durable).unwrap();
    store
}

/// The names of the runs that are there.
fn runs(image: &Image) -> Vec<&str> {
    image.keys().map(String::as_str).filter(|name| name.contains(".run")).collect()
}

/// A history with at least `count` sealed segments, each with its footer and those above it with their runs.
fn history(count: usize) -> History {
    let mut history = History::new();
    let mut number = 0;
    while segments(&image(&history.directory)).len() <= count {
        let drafts = (number..number + 3).map(|number| Draft::rich(number, 350));
        history.apply(&Step::Batch(drafts.collect(), number % 2 == 0, Durability::Durable));
        history.apply(&Step::Pump);
        number += 3;
    }
    history
}

#[test]
fn segments_are_merged_by_eight_and_answers_stay_the_same() {
    let mut history = history(73);
    let expected = history.expected();
    expected.check(history.store(), "the store that made them");
    history.close();
    let found = image(&history.directory);
    assert_eq!(runs(&found), ["000001-000064.run", "000065-000072.run"]);
    let report = verify_on(history.directory.clone(), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.run_count == 2, "{report:?}");
    for maps in [true, false] {
        for use_runs in [true, false] {
            let options = options(7).maps(maps).use_runs(use_runs);
            let store = options.open_read_only_on(history.directory.clone()).unwrap();
            assert_eq!(store.report().run_count, if use_runs { 2 } else { 0 });
            expected.check(&store, &format!("maps {maps}, runs {use_runs}"));
            assert_eq!(store.incidents(), [""; 0]);
        }
    }
}

#[test]
fn segments_between_or_before_runs_are_asked_as_well() {
    let mut history = history(25);
    let expected = history.expected();
    history.close();
    let whole = image(&history.directory);
    for lost in ["000001-000008.run", "000009-000016.run"] {
        let mut found = whole.clone();
        found.remove(lost).unwrap();
        let store = options(7).open_read_only_on(directory(&found)).unwrap();
        assert_eq!(store.report().run_count, 2);
        expected.check(&store, &format!("without {lost}"));
    }
}

/// Opens a copy of `image` and checks every answer and what is told; then appends, and what was damaged is whole.
fn check_mended(history: &History, image: &Image, what: &str) {
    let expected = history.expected();
    let copy = directory(image);
    let store = options(9).open_on(copy.clone()).unwrap();
    expected.check(&store, what);
    let store = begin(store);
    for _ in 0..3 {
        let _ = store.pump();
    }
    drop(store);
    let report = verify_on(copy.clone(), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.run_count == 1, "{what}: {report:?}");
    assert_eq!(runs(&self::image(&copy)), ["000001-000008.run"], "{what}");
}

#[test]
fn a_run_that_is_gone_damaged_or_anothers_is_done_without_and_made_again() {
    let mut history = history(8);
    history.close();
    let whole = image(&history.directory);
    let name = "000001-000008.run";
    check_mended(&history, &whole, "nothing happened");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = whole.clone();
        change(image.get_mut(name).unwrap());
        image
    };
    let mut gone = whole.clone();
    gone.remove(name);
    check_mended(&history, &gone, "gone");
    for at in [0, 8, 12, 16, 32, 40, 48, 56, 60, 4_000, 4_095, 4_096, 6_900, 8_190] {
        check_mended(&history, &changed(&|bytes| bytes[at] ^= 4), &format!("byte {at} flipped"));
    }
    for len in [0, 15, 4_095, RUN_PAGE_LEN] {
        check_mended(&history, &changed(&|bytes| bytes.truncate(len)), &format!("cut to {len} bytes"));
    }
    let foreign = |change: &dyn Fn(&mut RunHeader)| {
        changed(&|bytes| {
            let (mut header, _) = RunHeader::decode(bytes).unwrap();
            change(&mut header);
            bytes.splice(..RunHeader::len(8), header.encode().0);
        })
    };
    check_mended(&history, &foreign(&|header| header.store.0[3] ^= 1), "another store's");
    check_mended(&history, &foreign(&|header| header.first.0 += 8), "of later segments");
    check_mended(&history, &foreign(&|header| header.segments[5].generation.0 += 1), "of a replaced segment");
    check_mended(&history, &foreign(&|header| header.segments[7].chain.0 ^= 1), "of other frames");
    let mut stray = whole.clone();
    stray.insert("000001-000007.run".to_owned(), whole[name].clone());
    check_mended(&history, &stray, "an irregular one beside it");
}

#[test]
fn verification_tells_a_run_with_other_keys() {
    let mut history = history(8);
    history.close();
    let mut changed = image(&history.directory);
    let bytes = changed.get_mut("000001-000008.run").unwrap();
    let (header, seed) = RunHeader::decode(bytes).unwrap();
    let start = RunHeader::len(8);
    let page = annals_wire::RunPage::decode(&bytes[start..], seed, 0).unwrap();
    let count = usize::try_from(header.entry_count).unwrap().min(682);
    let mut entries: Vec<_> = (0..count).map(|index| page.entry(index)).collect();
    entries[3].hash += 1;
    let mut forged = Vec::new();
    annals_wire::RunPage::encode(&entries, seed, 0, &mut forged);
    bytes.splice(start..start + RUN_PAGE_LEN, forged);
    let report = verify_on(directory(&changed), &mut |_| {}).unwrap();
    assert!(
        report.damage.iter().any(|damage| damage.is_derived && damage.what.contains("other keys")),
        "{report:?}"
    );
}

#[test]
fn a_newer_versions_run_is_done_without_and_left_as_it_is() {
    let mut history = history(8);
    history.close();
    let mut newer = image(&history.directory);
    let bytes = newer.get_mut("000001-000008.run").unwrap();
    bytes[8] = 2;
    let crc = annals_wire::crc(&bytes[..4_092]);
    bytes[4_092..4_096].copy_from_slice(&crc.to_le_bytes());
    let copy = directory(&newer);
    let store = options(9).open_on(copy.clone()).unwrap();
    history.expected().check(&store, "a newer version's run");
    let store = begin(store);
    store.pump().unwrap();
    let told = store.incidents();
    assert!(told.iter().any(|what| what.contains("newer")), "{told:?}");
    drop(store);
    assert_eq!(image(&copy)["000001-000008.run"], newer["000001-000008.run"]);
}

/// A store on a simulated disk that was let go of and is open again, and whose next pump merges eight segments.
fn about_to_merge() -> (SimulatedDirectory, Store, Answers) {
    let mut history = history(8);
    history.leave();
    let mut files = image(&history.directory);
    files.retain(|name, _| !name.ends_with(".run"));
    let disk = SimulatedDirectory::new();
    for (name, bytes) in files {
        disk.write_file(&name, bytes);
    }
    let store = options(9).open_on(disk.clone()).unwrap();
    (disk, store, history.expected())
}

/// Opens what is left of `disk`, whose store answers everything, and merges now.
fn check_merges(disk: &SimulatedDirectory, expected: &Answers, what: &str) {
    let store = options(10).open_on(disk.clone()).unwrap();
    expected.check(&store, what);
    store.pump().unwrap();
    expected.check(&store, what);
    let report = verify_on(disk.clone(), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.run_count == 1, "{what}: {report:?}");
}

#[test]
fn a_merge_that_fails_or_loses_power_anywhere_is_done_another_time() {
    let (disk, store, expected) = about_to_merge();
    let first = disk.operation_count();
    store.pump().unwrap();
    let behind = disk.operation_count();
    assert!(behind > first + 5, "{first} to {behind}");
    for operation in first..behind {
        let (disk, store, _) = about_to_merge();
        disk.inject(operation, Fault::Fail(Errno::NoSpace), Span::Once);
        let _ = store.pump();
        drop(store);
        check_merges(&disk.kill(), &expected, &format!("operation {operation} failed"));
        let (disk, store, _) = about_to_merge();
        disk.stop_before(operation);
        let _ = store.pump();
        for is_kept in [true, false] {
            let left = disk.crash_subset(|_| is_kept);
            check_merges(&left, &expected, &format!("power lost before {operation}, kept {is_kept}"));
        }
    }
}

#[test]
fn a_merge_that_was_begun_is_gone_on_with() {
    let mut history = history(8);
    history.close();
    let whole = image(&history.directory);
    let name = "000001-000008.run";
    let run = &whole[name];
    for len in [0, 100, 4_096, 5_000, 8_192, run.len()] {
        let mut begun = whole.clone();
        begun.remove(name);
        begun.insert(format!("{name}.tmp"), run[..len.min(run.len())].to_vec());
        let copy: MemoryDirectory = directory(&begun);
        let store = options(9).open_on(copy.clone()).unwrap();
        begin(store).pump().unwrap();
        let found = image(&copy);
        assert_eq!(runs(&found), [name], "begun with {len} bytes");
        assert!(found[name] == *run, "begun with {len} bytes");
    }
}

#[test]
fn a_footer_that_is_gone_costs_no_run() {
    let mut history = history(17);
    history.close();
    let mut files = image(&history.directory);
    assert_eq!(runs(&files), ["000001-000008.run", "000009-000016.run"]);
    let (name, end) = crate::history::frame_ends(&files).swap_remove(2);
    files.get_mut(&name).unwrap().truncate(end);
    let copy = directory(&files);
    let store = options(9).open_read_only_on(copy.clone()).unwrap();
    history.expected().check(&store, "read without a footer");
    let store = options(9).open_on(copy.clone()).unwrap();
    assert_eq!(store.report().run_count, 0, "runs are used behind footers alone");
    history.expected().check(&store, "without a footer");
    // Nothing is written before something is appended; and then the footer first.
    begin(store).pump().unwrap();
    assert_eq!(runs(&image(&copy)), ["000001-000008.run", "000009-000016.run"]);
    let store = options(9).open_read_only_on(copy).unwrap();
    assert_eq!(store.report().run_count, 2);
}
