//! `groups`, and what `stat` says of them.

use annals::{Options, Query, Store};

use crate::program::Place;

/// Ten events, and a group: the first event is done, the second parked.
fn with_group() -> Place {
    let place = Place::with_events(10);
    let store = Options::new().open(place.store()).unwrap();
    let group = store.group("billing", Query::all()).unwrap();
    group.try_next().unwrap().unwrap().done().unwrap();
    group.try_next().unwrap().unwrap().park("no such order").unwrap();
    group.close().unwrap();
    store.close().unwrap();
    place
}

fn shown(place: &Place) -> serde_json::Value {
    place.run(&["groups", "show", "billing", "--json"]).done(0).json().remove(0)
}

#[test]
fn groups_are_listed_and_shown_with_what_they_have_parked() {
    let place = with_group();
    let listed = place.run(&["groups", "list"]).done(0);
    assert!(listed.out.contains("billing") && listed.out.contains("free"), "{}", listed.out);
    assert!(listed.err.contains("1 groups"), "{}", listed.err);
    let json = shown(&place);
    assert_eq!(
        (&json["parked"][0]["sequence"], &json["parked"][0]["reason"]),
        (&2.into(), &"no such order".into())
    );
    let text = place.run(&["groups", "show", "billing"]).done(0).out;
    assert!(text.contains("parked: no such order"), "{text}");
    let stat = place.run(&["stat"]).done(0).out;
    assert!(stat.contains("group billing") && stat.contains("parked: "), "{stat}");
    assert!(place.run(&["groups", "show", "bling"]).done(1).err.contains("there is no group bling"));
}

#[test]
fn what_is_parked_is_replayed_or_skipped() {
    let place = with_group();
    let said = place.run(&["groups", "replay", "billing", "2"]).done(0).out;
    assert!(said.contains("1 events of the group billing were replayed"), "{said}");
    assert_eq!(shown(&place)["parked"][0]["is_replayed"], true);
    place.run(&["groups", "replay", "billing", "2"]).done(1);
    let place = with_group();
    place.run(&["groups", "replay", "billing"]).done(2);
    assert_eq!(
        place.run(&["groups", "skip", "billing", "--all", "--json"]).done(0).json()[0]["sequences"][0],
        2
    );
    let store = Store::open(place.store()).unwrap();
    let group = store.group("billing", Query::all()).unwrap();
    assert_eq!(group.try_next().unwrap().unwrap().event().sequence().0, 3, "its stream goes on");
}

#[test]
fn a_group_is_reset_and_deleted_but_not_while_it_is_held() {
    let place = with_group();
    let store = Store::open_read_only(place.store()).unwrap();
    let held = store.group("billing", Query::all()).unwrap();
    assert!(place.run(&["groups"]).done(0).out.contains("held"));
    for words in [["groups", "reset", "billing", "--to=start"], ["groups", "replay", "billing", "2"]] {
        place.run(&words).done(4);
    }
    drop(held);
    for (to, expected) in [("start", 0), ("7", 7), ("now", 10)] {
        let said = place.run(&["groups", "reset", "billing", "--to", to]).done(0).out;
        assert!(said.contains(&format!("the group billing goes on behind sequence {expected}")), "{said}");
        let json = shown(&place);
        assert_eq!((&json["position"], json["parked"].as_array().unwrap().len()), (&expected.into(), 0));
    }
    assert_eq!(place.run(&["groups", "delete", "billing", "--json"]).done(0).json()[0]["deleted"], true);
    assert_eq!(place.run(&["groups", "--json"]).done(0).out, "");
}
