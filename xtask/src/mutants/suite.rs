//! The suite: the crash campaign in its quick form, then the tests, in steps of which each has a time limit.
//!
//! Invariant: without a site switched off every step passes; that is seen before any site is tried.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{programs::Program, site::CHOICE_VARIABLE};
use crate::{command::shown, failure::Failure};

/// A test that takes longer gets a step of its own, behind the quick ones.
const QUICK: Duration = Duration::from_secs(1);

/// How many times longer than undisturbed a test may take, and the least that it may take.
const LIMIT_FACTOR: u32 = 10;
const LIMIT_MIN: Duration = Duration::from_secs(30);

/// The limit of the run that measures.
const FIRST_LIMIT: Duration = Duration::from_secs(600);

/// How long the pipe of a killed program is listened to.
const LAST_WORDS: Duration = Duration::from_millis(200);

const HUNG: &str = "hung";

/// All steps, in the order in which they are run.
#[derive(Debug)]
pub(super) struct Suite {
    steps: Vec<Step>,
    /// Where the tests put their files.
    scratch: PathBuf,
}

/// One run of a program. Each of its tests, or the campaign, must be done within the limit.
#[derive(Debug)]
struct Step {
    program: Program,
    arguments: Vec<String>,
    limit: Duration,
}

/// What caught a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caught {
    /// The test, or the campaign.
    pub(super) by: String,
    pub(super) is_campaign: bool,
    /// How, where nothing failed in an orderly way.
    pub(super) how: Option<&'static str>,
}

/// How a step ended.
struct Ended {
    caught: Option<Caught>,
    /// Every test that passed, with its time.
    passed: Vec<(String, Duration)>,
}

impl Suite {
    /// Runs everything without a site switched off, and makes steps by the time that each test took; where it is to
    /// be quick, without the tests that took long.
    pub(super) fn measure(programs: &[Program], scratch: &Path, is_quick: bool) -> Result<Self, Failure> {
        let (mut first, mut quick, mut slow) = (Vec::new(), Vec::new(), Vec::new());
        for program in programs {
            eprintln!("mutants: {} with nothing switched off", program.name);
            let started = Instant::now();
            let step = Step::all(program);
            let ended = step.run(scratch, None)?;
            if let Some(Caught { by, how, .. }) = ended.caught {
                let (program, how) = (program.name.clone(), how.unwrap_or("failed"));
                return Err(Failure::Undisturbed { program, test: by, how });
            }
            if program.is_campaign {
                first.push(Step { limit: limit(started.elapsed()), ..step });
                continue;
            }
            let (short, long): (Vec<_>, Vec<_>) =
                ended.passed.into_iter().partition(|(_, took)| *took < QUICK);
            quick.extend((!short.is_empty()).then(|| Step::of(program, &short)));
            slow.extend(long.into_iter().map(|test| (test.1, Step::of(program, &[test]))));
        }
        slow.sort_by_key(|(took, _)| *took);
        first.append(&mut quick);
        first.extend(if is_quick { Vec::new() } else { slow }.into_iter().map(|(_, step)| step));
        Ok(Self { steps: first, scratch: scratch.to_owned() })
    }

    /// What catches the site with `number`; `None` where it survives everything.
    pub(super) fn catch(&self, number: usize) -> Result<Option<Caught>, Failure> {
        for step in &self.steps {
            let mut caught = step.run(&self.scratch, Some(number))?.caught;
            if caught.as_ref().is_some_and(|caught| caught.how == Some(HUNG)) {
                // The machine may have been busy: what hangs does it twice.
                caught = step.run(&self.scratch, Some(number))?.caught;
            }
            if caught.is_some() {
                return Ok(caught);
            }
        }
        Ok(None)
    }
}

fn limit(undisturbed: Duration) -> Duration {
    (undisturbed * LIMIT_FACTOR).max(LIMIT_MIN)
}

impl Step {
    fn all(program: &Program) -> Self {
        let arguments = if program.is_campaign { "--quick --threads 1" } else { "--test-threads 1" };
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        Self { program: program.clone(), arguments, limit: FIRST_LIMIT }
    }

    fn of(program: &Program, tests: &[(String, Duration)]) -> Self {
        let mut arguments: Vec<_> = ["--test-threads", "1", "--exact"].map(str::to_owned).into();
        arguments.extend(tests.iter().map(|(name, _)| name.clone()));
        let longest = tests.iter().map(|(_, took)| *took).max().unwrap_or_default();
        Self { program: program.clone(), arguments, limit: limit(longest) }
    }

