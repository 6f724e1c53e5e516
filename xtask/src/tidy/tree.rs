//! The files of the repository, read once.
//!
//! The tree is walked and git is not asked, so that a copy without its history is checked as well. What
//! tools leave behind is passed over: directories that cargo marks as caches, hidden ones but our own, and
//! what fuzzing and proptest write.

use std::{fs, io, path::Path};

use crate::failure::Failure;

/// A file with its path from the root, in `/`, and its text; the text of what is not UTF-8 is empty.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the path begins with any of `starts`.
    pub(super) fn is_below(&self, starts: &[&str]) -> bool {
        starts.iter().any(|start| self.path.starts_with(start))
    }
}

const HIDDEN: &[&str] = &[".cargo", ".ci", ".github"];
const WRITTEN_BY_TOOLS: &[&str] = &["target", "corpus", "artifacts", "coverage", "proptest-regressions"];
const CACHE_MARK: &str = "CACHEDIR.TAG";

/// All files below `root`, ordered by path.
pub(super) fn read(root: &Path) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    read_directory(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_directory(directory: &Path, prefix: &str, files: &mut Vec<File>) -> Result<(), Failure> {
    let failed = |source: io::Error| Failure::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if kind.is_dir() {
            if is_ours(&entry.path(), &name) {
                read_directory(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() {
            let bytes =
                fs::read(entry.path()).map_err(|source| Failure::Read { path: entry.path(), source })?;
            files.push(File { path, text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
    Ok(())
}

fn is_ours(directory: &Path, name: &str) -> bool {
    let hidden = name.starts_with('.') && !HIDDEN.contains(&name);
    !hidden && !WRITTEN_BY_TOOLS.contains(&name) && !directory.join(CACHE_MARK).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    #[test]
    fn the_tree_has_the_sources_and_not_what_tools_write() {
        let files = read(root()).unwrap();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        assert!(has("xtask/src/tidy/tree.rs") && has(".ci/run") && has("Cargo.toml"));
        assert!(!files.iter().any(|file| file.is_below(&[".git/", "target/"])));
    }

    #[test]
    fn hidden_directories_but_our_own_are_passed_over() {
        let nowhere = Path::new("nowhere");
        assert!(is_ours(nowhere, "crates") && is_ours(nowhere, ".github"));
        assert!(!is_ours(nowhere, ".idea") && !is_ours(nowhere, "target"));
    }
}
