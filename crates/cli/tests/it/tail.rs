//! The newest events, and those that come: from writers in this process, killed ones and later ones.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout},
};

use annals::{Coordinate, NewEvent, Store, Tag};
use serde_json::Value;

use crate::program::{Place, event, events};

/// A program that follows, and the lines that it prints.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place.spawn(&[&["tail", "-f"], arguments].concat());
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line, which is waited for.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn sequence(&mut self) -> u64 {
        let event: Value = serde_json::from_str(&self.line()).unwrap();
        event["sequence"].as_u64().unwrap()
    }

    /// The exit code, and what was still printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.lines, &mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

fn append(store: &Store, entity: &str, kind: &str, tag: &str) {
    let at = Coordinate::new(entity, "s").unwrap();
    let event = NewEvent::new(&at, store.kind(kind).unwrap(), b"5").tag(Tag::new(tag).unwrap());
    store.append(&event).unwrap();
}

#[test]
fn the_newest_events_are_shown_and_filtered() {
    let place = Place::with_events(30);
    let shown = |arguments: &[&str]| -> Vec<u64> {
        let done = place.run(&[&["tail", "--json"], arguments].concat()).done(0);
        done.json().iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
    };
    assert_eq!(shown(&[]), (21..=30).collect::<Vec<_>>());
    assert_eq!(shown(&["-n", "2"]), [29, 30]);
    assert_eq!(shown(&["-n", "0"]), [0; 0]);
    assert_eq!(shown(&["-n", "2", "--scope", "s", "--entity", "e1"]), [22, 27]);
    assert_eq!(shown(&["-n", "3", "--kind", "odd", "--entity-prefix", "e1"]), [2, 12, 22]);
    assert_eq!(shown(&["--after", "20", "--limit", "3"]), [21, 22, 23]);
    assert_eq!(shown(&["--kind", "odd", "--kind", "even", "--after", "28"]), [29, 30]);
    assert_eq!(shown(&["--tag", "none"]), [0; 0]);
    let done = place.run(&["tail", "--kind", "other"]).done(1);
    assert_eq!(done.err, "annals: no kind has the name other\n");
    place.run(&["tail", "-n", "3", "--after", "4"]).done(2);
    let text = place.run(&["tail", "-n", "1"]).done(0).out;
    assert!(text.starts_with("30  e4 in s  6  odd  ") && text.ends_with("{\"n\":29}\n"), "{text}");
}

#[test]
fn what_a_writer_appends_is_shown_when_it_is_there() {
    let place = Place::with_events(10);
    let writer = Store::open(place.store()).unwrap();
    let mut all = Following::start(&place, &["--json", "-n", "1"]);
    let mut one = Following::start(
        &place,
        &["--json", "--after", "10", "--entity", "late", "--tag", "b", "--limit", "2"],
    );
    assert_eq!(all.sequence(), 10);
    for (number, tag) in (11..=60).zip(["a", "b", "b"].into_iter().cycle()) {
        append(&writer, "late", "added", tag);
        assert_eq!(all.sequence(), number);
    }
    assert_eq!((one.sequence(), one.sequence()), (12, 13));
    assert_eq!(one.end(), (Some(0), String::new()), "its limit is reached");
    writer.close().unwrap();

    // Another writer, with a kind that had no name before.
    let writer = Store::open(place.store()).unwrap();
    append(&writer, "late", "named later", "a");
    let line: Value = serde_json::from_str(&all.line()).unwrap();
    assert_eq!((&line["sequence"], &line["kind_name"]), (&61.into(), &"named later".into()));
    drop(all.lines);
    append(&writer, "late", "added", "a");
    assert_eq!(all.child.wait().unwrap().code(), Some(0), "nobody reads any more");
}

#[test]
fn a_follower_goes_on_when_its_writer_is_killed() {
    let place = Place::with_events(2);
    let mut all = Following::start(&place, &["--json", "--after", "0"]);
    assert_eq!((all.sequence(), all.sequence()), (1, 2));
    let mut next = 3;
    for _ in 0..5 {
        let mut writer = place.spawn(&["import", "--acks"]);
        let mut input = writer.stdin.take().unwrap();
        let first = u32::try_from(next).unwrap() + 1;
        let first = first + first % 2;
        // Half of the last batch never comes.
        input.write_all((events(first..first + 20) + &event(first + 20, first / 2 + 10)).as_bytes()).unwrap();
        for _ in 0..20 {
            assert_eq!(all.sequence(), next);
            next += 1;
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        drop(input);
    }
    let there = place.run(&["read", "--all", "--json"]).done(0).json();
    assert_eq!(there.len() as u64, next - 1);
    all.child.kill().unwrap();
    all.child.wait().unwrap();
}
