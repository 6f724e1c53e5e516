//! An import that is killed: what was acknowledged is there, of what was not there is no batch in part.

use std::io::{BufRead, BufReader, Write};

use crate::program::{Place, event, events, values};

/// Feeds an import, waits for acknowledgements of all whole batches, and kills it within the next.
fn kill_within_a_batch(place: &Place, durability: &str, count: u32) {
    let mut child = place.spawn(&["import", "--acks", "--durability", durability]);
    let mut input = child.stdin.take().unwrap();
    // Half of the last batch is in, and the other half never comes.
    input.write_all((events(0..count) + &event(count, count / 2)).as_bytes()).unwrap();
    let acks = BufReader::new(child.stdout.take().unwrap()).lines().take(count as usize);
    let acks: Vec<_> = acks.map(|ack| ack.unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);

    let there = place.run(&["read", "--all", "--json"]).done(0).json();
    let ids: Vec<_> = there.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, acks, "all that was acknowledged, and nothing of half a batch");
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_the_import_goes_on_where_it_was() {
    for durability in ["durable", "written"] {
        let place = Place::new();
        for count in [2, 40, 100] {
            kill_within_a_batch(&place, durability, count);
        }
        let done = place.import(&events(0..200)).done(0);
        assert!(
            done.err.contains("note: the store was not closed cleanly; it is in order again"),
            "{}",
            done.err
        );
        assert_eq!(values(&place.export()), values(&events(0..200)));
        place.run(&["verify"]).done(0);
    }
}
