//! The oracle bites: a layer that breaks its word between the store and the disk is found by the quick campaign.

use annals_campaign::{Campaign, Opening, Tally};

use crate::broken::{Broken, Lie};

fn found(opening: Opening) -> String {
    let found = Campaign { opening, ..Campaign::quick() }.run(&Tally::default(), &mut || ());
    found.expect_err("a lie that nobody finds").flaw.to_string()
}

#[test]
fn names_that_are_not_synced_are_found() {
    found(|options, disk| options.open_on(Broken::new(disk, Lie::DirectorySync)));
}

#[test]
fn bytes_that_are_not_synced_are_found() {
    found(|options, disk| options.open_on(Broken::new(disk, Lie::FileSync)));
}

#[test]
fn bytes_that_are_not_cut_are_found() {
    found(|options, disk| options.open_on(Broken::new(disk, Lie::Cut)));
}

#[test]
fn files_that_are_not_removed_are_found() {
    found(|options, disk| options.open_on(Broken::new(disk, Lie::Remove)));
}

#[test]
fn a_failure_that_is_kept_back_is_found() {
    found(|options, disk| options.open_on(Broken::new(disk, Lie::Success)));
}

#[test]
fn a_panic_of_the_store_is_found_and_told() {
    let flaw = found(|_, _| panic!("on purpose"));
    assert!(flaw.ends_with("a panic: on purpose"), "{flaw}");
}
