//! Strings kept once, each known by a small number.
//!
//! Invariant: symbols count up from 0 in order of first appearance, so that a vector can be indexed by them.
//! They mean nothing outside of the interner that gave them, and nothing writes them anywhere.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A string of one [`Interner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(u32);

/// Strings one behind the other in one allocation.
#[derive(Debug, Default)]
pub(crate) struct Arena(String);

/// The place of a string in its [`Arena`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Arena {
    pub(crate) fn push(&mut self, text: &str) -> Span {
        let end = |arena: &String| u32::try_from(arena.len()).expect("a segment has under 4 GiB");
        let start = end(&self.0);
        self.0.push_str(text);
        Span { start, end: end(&self.0) }
    }

    /// Forgets all strings.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The string at a span of this arena.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.0.get(span.start as usize..span.end as usize).expect("a span of this arena")
    }
}

/// Strings, each kept once and found by hash.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    arena: Arena,
    /// By symbol.
    spans: Vec<Span>,
    symbols: HashTable<Symbol>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The symbol of `text`, new where it was never seen.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        let hash = self.hasher.hash_one(text);
        let Self { arena, spans, symbols, hasher } = self;
        if let Some(symbol) = symbols.find(hash, |symbol| resolve(arena, spans, *symbol) == text) {
            return *symbol;
        }
        let symbol = Symbol(u32::try_from(spans.len()).expect("a segment has under 4 Gi strings"));
        spans.push(arena.push(text));
        symbols.insert_unique(hash, symbol, |symbol| hasher.hash_one(resolve(arena, spans, *symbol)));
        symbol
    }

    /// The symbol of `text`, where it was seen.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.symbols.find(hash, |symbol| self.text(*symbol) == text).copied()
    }

    /// The string behind a symbol of this interner.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        resolve(&self.arena, &self.spans, symbol)
    }
}

fn resolve<'a>(arena: &'a Arena, spans: &[Span], symbol: Symbol) -> &'a str {
    arena.text(*spans.get(symbol.0 as usize).expect("a symbol of this interner"))
}

/// Strings, and the rows that each appears in.
#[derive(Debug, Default)]
pub(crate) struct RowsByText {
    texts: Interner,
    /// By symbol.
    rows: Vec<Vec<u32>>,
}

impl RowsByText {
    /// Notes that `text` appears in `row`, which is no smaller than any before it.
    pub(crate) fn insert(&mut self, text: &str, row: u32) -> Symbol {
        let symbol = self.texts.intern(text);
        if self.rows.len() <= symbol.0 as usize {
            self.rows.push(Vec::new());
        }
        self.push(symbol, row);
        symbol
    }

    /// The same for a text that was seen, by its symbol.
    pub(crate) fn push(&mut self, symbol: Symbol, row: u32) {
        let rows = self.rows.get_mut(symbol.0 as usize).expect("symbols count up one by one");
        if rows.last() != Some(&row) {
            rows.push(row);
        }
    }

    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        self.texts.find(text)
    }

    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        self.texts.text(symbol)
    }

    /// The rows that `text` appears in.
    pub(crate) fn rows(&self, text: &str) -> &[u32] {
        let rows = self.find(text).and_then(|symbol| self.rows.get(symbol.0 as usize));
        rows.map_or(&[], Vec::as_slice)
    }

    /// All strings.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        (0..).zip(&self.rows).map(|(place, _)| self.text(Symbol(place)))
    }

    /// The place that each string has among all sorted ones, by symbol.
    pub(crate) fn ranks(&self) -> Ranks {
        let mut symbols: Vec<Symbol> = (0..).map(Symbol).take(self.rows.len()).collect();
        symbols.sort_unstable_by_key(|symbol| self.text(*symbol));
        let mut ranks = vec![0; symbols.len()];
        for (rank, symbol) in (0..).zip(symbols) {
            *ranks.get_mut(symbol.0 as usize).expect("a rank for each symbol") = rank;
        }
        Ranks(ranks)
    }

    /// All strings with their rows, sorted.
    pub(crate) fn sorted(&self) -> Vec<(&str, &[u32])> {
        let texts = (0..).map(|place| self.text(Symbol(place)));
        let mut sorted: Vec<(&str, &[u32])> =
            self.rows.iter().zip(texts).map(|(rows, text)| (text, rows.as_slice())).collect();
        sorted.sort_unstable();
        sorted
    }
}

/// The places of strings in sorted order.
#[derive(Debug)]
pub(crate) struct Ranks(Vec<u32>);

impl Ranks {
    pub(crate) fn of(&self, symbol: Symbol) -> u32 {
        *self.0.get(symbol.0 as usize).expect("a symbol of the strings that were ranked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_kept_once_under_one_symbol() {
        let mut interner = Interner::default();
        let symbols: Vec<Symbol> = ["a", "", "bé", "a", "ab", ""].map(|text| interner.intern(text)).into();
        assert_eq!(symbols, [0, 1, 2, 0, 3, 1].map(Symbol));
        assert_eq!(interner.arena.0, "abéab");
        assert_eq!(interner.text(symbols[2]), "bé");
        assert_eq!(interner.find("ab"), Some(Symbol(3)));
        assert_eq!(interner.find("b"), None);
    }

    #[test]
    fn symbols_outlive_the_table_growing() {
        let mut interner = Interner::default();
        let texts: Vec<String> = (0..1_000).map(|number| format!("text {number}")).collect();
        let symbols: Vec<Symbol> = texts.iter().map(|text| interner.intern(text)).collect();
        for (text, symbol) in texts.iter().zip(symbols) {
            assert_eq!((interner.text(symbol), interner.find(text)), (&**text, Some(symbol)));
        }
    }

    #[test]
    fn a_row_is_noted_once_for_each_string() {
        let mut by_text = RowsByText::default();
        for (text, row) in [("b", 0), ("a", 1), ("b", 1), ("b", 1)] {
            by_text.insert(text, row);
        }
        assert_eq!(by_text.sorted(), [("a", &[1][..]), ("b", &[0, 1][..])]);
        let ranks = by_text.ranks();
        assert_eq!(["a", "b"].map(|text| ranks.of(by_text.find(text).unwrap())), [0, 1]);
        assert_eq!(by_text.rows("c"), []);
    }
}
