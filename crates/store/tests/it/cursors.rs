//! Durable cursors: at least once, in effect once, and never of another history.

use std::{thread, time::Duration};

use annals::{
    Background, Condition, Coordinate, Durability, Error, Expected, NewEvent, Options, Query, QueryItem,
    Sequence, Store,
    consume::{Cursor, CursorOptions},
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_segment::{CrashProfile, Directory};

fn options() -> Options {
    Options::new().create(true).entropy(SeededEntropy::new(7)).segment_bytes(8 << 10)
}

fn open(directory: &MemoryDirectory) -> Store {
    options().open_on(directory.clone()).unwrap()
}

fn at(entity: &str) -> Coordinate {
    Coordinate::new(entity, "s").unwrap()
}

/// Appends `count` events of the kind `job`, of which each third is of another kind.
fn add(store: &Store, count: u64) {
    let (job, other) = (store.kind("job").unwrap(), store.kind("other").unwrap());
    for number in 0..count {
        let kind = if number % 3 == 2 { other } else { job };
        store.append(&NewEvent::new(&at("in"), kind, &number.to_le_bytes())).unwrap();
    }
}

fn jobs(store: &Store) -> Query {
    Query::of(QueryItem::new().kind(store.kind("job").unwrap()))
}

fn sequences(cursor: &mut Cursor, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < count
        && let Some(event) = cursor.try_next().unwrap()
    {
        seen.push(event.sequence().0);
    }
    seen
}

#[test]
fn a_cursor_goes_on_behind_what_was_saved_whatever_it_reads_then() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    add(&store, 9);
    let mut cursor = store.cursor("mail", jobs(&store)).unwrap();
    assert_eq!((cursor.delivered(), cursor.saved(), cursor.lag()), (Sequence(0), Sequence(0), 9));
    assert_eq!(sequences(&mut cursor, 2), [1, 2]);
    assert_eq!(cursor.save().unwrap(), Sequence(3), "the third does not match");
    assert_eq!(sequences(&mut cursor, 1), [4]);
    drop(cursor);
    // The fourth is delivered again, nobody having said that it was processed.
    let mut cursor = store.cursor("mail", jobs(&store)).unwrap();
    assert_eq!(sequences(&mut cursor, 99), [4, 5, 7, 8]);
    // What does not match is passed over too.
    assert_eq!((cursor.delivered(), cursor.save().unwrap(), cursor.lag()), (Sequence(9), Sequence(9), 0));
    cursor.close().unwrap();
    store.close().unwrap();

    let store = open(&directory);
    add(&store, 1);
    let mut cursor = store.cursor("mail", Query::all()).unwrap();
    assert_eq!(sequences(&mut cursor, 99), [10]);
    let mut other = store.cursor_with("other", Query::all(), &CursorOptions::new().from_now()).unwrap();
    assert_eq!((other.saved(), sequences(&mut other, 99)), (Sequence(10), vec![]));
    let mut third =
        store.cursor_with("third", Query::all(), &CursorOptions::new().after(Sequence(8))).unwrap();
    assert_eq!(sequences(&mut third, 99), [9, 10]);
}

#[test]
fn a_cursor_has_one_holder_and_a_name_that_is_a_files() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    let cursor = store.cursor("mail", Query::all()).unwrap();
    let held = store.cursor("mail", Query::all()).unwrap_err();
    assert!(matches!(&held, Error::Locked { .. }) && held.to_string().contains("cursors/mail"), "{held}");
    assert!(matches!(store.reset_cursor("mail", Sequence(0)), Err(Error::Locked { .. })));
    assert!(matches!(store.delete_cursor("mail"), Err(Error::Locked { .. })));
    thread::scope(|scope| {
        let patient = CursorOptions::new().lock_timeout(Duration::from_secs(60));
        let waiting = scope.spawn({
            let store = store.clone();
            move || store.cursor_with("mail", Query::all(), &patient).map(|cursor| cursor.saved())
        });
        drop(cursor);
        assert_eq!(waiting.join().unwrap().unwrap(), Sequence(0));
    });
    for name in ["", "Mail", ".mail", "ma/il", "mäil", &"m".repeat(65)] {
        assert!(matches!(store.cursor(name, Query::all()), Err(Error::Invalid { .. })), "{name:?}");
    }
}

