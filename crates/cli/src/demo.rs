//! `demo`: a tour of the program on real history, with what a user would type and what it answers.
//!
//! Invariant: every step is a command as the command line parses it; nothing is shown that it did not print.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use annals::{Error, Store, report::StreamInfo};
use clap::{Args, Parser};
use indicatif::HumanCount;
use serde_json::Value;

use crate::{
    args,
    failure::Failure,
    output::{Console, printable},
};

/// How many columns are shown.
const WIDTH: u16 = 116;

/// Show what the program does: import a file into a temporary store, read it, verify it
///
/// The store is removed at the end, unless --keep is given.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// CloudEvents in JSON, one per line
    #[arg(default_value = "examples/redb-history.ndjson")]
    file: PathBuf,

    /// Leave the store where it is
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) fn run(self, console: &mut Console<'_>) -> Result<(), Failure> {
        let input = fs::read_to_string(&self.file).map_err(|source| Failure::File {
            operation: "read",
            path: self.file.clone(),
            source,
        })?;
        let directory = make_directory()?;
        let tour = Tour { file: &self.file, store: directory.join("store"), console };
        let toured = tour.run(&input);
        if self.keep {
            console.line(format_args!("the store is kept in {}", directory.join("store").display()))?;
        } else {
            let removed = fs::remove_dir_all(&directory);
            removed.map_err(|source| Failure::File {
                operation: "remove",
                path: directory.clone(),
                source,
            })?;
            if toured.is_ok() {
                console.line(format_args!("{} is removed again; --keep leaves it", directory.display()))?;
            }
        }
        toured
    }
}

/// A new directory of a name that is not taken.
fn make_directory() -> Result<PathBuf, Failure> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let path = env::temp_dir().join(format!("annals-demo-{}-{nanos}", std::process::id()));
    let made = fs::create_dir_all(env::temp_dir()).and_then(|()| fs::create_dir(&path));
    made.map_err(|source| Failure::File { operation: "make", path: path.clone(), source })?;
    Ok(path)
}

/// A tour of one file.
struct Tour<'a, 'c> {
    file: &'a Path,
    store: PathBuf,
    console: &'a mut Console<'c>,
}

impl Tour<'_, '_> {
    fn run(mut self, input: &str) -> Result<(), Failure> {
        let path = self.file.display().to_string();
        let store = self.store.display().to_string();
        self.console.line(format_args!("$ export ANNALS_STORE={store}\n"))?;

        self.say("Import: lines of one batch are one atomic append, and durable before they count.")?;
        self.step(&["import", &path], 3)?;
        self.say("Once more: what is there already is passed over.")?;
        self.step(&["import", &path], 3)?;
        self.say("What there is now:")?;
        self.step(&["stat"], 20)?;
        let stream = self.longest_stream()?;
        self.step(&["streams", "--scope", &stream.scope], 9)?;
        self.say("The newest events of the longest stream, and one of them in full:")?;
        let named = ["--scope", &stream.scope, "--entity", &stream.entity];
        self.step(&[&["read"], &named[..], &["--backwards", "--limit", "3"]].concat(), 9)?;
        let last = self.last_id(&stream)?;
        self.step(&["get", &last], 40)?;
        self.say("Everything out again, in the order in which it came:")?;
        let export = self.step(&["export"], 2)?;
        self.compare(input, &export)?;
        self.say("Every checksum, hash and chain:")?;
        self.step(&["verify"], 20)?;
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.console.line(format_args!("# {text}"))
    }

    /// Runs a command and shows it, what it printed up to `count` lines, and how long it took. Returns all that it
    /// printed.
    fn step(&mut self, words: &[&str], count: usize) -> Result<String, Failure> {
        let typed: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        self.console.line(format_args!("$ annals {}", typed.join(" ")))?;
        self.console.flush()?;
        let words = [&["annals"], words].concat();
        let args = args::Args::try_parse_from(words).map_err(|error| Failure::Refused(error.to_string()))?;
        let args = args::Args { store: Some(self.store.clone()), ..args };
        let (mut results, mut said) = (Vec::new(), Vec::new());
        let started = Instant::now();
        let outcome = crate::run(args, &mut Console::captured(&mut results, &mut said, false, WIDTH));
        let took = started.elapsed();
        let results = String::from_utf8_lossy(&results).into_owned();
        self.show(&results, count)?;
        self.show(&String::from_utf8_lossy(&said), count)?;
        outcome?;
        let micros = took.as_micros();
        self.console.line(format_args!("  ({}.{} ms)\n", micros / 1000, micros % 1000 / 100))?;
        Ok(results)
    }

    fn show(&mut self, text: &str, count: usize) -> Result<(), Failure> {
        for line in text.lines().take(count) {
            self.console.line(format_args!("  {}", printable(line, usize::from(WIDTH))))?;
        }
        match text.lines().count().saturating_sub(count) {
            0 => Ok(()),
            more => self.console.line(format_args!("  … and {} more lines", HumanCount(more as u64))),
        }
    }

    fn longest_stream(&self) -> Result<StreamInfo, Failure> {
        let streams = Store::open_read_only(&self.store)?.streams()?;
        let longest = streams.into_iter().max_by_key(|stream| stream.count);
        longest.ok_or_else(|| Failure::Refused(format!("{} has no events", self.file.display())))
    }

    fn last_id(&self, stream: &StreamInfo) -> Result<String, Failure> {
        let store = Store::open_read_only(&self.store)?;
        let coordinate = annals::Coordinate::new(&stream.entity, &stream.scope).map_err(Error::from)?;
        let last = store.stream(&coordinate).backwards().limit(1).next().transpose()?;
        Ok(last.map_or_else(String::new, |event| event.id().to_string()))
    }

    /// Compares the lines that went in with those that came out, as JSON.
    fn compare(&mut self, input: &str, output: &str) -> Result<(), Failure> {
        let lines = |text| -> Result<Vec<Value>, Failure> {
            let lines = str::lines(text).filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
            lines.collect::<Result<_, _>>().map_err(|error| Failure::Refused(error.to_string()))
        };
        let (input, output) = (lines(input)?, lines(output)?);
        if input != output {
            return Err(Failure::Refused("what came out is not what went in".to_owned()));
        }
        let count = HumanCount(output.len() as u64);
        self.console
            .line(format_args!("# Each of the {count} lines equals, as JSON, the one that went in.\n"))
    }
}

/// A word as one types it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_./:@=+,".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