    /// Runs the step up to the first test that fails.
    fn run(&self, scratch: &Path, number: Option<usize>) -> Result<Ended, Failure> {
        let mut command = Command::new(&self.program.executable);
        command.args(&self.arguments).current_dir(&self.program.directory);
        command.env("TMPDIR", scratch).env_remove(CHOICE_VARIABLE);
        command.envs(number.map(|number| (CHOICE_VARIABLE, number.to_string())));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let line = shown(&command);
        let failed = |source| Failure::Start { command: line.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take().expect("standard output is a pipe");
        let (sender, lines) = mpsc::channel();
        // Ends with the pipe, which a child of a killed program may hold longer than anybody waits.
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        let mut watch = Watch { step: self, before: Instant::now(), passed: Vec::new(), running: None };
        let mut caught = watch.follow(&lines);
        if caught.is_some() {
            // It may have ended by itself already.
            drop(child.kill());
        }
        let status = child.wait().map_err(failed)?;
        if caught.as_ref().is_some_and(|caught| caught.how == Some(HUNG)) {
            caught = Some(watch.hung(&lines));
        }
        if caught.is_none() && !status.success() {
            let how = (!self.program.is_campaign || status.code() != Some(1)).then_some("died");
            caught = Some(watch.caught(None, how));
        }
        Ok(Ended { caught, passed: watch.passed })
    }
}

/// What a running step says of itself.
struct Watch<'a> {
    step: &'a Step,
    before: Instant,
    passed: Vec<(String, Duration)>,
    running: Option<String>,
}

impl Watch<'_> {
    /// Reads up to the first failure, the end of the output, or of the time.
    fn follow(&mut self, lines: &mpsc::Receiver<String>) -> Option<Caught> {
        let mut deadline = Instant::now() + self.step.limit;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match verdict(&line) {
                    Some((name, true)) => {
                        self.passed.push((name.to_owned(), self.before.elapsed()));
                        self.before = Instant::now();
                        deadline = self.before + self.step.limit;
                    }
                    Some((name, false)) => return Some(self.caught(Some(name), None)),
                    None => self.running = running(&line).or(self.running.take()),
                },
                Err(RecvTimeoutError::Timeout) => return Some(self.caught(None, Some(HUNG))),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// What a killed program has said last: the test that it did not come to the end of.
    fn hung(&mut self, lines: &mpsc::Receiver<String>) -> Caught {
        while let Ok(line) = lines.recv_timeout(LAST_WORDS) {
            self.running = running(&line).or(self.running.take());
        }
        self.caught(None, Some(HUNG))
    }

    fn caught(&self, test: Option<&str>, how: Option<&'static str>) -> Caught {
        let Program { name, is_campaign, .. } = &self.step.program;
        let test = test.or(self.running.as_deref()).unwrap_or("a test");
        let by = if *is_campaign { "campaign".to_owned() } else { format!("{name}: {test}") };
        Caught { by, is_campaign: *is_campaign, how }
    }
}

/// The test of which `line` says how it ended, and whether it passed.
fn verdict(line: &str) -> Option<(&str, bool)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    match outcome {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}

/// The test that `line` says has begun, and does not say how it ended.
fn running(line: &str) -> Option<String> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_are_told_from_others() {
        assert_eq!(verdict("test a::b ... ok"), Some(("a::b", true)));
        assert_eq!(verdict("test a::b ... FAILED"), Some(("a::b", false)));
        assert_eq!(verdict("test c - should panic ... ok"), Some(("c", true)));
        assert_eq!(verdict("test result: FAILED. 0 passed; 1 failed"), None);
        assert_eq!(verdict("test a::b ... "), None);
        assert_eq!(running("test a::b ... "), Some("a::b".to_owned()));
    }

    fn shell(script: &str, limit: Duration) -> Step {
        let program = Program {
            name: "shell".to_owned(),
            executable: "sh".into(),
            directory: ".".into(),
            is_campaign: false,
        };
        Step { program, arguments: vec!["-c".to_owned(), script.to_owned()], limit }
    }

    fn caught(script: &str, limit: Duration) -> Option<Caught> {
        shell(script, limit).run(Path::new("."), Some(7)).unwrap().caught
    }

    #[test]
    fn a_step_is_caught_by_a_failure_a_death_or_the_time() {
        let long = Duration::from_secs(60);
        let by = |test: &str, how| Some(Caught { by: format!("shell: {test}"), is_campaign: false, how });
        assert_eq!(caught("echo 'test a ... ok'", long), None);
        assert_eq!(caught("echo \"test $ANNALS_MUTANT ... FAILED\"; sleep 60", long), by("7", None));
        assert_eq!(caught("printf 'test a ... '; exit 101", long), by("a", Some("died")));
        assert_eq!(caught("sleep 60", Duration::from_millis(50)), by("a test", Some("hung")));
    }
}