#[test]
fn a_position_that_did_not_move_costs_nothing_to_save_and_the_log_stays_small() {
    let disk = SimulatedDirectory::new();
    let store = options().background(Background::Manual).open_on(disk.clone()).unwrap();
    add(&store, 1500);
    let mut cursor = store.cursor("mail", Query::all()).unwrap();
    let mut saves = 0;
    while cursor.try_next().unwrap().is_some() {
        cursor.save().unwrap();
        let before = disk.operation_count();
        cursor.save().unwrap();
        assert_eq!(disk.operation_count(), before);
        saves += 1;
    }
    let files: Vec<_> = disk.names().into_iter().filter(|name| name.starts_with("cursors/")).collect();
    let bytes: usize = files.iter().map(|name| disk.file(name).unwrap().len()).sum();
    assert!(saves == 1500 && bytes < 200 << 10, "{bytes} bytes in {files:?}");
    drop(cursor);
    assert_eq!(store.cursor("mail", Query::all()).unwrap().saved(), Sequence(1500));
}

#[test]
fn a_cursor_saves_by_itself_after_so_many_events_or_so_long() {
    let store = open(&MemoryDirectory::new());
    add(&store, 10);
    let by_count = CursorOptions::new().save_every(4, Duration::MAX);
    let mut cursor = store.cursor_with("count", Query::all(), &by_count).unwrap();
    let saved: Vec<u64> = (0..10)
        .map(|_| {
            cursor.try_next().unwrap().unwrap();
            cursor.saved().0
        })
        .collect();
    assert_eq!(saved, [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]);
    let by_time = CursorOptions::new().save_every(u64::MAX, Duration::ZERO);
    let mut cursor = store.cursor_with("time", Query::all(), &by_time).unwrap();
    assert_eq!(sequences(&mut cursor, 10).len(), 10);
    assert_eq!(cursor.saved(), Sequence(9), "the last is not processed before the next is asked for");
    // While it waits, what was processed is saved.
    assert!(cursor.next_within(Duration::from_millis(1)).unwrap().is_none());
    assert_eq!(cursor.saved(), Sequence(10));
}

#[test]
fn what_came_of_an_event_and_the_move_are_one_batch() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    add(&store, 6);
    let done = store.kind("done").unwrap();
    let out = at("out");
    let mut cursor = store.cursor("work", jobs(&store)).unwrap();
    let first = cursor.try_next().unwrap().unwrap();
    let receipts = cursor.append(&[NewEvent::new(&at("out"), done, b"one").causation(first.id())]).unwrap();
    assert_eq!((receipts[0].sequence, receipts[0].durability), (Sequence(7), Durability::Durable));
    cursor.try_next().unwrap().unwrap();
    let refused = NewEvent::new(&out, done, b"two").expected(Expected::None);
    assert!(cursor.append(&[refused]).unwrap_err().is_conflict());
    let condition = Condition::new().no_event(Query::all(), Sequence(0));
    let two = [NewEvent::new(&out, done, b"two")];
    assert!(cursor.append_if(&two, &condition).unwrap_err().is_conflict());
    assert_eq!((cursor.saved(), store.last_sequence()), (Sequence(1), Sequence(7)), "neither happened");
    cursor.append(&two).unwrap();
    // Nothing comes of the next one.
    assert_eq!(sequences(&mut cursor, 1), [4]);
    cursor.append(&[]).unwrap();
    drop(cursor);
    let info = store.find_cursor("work").unwrap().unwrap();
    assert_eq!((info.position, info.is_in_log, info.is_held, info.lag_events), (Sequence(4), true, false, 4));
    drop(store);

    // However the log is read again.
    for step in 0..3 {
        let store = open(&directory);
        let mut cursor = store.cursor("work", jobs(&store)).unwrap();
        assert_eq!((cursor.saved(), sequences(&mut cursor, 9)), (Sequence(4), vec![5]), "{step}");
        assert_eq!(store.stream(&at("out")).count(), 2);
        drop(cursor);
        match step {
            0 => store.checkpoint().unwrap(),
            1 => store.close().unwrap(),
            _ => {}
        }
    }
    let report = verify_on(directory, &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.control_count == 6, "{report:?}");
}

