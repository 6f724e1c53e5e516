//! A site: one call, assignment or comparison in a source, and how it is switched off.
//!
//! Invariant: with no site chosen, the instrumented source does what the source does.

use std::{collections::BTreeMap, ops::Range};

use super::words::Kind;

/// How the text of a site is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// A condition that never holds.
    Never,
    /// A condition with `let` that never holds.
    NeverLet,
    /// A condition that always holds.
    Always,
    /// A call that gives `Ok` of the default.
    Success,
    /// An expression that gives its type's default.
    Nothing,
    /// A call that gives this expression.
    Value(String),
    /// A statement that is left out.
    Skip,
    /// A statement instead of which the loop goes on.
    GoOn,
}

/// One place that can be switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) function: String,
    pub(crate) kind: Kind,
    /// What is left out, on one line.
    pub(crate) code: String,
    /// Where in the source.
    pub(crate) range: Range<usize>,
    pub(crate) change: Change,
}

impl Change {
    /// What stands before and behind the text, where `chosen` says whether the site is switched off.
    fn around(&self, chosen: &str) -> (String, String) {
        let value = |value: &str| (format!("(if {chosen} {{ {value} }} else {{ "), " })".to_owned());
        match self {
            Self::Never => ("((".to_owned(), format!(") && !{chosen})")),
            Self::NeverLet => (format!("!{chosen} && "), String::new()),
            Self::Always => ("((".to_owned(), format!(") || {chosen})")),
            Self::Success => value("::core::result::Result::Ok(::core::default::Default::default())"),
            Self::Nothing => value("::core::default::Default::default()"),
            Self::Value(code) => value(code),
            Self::Skip => (format!("if !{chosen} {{ "), " }".to_owned()),
            Self::GoOn => (format!("if {chosen} {{ continue; }} "), String::new()),
        }
    }
}

/// `text` with all of `sites`, which are its own, made switchable. Each has its number.
pub(crate) fn instrument<'s>(text: &str, sites: impl Iterator<Item = (usize, &'s Site)>) -> String {
    // At one place, what ends stands before what begins, and what encloses more stands further out.
    let mut insertions = BTreeMap::new();
    for (number, Site { range, change, .. }) in sites {
        let (before, behind) = change.around(&format!("::annals_wire::mutant::is({number})"));
        let len = range.len();
        insertions.insert((range.start, 1, usize::MAX - len, number), before);
        insertions.insert((range.end, 0, len, usize::MAX - number), behind);
    }
    let mut instrumented = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for ((offset, ..), insertion) in insertions {
        instrumented += text.get(done..offset).unwrap_or_default();
        instrumented += &insertion;
        done = offset;
    }
    instrumented + text.get(done..).unwrap_or_default()
}

/// The module that the instrumented copy of the lowest crate has beside its own.
pub(crate) const CHOICE: &str = r#"
/// Which site is switched off.
pub mod mutant {
    /// Whether the site with `number` is switched off in this process.
    #[must_use]
    pub fn is(number: u32) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<u32>> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(|| std::env::var("ANNALS_MUTANT").ok()?.parse().ok()) == Some(number)
    }
}
"#;

/// The variable of the environment that the module reads.
pub(crate) const CHOICE_VARIABLE: &str = "ANNALS_MUTANT";
