//! One measurement in a process of its own: open, get one event by its id, read the beginning of one stream.
//!
//! The process is this program, called by itself with a verb that users are not told of. It prints one line of
//! JSON and ends without closing anything, so that measuring leaves everything as it was.
//!
//! Invariant: the clock runs from just before the open to the last answer's last byte. What to ask for is known
//! before; whether the answers are right is looked at afterwards.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use annals::{Options, Store};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    content::{Content, coordinate, mix, stream_name},
    failure::Failure,
    memory::Memory,
    raw::Records,
    sqlite::Database,
};

/// How many events of a stream are read at most.
const READ_COUNT: u32 = 100;

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    Annals,
    AnnalsReadOnly,
    /// Read-only, from frames alone.
    AnnalsFrames,
    Sqlite,
    Raw,
}

impl Subject {
    /// What it is called in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Annals => "annals",
            Self::AnnalsReadOnly => "annals-read-only",
            Self::AnnalsFrames => "annals-frames",
            Self::Sqlite => "sqlite",
            Self::Raw => "raw",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(value_enum)]
    subject: Subject,
    /// The store's directory, or the file
    path: PathBuf,
    #[command(flatten)]
    content: Content,
    /// Which event is asked for; its stream is the one that is read
    #[arg(long)]
    event: u64,
}

/// What a probe found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) open_ms: f64,
    pub(crate) get_ms: f64,
    pub(crate) read_ms: f64,
    pub(crate) total_ms: f64,
    pub(crate) memory: Memory,
    pub(crate) read_count: usize,
    /// What the open says that it did; of a store only.
    pub(crate) report: Option<serde_json::Value>,
}

impl Probe {
    /// Asks in a process of its own for an event that `choice` decides on.
    pub(crate) fn measure(
        subject: Subject,
        path: &Path,
        content: &Content,
        choice: u64,
    ) -> Result<Self, Failure> {
        let event = mix(choice) % content.events;
        let mut command = this_program()?;
        command.arg("probe").arg(subject.name()).arg(path).args(content.words());
        command.args(["--event", &event.to_string()]);
        spoken(&mut command)
    }
}

/// The program that runs, to be run again.
pub(crate) fn this_program() -> Result<Command, Failure> {
    std::env::current_exe().map(Command::new).map_err(Failure::io("find", "this program"))
}

/// What `command` prints as JSON.
fn spoken<T: DeserializeOwned>(command: &mut Command) -> Result<T, Failure> {
    let shown = format!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output().map_err(Failure::io("run", shown.as_str()))?;
    if !output.status.success() {
        return Err(Failure::Child { command: shown, status: output.status });
    }
    serde_json::from_slice(&output.stdout).map_err(|source| Failure::Speech { command: shown, source })
}

/// What was answered: the CRC-32 of each payload.
struct Answers {
    opened: Instant,
    got: Instant,
    get: Option<u32>,
    stream: Vec<u32>,
    report: Option<serde_json::Value>,
    memory: Memory,
    end: Instant,
}

/// Measures once, and says what was found.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let Arguments { subject, path, content, event } = arguments;
    let first_events = content.first_events(content.stream(*event), READ_COUNT as usize);
    // What the choice of events took is given back before anything is counted.
    let start = Instant::now();
    let answers = match subject {
        Subject::Annals => ask_store(Options::new().open(path), path, content, *event),
        Subject::AnnalsReadOnly => ask_store(Options::new().open_read_only(path), path, content, *event),
        Subject::AnnalsFrames => {
            let options = Options::new().use_footers(false).use_checkpoint(false);
            ask_store(options.open_read_only(path), path, content, *event)
        }
        Subject::Sqlite => ask_database(path, content, *event).map_err(Failure::sqlite(path)),
        Subject::Raw => ask_records(path, content, *event, &first_events).map_err(Failure::io("read", path)),
    }?;
    let millis = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
    check(&answers, arguments, &first_events)?;
    let probe = Probe {
        open_ms: millis(start, answers.opened),
        get_ms: millis(answers.opened, answers.got),
        read_ms: millis(answers.got, answers.end),
        total_ms: millis(start, answers.end),
        memory: answers.memory,
        read_count: answers.stream.len(),
        report: answers.report,
    };
    serde_json::to_string(&probe).map_err(|source| Failure::Json { source })
}

fn ask_store(
    opened: Result<Store, annals::Error>,
    path: &Path,
    content: &Content,
    event: u64,
) -> Result<Answers, Failure> {
    let store = opened.map_err(Failure::store(path))?;
    let opened = Instant::now();
    let payload = |event: annals::Event| event.payload().map(crc32fast::hash);
    let get = store.get(content.id(event)).map_err(Failure::store(path))?.and_then(payload);
    let got = Instant::now();
    let stream = store.stream(&coordinate(content.stream(event))?).limit(READ_COUNT.into());
    let stream = stream.filter_map(|event| event.map(payload).transpose()).collect::<Result<_, _>>();
    let stream = stream.map_err(Failure::store(path))?;
    let end = Instant::now();
    let memory = Memory::now();
    let report = serde_json::to_value(store.report()).map_err(|source| Failure::Json { source })?;
    // Not even dropped: that could write.
    std::mem::forget(store);
    Ok(Answers { opened, got, get, stream, report: Some(report), memory, end })
}

fn ask_database(path: &Path, content: &Content, event: u64) -> rusqlite::Result<Answers> {
    let database = Database::open(path)?;
    let opened = Instant::now();
    let get = database.get(content.id(event).0)?.map(|payload| crc32fast::hash(&payload));
    let got = Instant::now();
    let stream = database.stream(&stream_name(content.stream(event)), READ_COUNT)?;
    let stream = stream.iter().map(|payload| crc32fast::hash(payload)).collect();
    let end = Instant::now();
    let memory = Memory::now();
    std::mem::forget(database);
    Ok(Answers { opened, got, get, stream, report: None, memory, end })
}

fn ask_records(path: &Path, content: &Content, event: u64, first: &[u64]) -> std::io::Result<Answers> {
    let records = Records::open(path, content)?;
    let opened = Instant::now();
    let get = Some(crc32fast::hash(&records.payload(event)?));
    let got = Instant::now();
    let crc = |event: &u64| records.payload(*event).map(|payload| crc32fast::hash(&payload));
    let stream = first.iter().map(crc).collect::<Result<_, _>>()?;
    let end = Instant::now();
    Ok(Answers { opened, got, get, stream, report: None, memory: Memory::now(), end })
}

/// Makes sure that what was answered is what was asked for. After a kill a stream may have more than was generated.
fn check(answers: &Answers, arguments: &Arguments, first_events: &[u64]) -> Result<(), Failure> {
    let Arguments { path, content, event, .. } = arguments;
    let wrong = |what: String| Failure::Answer { path: path.clone(), what };
    if answers.get != Some(content.payload_crc(*event)) {
        return Err(wrong(format!("event {event} was asked for, and something else answered")));
    }
    let is_as_generated = first_events.len() <= answers.stream.len()
        && first_events.iter().zip(&answers.stream).all(|(event, crc)| content.payload_crc(*event) == *crc);
    if is_as_generated {
        Ok(())
    } else {
        Err(wrong(format!("stream {} did not read as it was generated", content.stream(*event))))
    }
}
