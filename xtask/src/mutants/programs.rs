//! What is run against a site: the crash campaign and the test programs of the libraries, built once.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{command::shown, failure::Failure};

/// The libraries whose tests are run, the quickest first.
const LIBRARIES: &[&str] = &["annals-segment", "annals-checkpoint", "annals"];

/// The campaign's package, and where it is.
const CAMPAIGN: &str = "annals-campaign";
const CAMPAIGN_MANIFEST: &str = "crates/campaign/Cargo.toml";

/// A program that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// The package and what of it, for messages.
    pub(super) name: String,
    pub(super) executable: PathBuf,
    /// Where it is run: its package.
    pub(super) directory: PathBuf,
    pub(super) is_campaign: bool,
}

/// Builds all programs of the copy in `tree`.
pub(super) fn build(tree: &Path, target: &Path) -> Result<Vec<Program>, Failure> {
    let packages =
        |names: &[&str]| names.iter().flat_map(|name| ["--package", name].map(str::to_owned)).collect();
    let mut programs = Vec::new();
    if tree.join(CAMPAIGN_MANIFEST).exists() {
        let campaign: Vec<_> = packages(&[CAMPAIGN]);
        programs.extend(built(tree, target, &["build", "--bin", CAMPAIGN], &campaign)?);
    }
    let libraries: Vec<_> = packages(LIBRARIES);
    programs.extend(built(tree, target, &["test", "--no-run", "--lib", "--tests"], &libraries)?);
    if programs.is_empty() {
        return Err(Failure::NoProgram { command: "cargo test --no-run".to_owned() });
    }
    Ok(programs)
}

fn built(tree: &Path, target: &Path, verb: &[&str], packages: &[String]) -> Result<Vec<Program>, Failure> {
    let mut command = Command::new("cargo");
    command.args(verb).args(packages).arg("--target-dir").arg(target);
    // The copy is not the product: what the instrumentation looks like is nobody's concern.
    // Built once and run some hundred times.
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "3").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.arg("--message-format=json-render-diagnostics").env("RUSTFLAGS", "--cap-lints=allow");
    command.current_dir(tree).stderr(Stdio::inherit());
    let output = command.output().map_err(|source| Failure::Start { command: shown(&command), source })?;
    if !output.status.success() {
        return Err(Failure::Status { command: shown(&command), status: output.status });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs: Vec<_> = messages.lines().filter_map(program).collect();
    programs.sort_by_key(|program| {
        LIBRARIES.iter().position(|library| program.name.split(' ').next() == Some(library))
    });
    Ok(programs)
}

/// The program that a message of cargo says it built.
fn program(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    let executable = PathBuf::from(message.get("executable")?.as_str()?);
    let directory = Path::new(message.get("manifest_path")?.as_str()?).parent()?.to_owned();
    let package = message.get("package_id")?.as_str()?;
    let package = package.rsplit('#').next()?.split('@').next()?;
    let target = message.get("target")?;
    let kind = target.get("kind")?.get(0)?.as_str()?;
    let name = match kind {
        "lib" => format!("{package} unit tests"),
        _ => format!("{package} {}", target.get("name")?.as_str()?),
    };
    Some(Program { name, executable, directory, is_campaign: kind == "bin" && package == CAMPAIGN })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_for_their_package_and_target() {
        let message = r#"{"reason":"compiler-artifact","package_id":"path+file:///t/crates/segment#annals-segment@0.1.0",
            "manifest_path":"/t/crates/segment/Cargo.toml","target":{"kind":["test"],"name":"it"},
            "executable":"/t/debug/deps/it-1"}"#;
        let found = program(message).unwrap();
        assert_eq!((found.name.as_str(), found.is_campaign), ("annals-segment it", false));
        assert_eq!(found.directory, Path::new("/t/crates/segment"));
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
