//! A process that appends as fast as it can until it is killed.
//!
//! Like `probe`, it is this program, called by itself. It says when the first append was acknowledged, so that it
//! is killed at full speed and not while it opens.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use annals::{Durability, Kind, Options, Store};

use crate::{
    content::Content,
    failure::Failure,
    generate::{Level, Unfilled, append, kinds},
    probe::this_program,
};

/// How many threads append, and how many events each at once.
const DURABLE: (u64, u64) = (16, 1);
const WRITTEN: (u64, u64) = (1, 100);

/// After this it ends by itself: whoever should have killed it is gone.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What the process says when it is at work.
const READY: &str = "ready";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The store's directory
    path: PathBuf,
    #[command(flatten)]
    content: Content,
    /// How durable an event is when its append returns
    #[arg(long, value_enum)]
    durability: Level,
}

/// Lets a process append to the store in `path` for `time`, then ends it with SIGKILL.
pub(crate) fn append_and_kill(
    path: &Path,
    content: &Content,
    level: Level,
    time: Duration,
) -> Result<(), Failure> {
    let mut command = this_program()?;
    let durability = if level == Level::Durable { "durable" } else { "written" };
    // Other events than those that are there: other ids, in the same streams.
    let content = Content { seed: !content.seed, ..*content };
    command.arg("append").arg(path).args(content.words()).args(["--durability", durability]);
    let shown = format!("{command:?}");
    let failed = |what| Failure::io(what, shown.as_str());
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed("start"))?;
    let mut line = String::new();
    let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    read.transpose().map_err(failed("listen to"))?;
    if line.trim() == READY {
        // How long it appends before it is killed is what is tried, and nothing is waited for.
        thread::sleep(time);
        child.kill().map_err(failed("kill"))?;
    }
    let status = child.wait().map_err(failed("wait for"))?;
    // Who ended before was not killed at full speed.
    if status.code().is_none() || cfg!(windows) {
        Ok(())
    } else {
        Err(Failure::Child { command: shown, status })
    }
}

/// Appends until this process is killed.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let path = &arguments.path;
    let store = Options::new().open(path).map_err(Failure::store(path))?;
    let kinds = kinds(&store).map_err(Failure::store(path))?;
    let (threads, batch) = if arguments.durability == Level::Durable { DURABLE } else { WRITTEN };
    let appender = Appender {
        store: &store,
        kinds: &kinds,
        // As many as there can be: it is killed long before.
        content: Content { events: NonZeroU64::MAX, ..arguments.content },
        level: arguments.durability.into(),
        batch,
        threads,
    };
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (appender, failed) = (&appender, &failed);
            scope.spawn(move || {
                if let Err(unfilled) = appender.append(thread) {
                    failed.lock().map(|mut failed| failed.replace(unfilled)).ok();
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(unfilled)) => Err(unfilled.at(path)),
        _ => Ok(String::new()),
    }
}

struct Appender<'a> {
    store: &'a Store,
    kinds: &'a [Kind],
    content: Content,
    level: Durability,
    batch: u64,
    threads: u64,
}

impl Appender<'_> {
    /// Appends the batches of one thread.
    fn append(&self, thread: u64) -> Result<(), Unfilled> {
        let start = Instant::now();
        let mut batch = thread;
        while start.elapsed() < TIME_MAX {
            let first = batch * self.batch;
            let made = (first..first + self.batch).map(|event| self.content.event(event, self.kinds));
            append(self.store, &made.collect::<Result<Vec<_>, _>>()?, self.level)?;
            if batch == 0 {
                let mut stdout = io::stdout().lock();
                let said = writeln!(stdout, "{READY}").and_then(|()| stdout.flush());
                said.map_err(|source| Failure::Io {
                    what: "write to",
                    path: "standard output".into(),
                    source,
                })?;
            }
            batch += self.threads;
        }
        Ok(())
    }
}
