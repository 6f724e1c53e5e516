//! What is mounted and made for a point, and undone when it is dropped.
//!
//! Invariant: all of it lies in a mount namespace of this process and in a tmpfs within it, and a loop device
//! lets go of its image when it is unmounted. So nothing is left where the process is killed either.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::flaw::Flaw;
use crate::{command::shown, failure::Failure};

/// Set in the process that has a namespace of its own.
const INSIDE: &str = "ANNALS_TORTURE_NAMESPACE";

/// Whether this process may mount.
pub(super) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}

/// Whether what this process mounts is its own.
pub(super) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Becomes the same program in a mount namespace of its own; returns only where that fails.
///
/// A seed that was drawn is handed on, as it was told already.
pub(super) fn enter_namespace(seed: u64) -> Result<(), Failure> {
    let program =
        env::current_exe().map_err(|source| Failure::Start { command: "xtask".to_owned(), source })?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(program).args(env::args_os().skip(1));
    if !env::args_os().any(|word| word.to_string_lossy().starts_with("--seed")) {
        command.args(["--seed", &seed.to_string()]);
    }
    command.env(INSIDE, "1");
    Err(Failure::Start { command: shown(&command), source: command.exec() })
}

/// Runs `program`, which must succeed.
pub(super) fn run<I: AsRef<OsStr>>(program: &str, arguments: &[I]) -> Result<(), Flaw> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(Flaw::system("start", Path::new(program)))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Flaw::new(format!("`{}`: {}: {}", shown(&command), output.status, words.trim_end())))
}

/// Something that is mounted.
#[derive(Debug)]
pub(super) struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path, arguments: &[&str]) -> Result<Self, Flaw> {
        fs::create_dir_all(path).map_err(Flaw::system("make", path))?;
        let path_word = path.display().to_string();
        run("mount", &[arguments, &[&path_word]].concat())?;
        Ok(Self(path.to_owned()))
    }

    /// A tmpfs of `bytes`.
    pub(super) fn tmpfs(path: &Path, bytes: u64) -> Result<Self, Flaw> {
        Self::at(path, &["-t", "tmpfs", "-o", &format!("size={bytes}"), "annals-torture"])
    }

    /// The directory `from` once more, for reading only.
    pub(super) fn read_only(path: &Path, from: &Path) -> Result<Self, Flaw> {
        let mounted = Self::at(path, &["--bind", &from.display().to_string()])?;
        mounted.change("bind,ro")?;
        Ok(mounted)
    }

    /// The image `image` of a file system behind a loop device, which goes when this is unmounted.
    pub(super) fn image(path: &Path, image: &Path) -> Result<Self, Flaw> {
        Self::at(path, &["-o", "loop", &image.display().to_string()])
    }

    /// Mounts it anew with other options.
    pub(super) fn change(&self, options: &str) -> Result<(), Flaw> {
        run("mount", &["-o", &format!("remount,{options}"), &self.0.display().to_string()])
    }

    /// Unmounts it, which drops what the system cached of it.
    pub(super) fn end(self) -> Result<(), Flaw> {
        let path = self.0.clone();
        std::mem::forget(self);
        run("umount", &[&path])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run("umount", &[&self.0]).is_err() {
            // Somebody still has a file open: it goes with them.
            let _later = run("umount", &[OsStr::new("--lazy"), self.0.as_os_str()]);
        }
    }
}

/// A file or directory with an attribute that keeps even root from changing it.
#[derive(Debug)]
pub(super) struct Marked {
    path: PathBuf,
    attribute: char,
}

impl Marked {
    pub(super) fn new(path: &Path, attribute: char) -> Result<Self, Flaw> {
        let marked = Self { path: path.to_owned(), attribute };
        marked.set('+')?;
        Ok(marked)
    }

    fn set(&self, sign: char) -> Result<(), Flaw> {
        let change = format!("{sign}{}", self.attribute);
        run("chattr", &[OsStr::new(&change), self.path.as_os_str()])
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        // What is gone has no attributes.
        let _gone = self.set('-');
    }
}
