//! What holds for any text in the tree.

use super::{File, Violation};

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    files.iter().flat_map(check_machine_paths).collect()
}

/// A path of one developer's machine works on no other.
fn check_machine_paths(file: &File) -> Vec<Violation> {
    let found = file.text.lines().enumerate().filter(|(_, line)| names_a_machine_path(line));
    found.map(|(at, _)| Violation::new(&file.path, at + 1, "names a path of a developer's machine")).collect()
}

fn names_a_machine_path(line: &str) -> bool {
    // In two parts, so that this file does not break its own rule.
    let root = concat!("/ro", "ot/");
    let mut homes = line.match_indices(concat!("/ho", "me/"));
    line.contains(root)
        || homes.any(|(at, home)| {
            let user = line.get(at + home.len()..).and_then(|user| user.chars().next());
            user.is_some_and(|first| first.is_ascii_lowercase())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_found_in_any_text() {
        let text = concat!("first\ncd /ro", "ot/annals\ncd /ho", "me/ada\n");
        let found = check(&[File::new("docs/why.md", text)]);
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_home_of_nobody_is_no_machine_path() {
        assert!(!names_a_machine_path(concat!("$HOME, /ho", "me/$USER and /ho", "me/")));
    }
}
