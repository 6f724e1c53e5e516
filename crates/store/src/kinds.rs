//! The names of kinds: bound once, in the log, for ever.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use annals_wire::Kind;

use crate::{sync::Arc, typed::Register};

/// The first kind that the store gives out by itself; the last is 0x1FFF.
const FIRST_AUTOMATIC: u16 = 0x1000;

/// Kinds and their names, both ways; and which types the names stand for.
#[derive(Clone, Default)]
pub(crate) struct Kinds {
    names: BTreeMap<Kind, Arc<str>>,
    kinds: HashMap<String, Kind>,
    /// In the order in which they were bound, so that a checkpoint takes those before its watermark.
    order: Vec<Kind>,
    pub(crate) types: Register,
}

impl fmt::Debug for Kinds {
    /// Every event has them, and is shown in full without them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinds").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Kinds {
    pub(crate) fn new(names: BTreeMap<Kind, String>, types: Register) -> Self {
        let kinds = names.iter().map(|(kind, name)| (name.clone(), *kind)).collect();
        let order = names.keys().copied().collect();
        let names = names.into_iter().map(|(kind, name)| (kind, name.into())).collect();
        Self { names, kinds, order, types }
    }

    pub(crate) fn name(&self, kind: Kind) -> Option<&str> {
        self.names.get(&kind).map(|name| &**name)
    }

    /// The name, to be kept when the lock on these is let go.
    pub(crate) fn shared_name(&self, kind: Kind) -> Option<Arc<str>> {
        self.names.get(&kind).cloned()
    }

    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }

    pub(crate) fn bind(&mut self, kind: Kind, name: &str) {
        self.names.insert(kind, name.into());
        self.kinds.insert(name.to_owned(), kind);
        self.order.push(kind);
    }

    /// The next kind of category 0x1 without a name.
    pub(crate) fn next_automatic(&self) -> Option<Kind> {
        (FIRST_AUTOMATIC..=FIRST_AUTOMATIC + Kind::TYPE_MAX)
            .filter_map(|number| Kind::new(number).ok())
            .find(|kind| !self.names.contains_key(kind))
    }

    pub(crate) fn count(&self) -> usize {
        self.order.len()
    }

    /// The first `count` bindings.
    pub(crate) fn first(&self, count: usize) -> Vec<(Kind, String)> {
        let kinds = self.order.iter().take(count);
        kinds.filter_map(|kind| Some((*kind, self.names.get(kind)?.to_string()))).collect()
    }

    pub(crate) fn all(&self) -> Vec<(Kind, String)> {
        self.names.iter().map(|(kind, name)| (*kind, name.to_string())).collect()
    }
}
