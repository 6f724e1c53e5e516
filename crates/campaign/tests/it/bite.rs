//! The oracle bites: a layer that breaks its word between the store and the disk is found by the quick campaign.

use annals_campaign::{Campaign, Opening, Tally};

use crate::broken::{Broken, Lie};

fn found(what: &str, opening: Opening) -> String {
    let found = Campaign { opening, ..Campaign::quick() }.run(&Tally::default(), &mut || ());
    found.expect_err(&format!("nobody found: {what}")).flaw.to_string()
}

#[test]
fn names_that_are_not_synced_are_found() {
    found("all", |options, disk| options.open_on(Broken::new(disk, Lie::DirectorySync(""))));
    found("new manifest", |options, disk| {
        options.open_on(Broken::new(disk, Lie::DirectorySync("rename MANIFEST")))
    });
    found("new segment", |options, disk| options.open_on(Broken::new(disk, Lie::DirectorySync("create 00"))));
    found("removed", |options, disk| options.open_on(Broken::new(disk, Lie::DirectorySync("remove"))));
    found("new checkpoint", |options, disk| {
        options.open_on(Broken::new(disk, Lie::DirectorySync("rename CHECKPOINT")))
    });
}

#[test]
fn bytes_that_are_not_synced_are_found() {
    found("all", |options, disk| options.open_on(Broken::new(disk, Lie::FileSync(""))));
    found("segments", |options, disk| options.open_on(Broken::new(disk, Lie::FileSync(".seg"))));
    found("manifest", |options, disk| options.open_on(Broken::new(disk, Lie::FileSync("MANIFEST"))));
    found("manifest", |options, disk| options.open_on(Broken::new(disk, Lie::FileSync("MANIFEST.tmp"))));
    found("checkpoint", |options, disk| options.open_on(Broken::new(disk, Lie::FileSync("CHECKPOINT.tmp"))));
}

#[test]
fn bytes_that_are_not_cut_are_found() {
    found("segments", |options, disk| options.open_on(Broken::new(disk, Lie::Cut(".seg"))));
}

#[test]
fn files_that_are_not_removed_are_found() {
    found("segments", |options, disk| options.open_on(Broken::new(disk, Lie::Remove(".seg"))));
    found("temporary", |options, disk| options.open_on(Broken::new(disk, Lie::Remove(".tmp"))));
}

#[test]
fn a_failure_that_is_kept_back_is_found() {
    found("success", |options, disk| options.open_on(Broken::new(disk, Lie::Success)));
}

#[test]
fn a_panic_of_the_store_is_found_and_told() {
    let flaw = found("a panic", |_, _| panic!("on purpose"));
    assert!(flaw.ends_with("a panic: on purpose"), "{flaw}");
}
