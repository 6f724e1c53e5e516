//! The subject, run and checked in places of its own.
//!
//! Invariant: what a run says is read through a pipe, into this process, whatever ends the run. A line that was
//! not ended does not count. The store that a check finds wrong is kept as it was before the check.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::flaw::Flaw;

/// A program that runs longer hangs.
const TIME_MAX: Duration = Duration::from_secs(60);

const SIGKILL: i32 = 9;

/// What all points have in common.
#[derive(Debug)]
pub(super) struct Bench {
    /// The subject.
    pub(super) program: PathBuf,
    pub(super) seed: u64,
    /// Only some of the points.
    pub(super) is_quick: bool,
    /// Where places are made.
    pub(super) scratch: PathBuf,
    /// Where a place is kept at which something is wrong.
    pub(super) kept: PathBuf,
}

/// A directory for one point: a store, and what was said of it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    /// Where the store is, if not in the place itself.
    pub(super) store: PathBuf,
    said: String,
}

/// How a run of the subject ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// With a typed error of the store.
    Failed,
    Killed,
    /// It did not get as far as to say anything.
    Unborn,
}

/// A run of the subject.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) end: End,
    /// What it said, whole lines.
    pub(super) said: String,
}

impl Ran {
    /// Whether it said that something failed.
    pub(super) fn has_failed(&self) -> bool {
        self.said.lines().any(|line| line.starts_with("failed "))
    }

    /// Whether it said that something failed, or that the store mended something or does without.
    pub(super) fn has_told(&self) -> bool {
        self.has_failed() || self.said.lines().any(|line| line.starts_with("told "))
    }
}

/// What a check found, all as it must be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    /// How many events were promised.
    pub(super) promised: u64,
    pub(super) is_refused: bool,
}

impl Place {
    /// An empty place; what was in it before is gone.
    pub(super) fn new(directory: PathBuf) -> Result<Self, Flaw> {
        // There may be none.
        let _gone = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).map_err(Flaw::system("make", &directory))?;
        Ok(Self { store: directory.join("store"), directory, said: String::new() })
    }

    pub(super) fn transcript(&self) -> PathBuf {
        self.directory.join("transcript")
    }

    /// Where strace writes.
    pub(super) fn listing(&self) -> PathBuf {
        self.directory.join("calls")
    }

    /// What the store was before it was checked, or when its run ended badly.
    fn left(&self) -> PathBuf {
        self.directory.join("left")
    }

    fn set_aside(&self) -> Result<(), Flaw> {
        // There may be none.
        let _gone = fs::remove_dir_all(self.left());
        copy_files(&self.store, &self.left())
    }

    /// Makes it what `other` is.
    pub(super) fn take_from(&mut self, other: &Self) -> Result<(), Flaw> {
        copy_files(&other.store, &self.store)?;
        self.said.clone_from(&other.said);
        self.write_transcript()
    }

    fn write_transcript(&self) -> Result<(), Flaw> {
        let path = self.transcript();
        fs::write(&path, &self.said).map_err(Flaw::system("write", &path))
    }
}

/// Copies the regular files of a directory, if it is there.
fn copy_files(from: &Path, to: &Path) -> Result<(), Flaw> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to).map_err(Flaw::system("make", to))?;
    for entry in entries {
        let entry = entry.map_err(Flaw::system("list", from))?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(Flaw::system("copy from", from))?;
        }
    }
    Ok(())
}

impl Bench {
    /// Runs a workload at `place`, after what was done there before; `wrapper` is what runs the program.
    pub(super) fn write(
        &self,
        place: &mut Place,
        arguments: &[&str],
        wrapper: &[String],
    ) -> Result<Ran, Flaw> {
        let child = self.start(place, arguments, wrapper)?;
        self.end(place, child, None)
    }

    /// The same, killed after `moment`.
    pub(super) fn write_killed(
        &self,
        place: &mut Place,
        arguments: &[&str],
        moment: Duration,
    ) -> Result<Ran, Flaw> {
        let child = self.start(place, arguments, &[])?;
        self.end(place, child, Some(moment))
    }

