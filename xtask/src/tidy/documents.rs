//! Links between the documents: README.md and docs/*.md.
//!
//! Inline links and reference definitions count, links in code do not. A link into the web or within the
//! page is not checked.

use std::collections::BTreeSet;

use super::{File, Violation};

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let paths = files.iter().map(|file| file.path.as_str()).collect();
    files.iter().filter(|file| is_document(&file.path)).flat_map(|file| check_links(file, &paths)).collect()
}

fn is_document(path: &str) -> bool {
    let in_docs = path.strip_prefix("docs/").is_some_and(|name| !name.contains('/'));
    path == "README.md" || (in_docs && path.ends_with(".md"))
}

fn check_links(file: &File, paths: &BTreeSet<&str>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut in_code = false;
    for (at, line) in file.text.lines().enumerate() {
        let fence = line.trim_start();
        if fence.starts_with("```") || fence.starts_with("~~~") {
            in_code = !in_code;
        } else if !in_code {
            for target in links(line).into_iter().filter(|target| is_dangling(&file.path, target, paths)) {
                violations.push(Violation::new(
                    &file.path,
                    at + 1,
                    format!("no file at the link `{target}`"),
                ));
            }
        }
    }
    violations
}

/// The targets of the links in a line, without titles.
fn links(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect();
    let inline = text.split("](").skip(1).filter_map(|after| after.split(')').next());
    let definition = text.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let targets = inline.chain(definition.map(|(_, target)| target));
    targets
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_start_matches('<').trim_end_matches('>').to_owned())
        .collect()
}

fn is_dangling(document: &str, target: &str, paths: &BTreeSet<&str>) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    if path.is_empty() || path.contains(':') || path.starts_with("//") {
        return false;
    }
    let Some(path) = resolved(document, path) else { return true };
    let directory = format!("{path}/");
    !path.is_empty()
        && !paths.contains(path.as_str())
        && !paths.iter().any(|other| other.starts_with(&directory))
}

/// `target` from the root of the repository; `None` where it leads out of it. One that begins with `/` is
/// already from the root, as code hosts take it.
fn resolved(document: &str, target: &str) -> Option<String> {
    let (folder, target) = match target.strip_prefix('/') {
        Some(target) => ("", target),
        None => (document.rsplit_once('/').map_or("", |(folder, _)| folder), target),
    };
    let mut parts = Vec::new();
    for part in folder.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dangling(path: &str, text: &str) -> Vec<String> {
        let files =
            [File::new(path, text), File::new("docs/format.md", ""), File::new("crates/wire/src/lib.rs", "")];
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_to_no_file_is_found() {
        let found =
            dangling("docs/why.md", "good [format](format.md#frame)\nbad [map](map.md), [up](../../x)\n");
        let expected =
            ["docs/why.md:2: no file at the link `map.md`", "docs/why.md:2: no file at the link `../../x`"];
        assert_eq!(found, expected);
        assert_eq!(dangling("README.md", "[licence]: LICENSE-MIT\n").len(), 1);
        assert_eq!(dangling("README.md", "[licence]: <LICENSE-MIT> 'title'\n").len(), 1);
    }

    #[test]
    fn links_to_files_folders_the_web_and_the_page_are_good() {
        let text =
            "[a](docs/format.md) [b](crates/wire) [c](https://x.org/y) [d](#e) [f](./docs/) [g](/docs)";
        assert_eq!(dangling("README.md", text), [""; 0]);
        assert_eq!(dangling("docs/why.md", "[a](../crates/wire/src/lib.rs \"title\") [b](..)"), [""; 0]);
    }

    #[test]
    fn what_looks_like_a_link_in_code_is_none() {
        assert_eq!(dangling("README.md", "`a[0](x)`\n```\n[a](x.md)\n```\n"), [""; 0]);
        assert_eq!(dangling("README.md", "```\n```\n[a](x.md)\n").len(), 1);
    }

    #[test]
    fn other_files_are_no_documents() {
        assert_eq!(dangling("docs/notes/old.md", "[a](x.md)"), [""; 0]);
        assert_eq!(dangling("docs/table.csv", "[a](x.md)"), [""; 0]);
    }
}
