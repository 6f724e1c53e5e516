//! The programs that the verbs run, always from the root of the repository and never through a shell.

use std::{
    borrow::Cow,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use crate::failure::Failure;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root of the repository")
}

/// A cargo command with the words of `line`, which are split at spaces.
pub(crate) fn cargo(line: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(line.split_whitespace()).current_dir(root());
    command
}

/// Runs `command` and fails where it fails. What it prints goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|source| Failure::Start { command: shown(command), source })?;
    if status.success() { Ok(()) } else { Err(Failure::Status { command: shown(command), status }) }
}

/// Whether `command` runs and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Integration tests of one package, chosen by a part of their names.
pub(crate) struct NamedTests {
    pub(crate) package: &'static str,
    pub(crate) filter: &'static str,
    pub(crate) release: bool,
}

impl NamedTests {
    /// The command that runs them.
    pub(crate) fn command(&self) -> Command {
        let profile = if self.release { "--release" } else { "" };
        cargo(&format!("test {profile} --package {} --test it {} --", self.package, self.filter))
    }

    /// Fails where the filter matches no test: cargo calls a run of no tests a success.
    pub(crate) fn check_present(&self) -> Result<(), Failure> {
        let mut command = self.command();
        command.arg("--list").stderr(Stdio::inherit());
        let output =
            command.output().map_err(|source| Failure::Start { command: shown(&command), source })?;
        if !output.status.success() {
            return Err(Failure::Status { command: shown(&command), status: output.status });
        }
        if lists_a_test(&String::from_utf8_lossy(&output.stdout)) {
            Ok(())
        } else {
            Err(Failure::NoTests { package: self.package, filter: self.filter })
        }
    }
}

fn lists_a_test(listing: &str) -> bool {
    listing.lines().any(|line| line.ends_with(": test"))
}

/// `command` as a line to type into a shell.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), quoted(value)))
    });
    let words = [command.get_program()].into_iter().chain(command.get_args());
    variables.chain(words.map(|word| quoted(word).into_owned())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> Cow<'_, str> {
    let word = word.to_string_lossy();
    if word.contains(' ') { format!("'{word}'").into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let mut command = cargo("doc  --no-deps");
        command.env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn an_empty_listing_is_no_test() {
        assert!(lists_a_test("power_loss::every_sync: test\n\n1 test, 0 benchmarks\n"));
        assert!(!lists_a_test("\n0 tests, 0 benchmarks\n"));
    }

    #[test]
    fn a_program_that_is_not_there_fails_and_does_not_succeed() {
        let mut command = Command::new("annals-no-such-program");
        assert!(!succeeds(&mut command));
        assert!(matches!(run(&mut command), Err(Failure::Start { .. })));
    }
}
