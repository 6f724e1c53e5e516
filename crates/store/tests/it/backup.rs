//! Backups: what they have, what they keep, and into what they are not made.

use std::sync::atomic::{AtomicBool, Ordering};

use annals::{
    Durability, Error, Options, Sequence, Store,
    disk::{MemoryDirectory, restore_on, verify_on},
    report::BackupReport,
};
use annals_segment::{Directory, DiskDirectory, SimulatedDirectory};

use crate::history::{Draft, Facts, History, Image, Step, append, directory, image, options, segments};

/// A history with at least `count` sealed segments and events behind them, whose store is open.
pub(crate) fn history(count: usize) -> History {
    let mut history = History::new();
    while segments(&image(&history.directory)).len() <= count {
        grow(&mut history);
    }
    grow(&mut history);
    history
}

/// Appends a batch, and does what waits to be done behind it.
pub(crate) fn grow(history: &mut History) {
    let number = history.events.len();
    let drafts = (number..number + 3).map(|number| Draft::rich(number, 350)).collect();
    history.apply(&Step::Batch(drafts, true, Durability::Durable));
    history.apply(&Step::Pump);
}

pub(crate) fn backup(store: &Store, to: &MemoryDirectory) -> Result<BackupReport, Error> {
    store.backup_to(to.clone(), &mut |_| {})
}

fn counts(report: &BackupReport) -> [u64; 3] {
    [report.linked_count, report.copied_count, report.kept_count]
}

/// Checks that a copy opens as `history`, for reading and for writing, and is sound to the last byte.
fn check(history: &History, to: &MemoryDirectory, what: &str) {
    let expected = history.expected();
    let read = options(9).open_read_only_on(to.clone()).unwrap();
    assert!(read.report().is_clean(), "{what}: {:?}", read.report());
    assert_eq!(read.id(), history.store().id());
    expected.check(&read, what);
    drop(read);
    let verified = verify_on(to.clone(), &mut |_| {}).unwrap();
    assert!(verified.is_sound() && verified.torn.is_none(), "{what}: {verified:?}");
    let copy = directory(&image(to));
    let written = options(9).open_on(copy.clone()).unwrap();
    assert!(written.report().is_clean(), "{what}: {:?}", written.report());
    expected.check(&written, what);
    append(&written, &[Draft::plain(0, 10)], None, Durability::Durable).unwrap();
    written.close().unwrap();
    assert!(verify_on(copy, &mut |_| {}).unwrap().is_sound(), "{what}");
}

#[test]
fn a_backup_opens_as_the_store_and_the_store_goes_on() {
    let mut history = history(4);
    history.apply(&Step::Name);
    history.apply(&Step::Batch(vec![Draft::rich(1, 100)], true, Durability::Queued));
    let to = MemoryDirectory::new();
    let report = backup(history.store(), &to).unwrap();
    assert_eq!(report.sequence, Sequence(history.events.len() as u64), "what was only queued is in it");
    assert_eq!(counts(&report), [0, segments(&image(&to)).len() as u64, 0]);
    assert!(report.has_checkpoint && report.copied_bytes > 4 * 3000, "{report:?}");
    check(&history, &to, "while the store is open");
    grow(&mut history);
    let expected = history.expected();
    expected.check(history.store(), "the store");
}

#[test]
fn an_empty_store_and_one_that_is_only_read_are_backed_up_too() {
    let history = History::new();
    let to = MemoryDirectory::new();
    assert_eq!(backup(history.store(), &to).unwrap().sequence, Sequence(0));
    check(&history, &to, "empty");
    let mut history = self::history(3);
    for is_closed in [false, true] {
        if is_closed {
            history.close();
        }
        let reader = options(8).open_read_only_on(history.directory.clone()).unwrap();
        let to = MemoryDirectory::new();
        backup(&reader, &to).unwrap();
        if is_closed {
            history.open();
        }
        check(&history, &to, &format!("from a reader, closed {is_closed}"));
    }
}