#[test]
fn what_is_appended_again_moves_the_cursor_all_the_same() {
    let store = open(&MemoryDirectory::new());
    add(&store, 2);
    let done = store.kind("done").unwrap();
    let id = annals::EventId([9; 16]);
    let mut cursor = store.cursor("work", Query::all()).unwrap();
    cursor.try_next().unwrap().unwrap();
    let out = at("out");
    let result = || [NewEvent::new(&out, done, b"one").id(id)];
    assert!(!cursor.append(&result()).unwrap()[0].is_repeat);
    drop(cursor);
    store.reset_cursor("work", Sequence(0)).unwrap();
    let mut cursor = store.cursor("work", Query::all()).unwrap();
    assert_eq!(sequences(&mut cursor, 1), [1]);
    assert!(cursor.append(&result()).unwrap()[0].is_repeat);
    assert_eq!((cursor.saved(), store.last_sequence()), (Sequence(1), Sequence(3)));
    drop(cursor);
    assert_eq!(store.cursor("work", Query::all()).unwrap().saved(), Sequence(1));
}

#[test]
fn cursors_are_listed_reset_and_deleted() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    add(&store, 5);
    assert_eq!(store.cursors().unwrap(), []);
    assert_eq!(store.find_cursor("a").unwrap(), None);
    assert!(!store.delete_cursor("a").unwrap());
    assert!(matches!(store.reset_cursor("a", Sequence(1)), Err(Error::Invalid { .. })));
    let mut a = store.cursor("a", Query::all()).unwrap();
    let mut b = store.cursor("b", Query::all()).unwrap();
    sequences(&mut a, 3);
    sequences(&mut b, 2);
    a.save().unwrap();
    b.append(&[]).unwrap();
    let infos = store.cursors().unwrap();
    let shown: Vec<_> =
        infos.iter().map(|info| (&*info.name, info.position.0, info.lag_events, info.is_held)).collect();
    assert_eq!(shown, [("a", 3, 2, true), ("b", 2, 3, true)]);
    let of_stats = store.stats().unwrap().cursors;
    assert!(of_stats.iter().map(|info| &info.name).eq(infos.iter().map(|info| &info.name)));
    drop((a, b));

    for (name, to) in [("a", 1), ("b", 1), ("a", 5), ("b", 5), ("a", 0), ("b", 0)] {
        store.reset_cursor(name, Sequence(to)).unwrap();
        let mut cursor = store.cursor(name, Query::all()).unwrap();
        assert_eq!(sequences(&mut cursor, 9), (to + 1..=5).collect::<Vec<_>>(), "{name} to {to}");
    }
    assert!(matches!(store.reset_cursor("a", Sequence(6)), Err(Error::Invalid { .. })));
    let mut b = store.cursor("b", Query::all()).unwrap();
    sequences(&mut b, 4);
    b.append(&[]).unwrap();
    drop(b);
    for name in ["a", "b"] {
        assert!(store.delete_cursor(name).unwrap());
        assert!(!store.delete_cursor(name).unwrap());
    }
    assert_eq!(store.cursors().unwrap(), []);
    assert!(!directory.names().iter().any(|name| name.starts_with("cursors/")), "{:?}", directory.names());
    store.close().unwrap();

    let store = open(&directory);
    assert_eq!(store.cursors().unwrap(), []);
    assert_eq!(store.cursor("b", Query::all()).unwrap().saved(), Sequence(0), "a new one");
}

