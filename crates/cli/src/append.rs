//! `append`: one event from the command line.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use annals::{Coordinate, Error, EventId, Expected, Lane, NewEvent, Options, Receipt, Revision, Store, Tag};
use clap::Args;
use serde_json::json;

use crate::{args::Durability, failure::Failure, opening, output::Console, time};

const EXAMPLES: &str = "\
Examples:
  annals append --scope shop/eu --entity order:42 --kind order.placed \\
      --data '{\"chairs\":2}' --expect none
  annals append --scope shop/eu --entity order:42 --kind order.paid \\
      --data @receipt.json --expect 1
  date | annals append --scope notes --entity log --kind note --data -";

/// Append one event, and print its receipt
///
/// Makes the store where there is none.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Append {
    /// The scope
    #[arg(long)]
    scope: String,

    /// The entity
    #[arg(long)]
    entity: String,

    /// The name of the event's kind, which is bound to a number on first use
    #[arg(long, value_name = "NAME")]
    kind: String,

    /// The payload: a text, @FILE, or - for standard input; empty where it is not given
    #[arg(
        long,
        value_name = "TEXT|@FILE|-",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    data: String,

    /// The event's id, a UUID; with the same id and content again, nothing is appended
    #[arg(long, value_name = "UUID")]
    id: Option<EventId>,

    /// The conversation that it belongs to
    #[arg(long, value_name = "UUID")]
    correlation: Option<EventId>,

    /// The event that caused it
    #[arg(long, value_name = "UUID")]
    causation: Option<EventId>,

    /// A tag to find it by; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Bytes to carry beside the payload, under a namespaced key such as shop/terminal; may be given several times
    #[arg(long = "extension", value_name = "KEY=VALUE", value_parser = parse_extension)]
    extensions: Vec<(String, String)>,

    /// The lane of the entity to append to; 0 is the trunk, and with --fork a lane that is new
    #[arg(long, value_name = "N")]
    lane: Option<u32>,

    /// The event that the lane forks from: this one is its first. Without --lane the next free lane
    #[arg(long, value_name = "UUID")]
    fork: Option<EventId>,

    /// Where the stream must be before: any, none (no event), exists, or its exact revision
    #[arg(long, value_name = "any|none|exists|N", default_value = "any", value_parser = parse_expected)]
    expect: Expected,

    /// How durable the event is when the receipt is printed
    #[arg(long, value_enum, default_value_t = Durability::Durable)]
    durability: Durability,
}

impl Append {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let coordinate = Coordinate::new(&self.entity, &self.scope).map_err(Error::from)?;
        let tags = self.tags.iter().map(|tag| Tag::new(tag)).collect::<Result<Vec<_>, _>>();
        let tags = tags.map_err(Error::from)?;
        let payload = payload(&self.data)?;
        let options = Options::new().create(true).durability(self.durability.into());
        let store = opening::for_writing(options, store, console)?;
        let appended = self.append(&store, &coordinate, tags, &payload);
        let shown = appended.map_err(Failure::from).and_then(|receipt| {
            show(&receipt, &coordinate, console)?;
            console.flush()
        });
        // A refusal is no reason to leave the store as a crash would.
        store.close()?;
        shown
    }

    fn append(
        &self,
        store: &Store,
        coordinate: &Coordinate,
        tags: Vec<Tag>,
        payload: &[u8],
    ) -> Result<Receipt, Error> {
        let mut event = NewEvent::new(coordinate, store.kind(&self.kind)?, payload).expected(self.expect);
        if let Some(id) = self.id {
            event = event.id(id);
        }
        if let Some(correlation) = self.correlation {
            event = event.correlation(correlation);
        }
        if let Some(causation) = self.causation {
            event = event.causation(causation);
        }
        for tag in tags {
            event = event.tag(tag);
        }
        event = match (self.lane.map(Lane), self.fork) {
            (None, None) => event,
            (Some(lane), None) => event.lane(lane),
            (Some(lane), Some(from)) => event.fork(lane, from),
            (None, Some(from)) => event.fork(store.free_lane(coordinate)?, from),
        };
        for (key, value) in &self.extensions {
            event = event.extension(key.as_str(), value.as_bytes());
        }
        store.append(&event)
    }
}

fn show(receipt: &Receipt, coordinate: &Coordinate, console: &mut Console<'_>) -> Result<(), Failure> {
    let durability = match receipt.durability {
        annals::Durability::Queued => "queued",
        annals::Durability::Written => "written",
        _ => "durable",
    };
    if console.is_json() {
        return console.json(&json!({
            "id": receipt.id.to_string(),
            "sequence": receipt.sequence,
            "revision": receipt.revision,
            "recorded": time::from_millis(receipt.recorded.millis()),
            "hash": receipt.hash.to_string(),
            "durability": durability,
            "is_repeat": receipt.is_repeat,
        }));
    }
    let Receipt { id, sequence, revision, .. } = receipt;
    let was = if receipt.is_repeat { "was there already" } else { "appended" };
    console.line(format_args!(
        "{was}: {id}, sequence {sequence}, revision {revision} of {coordinate}, {durability}"
    ))
}

fn payload(data: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if data == "-" {
        let read = io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|source| Failure::File {
            operation: "read",
            path: PathBuf::from("standard input"),
            source,
        })?;
        Ok(bytes)
    } else if let Some(path) = data.strip_prefix('@') {
        fs::read(path).map_err(|source| Failure::File {
            operation: "read",
            path: PathBuf::from(path),
            source,
        })
    } else {
        Ok(data.as_bytes().to_vec())
    }
}

fn parse_extension(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("say KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn parse_expected(text: &str) -> Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any),
        "none" => Ok(Expected::None),
        "exists" => Ok(Expected::Exists),
        number => match number.parse() {
            Ok(revision @ 1..) => Ok(Expected::Exactly(Revision(revision))),
            _ => Err("say any, none, exists, or a revision: 1 or more".to_owned()),
        },
    }
}
