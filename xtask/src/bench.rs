//! `bench`: the benchmarks, which measure what no test may.
//!
//! What they print is of the machine that they ran on; what they compare within one run is not.

use crate::{
    command::{self, cargo},
    failure::Failure,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The benchmark; all of them, one after another, where none is named
    name: Option<String>,
    /// Only measurements whose name contains this
    #[arg(long)]
    filter: Option<String>,
}

/// The benchmarks: the package, and the name that its manifest gives them.
const BENCHMARKS: [(&str, &str); 1] = [("annals", "torn_tail")];

/// Runs the benchmarks up to the first that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    for (package, name) in chosen(arguments.name.as_deref())? {
        let mut command = cargo(&format!("bench --package {package} --bench {name}"));
        if let Some(filter) = &arguments.filter {
            command.args(["--", filter]);
        }
        command::run(&mut command)?;
    }
    Ok(())
}

fn chosen(name: Option<&str>) -> Result<Vec<(&'static str, &'static str)>, Failure> {
    let chosen: Vec<_> =
        BENCHMARKS.into_iter().filter(|(_, found)| name.is_none_or(|name| name == *found)).collect();
    match name {
        Some(name) if chosen.is_empty() => Err(Failure::NoBenchmark {
            name: name.to_owned(),
            benchmarks: BENCHMARKS.map(|(_, found)| found).to_vec(),
        }),
        _ => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::command::root;

    #[test]
    fn every_benchmark_has_its_file_and_every_file_is_run() {
        let mut files: Vec<String> = fs::read_dir(root().join("crates"))
            .unwrap()
            .filter_map(|package| fs::read_dir(package.unwrap().path().join("benches")).ok())
            .flatten()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names = BENCHMARKS.map(|(_, name)| name);
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_names_that_there_are() {
        assert_eq!(chosen(None).unwrap(), BENCHMARKS);
        let failure = chosen(Some("heap")).unwrap_err().to_string();
        assert_eq!(failure, "no benchmark `heap`; there are: torn_tail");
    }
}
