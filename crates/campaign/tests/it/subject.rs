//! The real program: its transcript says what it did, its check finds what was promised and what is missing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use annals_campaign::Workload;

const PROGRAM: &str = env!("CARGO_BIN_EXE_annals-subject");

/// A directory with a store and a transcript of it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn transcript(&self) -> PathBuf {
        self.0.path().join("transcript")
    }

    /// Runs a workload to its end, and keeps what it says.
    fn write(&self, arguments: &[&str]) -> String {
        let output = Command::new(PROGRAM).arg("write").arg(self.store()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::write(self.transcript(), &output.stdout).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("check").arg(self.store()).arg("--transcript").arg(self.transcript()).args(arguments);
        command.output().unwrap()
    }

    fn assert_kept(&self, arguments: &[&str]) {
        let output = self.check(arguments);
        assert!(output.status.success(), "{output:?}");
    }

    fn assert_not_kept(&self, arguments: &[&str], words: &str) {
        let output = self.check(arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains(words), "{output:?}");
    }
}

/// Copies the files of a store.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn every_fixed_workload_runs_on_a_real_directory_and_keeps_its_promises() {
    for name in Workload::names() {
        let place = Place::new();
        let said = place.write(&["--script", &name]);
        assert!(said.ends_with("\ndone\n"), "{said}");
        place.assert_kept(&["--json"]);
    }
}

#[test]
fn a_random_workload_with_its_own_thread_goes_on_where_another_ended() {
    let place = Place::new();
    let first = place.write(&["--seed", "7", "--steps", "60", "--thread"]);
    let before = place.0.path().join("before");
    fs::write(&before, &first).unwrap();
    let second = place.write(&["--seed", "8", "--after", before.to_str().unwrap()]);
    fs::write(place.transcript(), first + &second).unwrap();
    place.assert_kept(&["--deep"]);
}

#[test]
fn events_that_are_missing_are_noticed_and_promises_count_by_what_they_are_to_outlive() {
    let place = Place::new();
    let said = place.write(&["--script", "batches"]);
    let open = said.split_once("closing").unwrap().0;
    fs::write(place.transcript(), format!("{open}sending 1 40\nappended written\n")).unwrap();
    place.assert_not_kept(&[], "11 events, and 12 were durable");

    let place = Place::new();
    place.write(&["--script", "batches"]);
    fs::write(place.transcript(), format!("{said}sending 1 40\nappended durable ack 5\n")).unwrap();
    place.assert_not_kept(&["--power"], "11 events, and 12 were durable");
    place.assert_kept(&["--power", "--as-far-as", "4"]);
}

#[test]
fn an_event_that_was_never_sent_is_noticed() {
    let place = Place::new();
    let said = place.write(&["--script", "appends"]);
    let (begin, _) = said.rsplit_once("sending").unwrap();
    fs::write(place.transcript(), begin).unwrap();
    place.assert_not_kept(&[], "invented");
}

#[test]
fn a_store_that_lost_what_a_transcript_promises_is_noticed_on_the_disk_itself() {
    let place = Place::new();
    let said = place.write(&["--script", "rotations"]);
    let whole = place.0.path().join("whole");
    copy(&place.store(), &whole);
    let newest = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().path());
    let newest = newest.filter(|path| path.extension().is_some_and(|end| end == "seg")).max().unwrap();
    fs::remove_file(place.store().join(newest.file_name().unwrap())).unwrap();
    fs::write(place.transcript(), said).unwrap();
    place.assert_not_kept(&[], "opened for reading only");
}

#[test]
fn the_program_after_a_promise_gets_its_number_and_its_failure_ends_the_run() {
    let place = Place::new();
    let mut command = Command::new(PROGRAM);
    command.arg("write").arg(place.store()).args(["--script", "appends", "--after-ack", "test 2 -gt"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("appended durable ack 2\n"), "{said}");
}
