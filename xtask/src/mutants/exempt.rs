//! What is not switched off, each with its reason.
//!
//! Invariant: as few as possible, one row for one place, never a file. A row that fits nothing is a violation.

use super::{find::Fixed, site::Site};

/// A place: the file, the function and the beginning of the code.
pub(crate) struct Exemption {
    pub(crate) path: &'static str,
    pub(crate) function: &'static str,
    pub(crate) code: &'static str,
    pub(crate) why: &'static str,
}

/// All of them.
pub(crate) const EXEMPTIONS: &[Exemption] = &[
    Exemption {
        path: "crates/checkpoint/src/fold.rs",
        function: "found",
        code: "mismatch(\"a control record\"",
        why: "reached by no bytes: a control record that is none of those that are known does not decode",
    },
    Exemption {
        path: "crates/checkpoint/src/lazy.rs",
        function: "not_there",
        code: "annals_wire::Error::Invalid",
        why: "what comes next needs the tables, and there are none",
    },
    Exemption {
        path: "crates/checkpoint/src/run.rs",
        function: "unreadable",
        code: "annals_wire::Error::Invalid",
        why: "what comes next needs the page, and it was not read",
    },
    Exemption {
        path: "crates/segment/src/layout.rs",
        function: "file",
        code: "Error::MissingSegment",
        why: "what comes next needs the segment's header, and there is none",
    },
    Exemption {
        path: "crates/segment/src/manifest.rs",
        function: "find",
        code: "Error::ManifestLost",
        why: "what comes next needs a whole slot, and there is none",
    },
    Exemption {
        path: "crates/store/src/verify/segments.rs",
        function: "newest",
        code: "frontier.segment == header.id",
        why: "always so: the frontier is read before the directory, and a segment that it names is in the manifest",
    },
    Exemption {
        path: "crates/store/src/runs.rs",
        function: "unusable",
        code: "annals_wire::Error::Invalid",
        why: "says what another check found",
    },
    Exemption {
        path: "crates/store/src/seal.rs",
        function: "unsound",
        code: "annals_wire::Error::Invalid",
        why: "what comes next needs the footer that was read back",
    },
];

impl Exemption {
    fn covers(&self, path: &str, function: &str, code: &str) -> bool {
        self.path == path && self.function == function && code.starts_with(self.code)
    }

    pub(crate) fn covers_site(&self, site: &Site) -> bool {
        self.covers(&site.path, &site.function, &site.code)
    }

    pub(crate) fn covers_fixed(&self, fixed: &Fixed) -> bool {
        self.covers(&fixed.path, &fixed.function, &fixed.code)
    }
}
