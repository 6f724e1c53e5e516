//! Reading commands: what they show, to people and to programs, and beside a writer.

use annals::Store;

use crate::program::{Done, Place};

fn sequences(done: Done) -> Vec<u64> {
    done.done(0).json().iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[test]
fn a_stream_a_scope_or_everything_is_read_either_way() {
    let place = Place::with_events(20);
    let read = |arguments: &[&str]| sequences(place.run(&[&["read", "--json"], arguments].concat()));
    let stream = ["--scope", "s", "--entity", "e1"];
    assert_eq!(read(&stream), [2, 7, 12, 17]);
    assert_eq!(read(&[&stream[..], &["--backwards", "--limit", "2"]].concat()), [17, 12]);
    assert_eq!(read(&[&stream[..], &["--from", "3"]].concat()), [12, 17]);
    assert_eq!(read(&[&stream[..], &["--from", "2", "--backwards"]].concat()), [7, 2]);
    assert_eq!(read(&[&stream[..], &["--from", "9"]].concat()), [0; 0]);
    assert_eq!(read(&["--all", "--after", "18"]), [19, 20]);
    assert_eq!(read(&["--all", "--after", "18", "--backwards"]), [20, 19]);
    assert_eq!(read(&["--scope", "s", "--limit", "1"]), [1]);
}

#[test]
fn what_has_no_event_is_refused() {
    let place = Place::with_events(1);
    let done = place.run(&["read", "--scope", "s", "--entity", "order:42"]).done(1);
    assert_eq!(done.err, "annals: there is no event of order:42 in s\n");
    assert_eq!(place.run(&["read", "--scope", "t"]).done(1).err, "annals: there is no event in t\n");
}

#[test]
fn wrong_usage_is_told_from_a_refusal() {
    let place = Place::with_events(1);
    for arguments in [
        &["read"][..],
        &["read", "--all", "--scope", "s"],
        &["read", "--entity", "e"],
        &["read", "--all", "--from", "1"],
        &["import", "--durability", "somewhat"],
        &["append", "--scope", "s"],
        &["explode"],
        &[],
    ] {
        place.run(arguments).done(2);
    }
    let mut command = place.command(&["stat"]);
    let output = command.env_remove("ANNALS_STORE").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("ANNALS_STORE"));
}

#[test]
fn a_directory_without_a_store_is_said_to_be_one() {
    let place = Place::new();
    for command in
        [&["read", "--all"][..], &["export"], &["streams"], &["stat"], &["verify"], &["checkpoint"]]
    {
        let done = place.run(command).done(1);
        assert!(done.err.contains("holds no store"), "{command:?}: {}", done.err);
        assert!(!place.store().exists());
    }
}

#[test]
fn what_programs_read_is_json() {
    let place = Place::with_events(12);
    let streams = place.run(&["streams", "--json"]).done(0).json();
    assert_eq!(streams.len(), 5);
    assert_eq!((&streams[0]["entity"], &streams[0]["count"]), (&"e0".into(), &3.into()));
    assert_eq!(place.run(&["streams", "--json", "--scope", "t"]).done(0).json().len(), 0);
    let stat = place.run(&["--json", "stat"]).done(0).json();
    assert_eq!((&stat[0]["stats"]["event_count"], &stat[0]["stats"]["kind_count"]), (&12.into(), &2.into()));
    assert_eq!(stat[0]["report"]["is_read_only"], true);
    assert_eq!(place.run(&["checkpoint", "--json"]).done(0).json()[0]["sequence"], 12);
    let verified = place.run(&["verify", "--json"]).done(0).json();
    assert_eq!((&verified[0]["event_count"], &verified[0]["damage"]), (&12.into(), &serde_json::json!([])));
    let event = &place.run(&["read", "--all", "--json"]).done(0).json()[3];
    assert_eq!((&event["scope"], &event["entity"]), (&"s".into(), &"e3".into()));
    assert_eq!(event["extensions"]["cloudevents/id"], "\"3\"");
}

#[test]
fn what_people_read_are_tables_without_control_characters() {
    let place = Place::with_events(5);
    let escape = "\u{1b}[31mred\u{7}";
    place.run(&["append", "--scope", "s", "--entity", "e1", "--kind", "odd", "--data", escape]).done(0);
    let read = place.run(&["read", "--scope", "s", "--entity", "e1"]).done(0);
    assert!(read.out.contains("2024-01-01 00:00:00Z") && read.out.contains("{\"n\":1}"), "{}", read.out);
    assert!(read.out.contains("·[31mred·") && !read.out.contains('\u{1b}'), "{}", read.out);
    assert!(!read.out.contains("e1"), "a stream's own name would be in every row: {}", read.out);
    let streams = place.run(&["streams"]).done(0);
    assert!(streams.out.contains("e4") && streams.err == "5 streams\n", "{streams:?}");
    assert!(place.run(&["stat"]).done(0).out.contains("events"));
}

#[test]
fn a_writer_keeps_writers_out_and_readers_not() {
    let place = Place::with_events(4);
    let writer = Store::open(place.store()).unwrap();
    let append = ["append", "--scope", "s", "--entity", "e", "--kind", "odd"];
    for arguments in [&append[..], &["import"], &["checkpoint"]] {
        let done = place.run(arguments).done(4);
        assert!(done.err.contains(&format!("pid {}", std::process::id())), "{}", done.err);
        assert_eq!(done.err.matches("LOCK").count(), 1, "no cause is told twice: {}", done.err);
    }
    let coordinate = annals::Coordinate::new("late", "s").unwrap();
    writer.append(&annals::NewEvent::new(&coordinate, writer.kind("odd").unwrap(), b"5")).unwrap();
    assert_eq!(sequences(place.run(&["read", "--all", "--json"])), [1, 2, 3, 4, 5]);
    assert_eq!(place.export().lines().count(), 5);
    for arguments in [&["streams"][..], &["verify"], &["get", "1", "--source", "s"]] {
        place.run(arguments).done(0);
    }
    let stat = place.run(&["stat"]).done(0);
    assert!(stat.out.contains("another process is writing"), "{}", stat.out);
    writer.close().unwrap();
    place.run(&append).done(0);
}
