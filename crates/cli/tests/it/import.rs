//! `import`: what is appended, what is refused, and what is said of it.

use crate::program::{Place, event, events, values};

fn line(id: &str, rest: &str) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"s\",\"subject\":\"e\",\"type\":\"t\"{rest}}}\n"
    )
}

#[test]
fn odd_lines_come_out_equal_in_the_order_in_which_they_came() {
    let place = Place::new();
    let lines = [
        line("1", ""),
        line("a07d7a6d-be3e-57fd-9a74-91b1331e74c6", r#","data":null"#),
        line("2", r#","time":"2024-01-01T12:00:00.10+02:00","correlationid":"2","causationid":"1""#),
        line("3", r#","data": [ 1.50, "\u00e9" ] ,"odd name":{"a":[]},"":7"#),
        line("4", r#","data_base64":"AAECAw==","datacontenttype":"application/octet-stream""#),
        "{\"type\":\"t\",\"source\":\"s\",\"id\":\"no subject\",\"specversion\":\"1.0\"}\n".to_owned(),
        line("5", r#","batch":"b""#),
        line("6", r#","batch":"b""#),
    ];
    place.run_with(&["import", "--entity", "given", "-"], &lines.concat()).done(0);
    assert_eq!(values(&place.export()), values(&lines.concat()));
    let read = place.run(&["read", "--scope", "s", "--entity", "given", "--json"]).done(0);
    assert_eq!(read.json().len(), 1);
}

#[test]
fn importing_again_appends_nothing() {
    let place = Place::with_events(10);
    let before = place.export();
    let again = place.run_with(&["import", "--json"], &events(0..12)).done(0);
    let summary = &again.json()[0];
    assert_eq!((&summary["appended_count"], &summary["repeat_count"]), (&2.into(), &10.into()));
    assert_eq!(summary["batch_count"], 6);
    assert!(again.err.starts_with("appended 2 events, 10 were there already, 6 batches"), "{}", again.err);
    assert!(place.export().starts_with(&before));
    assert_eq!(place.export().lines().count(), 12);
}

#[test]
fn a_bad_line_leaves_what_was_before_it_and_nothing_of_its_batch() {
    for bad in ["nonsense\n".to_owned(), event(5, 2).replace("subject", "object")] {
        let place = Place::new();
        let done = place.import(&(events(0..5) + "\n" + &bad + &events(6..8))).done(1);
        assert!(done.err.contains("annals: line 7: "), "{}", done.err);
        assert!(done.err.starts_with("appended 4 events"), "{}", done.err);
        assert_eq!(values(&place.export()), values(&events(0..4)), "of the third batch there is nothing");

        place.import(&events(0..8)).done(0);
        assert_eq!(values(&place.export()), values(&events(0..8)), "mended and imported again");
    }
}

#[test]
fn a_bad_line_that_begins_another_batch_takes_nothing_with_it() {
    let place = Place::new();
    place.import(&(events(0..4) + &event(4, 2).replace("subject", "object"))).done(1);
    assert_eq!(place.export().lines().count(), 4);
}

#[test]
fn a_bad_line_is_named_with_the_reason() {
    for (bad, reason) in [
        ("{\"a\":1", "line 2: EOF while parsing an object, at column 6"),
        (&*line("2", r#","id":"3""#), "line 2: the attribute `id` is there twice, at column "),
        (&*line("", ""), "line 2: the attribute `id` is empty"),
        (&*line("2", r#","time":"noon""#), "line 2: the attribute `time` is no time as in RFC 3339"),
        (&*line("2", "").replace("subject", "object"), "line 2: no `subject`, and no --entity"),
        (&*line("1", r#","data":1"#), "line 2: the id "),
        ("\u{1f}\u{8b}", "line 2: expected value"),
    ] {
        let done = Place::new().import(&(line("1", "") + bad)).done(1);
        assert!(done.err.contains(&format!("annals: {reason}")), "{bad}: {}", done.err);
        assert!(!done.err.contains("Error"), "{}", done.err);
    }
}

#[test]
fn an_id_that_another_source_used_is_refused_in_its_line() {
    let place = Place::new();
    let uuid = "a07d7a6d-be3e-57fd-9a74-91b1331e74c6";
    let other = |id, batch| line(id, batch).replace("\"s\"", "\"other\"");
    place.import(&(line(uuid, "") + &line("1", "") + &other("1", ""))).done(0);
    let batch = r#","batch":"b""#;
    let done = place.import(&(other("2", batch) + &other(uuid, batch) + &other("3", batch))).done(1);
    let expected = format!("annals: line 2: the id {uuid} belongs to another event already, at sequence 1");
    assert!(done.err.contains(&expected), "{}", done.err);
    assert_eq!(place.export().lines().count(), 3);
}

#[test]
fn a_batch_that_is_there_in_part_is_refused_with_its_lines() {
    let place = Place::new();
    place.import(&line("1", r#","batch":"b""#)).done(0);
    let lines = line("0", "") + &line("1", r#","batch":"b""#) + &line("2", r#","batch":"b""#);
    let done = place.import(&lines).done(1);
    assert!(done.err.contains("annals: lines 2 to 3, one batch: 1 of the batch's 2 events"), "{}", done.err);
    assert_eq!(place.export().lines().count(), 2);
}

#[test]
fn acknowledgements_are_all_that_is_printed_and_name_every_event() {
    for durability in ["durable", "written", "queued"] {
        let place = Place::new();
        let done = place.run_with(&["import", "--acks", "--durability", durability], &events(0..6)).done(0);
        let exported = place.run(&["read", "--all", "--json"]).done(0).json();
        let ids: Vec<_> = exported.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(done.out.lines().collect::<Vec<_>>(), ids);
        assert!(done.err.starts_with("appended 6 events"), "{}", done.err);
        assert_eq!(done.err.lines().count(), 1, "no progress where there is no terminal: {}", done.err);

        let again = place.run_with(&["import", "--acks", "--json"], &events(0..6)).done(0).json();
        assert_eq!(again.len(), 6);
        assert_eq!(again[4]["line"], 5);
        assert!(again.iter().zip(ids).all(|(ack, id)| ack["id"] == id && ack["is_repeat"] == true));
    }
}

#[test]
fn small_segments_hold_the_same_events() {
    let place = Place::new();
    place.run_with(&["import", "--segment-bytes", "4096"], &events(0..200)).done(0);
    assert_eq!(values(&place.export()), values(&events(0..200)));
    let stat = place.run(&["stat", "--json"]).done(0).json();
    assert!(stat[0]["stats"]["segment_count"].as_u64().unwrap() > 5, "{stat:?}");
    place.run(&["verify"]).done(0);
    place.run_with(&["import", "--segment-bytes", "1"], "").done(2);
}

#[test]
fn a_file_that_is_not_there_makes_no_store() {
    let place = Place::new();
    let done = place.run(&["import", "absent.ndjson"]).done(1);
    assert!(done.err.starts_with("annals: could not open absent.ndjson: "), "{}", done.err);
    assert!(!place.store().exists());
}

#[test]
fn a_compressed_file_is_told_how_to_be_read() {
    let place = Place::new();
    let file = place.write("events.gz", [0x1f, 0x8b, 8, 0, 10, 0]);
    assert!(place.run(&["import", &file]).done(1).err.contains("zcat FILE | annals import -"));
}
