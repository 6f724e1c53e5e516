//! `inspect`: what an open would do, and that it is not done.

use std::{collections::BTreeMap, fs, io::Write, path::PathBuf};

use crate::program::{Place, event};

/// The bytes of all files of the store.
fn files(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(place.store()).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_sound_store_is_inspected_and_left_as_it_is() {
    let place = Place::with_events(10);
    let before = files(&place);
    let done = place.run(&["inspect"]).done(0);
    assert!(done.out.contains("000001.seg"), "{}", done.out);
    assert!(done.out.contains("the store was closed cleanly"), "{}", done.out);
    assert_eq!(done.err, "");
    let store = place.store();
    let json = &place.run(&["inspect", store.to_str().unwrap(), "--json"]).done(0).json()[0];
    assert_eq!((&json["is_clean"], &json["last_sequence"]), (&true.into(), &10.into()), "{json}");
    assert_eq!(json["segments"][0]["event_count"], 10, "{json}");
    assert!(files(&place) == before, "nothing is changed");
}

#[test]
fn what_a_crash_left_is_said_before_it_is_cut_off() {
    let place = Place::with_events(10);
    let path = place.store().join("000001.seg");
    // Somebody appends to a store that says it was closed: a clean mark does not hold what follows.
    place.import(&event(10, 9)).done(0);
    place.run(&["checkpoint"]).done(0);
    let mut killed = place.spawn(&["import"]);
    let mut stdin = killed.stdin.take().unwrap();
    stdin.write_all((20..2020).map(|number| event(number, number)).collect::<String>().as_bytes()).unwrap();
    stdin.flush().unwrap();
    let live = loop {
        let json = place.run(&["inspect", "--json"]).done(0).json().remove(0);
        if json["last_sequence"].as_u64().unwrap() > 11 {
            break json;
        }
    };
    assert_eq!((&live["has_live_writer"], &live["is_clean"]), (&true.into(), &false.into()), "{live}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(stdin);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0x55; 64]);
    fs::write(&path, &bytes).unwrap();
    let before = files(&place);
    let json = &place.run(&["inspect", "--json"]).done(0).json()[0];
    assert_eq!((&json["has_live_writer"], &json["is_clean"]), (&false.into(), &false.into()), "{json}");
    assert!(json["cut"]["len"].as_u64().unwrap() >= 64, "{json}");
    let words = place.run(&["inspect"]).done(0).out;
    assert!(words.contains("torn bytes at offset") && words.contains("would be cut off"), "{words}");
    assert!(files(&place) == before, "nothing is changed");
    let said = place.run(&["import"]).done(0).err;
    assert!(said.contains(&format!("{} torn bytes", json["cut"]["len"])), "as it was said: {said}");
}

#[test]
fn what_an_open_would_refuse_is_refused() {
    let place = Place::with_events(1);
    fs::remove_file(place.store().join("MANIFEST")).unwrap();
    let done = place.run(&["inspect"]).done(3);
    assert!(done.err.contains("MANIFEST"), "{}", done.err);
    let none = Place::new();
    none.run(&["inspect"]).done(1);
    assert!(!none.store().exists());
}
