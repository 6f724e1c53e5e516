//! Several processes over one directory: readers beside a writer, writers that are killed, and who has the lock.
//!
//! Nothing waits for time: a writer does a step when it is told to, and says when it is done.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_annals-subject");

/// A process that is asked line by line.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Process {
    fn start(verb: &str, store: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg(verb).arg(store).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, said: String::new() }
    }

    fn ask(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The next line; `None` where it has ended.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let len = self.output.read_line(&mut line).unwrap();
        self.said.push_str(&line);
        (len > 0).then(|| line.trim_end().to_owned())
    }

    /// Reads up to a line that begins with `start`; whether it came.
    fn says(&mut self, start: &str) -> bool {
        while let Some(line) = self.line() {
            if line.starts_with(start) {
                return true;
            }
        }
        false
    }

    /// Asks a reader what it sees: how many events, and whether a writer lives.
    fn sees(&mut self) -> (usize, bool) {
        self.ask();
        let line = self.line().expect("the reader fails");
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[0], "seen", "{line}");
        (words[1].parse().unwrap(), words[3].parse().unwrap())
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.line().is_some() {}
    }

    /// Ends its input, and gives its exit code.
    fn end(&mut self) -> Option<i32> {
        self.input = None;
        while self.line().is_some() {}
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The transcript of a whole run of `script`, in a file.
    fn whole(&self, script: &str) -> String {
        let mut writer = Process::start("write", &self.path("elsewhere"), &["--script", script]);
        assert_eq!(writer.end(), Some(0));
        self.write("whole", &writer.said)
    }

    /// Checks the store against `said`, and says how many events it has.
    fn check(&self, said: &str) -> usize {
        let transcript = self.write("said", said);
        let mut command = Command::new(PROGRAM);
        command.arg("check").arg(self.path("store")).args(["--transcript", &transcript, "--json"]);
        let verdict: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        assert_eq!(verdict["is_kept"], true, "{verdict}");
        usize::try_from(verdict["found"][0].as_u64().unwrap()).unwrap()
    }
}

/// The line with which a step ends, and how many events are durable behind it.
const STEPS: [(&str, usize); 4] =
    [("appended durable", 3), ("appended written", 3), ("appended queued", 3), ("appended durable", 11)];

#[test]
fn a_reader_sees_what_is_durable_while_the_writer_lives_and_what_recovery_keeps_when_it_is_killed() {
    for steps in 1..=STEPS.len() {
        let place = Place::new();
        let whole = place.whole("batches");
        let store = place.path("store");
        let mut writer = Process::start("write", &store, &["--script", "batches", "--stepwise", "--hold"]);
        assert!(writer.says("opened"));
        let mut reader = Process::start("follow", &store, &["--transcript", &whole]);
        assert_eq!(reader.sees(), (0, true));
        for (done, durable) in &STEPS[..steps] {
            writer.ask();
            assert!(writer.says(done), "{}", writer.said);
            assert_eq!(reader.sees(), (*durable, true), "behind {}", writer.said);
        }
        writer.kill();
        let (seen, is_alive) = reader.sees();
        assert!(!is_alive && seen >= STEPS[steps - 1].1, "{seen} behind {}", writer.said);
        assert_eq!(place.check(&writer.said), seen, "what a reader was shown is there for good");
    }
}

#[test]
fn the_frontier_of_a_killed_writer_is_not_believed_beside_another() {
    let place = Place::new();
    let whole = place.whole("batches");
    let store = place.path("store");
    let mut writer = Process::start("write", &store, &["--script", "batches", "--stepwise", "--hold"]);
    let mut reader = Process::start("follow", &store, &["--transcript", &whole]);
    let mut frontiers = Vec::new();
    for (done, _) in STEPS {
        writer.ask();
        assert!(writer.says(done), "{}", writer.said);
        frontiers.push(fs::read(store.join("FRONTIER")).unwrap());
    }
    writer.kill();

    // The first tells of three events where eleven are durable; it is never synced, so it may come back.
    let said = place.write("said", &writer.said);
    let mut other = Process::start("write", &store, &["--stepwise", "--after", &said]);
    assert!(other.says("opened"));
    for stale in frontiers {
        fs::write(store.join("FRONTIER"), stale).unwrap();
        assert_eq!(reader.sees(), (11, true), "another writer lives, and has not said how far to read");
    }
}

