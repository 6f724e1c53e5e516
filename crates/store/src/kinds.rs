//! The names of kinds: bound once, in the log, for ever.

use std::collections::{BTreeMap, HashMap};

use annals_wire::Kind;

/// The first kind that the store gives out by itself; the last is 0x1FFF.
const FIRST_AUTOMATIC: u16 = 0x1000;

/// Kinds and their names, both ways.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds {
    names: BTreeMap<Kind, String>,
    kinds: HashMap<String, Kind>,
    /// In the order in which they were bound, so that a checkpoint takes those before its watermark.
    order: Vec<Kind>,
}

impl Kinds {
    pub(crate) fn new(names: BTreeMap<Kind, String>) -> Self {
        let kinds = names.iter().map(|(kind, name)| (name.clone(), *kind)).collect();
        let order = names.keys().copied().collect();
        Self { names, kinds, order }
    }

    pub(crate) fn name(&self, kind: Kind) -> Option<&str> {
        self.names.get(&kind).map(String::as_str)
    }

    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }

    pub(crate) fn bind(&mut self, kind: Kind, name: &str) {
        self.names.insert(kind, name.to_owned());
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
        kinds.filter_map(|kind| Some((*kind, self.names.get(kind)?.clone()))).collect()
    }

    pub(crate) fn all(&self) -> Vec<(Kind, String)> {
        self.names.iter().map(|(kind, name)| (*kind, name.clone())).collect()
    }
}
