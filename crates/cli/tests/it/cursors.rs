//! `cursors`, and what `stat` says of them.

use annals::{Error, Options, Query, Sequence, Store};

use crate::program::Place;

/// Ten events, and two cursors: one behind the fourth, and one that was moved in the log behind the second.
fn with_cursors() -> Place {
    let place = Place::with_events(10);
    let store = Options::new().open(place.store()).unwrap();
    let mut mail = store.cursor("mail", Query::all()).unwrap();
    (0..4).for_each(|_| drop(mail.try_next().unwrap().unwrap()));
    mail.close().unwrap();
    let mut work = store.cursor("work", Query::all()).unwrap();
    (0..2).for_each(|_| drop(work.try_next().unwrap().unwrap()));
    work.append(&[]).unwrap();
    work.close().unwrap();
    store.close().unwrap();
    place
}

fn position(place: &Place, name: &str) -> u64 {
    place.run(&["cursors", "show", name, "--json"]).done(0).json()[0]["position"].as_u64().unwrap()
}

#[test]
fn cursors_are_listed_and_shown_with_how_far_behind_they_are() {
    let place = with_cursors();
    let json = place.run(&["cursors", "--json"]).done(0).json();
    let shown: Vec<_> =
        json.iter().map(|cursor| (&cursor["name"], &cursor["position"], &cursor["lag_events"])).collect();
    assert_eq!(shown, [(&"mail".into(), &4.into(), &6.into()), (&"work".into(), &2.into(), &8.into())]);
    let listed = place.run(&["cursors", "list"]).done(0);
    assert!(listed.out.contains("6 events") && listed.out.contains("free"), "{}", listed.out);
    assert!(listed.err.contains("2 cursors"), "{}", listed.err);
    let shown = place.run(&["cursors", "show", "work"]).done(0).out;
    assert!(shown.contains("in the log, with what came of the events"), "{shown}");
    let stat = place.run(&["stat"]).done(0).out;
    assert!(stat.contains("cursor mail") && stat.contains("at 4, behind: 6 events"), "{stat}");
    let stat = &place.run(&["stat", "--json"]).done(0).json()[0];
    assert_eq!(stat["stats"]["cursors"][1]["name"], "work", "{stat}");
    for words in [["cursors", "show", "mial"], ["cursors", "delete", "mial"]] {
        assert!(place.run(&words).done(1).err.contains("there is no cursor mial"));
    }
    let store = Store::open_read_only(place.store()).unwrap();
    let held = store.cursor("mail", Query::all()).unwrap();
    let listed = place.run(&["cursors"]).done(0).out;
    assert!(listed.contains("held"), "{listed}");
    drop(held);
}

#[test]
fn a_cursor_is_reset_and_deleted() {
    let place = with_cursors();
    for name in ["mail", "work"] {
        for (to, expected) in [("start", 0), ("7", 7), ("now", 10)] {
            let said = place.run(&["cursors", "reset", name, "--to", to]).done(0).out;
            assert!(
                said.contains(&format!("the cursor {name} goes on behind sequence {expected}")),
                "{said}"
            );
            assert_eq!(position(&place, name), expected);
        }
        place.run(&["cursors", "reset", name, "--to", "11"]).done(1);
        place.run(&["cursors", "reset", name, "--to", "yesterday"]).done(2);
        let done = place.run(&["cursors", "delete", name, "--json"]).done(0).json().remove(0);
        assert_eq!(done["deleted"], true, "{done}");
    }
    assert_eq!(place.run(&["cursors", "--json"]).done(0).out, "");
}

#[test]
fn a_cursor_that_is_held_stays_where_it_is() {
    let place = with_cursors();
    let store = Options::new().open(place.store()).unwrap();
    let held = store.cursor("mail", Query::all()).unwrap();
    let refused = place.run(&["cursors", "delete", "mail"]).done(4);
    assert!(refused.err.contains("cursors/mail"), "{}", refused.err);
    place.run(&["cursors", "reset", "mail", "--to", "start"]).done(4);
    drop(held);
    // Beside a writer, but for one whose position is in the log that is being written.
    place.run(&["cursors", "reset", "mail", "--to", "1"]).done(0);
    place.run(&["cursors", "reset", "work", "--to", "1"]).done(4);
    assert_eq!((position(&place, "mail"), position(&place, "work")), (1, 2));
    let free = store.cursor("mail", Query::all()).unwrap();
    assert_eq!(free.saved(), Sequence(1));
    let taken = Store::open_read_only(place.store()).unwrap().cursor("mail", Query::all());
    assert!(matches!(taken, Err(Error::Locked { .. })));
}
