//! `annals-subject`: the program that campaigns kill, fail and cut the power of, and that checks what was left.
//!
//! Invariant: a line of a transcript is one write of standard output. Exit code 0 is done or kept, 3 a typed error
//! of the store, 4 a store that another has, 1 everything else.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program speaks to a terminal")]

use std::{
    fs,
    io::{self, BufRead as _, Read as _, Write as _, stdin, stdout},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use annals_campaign::{
    Check, End, Expect, Flaw, Level, State, Subject, Voice, Workload, check, follow, read_transcript,
};
use clap::{Parser, Subcommand, ValueEnum};

/// Runs a workload on a real directory and says what it sends and what it is promised; or checks a directory
/// against what was said.
#[derive(Debug, Parser)]
#[command(name = "annals-subject")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a workload, and print its transcript
    Write(WriteArguments),
    /// Check a directory against a transcript
    Check(CheckArguments),
    /// Open for reading once for each line of standard input, and say what is seen
    Follow {
        /// The store's directory
        directory: PathBuf,
        /// The transcript of a whole run like that of the writer
        #[arg(long)]
        transcript: PathBuf,
    },
    /// Print the names of the fixed workloads
    Scripts,
}

#[derive(Debug, clap::Args)]
struct WriteArguments {
    /// The store's directory, which is made where it is not there
    directory: PathBuf,
    /// A fixed workload, by its name
    #[arg(long, default_value = "everything")]
    script: String,
    /// A random workload instead, from this seed
    #[arg(long)]
    seed: Option<u64>,
    /// How many steps the random workload has
    #[arg(long, default_value_t = 40)]
    steps: u64,
    /// How long a segment becomes; the workload's own choice if not given
    #[arg(long)]
    segment_bytes: Option<u64>,
    /// What appends leave unused of the file system; the store's default if not given
    #[arg(long)]
    headroom: Option<u64>,
    /// With the store's own thread behind the appends
    #[arg(long)]
    thread: bool,
    /// What was said of this directory before: go on from there
    #[arg(long)]
    after: Option<PathBuf>,
    /// Run this program after every promise that outlives the power, with its number as the last argument
    #[arg(long, value_name = "COMMAND")]
    after_ack: Option<String>,
    /// Wait for a line of standard input before each step
    #[arg(long)]
    stepwise: bool,
    /// Wait for the end of standard input before the store is closed
    #[arg(long)]
    hold: bool,
}

#[derive(Debug, clap::Args)]
struct CheckArguments {
    /// The store's directory
    directory: PathBuf,
    /// What the runs on this directory said, one behind the other
    #[arg(long)]
    transcript: PathBuf,
    /// Only what was said up to the promise with this number; what was sent right behind it may be there
    #[arg(long, value_name = "ACK")]
    as_far_as: Option<u64>,
    /// What was only written or queued is not promised: the power was lost
    #[arg(long)]
    power: bool,
    /// What opening for writing must come to
    #[arg(long, value_enum, default_value_t = Expected::Writes)]
    expect: Expected,
    /// Also cut the recovery short at every operation, on the simulated disk
    #[arg(long)]
    deep: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Expected {
    /// It opens, and takes more
    Writes,
    /// It is refused with a typed error; reading works
    Refuses,
    /// One or the other
    Either,
    /// It is not tried, and nothing is changed
    Reads,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Write(arguments) => write(&arguments),
        Verb::Check(arguments) => check_directory(&arguments),
        Verb::Follow { directory, transcript } => read(&transcript, Level::Kill, None)
            .and_then(|state| follow(&directory, &state, stdin().lock(), stdout()))
            .map(|()| ExitCode::SUCCESS),
        Verb::Scripts => {
            Workload::names().iter().for_each(|name| println!("{name}"));
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|flaw| {
        eprintln!("{flaw}");
        ExitCode::FAILURE
    })
}

fn read(path: &Path, level: Level, until: Option<u64>) -> Result<State, Flaw> {
    let text = fs::read_to_string(path).map_err(|error| Flaw::file(path, &error))?;
    read_transcript(&text, level, until)
}

fn write(arguments: &WriteArguments) -> Result<ExitCode, Flaw> {
    let state = match &arguments.after {
        Some(path) => read(path, Level::Kill, None)?,
        None => State::default(),
    };
    let workload = workload(arguments)?;
    let voice = Terminal {
        after_ack: arguments.after_ack.as_deref(),
        waits: arguments.stepwise,
        holds: arguments.hold,
    };
    Ok(match Subject::new(&arguments.directory, &workload, state, voice).run()? {
        End::Done => ExitCode::SUCCESS,
        End::Locked => ExitCode::from(4),
        _ => ExitCode::from(3),
    })
}

fn workload(arguments: &WriteArguments) -> Result<Workload, Flaw> {
    let mut workload = match arguments.seed {
        Some(seed) => Workload::random(seed, arguments.steps),
        None => Workload::named(&arguments.script)
            .ok_or_else(|| Flaw::new(format!("no workload `{}`", arguments.script)))?,
    };
    if let Some(bytes) = arguments.segment_bytes {
        workload = workload.segment_bytes(bytes);
    }
    if let Some(bytes) = arguments.headroom {
        workload = workload.headroom(bytes);
    }
    Ok(if arguments.thread { workload.thread() } else { workload })
}

fn check_directory(arguments: &CheckArguments) -> Result<ExitCode, Flaw> {
    let level = if arguments.power { Level::Power } else { Level::Kill };
    let state = read(&arguments.transcript, level, arguments.as_far_as)?;
    let verdict = check(&Check {
        path: &arguments.directory,
        state: &state,
        expect: match arguments.expect {
            Expected::Writes => Expect::Writes,
            Expected::Refuses => Expect::Refuses,
            Expected::Either => Expect::Either,
            Expected::Reads => Expect::Reads,
        },
        is_deep: arguments.deep,
    });
    match serde_json::to_string(&verdict) {
        Ok(json) if arguments.json => println!("{json}"),
        _ => println!("{}", verdict.words()),
    }
    Ok(if verdict.is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Standard output, and what is run after a promise.
struct Terminal<'a> {
    after_ack: Option<&'a str>,
    waits: bool,
    holds: bool,
}

impl Voice for Terminal<'_> {
    fn say(&mut self, line: &str) -> Result<(), Flaw> {
        let mut output = stdout().lock();
        let said = output.write_all(line.as_bytes()).and_then(|()| output.flush());
        said.map_err(|error| Flaw::new(format!("nobody listens: {error}")))
    }

    fn promised(&mut self, ack: u64) -> Result<(), Flaw> {
        let Some(command) = self.after_ack else { return Ok(()) };
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        let status = Command::new(program)
            .args(words)
            .arg(ack.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Flaw::new(format!("`{command} {ack}`: {status}"))),
            Err(error) => Err(Flaw::new(format!("`{command} {ack}` does not start: {error}"))),
        }
    }

    fn wait(&mut self) {
        if self.waits {
            // The end of the input lets it go on, too.
            let _: io::Result<usize> = stdin().lock().read_line(&mut String::new());
        }
    }

    fn hold(&mut self) {
        if self.holds {
            // The end of the input is all that counts, however it comes.
            let _: io::Result<usize> = stdin().lock().read_to_end(&mut Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