#[test]
fn a_deletion_cut_short_anywhere_leaves_the_cursor_or_none() {
    let make = || {
        let disk = SimulatedDirectory::new();
        let store = options().open_on(disk.clone()).unwrap();
        add(&store, 3);
        let mut cursor = store.cursor("a", Query::all()).unwrap();
        sequences(&mut cursor, 2);
        cursor.append(&[]).unwrap();
        drop(cursor);
        (disk, store)
    };
    let (disk, store) = make();
    disk.remember();
    store.delete_cursor("a").unwrap();
    let moments = disk.moments();
    drop(store);
    let outer = disk.crash_subset(|_| false).child("cursors").unwrap();
    assert_eq!(outer.list().unwrap(), [], "gone for good when the call returns");
    for (number, moment) in moments.iter().enumerate() {
        for seed in 0..8 {
            let after = match seed {
                0 => moment.kill(),
                seed => moment.crash(CrashProfile::ALL[seed % 5], seed as u64),
            };
            let store = options().open_on(after.clone()).unwrap();
            let context = format!("moment {number}, seed {seed}: {:?}", after.names());
            let info = store.find_cursor("a").unwrap();
            assert!(
                info.is_none_or(|info| info.position == Sequence(2) && info.refused.is_none()),
                "{context}"
            );
            let mut cursor =
                store.cursor("a", Query::all()).unwrap_or_else(|error| panic!("{context}: {error}"));
            let rest = sequences(&mut cursor, 9);
            assert!([vec![3], vec![1, 2, 3]].contains(&rest), "{context}: {rest:?}");
            cursor.append(&[]).unwrap();
            drop(cursor);
            assert!(store.delete_cursor("a").unwrap(), "{context}");
            assert_eq!(store.cursors().unwrap(), [], "{context}");
        }
    }
}

/// Whoever made a directory may die before its name is durable; the next one does not know, and saves in it.
#[test]
fn what_is_saved_is_there_whatever_became_of_whoever_made_the_cursor() {
    let disk = SimulatedDirectory::new();
    let store = options().open_on(disk.clone()).unwrap();
    add(&store, 3);
    disk.remember();
    drop(store.cursor("a", Query::all()).unwrap());
    for (number, moment) in disk.moments().iter().enumerate() {
        let after = moment.kill();
        let store = options().open_on(after.clone()).unwrap();
        let mut cursor = store.cursor("a", Query::all()).unwrap();
        sequences(&mut cursor, 2);
        assert_eq!(cursor.save().unwrap(), Sequence(2));
        let after = after.crash_subset(|_| false);
        let store = options().open_on(after).unwrap();
        let cursor = store.cursor("a", Query::all()).unwrap();
        assert_eq!(cursor.saved(), Sequence(2), "moment {number}");
    }
}

/// Copies everything below `from` in `directory` to a new directory, and the files of `store` over it.
fn with_cursors_of(directory: &MemoryDirectory, store: &MemoryDirectory) -> MemoryDirectory {
    let files = |directory: &MemoryDirectory, of_cursors: bool| {
        let names =
            directory.names().into_iter().filter(move |name| name.starts_with("cursors/") == of_cursors);
        names.map(|name| (name.clone(), directory.file(&name).unwrap())).collect::<Vec<_>>()
    };
    MemoryDirectory::from_files(files(store, false).into_iter().chain(files(directory, true)))
}

