//! Lanes on the command line: forked, appended to, read and listed.

use crate::program::Place;

const STREAM: [&str; 4] = ["--scope", "agent", "--entity", "run:1"];

#[test]
fn a_lane_is_forked_appended_to_and_read() {
    let place = Place::new();
    let append = |data: &str, more: &[&str]| {
        let arguments = [&["append", "--kind", "step", "--json", "--data", data], &STREAM[..], more].concat();
        place.run(&arguments).done(0).json()[0].clone()
    };
    let first = append("read the file", &[])["id"].as_str().unwrap().to_owned();
    append("edit it", &[]);
    assert_eq!(append("ask first", &["--fork", &first])["revision"], 1);
    assert_eq!(append("edit it then", &["--lane", "1"])["revision"], 2);
    assert_eq!(append("give up", &["--lane", "7", "--fork", &first])["revision"], 1);

    let read = |more: &[&str]| {
        let arguments = [&["read", "--json"], &STREAM[..], more].concat();
        let events = place.run(&arguments).done(0).json();
        events.iter().map(|event| (event["lane"].clone(), event["depth"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(read(&[]), [(0.into(), 0.into()), (0.into(), 1.into())]);
    assert_eq!(read(&["--lane", "1"]), [(1.into(), 1.into()), (1.into(), 2.into())]);
    let done = place.run(&[&["read", "--lane", "2"], &STREAM[..]].concat()).done(1);
    assert!(done.err.contains("there is no event of run:1 in agent on lane 2"), "{}", done.err);
    let done = place.run(&[&["append", "--kind", "step", "--lane", "2"], &STREAM[..]].concat()).done(1);
    assert!(done.err.contains("lane"), "{}", done.err);
    let streams = place.run(&["streams", "--json"]).done(0).json();
    let lanes: Vec<_> = streams.iter().map(|stream| stream["lane"].as_u64().unwrap()).collect();
    assert_eq!(lanes, [0, 1, 7]);
}
