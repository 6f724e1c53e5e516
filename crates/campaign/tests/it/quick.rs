//! The quick campaign: every fixed workload at every moment, and no promise broken; the same each time.

use std::process::Command;

use annals_campaign::{Campaign, Summary, Tally};

#[test]
fn no_promise_is_broken_in_the_fixed_workloads() {
    let tally = Tally::default();
    if let Err(found) = Campaign::quick().run(&tally, &mut || ()) {
        panic!("cargo xtask crash --quick --seed 1 --round {}: {}", found.round, found.flaw);
    }
    let summary = Summary::new(&tally, 1, std::time::Duration::from_secs(1), 0);
    assert!(summary.images.iter().all(|row| row.made >= row.tried && row.tried >= row.distinct));
    assert!(summary.images.iter().all(|row| row.tried > 0), "{summary:?}");
    assert!(summary.fault_runs > 500 && summary.read_faults > 500, "{summary:?}");
}

#[test]
fn a_round_tries_the_same_each_time_and_only_its_own() {
    let counts = |round| {
        let tally = Tally::default();
        Campaign { round: Some(round), ..Campaign::quick() }.run(&tally, &mut || ()).unwrap();
        tally.total()
    };
    assert_eq!(counts(9), counts(9));
    assert_ne!(counts(9), counts(10));
}

#[test]
fn a_random_round_keeps_every_promise() {
    for round in [81, 83] {
        let campaign = Campaign { round: Some(round), is_quick: false, ..Campaign::quick() };
        if let Err(found) = campaign.run(&Tally::default(), &mut || ()) {
            panic!("cargo xtask crash --seed 1 --round {}: {}", found.round, found.flaw);
        }
    }
}

#[test]
fn the_program_says_what_it_tried() {
    let program = env!("CARGO_BIN_EXE_annals-campaign");
    let output = Command::new(program).args(["--quick", "--round", "3", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["violations"], &summary["rounds"]), (&0.into(), &1.into()));
    assert!(summary["total"]["distinct"].as_u64().unwrap() > 0);
}
