//! The campaign apart from the rest of the system: in namespaces of its own for mounts and processes.
//!
//! Invariant: however the verb ends, killed or not, the kernel undoes its mounts and loop devices, ends its
//! processes and drops its files, which lie in memory, mounted where nobody else sees them. What stays is what was
//! found.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::trouble::{Trouble, finished};
use crate::{command::root, failure::Failure};

/// What namespaces are made with: their processes end with this one.
const APART: [&str; 12] = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "--pid",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
    "--",
];

/// Runs this program again with `words`, apart; says whether it succeeded.
pub(super) fn run(words: &[String]) -> Result<bool, Failure> {
    let program =
        env::current_exe().map_err(|source| Failure::Start { command: "xtask".to_owned(), source })?;
    let [first, rest @ ..] = APART;
    let mut command = Command::new(first);
    command.args(rest).arg(program).arg("powercut").args(words).arg("--apart");
    let status = command.status();
    let shown = || crate::command::shown(&command);
    Ok(status.map_err(|source| Failure::Start { command: shown(), source })?.success())
}

/// Where a campaign keeps what it finds.
pub(super) fn finds(seed: u64) -> PathBuf {
    root().join("target").join("powercut").join(format!("finds-{seed}"))
}

/// The campaign's own directory, in memory. Only to be called apart.
pub(super) fn directory() -> Result<PathBuf, Trouble> {
    let directory = root().join("target").join("powercut").join("scratch");
    fs::create_dir_all(&directory).map_err(Trouble::file("make", &directory))?;
    mount(&directory)?;
    Ok(directory)
}

fn mount(directory: &Path) -> Result<(), Trouble> {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", "mode=700", "annals-powercut"]).arg(directory);
    finished(&mut command).map(drop)
}