#[test]
fn a_position_of_another_store_or_of_a_past_that_was_restored_is_refused_until_it_is_reset() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    add(&store, 4);
    let early = MemoryDirectory::from_files(
        directory.names().into_iter().map(|name| (name.clone(), directory.file(&name).unwrap())),
    );
    add(&store, 4);
    let mut cursor = store.cursor("a", Query::all()).unwrap();
    sequences(&mut cursor, 6);
    cursor.close().unwrap();
    store.close().unwrap();
    // The same past, and another present.
    let store = open(&early);
    store.append(&NewEvent::new(&at("x"), store.kind("job").unwrap(), b"else")).unwrap();
    let short = with_cursors_of(&directory, &early);
    add(&store, 5);
    store.close().unwrap();
    let other = MemoryDirectory::new();
    let store = options().entropy(SeededEntropy::new(8)).open_on(other.clone()).unwrap();
    add(&store, 9);
    store.close().unwrap();

    let cases = [
        (short, "not there: the newest event is 5"),
        (with_cursors_of(&directory, &early), "its hash"),
        (with_cursors_of(&directory, &other), "its store"),
    ];
    for (directory, why) in cases {
        let store = open(&directory);
        let refused = store.cursor("a", Query::all()).unwrap_err();
        assert!(matches!(&refused, Error::Foreign { sequence: Sequence(6), .. }), "{refused}");
        let words = refused.to_string();
        assert!(
            words.contains("the cursor a") && words.contains(why) && words.contains("reset it"),
            "{words}"
        );
        let info = store.find_cursor("a").unwrap().unwrap();
        assert_eq!(info.refused, Some(words));
        store.reset_cursor("a", Sequence(3)).unwrap();
        let mut cursor = store.cursor("a", Query::all()).unwrap();
        assert_eq!(sequences(&mut cursor, 1), [4]);
        assert_eq!(store.find_cursor("a").unwrap().unwrap().refused, None);
    }
}

#[test]
fn a_position_that_stands_on_moves_which_the_log_lost_is_refused() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    add(&store, 8);
    let mut cursor = store.cursor("a", Query::all()).unwrap();
    sequences(&mut cursor, 1);
    cursor.append(&[]).unwrap();
    drop(cursor);
    drop(store);
    let early = MemoryDirectory::from_files(
        directory.names().into_iter().map(|name| (name.clone(), directory.file(&name).unwrap())),
    );
    let store = open(&directory);
    let mut cursor = store.cursor("a", Query::all()).unwrap();
    sequences(&mut cursor, 2);
    cursor.append(&[]).unwrap();
    sequences(&mut cursor, 2);
    cursor.save().unwrap();
    drop(cursor);
    drop(store);
    // The event that the cursor saved is in the restored past as well; the effects of those before it are not.
    let store = open(&with_cursors_of(&directory, &early));
    let refused = store.cursor("a", Query::all()).unwrap_err().to_string();
    assert!(refused.contains("the number of its last move in the log"), "{refused}");
    store.reset_cursor("a", Sequence(1)).unwrap();
    let mut cursor = store.cursor("a", Query::all()).unwrap();
    assert_eq!(sequences(&mut cursor, 1), [2]);
    cursor.append(&[]).unwrap();
}

#[test]
fn a_save_waits_for_what_is_durable_and_for_the_cursors_own_moves() {
    let disk = SimulatedDirectory::new();
    let lazy = || options().durability(Durability::Queued).visibility(Durability::Written);
    let store = lazy().open_on(disk.clone()).unwrap();
    add(&store, 3);
    store.sync().unwrap();
    let done = store.kind("done").unwrap();
    store.append_with(&NewEvent::new(&at("in"), done, b"not durable"), Durability::Written).unwrap();
    let mut cursor = store.cursor("a", Query::all()).unwrap();
    assert_eq!(sequences(&mut cursor, 9), [1, 2, 3, 4]);
    assert!(cursor.save().unwrap() <= store.frontiers().durable);
    cursor.append(&[NewEvent::new(&at("out"), done, b"one")]).unwrap();
    cursor.save().unwrap();
    drop(cursor);
    let lost = disk.crash(CrashProfile::StrictPosix, 0);
    let store = lazy().open_on(lost).unwrap();
    assert_eq!(
        (store.stream(&at("out")).count(), store.cursor("a", Query::all()).unwrap().saved()),
        (1, Sequence(4))
    );
}