#[test]
fn a_checkpoint_of_more_than_is_copied_is_left_out() {
    let mut history = history(3);
    let reader = options(8).open_read_only_on(history.directory.clone()).unwrap();
    let count = reader.last_sequence();
    for _ in 0..5 {
        grow(&mut history);
        history.apply(&Step::Checkpoint);
        let to = MemoryDirectory::new();
        let report = backup(&reader, &to).unwrap();
        assert!(report.sequence == count && !report.has_checkpoint, "{report:?}");
        let copy = options(9).open_on(to).unwrap();
        assert!(copy.report().is_clean() && copy.last_sequence() == count, "{:?}", copy.report());
    }
}

#[test]
fn a_second_backup_copies_what_is_new_and_a_third_nothing() {
    let mut history = history(4);
    let to = MemoryDirectory::new();
    backup(history.store(), &to).unwrap();
    let before = image(&to);
    (0..12).for_each(|_| grow(&mut history));
    let report = backup(history.store(), &to).unwrap();
    check(&history, &to, "the second");
    let after = image(&to);
    let kept = segments(&before).len() as u64 - 1;
    assert_eq!(counts(&report), [0, segments(&after).len() as u64 - kept, kept]);

    let report = backup(history.store(), &to).unwrap();
    assert_eq!(counts(&report), [0, 0, segments(&after).len() as u64]);
    assert_eq!(report.copied_bytes, 0);
    assert_eq!(image(&to), after, "nothing was written");
}

#[test]
fn backups_follow_a_store_through_closes_and_crashes() {
    let mut history = History::new();
    let to = MemoryDirectory::new();
    for round in 0..16 {
        grow(&mut history);
        backup(history.store(), &to).unwrap();
        check(&history, &to, &format!("round {round}"));
        history.apply([Step::Close, Step::Drop, Step::Checkpoint, Step::Name][round % 4..].first().unwrap());
    }
}

#[test]
fn appends_go_on_while_a_backup_is_made() {
    let source = MemoryDirectory::new();
    let store = Options::new().create(true).segment_bytes(4096).open_on(source).unwrap();
    let to = MemoryDirectory::new();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..200 {
                append(&store, &[Draft::rich(number, 100)], None, Durability::Durable).unwrap();
            }
            is_done.store(true, Ordering::Release);
        });
        loop {
            let is_last = is_done.load(Ordering::Acquire);
            let before = store.last_sequence();
            let report = backup(&store, &to).unwrap();
            assert!(report.sequence >= before, "all that was acknowledged before the call");
            let copy = options(9).open_read_only_on(to.clone()).unwrap();
            assert!(copy.report().is_clean());
            let events: Vec<_> = copy.all().map(|event| Facts::of(&event.unwrap())).collect();
            assert_eq!(events.len() as u64, report.sequence.0);
            let ours = store.all().limit(report.sequence.0).map(|event| Facts::of(&event.unwrap()));
            assert_eq!(events, ours.collect::<Vec<_>>());
            if is_last {
                break;
            }
        }
    });
    assert_eq!(backup(&store, &to).unwrap().sequence, Sequence(200));
}

/// Checks that no backup of `store` is made into `image`, that the reason has `why` in it, and that nothing changed.
#[track_caller]
fn refused(store: &Store, image: &Image, why: &str) {
    let to = directory(image);
    let error = backup(store, &to).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(&self::image(&to), image, "left as it is");
}

#[test]
fn a_directory_that_is_something_else_is_refused_by_name_and_left_as_it_is() {
    let history = history(3);
    let store = history.store();
    let other = MemoryDirectory::new();
    let mut another = History::of_seed(77);
    grow(&mut another);
    backup(another.store(), &other).unwrap();
    refused(store, &image(&other), &format!("holds the store {}", another.store().id()));
    another.close();
    refused(store, &image(&another.directory), "holds the store");

    let files = Image::from([("thesis.txt".to_owned(), b"bytes".to_vec())]);
    refused(store, &files, "holds other files and no backup");
    let mut without_manifest = image(&history.directory);
    without_manifest.remove("MANIFEST");
    refused(store, &without_manifest, "MANIFEST is missing");

    let own = store.backup_to(history.directory.clone(), &mut |_| {}).unwrap_err();
    assert!(own.to_string().contains("is the directory of the store itself"), "{own}");
    let mut closed = self::history(3);
    closed.close();
    let reader = options(8).open_read_only_on(closed.directory.clone()).unwrap();
    let own = reader.backup_to(closed.directory.clone(), &mut |_| {}).unwrap_err();
    assert!(own.to_string().contains("is the directory of the store itself"), "{own}");
}

