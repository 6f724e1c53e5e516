//! `demo`: the tour of the README.

use std::fs;

use crate::program::{Place, events};

#[test]
fn the_tour_shows_commands_and_leaves_nothing() {
    let place = Place::new();
    let file = place.write("history.ndjson", events(0..40));
    let temporary = place.path().join("tmp");
    let run = |arguments: &[&str]| {
        let output =
            place.command(arguments).env("TMPDIR", &temporary).env("TMP", &temporary).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let out = run(&["demo", &file]);
    for command in ["$ annals import ", "$ annals streams", "$ annals read --scope s", "$ annals verify\n"] {
        assert!(out.contains(command), "{command}: {out}");
    }
    assert!(out.contains("the store is sound") && out.contains("Each of the 40 lines equals"), "{out}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "what it made is gone");
    assert!(!place.store().exists(), "and the store at hand was left alone");

    assert!(run(&["demo", &file, "--keep"]).contains("is kept in"));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 1);
}
