//! `tidy`: the rules of this repository that no compiler holds.
//!
//! The tables below are the rules; `tree` reads the files, and each module checks one sort of them: the
//! manifests' arrows between layers, the sources, the documents, the table of faults, and any text. A check is
//! a function from files to violations and touches nothing, so that each has a test in which it must fail.
//!
//! Invariant: one run prints all violations. A new entry in a table is argued for in docs/architecture.md.

mod documents;
mod faults;
mod manifests;
mod mutants;
mod paths;
mod sources;
mod texts;
mod tokens;
mod tree;

use std::fmt;

use self::tree::File;
use crate::{command::root, failure::Failure};

/// What a crate may depend on: `layers` for any purpose, tests included; `external` for what it ships.
struct Layer {
    package: &'static str,
    layers: &'static [&'static str],
    external: &'static [&'static str],
}

/// The layers in order. What is not in a row is an arrow that the design does not have.
const LAYERS: &[Layer] = &[
    Layer {
        package: "annals-wire",
        layers: &[],
        external: &["blake3", "crc32fast", "rmp-serde", "serde", "siphasher", "thiserror"],
    },
    Layer {
        package: "annals-segment",
        layers: &["annals-wire"],
        external: &[
            "arc-swap",
            "blake3",
            "crc32fast",
            "fs4",
            "getrandom",
            "memmap2",
            "rmp-serde",
            "libc",
            "serde",
            "thiserror",
            "tracing",
        ],
    },
    Layer { package: "annals-index", layers: &["annals-wire"], external: &["hashbrown", "thiserror"] },
    Layer {
        package: "annals-checkpoint",
        layers: &["annals-wire", "annals-segment", "annals-index"],
        external: &["rayon", "rmp-serde", "serde", "thiserror", "tracing"],
    },
    Layer { package: "annals-derive", layers: &[], external: &["proc-macro2", "quote", "syn"] },
    Layer {
        package: "annals",
        layers: &["annals-wire", "annals-segment", "annals-index", "annals-checkpoint", "annals-derive"],
        external: &[
            "blake3",
            "getrandom",
            "metrics",
            "rayon",
            "rmp-serde",
            "serde",
            "shuttle",
            "thiserror",
            "tracing",
            "uuid",
        ],
    },
    Layer {
        package: "annals-cli",
        layers: &["annals"],
        external: &["clap", "comfy-table", "indicatif", "jiff", "serde", "serde_json", "uuid"],
    },
    Layer {
        package: "annals-campaign",
        layers: &["annals-segment", "annals"],
        external: &["clap", "comfy-table", "indicatif", "serde", "serde_json"],
    },
    Layer {
        package: "annals-bench",
        layers: &["annals-segment", "annals"],
        external: &[
            "clap",
            "comfy-table",
            "crc32fast",
            "indicatif",
            "rusqlite",
            "rustix",
            "serde",
            "serde_json",
            "stats_alloc",
            "tempfile",
            "thiserror",
        ],
    },
];

/// Packages that may depend on anything, because nothing that is shipped depends on them.
const UNLAYERED: &[&str] = &["xtask", "annals-fuzz"];

/// Code that only computes: no file, no thread, no clock. Each entry is the beginning of a path.
const PURE: &[&str] = &[
    "crates/wire/src/",
    "crates/index/src/",
    "crates/checkpoint/src/plan",
    "crates/store/src/workers/dispatch",
    "crates/store/src/workers/ledger",
];

/// What pure code never names. `Name::` is the name with something behind it.
const IMPURE: &[&str] = &["std::fs", "std::thread", "std::time", "File::", "Instant", "SystemTime"];

/// The libraries, in which only `FILE_SYSTEM` may name `std::fs`.
const LIBRARIES: &[&str] = &[
    "crates/wire/src/",
    "crates/segment/src/",
    "crates/index/src/",
    "crates/checkpoint/src/",
    "crates/store/src/",
];

/// Where the file system is called. The map is here because a map is made of an `std::fs::File`.
const FILE_SYSTEM: &[&str] =
    &["crates/segment/src/directory/", "crates/segment/src/platform.rs", "crates/segment/src/map.rs"];

/// The crate that `cargo xtask schedules` runs under a scheduler, and where alone it names the primitives of threads.
const SCHEDULED: &[&str] = &["crates/store/src/"];
const PRIMITIVES: &[&str] = &["crates/store/src/sync.rs", "crates/store/src/sync/"];

/// The one file with `unsafe`, and the root of its crate, which can therefore not forbid it.
const UNSAFE: &str = "crates/segment/src/map.rs";
const UNSAFE_ROOT: &str = "crates/segment/src/lib.rs";

/// File names that say nothing of what is inside.
const NAMELESS: &[&str] = &["mod.rs", "util.rs", "common.rs", "helpers.rs", "types.rs"];

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl Violation {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what } = self;
        write!(f, "{path}:{line}: {what}")
    }
}

/// Checks the tree.
pub(crate) fn run() -> Result<(), Failure> {
    let files = tree::read(root())?;
    let violations = check(&files);
    if violations.is_empty() {
        eprintln!("tidy: {} files", files.len());
        Ok(())
    } else {
        Err(Failure::Untidy(violations))
    }
}

fn check(files: &[File]) -> Vec<Violation> {
    let checks =
        [manifests::check, sources::check, mutants::check, documents::check, faults::check, texts::check];
    let mut violations: Vec<_> = checks.iter().flat_map(|check| check(files)).collect();
    violations.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        run().unwrap_or_else(|failure| panic!("\n{failure}\n"));
    }

    #[test]
    fn every_check_reports_and_the_reports_are_in_order() {
        let files = [
            File::new("crates/wire/src/util.rs", "//! Bytes.\n"),
            File::new("crates/wire/Cargo.toml", "[package]\nname = 'annals-wire'\n"),
            File::new("README.md", "[map](docs/map.md)\n"),
            File::new("notes", concat!("/ro", "ot/notes\n")),
        ];
        let found: Vec<_> = check(&files).into_iter().map(|violation| violation.path).collect();
        let expected = ["README.md", "crates/wire/Cargo.toml", "crates/wire/src/util.rs", "notes"];
        assert_eq!(found.iter().filter(|path| expected.contains(&path.as_str())).count(), 4);
        assert!(found.is_sorted());
    }
}