#[test]
fn a_store_that_only_reads_has_cursors_too_but_none_that_append() {
    let directory = MemoryDirectory::new();
    let writer = open(&directory);
    add(&writer, 5);
    let reader = options().open_read_only_on(directory.clone()).unwrap();
    let mut cursor = reader.cursor("a", Query::all()).unwrap();
    assert_eq!(sequences(&mut cursor, 2), [1, 2]);
    assert_eq!(cursor.save().unwrap(), Sequence(2));
    assert!(matches!(cursor.append(&[]), Err(Error::ReadOnly)));
    drop(cursor);
    // A cursor goes from the one to the other, until it is moved in the log.
    let mut cursor = writer.cursor("a", Query::all()).unwrap();
    assert_eq!(sequences(&mut cursor, 1), [3]);
    cursor.append(&[]).unwrap();
    drop(cursor);
    let refused = reader.cursor("a", Query::all()).unwrap_err().to_string();
    assert!(refused.contains("open it where the store is written"), "{refused}");
    assert!(matches!(reader.reset_cursor("a", Sequence(0)), Err(Error::ReadOnly)));
    assert_eq!(reader.cursor("b", Query::all()).unwrap().saved(), Sequence(0));
    assert!(reader.delete_cursor("b").unwrap());
}

#[test]
fn a_backup_has_the_positions_that_are_in_the_log_and_no_others() {
    let place = tempfile::tempdir().unwrap();
    let store = options().open(place.path().join("store")).unwrap();
    add(&store, 4);
    for name in ["saved", "moved"] {
        let mut cursor = store.cursor(name, Query::all()).unwrap();
        sequences(&mut cursor, 2);
        if name == "saved" {
            cursor.save().unwrap();
        } else {
            cursor.append(&[]).unwrap();
        }
    }
    store.backup(place.path().join("backup")).unwrap();
    let mut moved = store.cursor("moved", Query::all()).unwrap();
    sequences(&mut moved, 1);
    moved.append(&[]).unwrap();
    annals::restore(place.path().join("backup"), place.path().join("again"), &mut |_| {}).unwrap();
    let again = options().open(place.path().join("again")).unwrap();
    let cursors = again.cursors().unwrap();
    assert!(cursors.len() == 1 && cursors[0].name == "moved", "{cursors:?}");
    assert_eq!(again.cursor("moved", Query::all()).unwrap().saved(), Sequence(2), "as it was then");
    assert_eq!(again.cursor("saved", Query::all()).unwrap().saved(), Sequence(0));
}

#[test]
fn damage_of_a_cursors_files_is_told_and_listed() {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    add(&store, 2);
    let mut cursor = store.cursor("a", Query::all()).unwrap();
    sequences(&mut cursor, 2);
    cursor.close().unwrap();
    let name = "cursors/a/000001.seg";
    let mut bytes = directory.file(name).unwrap();
    bytes[520] ^= 1;
    directory.write_file(name, bytes);
    let refused = store.cursor("a", Query::all()).unwrap_err();
    assert!(matches!(&refused, Error::Corrupt { .. }) && refused.to_string().contains(name), "{refused}");
    let info = store.find_cursor("a").unwrap().unwrap();
    assert!(info.refused.is_some_and(|why| why.contains(name)));
    assert!(store.delete_cursor("a").unwrap());
    assert_eq!(store.cursor("a", Query::all()).unwrap().saved(), Sequence(0));
}

#[test]
fn a_waiting_cursor_gets_what_comes_and_ends_with_the_store() {
    let store = open(&MemoryDirectory::new());
    let cursor = store.cursor("a", Query::all()).unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| cursor.map(|event| event.unwrap().sequence().0).collect::<Vec<_>>());
        add(&store, 20);
        store.clone().close().unwrap();
        assert_eq!(reader.join().unwrap(), (1..=20).collect::<Vec<_>>());
    });
}
