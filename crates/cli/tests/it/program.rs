//! A store in a directory of its own, and the program run on it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A directory with room for a store and other files.
pub(crate) struct Place {
    directory: TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// A place whose store holds `count` events of entities `e0` to `e4` in scope `s`, of the kinds `even` and
    /// `odd`, each pair a batch.
    pub(crate) fn with_events(count: u32) -> Self {
        let place = Self::new();
        place.import(&events(0..count)).done(0);
        place
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program, to be run on the store with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.args(arguments).env("ANNALS_STORE", self.store()).current_dir(self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        let mut child = self.spawn(arguments);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // On a thread of its own: the program may print before it has read all, or stop reading.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Done {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn import(&self, lines: &str) -> Done {
        self.run_with(&["import"], lines)
    }

    pub(crate) fn export(&self) -> String {
        self.run(&["export"]).done(0).out
    }
}

impl Done {
    /// The same, once its exit code is the expected one.
    #[track_caller]
    pub(crate) fn done(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Each line of the result as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        values(&self.out)
    }
}

/// Each line as JSON.
#[track_caller]
pub(crate) fn values(lines: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    lines.lines().map(parse).collect()
}

/// The lines of the events of [`Place::with_events`].
pub(crate) fn events(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| event(number, number / 2)).collect()
}

/// The line of one event, in a batch.
pub(crate) fn event(number: u32, batch: u32) -> String {
    let (entity, kind) = (number % 5, if number.is_multiple_of(2) { "even" } else { "odd" });
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{number}\",\"source\":\"s\",\"subject\":\"e{entity}\",\
         \"type\":\"{kind}\",\"time\":\"2024-01-01T00:00:00Z\",\"batch\":\"b{batch}\",\"data\":{{\"n\":{number}}}}}\n"
    )
}
