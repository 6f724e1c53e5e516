//! The program `annals` as a campaign runs it, and kills it.
//!
//! Invariant: what an import acknowledges is kept in this process, and what it had written to its standard
//! output when it was killed counts, whether it was read before or after.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::flaw::Flaw;
use crate::{
    command::{cargo, shown},
    failure::Failure,
};

/// The exit code of a process that was killed: on Unix it has none.
const KILLED: Option<i32> = if cfg!(windows) { Some(1) } else { None };

/// The exit code with which `annals` refuses.
const REFUSED: i32 = 1;

/// The program, and how all imports of a campaign run it.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) executable: PathBuf,
    pub(super) input: PathBuf,
    pub(super) durability: &'static str,
    pub(super) segment_bytes: Option<u64>,
}

/// An import that ended, or was ended.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) was_killed: bool,
    /// The ids of the events that it said were safe.
    pub(super) acknowledged: Vec<String>,
    pub(super) duration: Duration,
}

/// Builds the program in release and says where cargo put it.
pub(super) fn build() -> Result<PathBuf, Failure> {
    built("--release --package annals-cli")
}

/// Builds the program that `words` choose and says where cargo put it.
pub(crate) fn built(words: &str) -> Result<PathBuf, Failure> {
    let mut command = cargo(&format!("build {words} --message-format json-render-diagnostics"));
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|source| Failure::Start { command: shown(&command), source })?;
    if !output.status.success() {
        return Err(Failure::Status { command: shown(&command), status: output.status });
    }
    let executable = executable(&String::from_utf8_lossy(&output.stdout));
    executable.ok_or_else(|| Failure::NoProgram { command: shown(&command) })
}

/// The program's path in what cargo says of a build.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| Some(message.get("executable")?.as_str()?.into())).next_back()
}

impl Program {
    /// Imports into `store`, and kills the import after the duration `kill_after`, which is counted from
    /// before its start.
    pub(super) fn import(&self, store: &Path, kill_after: Option<Duration>) -> Result<Import, Flaw> {
        let mut command = self.import_command(store);
        command.arg("--acks").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| Flaw::Run { command: shown(&self.import_command(store)), source };
        let started = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let acknowledged = drained(child.stdout.take().expect("standard output is a pipe"));
        let words = drained(child.stderr.take().expect("standard error is a pipe"));
        if let Some(moment) = kill_after {
            thread::sleep(moment.saturating_sub(started.elapsed()));
            child.kill().map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        let duration = started.elapsed();
        let acknowledged = joined(acknowledged).map_err(failed)?;
        let words = joined(words).map_err(failed)?;
        let was_killed = kill_after.is_some() && status.code() == KILLED;
        if !was_killed && !status.success() {
            return Err(exit(&command, status, &words));
        }
        Ok(Import { was_killed, acknowledged: whole_lines(&acknowledged), duration })
    }

    /// Imports into `store` to the end, by which so many events must be appended, and the others be there.
    pub(super) fn import_rest(&self, store: &Path, appended: usize, repeats: usize) -> Result<(), Flaw> {
        let mut command = self.import_command(store);
        command.arg("--json");
        let said = finished(&mut command)?;
        let said = serde_json::from_slice(&said).unwrap_or(Value::Null);
        let found = [said.get("appended_count"), said.get("repeat_count")];
        if found == [Some(&json!(appended)), Some(&json!(repeats))] {
            return Ok(());
        }
        let expected = format!("\"appended_count\":{appended} and \"repeat_count\":{repeats}");
        Err(Flaw::Output { command: shown(&command), expected, found: said.to_string() })
    }

    /// What is in `store`, a line for each event.
    pub(super) fn export(&self, store: &Path) -> Result<Vec<u8>, Flaw> {
        finished(&mut self.command("export", store))
    }

    /// Verifies `store`; whether an end was found that a crash tore.
    pub(super) fn verify(&self, store: &Path) -> Result<bool, Flaw> {
        let report = finished(self.command("verify", store).arg("--json"))?;
        let report: Value = serde_json::from_slice(&report).unwrap_or(Value::Null);
        Ok(report.get("torn").is_some_and(|torn| !torn.is_null()))
    }

    /// Whether `store` is one by its names alone; before this file is there, nothing was acknowledged.
    pub(super) fn has_store(store: &Path) -> bool {
        store.join("MANIFEST").exists()
    }

    /// That nothing in `store` is taken for a store: the import was killed before it had made one.
    pub(super) fn check_refused(&self, store: &Path) -> Result<(), Flaw> {
        for verb in ["export", "verify"] {
            let mut command = self.command(verb, store);
            let output = command.output().map_err(|source| Flaw::Run { command: shown(&command), source })?;
            if output.status.code() != Some(REFUSED) {
                return Err(exit(&command, output.status, &output.stderr));
            }
        }
        Ok(())
    }

    fn import_command(&self, store: &Path) -> Command {
        let mut command = self.command("import", store);
        command.args(["--durability", self.durability]);
        if let Some(bytes) = self.segment_bytes {
            command.args(["--segment-bytes", &bytes.to_string()]);
        }
        command.arg(&self.input);
        command
    }

    fn command(&self, verb: &str, store: &Path) -> Command {
        let mut command = Command::new(&self.executable);
        command.arg(verb).arg("--store").arg(store);
        command
    }
}

/// Runs `command`, which must succeed, and gives its standard output.
fn finished(command: &mut Command) -> Result<Vec<u8>, Flaw> {
    let output = command.output().map_err(|source| Flaw::Run { command: shown(command), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(exit(command, output.status, &output.stderr))
    }
}

fn exit(command: &Command, status: ExitStatus, words: &[u8]) -> Flaw {
    let words = String::from_utf8_lossy(words).into_owned();
    Flaw::Exit { command: shown(command), status, words }
}

/// Reads all of a pipe beside whatever else goes on.
fn drained(mut pipe: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    })
}

fn joined(reader: JoinHandle<io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    reader.join().expect("reading a pipe does not panic")
}

/// The lines of `bytes`, without a last one that is not ended: it was being written.
fn whole_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_being_written_does_not_count() {
        assert_eq!(whole_lines(b"a\nb\nc"), ["a", "b"]);
        assert_eq!(whole_lines(b""), [""; 0]);
    }

    #[test]
    fn the_program_is_where_cargo_says() {
        let messages =
            "{\"reason\":\"x\",\"executable\":null}\nwords\n{\"executable\":\"target/annals\"}\n{}\n";
        assert_eq!(executable(messages), Some("target/annals".into()));
        assert_eq!(executable("{}\n"), None);
    }
}
