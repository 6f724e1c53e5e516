//! `export`: filters, and a reader who has seen enough.

use std::io::{BufRead, BufReader};

use crate::program::{Place, event, events, values};

#[test]
fn filters_take_what_they_name() {
    let place = Place::with_events(20);
    let ids = |arguments: &[&str]| -> Vec<u32> {
        let done = place.run(&[&["export"], arguments].concat()).done(0);
        done.json().iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(ids(&[]), (0..20).collect::<Vec<_>>());
    assert_eq!(ids(&["--entity", "e3"]), [3, 8, 13, 18]);
    assert_eq!(ids(&["--scope", "s", "--entity", "e3", "--kind", "odd"]), [3, 13]);
    assert_eq!(ids(&["--kind", "even", "--after", "15"]), [16, 18]);
    assert_eq!(ids(&["--after", "5", "--limit", "2"]), [5, 6]);
    assert_eq!(ids(&["--scope", "elsewhere"]), [0; 0]);
    assert_eq!(ids(&["--limit", "0"]), [0; 0]);
}

#[test]
fn a_kind_that_nobody_named_is_refused() {
    let place = Place::with_events(2);
    let done = place.run(&["export", "--kind", "evn"]).done(1);
    assert_eq!((&*done.out, &*done.err), ("", "annals: no kind has the name evn\n"));
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let place = Place::new();
    let padding = "x".repeat(4000);
    let wide = |number| event(number, number).replace("\"n\":", &format!("\"padding\":\"{padding}\",\"n\":"));
    place.import(&(0..200).map(wide).collect::<String>()).done(0);
    let mut child = place.spawn(&["export"]);
    let mut first = String::new();
    let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    drop(out);
    assert_eq!(values(&first)[0]["id"], "0");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn an_export_is_an_import() {
    let (one, other) = (Place::with_events(30), Place::new());
    other.import(&one.export()).done(0);
    assert_eq!(one.export(), other.export());
    assert_eq!(values(&other.export()), values(&events(0..30)));
    one.import(&other.export()).done(0);
    assert_eq!(one.export().lines().count(), 30);
}