#[test]
fn a_backup_with_another_history_or_a_longer_one_is_refused() {
    let mut history = history(3);
    let to = MemoryDirectory::new();
    let mut fork = history.fork(50);
    for rounds in [1, 1, 9] {
        // First both go their ways in a segment that they have in common, or in one of the same number.
        (0..rounds)
            .for_each(|_| history.apply(&Step::Batch(vec![Draft::rich(5, 90)], true, Durability::Durable)));
        (0..rounds).for_each(|_| grow(&mut fork));
        let to = MemoryDirectory::new();
        backup(fork.store(), &to).unwrap();
        refused(history.store(), &image(&to), "another history");
    }
    backup(history.store(), &to).unwrap();
    let earlier = image(&to);
    grow(&mut history);
    backup(history.store(), &to).unwrap();
    let restored = directory(&earlier);
    let set_back = options(60).open_on(restored).unwrap();
    refused(&set_back, &image(&to), "more than the store has by now");
    // The restored store goes on in the very segment: longer than the backup, and other.
    for number in 0..4 {
        append(&set_back, &[Draft::plain(number, 400)], None, Durability::Durable).unwrap();
    }
    refused(&set_back, &image(&to), "another history");
    let written = directory(&image(&to));
    let backup_in_use = options(61).open_on(written.clone()).unwrap();
    let error = backup(history.store(), &written).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(backup_in_use);
    backup(history.store(), &written).unwrap();
}

#[test]
fn a_history_that_parted_within_the_newest_segment_is_told_by_its_frames() {
    let mut history = History::new();
    let to = MemoryDirectory::new();
    let one = Step::Batch(vec![Draft::plain(0, 50)], true, Durability::Durable);
    history.apply(&one);
    backup(history.store(), &to).unwrap();
    let set_back = options(60).open_on(directory(&image(&to))).unwrap();
    history.apply(&one);
    backup(history.store(), &to).unwrap();
    for number in 1..4 {
        append(&set_back, &[Draft::plain(number, 20)], None, Durability::Durable).unwrap();
    }
    refused(&set_back, &image(&to), "of segment 1 it has other frames");
    history.apply(&one);
    backup(history.store(), &to).unwrap();
}

#[test]
fn what_rotted_in_a_backup_is_copied_again_and_what_was_cut_is_never_shorter() {
    let mut history = history(3);
    let to = MemoryDirectory::new();
    backup(history.store(), &to).unwrap();
    let whole = image(&to);
    let names = segments(&whole);
    for (place, name) in names.iter().enumerate() {
        for at in [600, whole[name].len() - 30] {
            let mut rotten = whole.clone();
            rotten.get_mut(name).unwrap()[at] ^= 4;
            let to = directory(&rotten);
            assert_eq!(counts(&backup(history.store(), &to).unwrap()), [0, 1, names.len() as u64 - 1]);
            assert_eq!(image(&to)[name], whole[name], "segment {place}, byte {at}");
            check(&history, &to, name);
        }
        let mut beheaded = whole.clone();
        beheaded.get_mut(name).unwrap()[30] ^= 4;
        refused(history.store(), &beheaded, &format!("{name} is damaged at offset 0"));
    }
    let newest = names.last().unwrap();
    for len in 512..whole[newest].len() {
        let mut cut = whole.clone();
        cut.get_mut(newest).unwrap().truncate(len);
        options(9).open_read_only_on(directory(&cut)).unwrap_err();
    }
    grow(&mut history);
    backup(history.store(), &to).unwrap();
    check(&history, &to, "on the sound one");
}

#[test]
fn a_damaged_store_is_named_and_the_old_backup_stays() {
    let mut history = history(3);
    let to = MemoryDirectory::new();
    backup(history.store(), &to).unwrap();
    let old = image(&to);
    (0..12).for_each(|_| grow(&mut history));
    let newest = segments(&image(&history.directory)).len();
    for id in [segments(&old).len(), newest] {
        let name = format!("{id:06}.seg");
        let whole = history.directory.file(&name).unwrap();
        let mut rotten = whole.clone();
        rotten[700] ^= 4;
        history.directory.write_file(&name, rotten);
        for to in [to.clone(), MemoryDirectory::new()] {
            let error = backup(history.store(), &to).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains(&format!("{name} is damaged at offset ")), "{error}");
            assert!(!error.to_string().contains(".tmp"), "{error}");
        }
        assert_eq!(image(&to), old, "the old backup stays");
        history.directory.write_file(&name, whole);
    }
    backup(history.store(), &to).unwrap();
    check(&history, &to, "mended");
}

