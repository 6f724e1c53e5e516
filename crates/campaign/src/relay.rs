//! A relay: processes that append to one store, and processes that are workers of one group over it, killed at random.
//!
//! Three producers append numbered events to streams of their own. Two workers hand out what comes, and append one
//! result for each event with the group's move, in one batch. One process writes a store at a time, so that all of them
//! take turns: each opens it, does something, and lets go, closing it or not. Meanwhile they are killed, with SIGKILL,
//! at moments that follow from the seed, and begun again. At last one worker does what is left, and the results must be
//! exactly those of a run in which nobody was killed: one for each event, in the order of its stream.
//!
//! Invariant: what must come out is computed from what the producers appended, and from nothing that the group says.

mod check;
mod crew;
mod produce;
mod work;

use std::path::PathBuf;

use annals::{Coordinate, Kind, Options, Query, QueryItem};

use crate::Flaw;

const PRODUCERS: [&str; 3] = ["north", "east", "west"];
const STREAM_COUNT: u64 = 8;
const RESULTS: &str = "results";
const GROUP: &str = "relay";

/// What a process of the relay does.
#[derive(Debug, clap::Parser)]
#[non_exhaustive]
#[command(about = "Producers and workers over one store, killed at random, and what they come to")]
pub enum Relay {
    /// Run all of them, kill them, and check what came of it
    Run(crew::Arguments),
    /// Compare the results in a store with what was produced
    Check(CheckArguments),
    /// Append numbered events, until killed
    Produce(produce::Arguments),
    /// Work as a member of the group, until killed
    Work(work::Arguments),
}

impl Relay {
    /// Does it; what came of all of them is said in a sentence.
    ///
    /// # Errors
    /// What does not hold, with what to run to see it again.
    pub fn run(&self) -> Result<String, Flaw> {
        match self {
            Self::Run(arguments) => crew::run(arguments),
            Self::Check(arguments) => {
                let store =
                    options().open_read_only(&arguments.store).map_err(failed("the store is opened"))?;
                Ok(check::check(&store)?.to_string())
            }
            Self::Produce(arguments) => produce::run(arguments).map(|()| String::new()),
            Self::Work(arguments) => work::run(arguments).map(|()| String::new()),
        }
    }
}

/// What is checked.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// The store
    #[arg(long)]
    store: PathBuf,
}

/// What a producer and a worker are told.
#[derive(Debug, clap::Args)]
struct Place {
    /// The store
    #[arg(long)]
    store: PathBuf,
    /// What its choices follow from
    #[arg(long)]
    seed: u64,
}

/// How everybody opens the store: small segments, and patience with whoever has it.
fn options() -> Options {
    Options::new().create(true).segment_bytes(1 << 20).lock_timeout(std::time::Duration::from_secs(60))
}

fn failed(what: &str) -> impl Fn(annals::Error) -> Flaw + use<'_> {
    move |error| Flaw::new(format!("{what}: {error}"))
}

fn kind() -> Kind {
    Kind::new(0x2001).expect("a kind of a category that is not reserved")
}

fn coordinate(scope: &str, entity: &str) -> Coordinate {
    Coordinate::new(entity, scope).expect("plain names")
}

/// What the producers append.
fn work_query() -> Query {
    let [first, second, third] = PRODUCERS.map(|producer| QueryItem::new().scope(producer));
    Query::of(first).or(second).or(third)
}

/// What comes of the payload `number`.
fn result(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ 0x5eed
}

fn number(payload: Option<&[u8]>) -> Result<u64, Flaw> {
    let bytes = payload.and_then(|payload| payload.try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| Flaw::new("a payload that is no number"))
}
