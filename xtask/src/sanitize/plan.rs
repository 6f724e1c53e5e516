//! What runs under which tool.

/// A tool that watches a program run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Tool {
    /// Undefined behaviour, data races and weak memory, interpreted
    Miri,
    /// Memory that is used wrongly, and leaks
    Address,
    /// Data races of real threads
    Thread,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Miri => "miri",
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    /// How many cases a property gets.
    pub(super) fn cases(self) -> u32 {
        match self {
            Self::Miri => 2,
            Self::Address | Self::Thread => 64,
        }
    }

    pub(super) fn how_to_get(self) -> &'static str {
        match self {
            Self::Miri => "rustup component add miri rust-src --toolchain nightly",
            Self::Address => "rustup toolchain install nightly --profile minimal",
            Self::Thread => "rustup component add rust-src --toolchain nightly",
        }
    }
}

/// Tests of one package under one tool.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: &'static str,
    pub(super) tool: Tool,
    pub(super) package: &'static str,
    /// `--lib` or `--test it`.
    pub(super) target: &'static str,
    /// Parts of the names of the tests that run; all where there is none.
    pub(super) chosen: &'static [&'static str],
}

impl Run {
    const fn of(tool: Tool, name: &'static str, package: &'static str, target: &'static str) -> Self {
        Self { name, tool, package, target, chosen: &[] }
    }

    const fn only(self, chosen: &'static [&'static str]) -> Self {
        Self { chosen, ..self }
    }
}

const LIB: &str = "--lib";
const IT: &str = "--test it";

/// All runs, tool by tool.
///
/// Miri takes half a minute for what the machine does in a hundredth of a second: it gets what decodes, what looks
/// things up, and scripts of operations, and not what tries every cut and bit.
pub(super) const RUNS: [Run; 9] = [
    Run::of(Tool::Miri, "wire: units", "annals-wire", LIB),
    Run::of(Tool::Miri, "wire: bit flips, hashes", "annals-wire", IT).only(&["bit_flips::", "event_hash::"]),
    Run::of(Tool::Miri, "index: units", "annals-index", LIB),
    Run::of(Tool::Miri, "store: scripts and races", "annals", IT).only(&["appending::", "races::"]),
    Run::of(Tool::Address, "segment: units, disks and maps", "annals-segment", LIB),
    Run::of(Tool::Address, "segment: logs", "annals-segment", IT),
    Run::of(Tool::Address, "program", "annals-cli", IT),
    Run::of(Tool::Thread, "segment: logs, followers", "annals-segment", IT),
    Run::of(Tool::Thread, "store: groups, panics, readers", "annals", IT).only(&[
        "groups::",
        "races::",
        "panics::",
        "letting_go::",
        "faults::",
        "recoveries::",
        "reading::",
    ]),
];
