//! `append` and `get`.

use crate::program::Place;

const PLACED: &[&str] = &["append", "--scope", "shop", "--entity", "order:1", "--kind", "placed"];

#[test]
fn an_expectation_that_is_not_met_is_refused() {
    let place = Place::new();
    let append = |rest: &[&str]| place.run(&[PLACED, rest].concat());
    append(&["--expect", "none", "--data", "{\"n\":1}"]).done(0);
    let conflict = append(&["--expect", "none"]).done(1);
    assert_eq!(
        conflict.err,
        "annals: order:1 in shop was expected to have no event, and it is at revision 1\n"
    );
    append(&["--expect", "2"]).done(1);
    append(&["--expect", "1"]).done(0);
    append(&["--expect", "exists"]).done(0);
    for bad in ["0", "-1", "many"] {
        append(&["--expect", bad]).done(2);
    }
    assert_eq!(place.export().lines().count(), 3);
    assert!(!place.run(&["stat"]).done(0).out.contains("not closed cleanly"), "a refusal is no crash");
}

#[test]
fn the_same_id_with_the_same_content_is_a_repeat() {
    let place = Place::new();
    let id = "a07d7a6d-be3e-57fd-9a74-91b1331e74c6";
    let append = |rest: &[&str]| place.run(&[PLACED, &["--id", id, "--json"], rest].concat());
    let first = append(&[]).done(0).json();
    assert_eq!((&first[0]["sequence"], &first[0]["revision"]), (&1.into(), &1.into()));
    assert_eq!((&first[0]["durability"], &first[0]["is_repeat"]), (&"durable".into(), &false.into()));
    let second = append(&[]).done(0).json();
    assert_eq!((&second[0]["hash"], &second[0]["is_repeat"]), (&first[0]["hash"], &true.into()));
    assert!(append(&["--data", "x"]).done(1).err.contains("belongs to another event already"));
}

#[test]
fn the_payload_comes_from_the_command_line_a_file_or_standard_input() {
    let place = Place::new();
    let file = format!("@{}", place.write("payload", b"\x00\xff"));
    place.run(&[PLACED, &["--data", "-1"]].concat()).done(0);
    place.run(&[PLACED, &["--data", &file]].concat()).done(0);
    place.run_with(&[PLACED, &["--data", "-"]].concat(), "{\"a\":\n1}\n").done(0);
    place.run(&[PLACED, &["--data", "@absent"]].concat()).done(1);
    let events = place.run(&["read", "--all", "--json"]).done(0).json();
    assert_eq!((&events[0]["data"], &events[1]["data_base64"]), (&(-1).into(), &"AP8=".into()));
    assert_eq!(events[2]["data_base64"], "eyJhIjoKMX0K", "bytes as they came");
    let exported = crate::program::values(&place.export());
    assert_eq!(exported[2]["data"], serde_json::json!({ "a": 1 }));
}

#[test]
fn an_event_is_found_by_its_id() {
    let place = Place::with_events(3);
    let tagged = [
        PLACED,
        &[
            "--tag",
            "urgent",
            "--tag",
            "gift",
            "--correlation",
            "a07d7a6d-be3e-57fd-9a74-91b1331e74c6",
            "--json",
        ],
    ];
    let receipt = place.run(&tagged.concat()).done(0).json();
    let event = place.run(&["get", receipt[0]["id"].as_str().unwrap(), "--json"]).done(0).json();
    assert_eq!(event[0]["tags"], serde_json::json!(["gift", "urgent"]));
    assert_eq!(event[0]["kind_name"], "placed");
    assert_eq!(event[0]["correlation"], "a07d7a6d-be3e-57fd-9a74-91b1331e74c6");

    let imported = place.run(&["get", "2", "--source", "s", "--json"]).done(0).json();
    assert_eq!(imported[0]["data"]["n"], 2);
    let shown = place.run(&["get", "2", "--source", "s"]).done(0);
    assert!(shown.out.contains("e2 in s") && shown.out.contains("2024-01-01 00:00:00Z"), "{}", shown.out);

    assert!(place.run(&["get", "2"]).done(1).err.contains("--source"));
    let absent = place.run(&["get", "a07d7a6d-be3e-57fd-9a74-91b1331e74c6"]).done(1);
    assert_eq!(absent.err, "annals: no event has the id a07d7a6d-be3e-57fd-9a74-91b1331e74c6\n");
}

#[test]
fn an_extension_is_carried_beside_the_payload() {
    let place = Place::new();
    let append = |extension: &str| place.run(&[PLACED, &["--extension", extension]].concat());
    append("shop/terminal=till=3").done(0);
    let event = place.run(&["read", "--all", "--json"]).done(0).json();
    assert_eq!(event[0]["extensions"], serde_json::json!({ "shop/terminal": "till=3" }));
    assert!(append("shop/terminal").done(2).err.contains("KEY=VALUE"));
    let refused = append("annals/version=2").done(1).err;
    assert!(refused.contains("\"annals/version\" is in the namespace annals"), "{refused}");
}