#[test]
fn what_is_restored_is_the_store_and_goes_nowhere_else() {
    let history = history(4);
    let to = MemoryDirectory::new();
    backup(history.store(), &to).unwrap();
    let restored = MemoryDirectory::new();
    let report = restore_on(to.clone(), restored.clone(), &mut |_| {}).unwrap();
    assert_eq!(report.sequence, Sequence(history.events.len() as u64));
    check(&history, &restored, "restored");
    for files in [image(&to), Image::from([("a".to_owned(), Vec::new())])] {
        let full = directory(&files);
        let error = restore_on(to.clone(), full.clone(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
        assert_eq!(image(&full), files);
    }
    let nothing = restore_on(MemoryDirectory::new(), MemoryDirectory::new(), &mut |_| {});
    assert!(matches!(nothing, Err(Error::NotFound { .. })));
}

#[cfg(unix)]
#[test]
fn sealed_segments_with_sound_footers_are_linked_and_no_others() {
    use std::os::unix::fs::MetadataExt;
    let outer = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| outer.path().join(name));
    let store = options(1).create(true).open(&from).unwrap();
    let mut number = 0;
    let mut append_some = || {
        for _ in 0..24 {
            append(&store, &[Draft::rich(number, 700)], None, Durability::Durable).unwrap();
            store.pump().unwrap();
            number += 1;
        }
    };
    append_some();
    let unsound = from.join("000002.seg");
    let mut bytes = std::fs::read(&unsound).unwrap();
    *bytes.iter_mut().nth_back(40).unwrap() ^= 1;
    std::fs::write(&unsound, bytes).unwrap();
    let report = store.backup(&to).unwrap();
    let sealed = report.linked_count + report.copied_count - 1;
    assert_eq!(
        counts(&report),
        [sealed - 1, 2, 0],
        "the newest and the one without a sound footer are copies"
    );
    let links = |id: u64| std::fs::metadata(to.join(format!("{id:06}.seg"))).unwrap().nlink();
    assert_eq!((links(1), links(2), links(sealed), links(sealed + 1)), (2, 1, 2, 1));
    append_some();
    let report = store.backup(&to).unwrap();
    assert_eq!(report.kept_count, sealed);
    let copy = options(9).open(&to).unwrap();
    assert!(copy.report().is_clean(), "{:?}", copy.report());
    append(&copy, &[Draft::plain(1, 9)], None, Durability::Durable).unwrap();
    copy.close().unwrap();
    assert!(annals::verify(&to, &mut |_| {}).unwrap().is_sound());
    assert!(
        verify_on(DiskDirectory::open(&from).unwrap(), &mut |_| {})
            .unwrap()
            .damage
            .iter()
            .all(|it| it.is_derived)
    );
    let restored = outer.path().join("restored");
    annals::restore(&to, &restored, &mut |_| {}).unwrap();
    assert_eq!(
        std::fs::metadata(restored.join("000001.seg")).unwrap().nlink(),
        1,
        "a restore shares nothing"
    );
}

#[test]
fn a_store_that_stopped_writing_is_backed_up_as_far_as_it_is_durable() {
    let disk = SimulatedDirectory::new();
    let store = options(1).create(true).open_on(disk.clone()).unwrap();
    for number in 0..20 {
        append(&store, &[Draft::rich(number, 300)], None, Durability::Durable).unwrap();
    }
    let fault = annals_segment::Fault::Fail(annals_segment::Errno::Io);
    disk.inject(disk.operation_count(), fault, annals_segment::Span::Once);
    let error = append(&store, &[Draft::rich(20, 300)], None, Durability::Durable).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    let to = MemoryDirectory::new();
    assert_eq!(backup(&store, &to).unwrap().sequence, Sequence(20));
    assert_eq!(options(9).open_on(to).unwrap().last_sequence(), Sequence(20));
    assert!(disk.list().is_ok());
}
