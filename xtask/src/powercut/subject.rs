//! `annals-subject`: the program that writes in the machine, and that checks what the machine left.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::trouble::Trouble;
use crate::{
    command::{cargo, shown},
    failure::Failure,
    kill::random,
};

/// The program, built.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) executable: PathBuf,
}

/// What a store is used for.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) name: String,
    /// What `annals-subject write` is told.
    pub(super) words: Vec<String>,
}

/// The workloads whose writes are replayed: fixed ones with segments of a few KiB, and random ones; with larger
/// segments, and with the store's own thread.
pub(super) fn replayed(seed: u64, is_quick: bool) -> Vec<Workload> {
    let drawn = |number, name: &str, more: &[&str]| {
        let seed = random(seed, number).to_string();
        let words = ["--seed", &seed, "--steps", "120"];
        Workload {
            name: name.to_owned(),
            words: words.iter().chain(more).map(|word| (*word).to_owned()).collect(),
        }
    };
    let fixed =
        |name: &str| Workload { name: name.to_owned(), words: vec!["--script".to_owned(), name.to_owned()] };
    let first = [fixed("everything"), drawn(0, "random", &[])];
    let more = [
        fixed("drops and rotations"),
        drawn(1, "random, with a thread", &["--thread"]),
        drawn(2, "random, segments of 64 KiB", &["--segment-bytes", "65536"]),
    ];
    first.into_iter().chain(more.into_iter().filter(|_| !is_quick)).collect()
}

/// A workload that is killed: long enough for a kill to come before its end.
pub(super) fn killed(seed: u64) -> Workload {
    let words = ["--seed", &seed.to_string(), "--steps", "4000"].map(str::to_owned);
    Workload { name: format!("random, seed {seed}"), words: words.into() }
}

/// What became of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kept: Kept,
    /// How many events were promised.
    pub(super) promised_count: u64,
    /// How many promised events are not there; all of them where nothing can be read.
    pub(super) lost_count: u64,
    pub(super) torn_bytes: u64,
}

/// Whether the promises were kept, and if not, which with what words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    /// Promised events are not there.
    Lost(String),
    /// It does not open.
    Refused(String),
    /// Something else is not as it must be.
    Broken(String),
    /// The file system could not be mounted.
    Unmounted(String),
}

impl Kept {
    /// What is wrong, and the words for it.
    pub(super) fn flaw(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Yes => None,
            Self::Lost(words) => Some(("promised events are lost", words)),
            Self::Refused(words) => Some(("the store does not open", words)),
            Self::Broken(words) => Some(("a promise is not kept", words)),
            Self::Unmounted(words) => Some(("the file system does not mount", words)),
        }
    }
}

impl Subject {
    /// Builds it in release.
    pub(super) fn build() -> Result<Self, Failure> {
        let mut command = cargo("build --release --package annals-campaign --bin annals-subject");
        command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
        let output =
            command.output().map_err(|source| Failure::Start { command: shown(&command), source })?;
        if !output.status.success() {
            return Err(Failure::Status { command: shown(&command), status: output.status });
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let executable = messages.lines().filter_map(executable).next_back();
        let executable = executable.ok_or_else(|| Failure::NoProgram { command: shown(&command) })?;
        Ok(Self { executable })
    }

    /// The command that checks the store in `directory` against what was said up to a promise, or all of it. It
    /// opens the store, appends to it, and opens it again.
    pub(super) fn check_command(&self, directory: &Path, transcript: &Path, until: Option<u64>) -> Command {
        let mut command = Command::new(&self.executable);
        command.arg("check").arg(directory).arg("--transcript").arg(transcript).args(["--power", "--json"]);
        command.args(until.map(|until| OsString::from(format!("--as-far-as={until}"))));
        command
    }
}

/// Runs `command`, which checks a store.
pub(super) fn verdict(command: &mut Command) -> Result<Verdict, Trouble> {
    let output = command.output().map_err(|source| Trouble::Run { command: shown(command), source })?;
    let parsed = serde_json::from_slice(&output.stdout).ok().and_then(|value| parsed(&value));
    parsed.ok_or_else(|| {
        let found = [output.stdout, output.stderr].concat();
        Trouble::Verdict { command: shown(command), found: String::from_utf8_lossy(&found).into_owned() }
    })
}

fn parsed(value: &Value) -> Option<Verdict> {
    let pair = |value: &Value| Some([value.get(0)?.as_u64()?, value.get(1)?.as_u64()?]);
    let [promised, promised_names] = pair(value.get("promised")?)?;
    let found = pair(value.get("found")?);
    let missing = |[events, names]: [u64; 2]| events < promised || names < promised_names;
    let words = || value.get("flaw").and_then(Value::as_str).unwrap_or("without a word").to_owned();
    let kept = match (value.get("is_kept")?.as_bool()?, found) {
        (true, _) => Kept::Yes,
        (false, Some(found)) if missing(found) => Kept::Lost(words()),
        (false, _) if words().contains(FEWER) => Kept::Lost(words()),
        (false, None) => Kept::Refused(words()),
        (false, _) if words().contains(REFUSED) => Kept::Refused(words()),
        (false, _) => Kept::Broken(words()),
    };
    let there = match found {
        Some([events, _]) => events,
        // Nothing was promised, or there is not even a store.
        None if kept == Kept::Yes => promised,
        None => 0,
    };
    let torn_bytes = value.get("torn_bytes")?.as_u64()?;
    Some(Verdict { kept, promised_count: promised, lost_count: promised.saturating_sub(there), torn_bytes })
}

/// What the checker's words have where fewer are found than were durable.
const FEWER: &str = "were durable";

/// What they have where a writer is refused.
const REFUSED: &str = "it does not open";

/// The program's path in what cargo says of a build.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(PathBuf::from(message.get("executable")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(is_kept: bool, found: &Value, flaw: &str) -> Verdict {
        parsed(&json!({
            "is_kept": is_kept, "promised": [5, 1], "found": found, "torn_bytes": 9, "flaw": flaw,
        }))
        .unwrap()
    }

    #[test]
    fn a_verdict_is_understood() {
        let right = kept(true, &json!([6, 1]), "");
        assert_eq!(right, Verdict { kept: Kept::Yes, promised_count: 5, lost_count: 0, torn_bytes: 9 });
        assert_eq!(kept(true, &Value::Null, "").kept, Kept::Yes);
        let lost = kept(false, &json!([3, 1]), "x");
        assert_eq!((lost.kept, lost.lost_count), (Kept::Lost("x".to_owned()), 2));
        let lost = kept(false, &Value::Null, "3 events, and 5 were durable");
        assert!(matches!(lost, Verdict { kept: Kept::Lost(_), lost_count: 5, .. }));
        assert_eq!(kept(false, &json!([5, 0]), "x").kept, Kept::Lost("x".to_owned()));
        assert_eq!(kept(false, &Value::Null, "x").kept, Kept::Refused("x".to_owned()));
        let refused = "it does not open: why";
        assert_eq!(kept(false, &json!([5, 1]), refused).kept, Kept::Refused(refused.to_owned()));
        assert_eq!(kept(false, &json!([5, 1]), "x").kept, Kept::Broken("x".to_owned()));
        assert_eq!(parsed(&json!({})), None);
    }

    #[test]
    fn the_seed_decides_what_is_random() {
        let words =
            |seed| replayed(seed, false).into_iter().flat_map(|workload| workload.words).collect::<Vec<_>>();
        assert_eq!(words(7), words(7));
        assert_ne!(words(7), words(8));
        assert!(replayed(7, true).len() < replayed(7, false).len());
    }
}
