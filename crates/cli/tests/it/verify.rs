//! `verify`: sound, torn, damaged.

use std::{fs, path::PathBuf};

use crate::program::Place;

fn segment(place: &Place) -> PathBuf {
    let entries = fs::read_dir(place.store()).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    segments.sort();
    segments.remove(0)
}

#[test]
fn a_sound_store_is_told_what_was_checked() {
    let place = Place::with_events(10);
    let done = place.run(&["verify"]).done(0);
    assert!(done.out.contains("hashed 10 events in the chains of 5 streams"), "{}", done.out);
    assert!(done.out.ends_with("the store is sound\n"), "{}", done.out);
    assert_eq!(done.err, "");
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    let place = Place::with_events(10);
    let path = segment(&place);
    let mut bytes = fs::read(&path).unwrap();
    let payload = bytes.windows(7).position(|bytes| bytes == b"{\"n\":4}").unwrap();
    bytes[payload + 5] = b'5';
    fs::write(&path, &bytes).unwrap();

    let done = place.run(&["verify"]).done(3);
    assert!(done.out.contains("000001.seg"), "{}", done.out);
    assert_eq!(done.err, "annals: the store is damaged in one place\n");
    let damage = &place.run(&["verify", "--json"]).done(3).json()[0]["damage"];
    assert!(damage[0]["offset"].as_u64().unwrap() <= payload as u64, "{damage}");
    assert_eq!(damage[0]["is_derived"], false);

    let export = place.run(&["export"]).done(3);
    assert!(export.err.contains("000001.seg is damaged at offset "), "no shorter answer: {}", export.err);
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was repaired");
}

#[test]
fn a_lost_manifest_is_damage() {
    let place = Place::with_events(1);
    fs::remove_file(place.store().join("MANIFEST")).unwrap();
    place.run(&["verify"]).done(3);
    place.run(&["stat"]).done(3);
    place.run(&["import"]).done(3);
}
