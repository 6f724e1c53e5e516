//! `tail`: the newest events, and those that come.
//!
//! Invariant: each event is handed on before the next is waited for.

use std::path::Path;

use annals::{Error, Event, Query, QueryItem, Sequence, Store, Tag};
use clap::Args;

use crate::{
    failure::Failure,
    opening,
    output::Console,
    show::{EventJson, KindNames, find_kind, row},
};

const DETAILS: &str = "\
Events are shown as soon as the writer lets others read them, also those of a
writer that begins later. It ends when it is interrupted, when nobody reads its
output any more, or after --limit events. Where another store is put in its
place, it says so and ends with 1.

To go on later where it was, remember the sequence of the last event that was
handled, and say it with --after.

Examples:
  annals tail
  annals tail -f --scope shop/eu --kind order.placed
  annals tail -f --after 1000 --json | handle-events
  annals tail -f -n 0 --limit 1 --entity order:42   # wait for the next one";

/// Show the newest events, and with -f those that come
#[derive(Debug, Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Tail {
    /// Go on with the events that are appended from now on
    #[arg(short, long)]
    follow: bool,

    /// Begin with so many of the newest events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, conflicts_with = "after")]
    newest: u64,

    /// Begin behind this sequence, which is not included
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,

    /// End after so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Only of this scope
    #[arg(long)]
    scope: Option<String>,

    /// Only of this entity, in any scope where none is named
    #[arg(long)]
    entity: Option<String>,

    /// Only of entities whose names begin with this
    #[arg(long, value_name = "PREFIX", conflicts_with = "entity")]
    entity_prefix: Option<String>,

    /// Only of the kind with this name, or number as in 0x2001; of any of them where it is said more than once
    #[arg(long, value_name = "NAME")]
    kind: Vec<String>,

    /// Only with this tag; with all of them where it is said more than once
    #[arg(long)]
    tag: Vec<String>,
}

impl Tail {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let store = opening::for_reading(store, console)?;
        let query = self.query(&store)?;
        let after = self.begin(&store, &query)?;
        let limit = self.limit.unwrap_or(u64::MAX);
        let mut printer = Printer { store: &store, names: KindNames::of(&store), console };
        if !self.follow {
            return store.query(query).after(after).limit(limit).try_for_each(|event| printer.print(&event?));
        }
        let mut subscription = store.subscribe(query).after(after);
        for _ in 0..limit {
            let Some(event) = subscription.next() else { break };
            printer.print(&event?)?;
        }
        Ok(())
    }

    /// Behind which event it begins.
    fn begin(&self, store: &Store, query: &Query) -> Result<Sequence, Failure> {
        if let Some(after) = self.after {
            return Ok(Sequence(after));
        }
        let mut begin = store.last_sequence();
        for event in store.query(query.clone()).backwards().limit(self.newest) {
            begin = Sequence(event?.sequence().0 - 1);
        }
        Ok(begin)
    }

    fn query(&self, store: &Store) -> Result<Query, Failure> {
        let mut item = QueryItem::new();
        if let Some(scope) = &self.scope {
            item = item.scope(scope);
        }
        if let Some(entity) = &self.entity {
            item = item.entity(entity);
        }
        if let Some(prefix) = &self.entity_prefix {
            item = item.entity_prefix(prefix);
        }
        for name in &self.kind {
            item = item.kind(find_kind(store, name)?);
        }
        for tag in &self.tag {
            Tag::new(tag).map_err(Error::from)?;
            item = item.tag(tag);
        }
        Ok(if item == QueryItem::new() { Query::all() } else { Query::of(item) })
    }
}

/// Prints events one by one.
struct Printer<'a, 'c> {
    store: &'a Store,
    names: KindNames,
    console: &'a mut Console<'c>,
}

impl Printer<'_, '_> {
    fn print(&mut self, event: &Event) -> Result<(), Failure> {
        if !self.names.has(event.kind()) {
            self.names = KindNames::of(self.store);
        }
        if self.console.is_json() {
            self.console.json(&EventJson::new(event, &self.names))?;
        } else {
            self.console.line(format_args!("{}", row(event, &self.names).join("  ")))?;
        }
        self.console.flush()
    }
}
