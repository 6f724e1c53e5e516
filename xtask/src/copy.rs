//! A changed copy of the repository: what git knows or would take, with what a verb changes in it.
//!
//! Invariant: a file is only written where its bytes change, so that building the copy again builds little.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{root, shown},
    failure::Failure,
};

/// What a copy lists of itself, to take away later what is gone.
const LISTING: &str = "copied";

/// Makes or renews the copy in `directory`: of each text, given with its path, what `change` makes of it.
pub(crate) fn write(directory: &Path, change: impl Fn(&str, String) -> String) -> Result<(), Failure> {
    let paths = listed()?;
    remove_others(directory, &paths)?;
    for path in &paths {
        let copy = match String::from_utf8(read(&root().join(path))?) {
            Ok(text) => change(path, text).into_bytes(),
            Err(other) => other.into_bytes(),
        };
        write_changed(&place(directory).join(path), &copy)?;
    }
    write_changed(&directory.join(LISTING), paths.join("\n").as_bytes())
}

/// The files of the repository, those that are new included.
pub(crate) fn listed() -> Result<Vec<String>, Failure> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = command.output().map_err(|source| Failure::Start { command: shown(&command), source })?;
    if !output.status.success() {
        return Err(Failure::Status { command: shown(&command), status: output.status });
    }
    let listing = String::from_utf8_lossy(&output.stdout);
    let there = listing.lines().filter(|path| root().join(path).is_file());
    let mut paths: Vec<_> = there.map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The text of the file at `path` of the repository.
pub(crate) fn text(path: &str) -> Result<String, Failure> {
    let path = root().join(path);
    fs::read_to_string(&path).map_err(|source| Failure::Read { path, source })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })
}

fn remove_others(directory: &Path, paths: &[String]) -> Result<(), Failure> {
    let before = match fs::read_to_string(directory.join(LISTING)) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Failure::Read { path: directory.join(LISTING), source }),
    };
    for gone in before.lines().filter(|path| !paths.iter().any(|other| other == path)) {
        let path = place(directory).join(gone);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn write_changed(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let failed = |source| Failure::Write { path: path.to_owned(), source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, bytes).map_err(failed)
}

/// Where the copy is.
pub(crate) fn place(directory: &Path) -> PathBuf {
    directory.join("tree")
}
