//! The relay, for as long as a test may take: that it runs, and notices what is wrong.

use std::process::Command;

#[test]
fn producers_and_workers_that_are_killed_leave_one_result_for_each_event() {
    let place = tempfile::tempdir().unwrap();
    let store = place.path().join("store");
    let mut relay = Command::new(env!("CARGO_BIN_EXE_annals-relay"));
    relay.arg("run").arg("--store").arg(&store).args(["--seconds", "3", "--seed", "7"]);
    let output = relay.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "cargo xtask relay --seconds 3 --seed 7: {said:?}");
    assert!(said[0].contains("one of each, in the order of its stream"), "{said:?}");

    // A result that nobody asked for is noticed.
    let opened = annals::Store::open(&store).unwrap();
    let at = annals::Coordinate::new("north/s0", "results").unwrap();
    opened.append(&annals::NewEvent::new(&at, annals::Kind::new(0x2001).unwrap(), &[0; 8])).unwrap();
    opened.close().unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_annals-relay"));
    let output = check.arg("check").arg("--store").arg(&store).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("one result too many"), "{said}");
}
