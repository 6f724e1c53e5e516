//! A machine: a kernel that runs as a process of this system, with its root for reading, and disks of its own.
//!
//! Invariant: a machine has a process group of its own, and none of it is left when the value is gone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{needs::KERNEL, trouble::Trouble};
use crate::command;

/// How long a machine may run.
const TIME_MAX: Duration = Duration::from_secs(180);

/// Between two looks at a machine.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How much of a console a message shows.
const WORDS_LEN_MAX: usize = 2000;

const MEMORY: &str = "mem=512M";

/// A machine that was switched on.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    /// Whether none of it is left.
    is_gone: bool,
    console: PathBuf,
    transcript: PathBuf,
    start: Instant,
}

impl Machine {
    /// Switches on a machine that runs `init`, with its files in `directory`: what its first serial line says goes
    /// into `transcript` as it is said.
    pub(super) fn start(directory: &Path, init: &str, disks: &[&Path]) -> Result<Self, Trouble> {
        let [script, console, transcript] =
            ["init", "console", "transcript"].map(|name| directory.join(name));
        fs::write(&script, init).map_err(Trouble::file("write", &script))?;
        let file = |path: &Path| fs::File::create(path).map_err(Trouble::file("make", path));
        let mut command = Command::new("setsid");
        command.args([KERNEL, MEMORY, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"]);
        command.args(["con=null", "con0=null,fd:2", "ssl=null", "ssl0=null,fd:1"]);
        command.arg(format!("uml_dir={}/", directory.display()));
        for (number, disk) in disks.iter().enumerate() {
            command.arg(format!("ubd{number}={}", disk.display()));
        }
        command.args(["init=/bin/sh", "--"]).arg(&script).env("TMPDIR", directory);
        command.stdin(Stdio::null()).stdout(file(&transcript)?).stderr(file(&console)?);
        let child = command.spawn();
        let child = child.map_err(|source| Trouble::Run { command: command::shown(&command), source })?;
        Ok(Self { child, is_gone: false, console, transcript, start: Instant::now() })
    }

    /// Waits until it has switched itself off.
    pub(super) fn wait(&mut self) -> Result<(), Trouble> {
        loop {
            match self.status()? {
                Some(status) if status.success() => return self.kill(),
                Some(_) => return Err(self.trouble("failed")),
                None => self.pause()?,
            }
        }
    }

    /// Waits until it has said so many lines; says whether it still ran then.
    pub(super) fn wait_for_lines(&mut self, count: usize) -> Result<bool, Trouble> {
        loop {
            let said = fs::read(&self.transcript).map_err(Trouble::file("read", &self.transcript))?;
            if said.iter().filter(|byte| **byte == b'\n').count() >= count {
                return Ok(true);
            }
            if let Some(status) = self.status()? {
                return if status.success() { Ok(false) } else { Err(self.trouble("failed")) };
            }
            self.pause()?;
        }
    }

    /// Cuts its power: no process of it is left. A group that has no process is not named: the system may have
    /// given its number to another.
    pub(super) fn kill(&mut self) -> Result<(), Trouble> {
        let group = self.child.id();
        while has_process(group)? {
            let mut command = Command::new("kill");
            command::succeeds(command.args(["-KILL", "--"]).arg(format!("-{group}")));
            self.pause()?;
        }
        self.child.wait().map_err(|source| Trouble::Run { command: KERNEL.to_owned(), source })?;
        self.is_gone = true;
        Ok(())
    }

    fn status(&mut self) -> Result<Option<ExitStatus>, Trouble> {
        self.child.try_wait().map_err(|source| Trouble::Run { command: KERNEL.to_owned(), source })
    }

    fn pause(&self) -> Result<(), Trouble> {
        if self.start.elapsed() > TIME_MAX {
            return Err(self.trouble("took too long"));
        }
        // The machine is another process, whose lines and end nothing here can be woken by.
        thread::sleep(LOOK_EVERY);
        Ok(())
    }

    fn trouble(&self, how: &'static str) -> Trouble {
        let words = fs::read(&self.console).unwrap_or_default();
        let start = words.len().saturating_sub(WORDS_LEN_MAX);
        let words = String::from_utf8_lossy(words.get(start..).unwrap_or_default()).into_owned();
        Trouble::Machine { how, words }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !self.is_gone {
            // Where this fails, the end of the campaign's namespace ends what is left.
            let _: Result<(), Trouble> = self.kill();
        }
    }
}

/// Whether a process of `group` is there that is not dead already.
fn has_process(group: u32) -> Result<bool, Trouble> {
    let place = Path::new("/proc");
    let entries = fs::read_dir(place).map_err(Trouble::file("read", place))?;
    let stats = entries.filter_map(Result::ok).map(|entry| entry.path().join("stat"));
    // A process that ends meanwhile is not there.
    Ok(stats.filter_map(|path| fs::read_to_string(path).ok()).any(|stat| is_alive(&stat, group)))
}

/// Whether `/proc/*/stat` is that of a living process of `group`. Its name, in brackets, may have brackets.
fn is_alive(stat: &str, group: u32) -> bool {
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let state = fields.next().unwrap_or("X");
    !matches!(state, "Z" | "X") && fields.nth(1) == Some(&group.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_is_none() {
        assert!(is_alive("12 (a) b) S 1 77 77 0 -1", 77));
        assert!(!is_alive("12 (a) b) Z 1 77 77 0 -1", 77));
        assert!(!is_alive("12 (a) b) S 77 78 78 0 -1", 77));
        assert!(!is_alive("", 77));
    }
}
