//! Published states and their recovery.

#![cfg(test)]

mod published;
mod publishing;

#[path = "../../examples/counter.rs"]
#[expect(dead_code, reason = "a program of its own, whose `main` is not called here")]
mod counter;

#[test]
fn the_counter_of_the_example_is_right_through_all_crashes() {
    let totals = counter::run(300, 1).unwrap();
    assert!(totals.published > 100 && totals.dropped_segments > 20 && totals.torn > 2, "{totals}");
}
