//! `fuzz`: cargo-fuzz on the targets of the workspace in fuzz/.
//!
//! The targets are the `[[bin]]` tables of fuzz/Cargo.toml; adding one there is all it takes.

use std::{fs, process::Command};

use toml::de::{DeTable, DeValue};

use crate::{
    command::{self, cargo, root, succeeds},
    failure::Failure,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The target; all of them, one after another, where none is named
    target: Option<String>,
    /// How long to fuzz each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Fuzzes the targets and stops at the first in which something is found.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let targets = chosen(read_targets()?, arguments.target.as_deref())?;
    if !succeeds(&mut cargo("fuzz --version")) {
        return Err(Failure::NoCargoFuzz);
    }
    for target in targets {
        eprintln!("fuzz: {target} for {} s", arguments.seconds);
        let found = root().join(FOUND).join(&target);
        fs::create_dir_all(&found).map_err(|source| Failure::Read { path: found, source })?;
        command::run(&mut fuzzer(&target, arguments.seconds))?;
    }
    Ok(())
}

/// Where inputs that reach something new are kept; what stands in fuzz/corpus is only read.
const FOUND: &str = "fuzz/target/corpus";

/// Room for several frames, and for a footer of more than one block.
const INPUT_LEN_MAX: usize = 64 * 1024;

/// The targets that take a list of words (fuzz/src/word.rs) and let a whole store live. They run on what is safe
/// Rust alone, several times as fast without a sanitiser, and take as many words as they say.
const OF_A_STORE: [&str; 2] = ["open_dir", "ops"];

/// 41 words of eight bytes.
const WORDS_LEN_MAX: usize = 328;

/// One input that takes longer than this is a finding, and one allocation or a process larger than these.
const SECONDS_MAX: u64 = 20;
const ALLOCATION_MIB_MAX: u64 = 32;
const MEMORY_MIB_MAX: u64 = 1024;

/// The nightly compiler where there is one, else the usual one, told to take unstable flags.
fn fuzzer(target: &str, seconds: u64) -> Command {
    let (sanitizer, len_max) =
        if OF_A_STORE.contains(&target) { ("none", WORDS_LEN_MAX) } else { ("address", INPUT_LEN_MAX) };
    let limits = format!(
        "-max_total_time={seconds} -max_len={len_max} -timeout={SECONDS_MAX} \
         -malloc_limit_mb={ALLOCATION_MIB_MAX} -rss_limit_mb={MEMORY_MIB_MAX} -print_final_stats=1"
    );
    // A list of words is short as it is, and only long ones tell much.
    let growth = if len_max == WORDS_LEN_MAX { "-len_control=0" } else { "" };
    let folders = format!("{FOUND}/{target} fuzz/corpus/{target}");
    let line = format!("fuzz run --sanitizer {sanitizer} {target} {folders} -- {limits} {growth}");
    if succeeds(&mut cargo("+nightly --version")) {
        cargo(&format!("+nightly {line}"))
    } else {
        let mut command = cargo(&line);
        command.env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

fn chosen(targets: Vec<String>, name: Option<&str>) -> Result<Vec<String>, Failure> {
    match name {
        None => Ok(targets),
        Some(name) if targets.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(Failure::NoTarget { name: name.to_owned(), targets }),
    }
}

fn read_targets() -> Result<Vec<String>, Failure> {
    let path = root().join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|source| Failure::Read { path: path.clone(), source })?;
    targets(&text).map_err(|source| Failure::Manifest { path, source: Box::new(source) })
}

/// The names of the binaries of a manifest, in its order.
fn targets(manifest: &str) -> Result<Vec<String>, toml::de::Error> {
    let manifest = DeTable::parse(manifest)?;
    let binaries = manifest.get_ref().get("bin").and_then(|bin| bin.get_ref().as_array());
    let name = |binary: &DeValue<'_>| Some(binary.as_table()?.get("name")?.get_ref().as_str()?.to_owned());
    Ok(binaries.into_iter().flatten().filter_map(|binary| name(binary.get_ref())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_binaries_of_the_manifest() {
        let manifest = "[package]\nname = 'x'\n[[bin]]\nname = 'frame'\n[[bin]]\nname = 'footer'\n";
        assert_eq!(targets(manifest).unwrap(), ["frame", "footer"]);
        assert!(targets("[[bin").is_err());
    }

    #[test]
    fn every_target_of_this_repository_has_its_file_and_every_file_is_a_target() {
        let mut files: Vec<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let mut targets = read_targets().unwrap();
        files.sort();
        targets.sort();
        assert_eq!(targets, files);
    }

    #[test]
    fn what_is_said_of_single_targets_is_of_targets_that_there_are() {
        let targets = read_targets().unwrap();
        assert!(OF_A_STORE.iter().all(|name| targets.iter().any(|target| target == name)));
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_names_that_there_are() {
        let targets = || vec!["frame".to_owned(), "footer".to_owned()];
        assert_eq!(chosen(targets(), None).unwrap(), targets());
        assert_eq!(chosen(targets(), Some("footer")).unwrap(), ["footer"]);
        let failure = chosen(targets(), Some("heap")).unwrap_err().to_string();
        assert_eq!(failure, "no fuzz target `heap`; there are: frame, footer");
    }
}