#[test]
fn the_lock_file_of_a_killed_writer_bars_nobody() {
    let place = Place::new();
    let store = place.path("store");
    let mut writer = Process::start("write", &store, &["--script", "batches", "--stepwise", "--hold"]);
    writer.ask();
    assert!(writer.says("appended durable"));
    writer.kill();
    let said = place.write("said", &writer.said);
    // Nor does it where another process has got the number of the killed one.
    fs::write(store.join("LOCK"), format!("pid {}\nepoch 0000000000000007\n", std::process::id())).unwrap();
    let mut next = Process::start("write", &store, &["--script", "appends", "--after", &said]);
    assert_eq!(next.end(), Some(0), "{}", next.said);
    place.check(&(writer.said.clone() + &next.said));
}

#[test]
fn of_two_that_open_at_once_one_has_the_store_and_the_other_is_told() {
    for round in 0..12 {
        let place = Place::new();
        let store = place.path("store");
        let mut earlier = String::new();
        if round % 2 == 1 {
            let mut writer = Process::start("write", &store, &["--script", "appends"]);
            assert_eq!(writer.end(), Some(0));
            earlier.clone_from(&writer.said);
        }
        let after = place.write("earlier-said", &earlier);
        let open = || Process::start("write", &store, &["--hold", "--script", "batches", "--after", &after]);
        let (mut one, mut two) = (open(), open());
        let (winner, loser) = if one.says("opened") { (&mut one, &mut two) } else { (&mut two, &mut one) };
        assert_eq!(loser.end(), Some(4), "{}", loser.said);
        assert!(loser.said.contains("failed open Locked"), "{}", loser.said);
        assert_eq!(winner.end(), Some(0), "{}", winner.said);
        place.check(&(earlier + &winner.said));
    }
}

#[test]
fn a_program_that_a_writer_started_does_not_keep_its_lock() {
    let place = Place::new();
    let (pipe, script) = (place.path("pipe"), place.path("linger"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // It lives until this test lets go of the pipe.
    let _held = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let words = format!("#!/bin/sh\ncat {} >/dev/null 2>&1 &\n", pipe.display());
    fs::write(&script, words).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let store = place.path("store");
    let arguments = ["--script", "batches", "--hold", "--after-ack", script.to_str().unwrap()];
    let mut writer = Process::start("write", &store, &arguments);
    assert!(writer.says("appended durable"));
    writer.kill();
    let said = place.write("said", &writer.said);
    let mut next = Process::start("write", &store, &["--script", "appends", "--after", &said]);
    assert_eq!(next.end(), Some(0), "{}", next.said);
}

/// What a forked child that goes on without running another program does: the lock is its own as well.
#[test]
fn a_child_that_inherited_the_lock_holds_it_until_it_ends() {
    let place = Place::new();
    let store = place.path("store");
    let mut writer = Process::start("write", &store, &["--script", "batches"]);
    assert_eq!(writer.end(), Some(0));
    let said = place.write("said", &writer.said);
    let mut parent = Command::new("flock");
    parent.arg(store.join("LOCK")).args(["sh", "-c", "echo locked; exec cat"]);
    let mut parent = parent.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    let input = parent.stdin.take();
    parent.kill().unwrap();
    parent.wait().unwrap();

    let arguments = ["--script", "appends", "--after", &said];
    let mut other = Process::start("write", &store, &arguments);
    assert_eq!(other.end(), Some(4), "the parent is gone, and its child may still write: {}", other.said);
    drop(input);
    // The end of its output is the end of the child.
    assert_eq!(output.read_line(&mut line).unwrap(), 0);
    let mut other = Process::start("write", &store, &arguments);
    assert_eq!(other.end(), Some(0), "{}", other.said);
}