    fn start(&self, place: &Place, arguments: &[&str], wrapper: &[String]) -> Result<Child, Flaw> {
        let mut words = wrapper.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("write").arg(&place.store).args(arguments);
        if !place.said.is_empty() {
            command.arg("--after").arg(place.transcript());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(Flaw::system("start", &self.program))
    }

    fn end(&self, place: &mut Place, mut child: Child, moment: Option<Duration>) -> Result<Ran, Flaw> {
        let failed = || Flaw::system("wait for", &self.program);
        let output = drained(child.stdout.take().expect("standard output is a pipe"));
        let words = drained(child.stderr.take().expect("standard error is a pipe"));
        let output = match output.recv_timeout(moment.unwrap_or(TIME_MAX)) {
            Ok(output) => output,
            Err(_) => {
                child.kill().map_err(failed())?;
                if moment.is_none() {
                    return Err(Flaw::new("it hangs"));
                }
                output.recv().unwrap_or_default()
            }
        };
        let status = child.wait().map_err(failed())?;
        let text = String::from_utf8_lossy(&output);
        let said: String = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        place.said.push_str(&said);
        place.write_transcript()?;
        let words = words.recv().unwrap_or_default();
        match end(status, &said, &String::from_utf8_lossy(&words)) {
            Ok(end) => Ok(Ran { end, said }),
            Err(flaw) => {
                place.set_aside()?;
                Err(flaw)
            }
        }
    }

    /// Checks the store of `place` against all that was said.
    pub(super) fn check(&self, place: &Place, arguments: &[&str]) -> Result<Kept, Flaw> {
        place.set_aside()?;
        let mut command = Command::new(&self.program);
        command.arg("check").arg(&place.store).arg("--transcript").arg(place.transcript()).arg("--json");
        let output = command.args(arguments).output().map_err(Flaw::system("start", &self.program))?;
        let verdict = serde_json::from_slice::<Value>(&output.stdout).ok();
        verdict.as_ref().map(read_verdict).unwrap_or_else(|| {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(Flaw::new(format!("the check: {}: {words}", output.status)))
        })
    }

    /// Checks it for reading only, which changes nothing.
    pub(super) fn check_reading(&self, place: &Place) -> Result<(), Flaw> {
        self.check(place, &["--expect", "reads"]).map(|_| ())
    }

    /// Keeps what is at `place`, outside of what goes when the campaign ends; says where.
    pub(super) fn keep(&self, place: &Place, name: &str) -> PathBuf {
        let kept = self.kept.join(name);
        let copied = copy_files(&place.left(), &kept.join("store"));
        let copied = copied.and_then(|()| copy_files(&place.directory, &kept));
        if let Err(flaw) = copied {
            eprintln!("torture: {name} is not kept: {flaw}");
        }
        kept
    }
}

/// What the JSON of a check says.
fn read_verdict(verdict: &Value) -> Result<Kept, Flaw> {
    let number = |at| verdict.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let is = |at| verdict.pointer(at).and_then(Value::as_bool).unwrap_or_default();
    let words = |at| verdict.pointer(at).and_then(Value::as_str);
    if is("/is_kept") {
        return Ok(Kept { promised: number("/promised/0"), is_refused: words("/refused").is_some() });
    }
    let what = words("/flaw").unwrap_or("the check says nothing").to_owned();
    Err(Flaw { what, lost: number("/lost"), is_shut: !is("/is_open") })
}

/// How the run ended; a way that no fault explains is a flaw.
fn end(status: ExitStatus, said: &str, words: &str) -> Result<End, Flaw> {
    match status.code() {
        _ if status.signal() == Some(SIGKILL) => Ok(End::Killed),
        Some(0) if said.ends_with("done\n") => Ok(End::Done),
        Some(3) => Ok(End::Failed),
        // Before its first words it is not the store that fails but the start of the program.
        Some(_) if !said.contains("opening\n") => Ok(End::Unborn),
        _ => {
            let last = said.lines().next_back().unwrap_or_default();
            Err(Flaw::new(format!("it ended with {status} behind `{last}`: {}", words.trim_end())))
        }
    }
}

/// Reads all of a pipe beside whatever else goes on, and sends it when the pipe ends.
fn drained(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Where reading fails, what was read counts; where nobody waits for it any more, it is gone.
        let _read = pipe.read_to_end(&mut bytes);
        let _sent = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_no_fault_explains_is_a_flaw() {
        let status = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(end(status(0), "opening\ndone\n", "").unwrap(), End::Done);
        assert_eq!(end(status(3), "opening\nfailed open\n", "").unwrap(), End::Failed);
        assert_eq!(end(status(127), "begun\n", "").unwrap(), End::Unborn);
        assert_eq!(end(ExitStatus::from_raw(SIGKILL), "opening\n", "").unwrap(), End::Killed);
        assert!(end(status(0), "opening\nclosed ack 3\n", "").is_err());
        assert!(read_verdict(&Value::Null).is_err());
        assert!(end(status(101), "opening\n", "a panic").unwrap_err().what.ends_with("a panic"));
    }
}
