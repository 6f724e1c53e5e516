//! `export`: events as CloudEvents, in order of sequence.

use std::path::Path;

use annals::{Query, QueryItem, Sequence, Store};
use clap::Args;

use crate::{
    cloudevents,
    failure::Failure,
    opening,
    output::Console,
    show::{KindNames, find_kind},
};

const DETAILS: &str = "\
An imported event is exported as the line that it was, equal as JSON. Of an
event that was appended otherwise, the payload is `data` where it is JSON (a
line feed in it becomes a blank) and `data_base64` where not; tags, lanes, and
extensions that did not come from CloudEvents are no part of one: `annals read
--all --json` has them.

Examples:
  annals export > events.ndjson
  annals export --scope shop/eu --kind order.placed --after 1000 --limit 10";

/// Write events as CloudEvents 1.0 in JSON, one per line, in order of sequence
#[derive(Debug, Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Export {
    /// Only of this scope
    #[arg(long)]
    scope: Option<String>,

    /// Only of this entity, in any scope where none is named
    #[arg(long)]
    entity: Option<String>,

    /// Only of the kind with this name; a kind that has none is named by its number, as in 0x2001
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,

    /// Only events after this sequence, which is not included
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    after: u64,

    /// At most so many events
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
}

impl Export {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let store = opening::for_reading(store, console)?;
        let events = store.query(self.query(&store)?).after(Sequence(self.after)).limit(self.limit);
        let names = KindNames::of(&store);
        let mut line = Vec::new();
        for event in events {
            let event = event?;
            line.clear();
            cloudevents::encode(&event, &names.name(event.kind()), &mut line);
            console.bytes(&line)?;
        }
        Ok(())
    }

    fn query(&self, store: &Store) -> Result<Query, Failure> {
        if self.scope.is_none() && self.entity.is_none() && self.kind.is_none() {
            return Ok(Query::all());
        }
        let mut item = QueryItem::new();
        if let Some(scope) = &self.scope {
            item = item.scope(scope);
        }
        if let Some(entity) = &self.entity {
            item = item.entity(entity);
        }
        if let Some(name) = &self.kind {
            item = item.kind(find_kind(store, name)?);
        }
        Ok(Query::of(item))
    }
}
