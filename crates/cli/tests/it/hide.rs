//! `hide`: gone from reads and exports, and only when it was meant.

use crate::program::Place;

#[test]
fn what_is_hidden_is_exported_no_more() {
    let place = Place::with_events(6);
    let done = place.run(&["hide", "2", "3"]).done(1);
    assert!(
        done.err.contains("2 events from 2 to 3 would be hidden") && done.err.contains("--yes"),
        "{}",
        done.err
    );
    assert_eq!(place.export().lines().count(), 6);
    let done = place.run(&["hide", "2", "3", "--yes"]).done(0);
    assert_eq!(done.out, "hid the events from 2 to 3\n");
    assert_eq!(place.export().lines().count(), 4);
    let sequences: Vec<_> = place.run(&["read", "--all", "--json"]).done(0).json();
    let sequences: Vec<_> = sequences.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 4, 5, 6]);
    assert!(place.run(&["verify"]).done(0).out.contains("hashed 6 events"));
    let done = place.run(&["hide", "7", "--yes"]).done(1);
    assert!(done.err.contains("the newest event is 6"), "{}", done.err);
    let hidden = &place.run(&["hide", "1", "--yes", "--json"]).done(0).json()[0];
    assert_eq!((&hidden["first"], &hidden["last"]), (&1.into(), &1.into()));
}
