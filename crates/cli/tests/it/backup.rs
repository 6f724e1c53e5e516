//! `backup` and `restore`: there and back, and what is refused.

use std::fs;

use crate::program::{Done, Place, events};

fn backup(place: &Place) -> Done {
    place.run(&["backup", "backup"])
}

/// The program, run on the store in `directory`.
fn on(place: &Place, directory: &str, arguments: &[&str]) -> Done {
    place.run(&[&["--store", directory], arguments].concat())
}

#[test]
fn what_is_backed_up_comes_back_with_its_id() {
    let place = Place::with_events(20);
    let done = backup(&place).done(0);
    assert!(done.out.starts_with("backed up to backup: all events up to sequence 20\n"), "{}", done.out);
    assert_eq!(done.err, "");
    on(&place, "backup", &["verify"]).done(0);

    let done = on(&place, "restored", &["restore", "backup"]).done(0);
    assert!(done.out.starts_with("restored to restored: all events up to sequence 20\n"), "{}", done.out);
    assert_eq!(on(&place, "restored", &["export"]).done(0).out, place.export());
    let id = |directory: &str| {
        on(&place, directory, &["stat", "--json"]).done(0).json()[0]["report"]["store"].clone()
    };
    let own = id(place.store().to_str().unwrap());
    assert!(own.is_string(), "{own}");
    assert_eq!([id("backup"), id("restored")], [own.clone(), own]);
    let more = place.write("more", events(20..24));
    on(&place, "restored", &["import", &more]).done(0);
    assert!(on(&place, "restored", &["verify"]).done(0).out.contains("hashed 24 events"));
}

#[test]
fn a_second_backup_says_what_it_kept() {
    let place = Place::new();
    let some = place.write("some", events(0..200));
    place.run(&["import", "--segment-bytes", "8192", &some]).done(0);
    let first = &place.run(&["backup", "backup", "--json"]).done(0).json()[0];
    assert!(first["linked_count"].as_u64().unwrap() > 3 && first["copied_count"] == 1, "{first}");
    let second = &place.run(&["backup", "backup", "--json"]).done(0).json()[0];
    assert_eq!(
        (&second["kept_count"], &second["copied_bytes"]),
        (&(first["linked_count"].as_u64().unwrap() + 1).into(), &0.into())
    );
    assert_eq!(second["sequence"], 200);
}

#[test]
fn what_is_something_else_is_refused_by_name() {
    let place = Place::with_events(4);
    let other = Place::with_events(4);
    let path = other.store().to_str().unwrap().to_owned();
    let done = place.run(&["backup", &path]).done(1);
    assert!(done.err.contains(&path) && done.err.contains("name another directory"), "{}", done.err);
    let done = place.run(&["restore", &path]).done(1);
    assert!(done.err.contains("is not empty"), "{}", done.err);
    let done = on(&place, "nowhere", &["backup", "backup"]).done(1);
    assert!(done.err.contains("No such file") || done.err.contains("holds no store"), "{}", done.err);
    assert!(!place.path().join("backup").exists(), "nothing was made");
}

#[test]
fn an_unfinished_backup_says_so_and_is_completed() {
    let place = Place::with_events(4);
    backup(&place).done(0);
    fs::write(place.path().join("backup/UNFINISHED"), "").unwrap();
    for arguments in [&["stat"][..], &["export"], &["verify"], &["checkpoint"]] {
        let done = on(&place, "backup", arguments).done(1);
        assert!(done.err.contains("a backup that was not finished"), "{}", done.err);
    }
    backup(&place).done(0);
    assert_eq!(on(&place, "backup", &["export"]).done(0).out, place.export());
}

#[test]
fn a_damaged_segment_is_named_and_not_backed_up() {
    let place = Place::with_events(10);
    let path = place.store().join("000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[700] ^= 1;
    fs::write(&path, bytes).unwrap();
    let done = backup(&place).done(3);
    assert!(done.err.contains("store/000001.seg is damaged at offset "), "{}", done.err);
}
