//! `format`: whether docs/format.md still shows the bytes that the code writes.
//!
//! The comparison is the test `golden` of the wire crate, which decodes the document's examples and encodes
//! them again.

use crate::{
    command::{self, NamedTests},
    failure::Failure,
};

const GOLDEN: NamedTests = NamedTests { package: "annals-wire", filter: "golden", release: false };

/// Runs the golden tests.
pub(crate) fn run() -> Result<(), Failure> {
    GOLDEN.check_present()?;
    command::run(&mut GOLDEN.command())
}
