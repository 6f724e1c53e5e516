//! Rules for `cargo xtask mutants`: no site slips through.
//!
//! The words of a write, a sync or a refusal are looked for among the tokens, in any form, and held against what
//! the enumeration by syntax understood. A call in a macro, or in a form that is not known, is a violation.

use std::collections::BTreeMap;

use super::{
    File, Violation,
    tokens::{Token, parted, tokens},
};
use crate::mutants::{EXEMPTIONS, Found, Word, find, is_searched, stale, words};

const EXEMPTIONS_FILE: &str = "xtask/src/mutants/exempt.rs";
const WORDS_FILE: &str = "xtask/src/mutants/words.rs";

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut all = BTreeMap::new();
    for file in files.iter().filter(|file| is_searched(&file.path)) {
        match find(&file.path, &file.text) {
            Ok(found) => {
                violations.extend(check_source(file, &found));
                all.insert(file.path.as_str(), found);
            }
            Err(error) => {
                let line = error.span().start().line;
                violations.push(Violation::new(&file.path, line, format!("does not parse: {error}")));
            }
        }
    }
    if !all.is_empty() {
        violations.extend(check_tables(&all));
    }
    violations
}

fn check_source(file: &File, found: &Found) -> Vec<Violation> {
    let tokens = tokens(&file.text);
    let (shipped, _) = parted(&tokens);
    let mut counts: BTreeMap<(usize, &str), isize> = BTreeMap::new();
    for (line, word) in said(&shipped) {
        *counts.entry((line, word)).or_default() += 1;
    }
    for (line, word) in &found.mentions {
        *counts.entry((*line, word)).or_default() -= 1;
    }
    let missed = counts.into_iter().filter(|(_, count)| *count > 0).map(|((line, word), _)| {
        let what =
            format!("`{word}` in a form that `cargo xtask mutants` cannot switch off: write it as a call");
        Violation::new(&file.path, line, what)
    });
    let fixed = found.fixed.iter().filter(|fixed| !EXEMPTIONS.iter().any(|row| row.covers_fixed(fixed)));
    let fixed = fixed.map(|fixed| {
        let what = format!("`{}` refuses under no condition that can be switched off", fixed.code);
        Violation::new(&file.path, fixed.line, format!("{what}: give the reason in {EXEMPTIONS_FILE}"))
    });
    missed.chain(fixed).collect()
}

/// Every word among the tokens, with its line.
fn said<'a>(tokens: &[Token<'a>]) -> Vec<(usize, &'a str)> {
    let words = words();
    let mut is_import = false;
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        is_import = (is_import || token.text == "use") && token.text != ";";
        let text = |place: usize| tokens.get(place).map_or("", |token| token.text);
        let before = |back: usize| at.checked_sub(back).map_or("", text);
        let is_said = |word: &Word| match word {
            Word::Called(name) => {
                let is_call = text(at + 1) == "(" && before(1) != "fn";
                token.text == *name && (is_call || before(1) == "::" && text(at + 1) != "::")
            }
            Word::Assigned(name) => {
                let is_assigned = text(at + 1) == "=" && text(at + 2) != "=";
                token.text == *name && is_assigned && !matches!(before(1), "let" | "mut")
            }
            Word::Path(names) => {
                let is_named = |(back, name): (usize, &&str)| before(2 * back) == *name;
                before(1) == "::" && names.iter().rev().enumerate().all(is_named)
            }
        };
        if !is_import && words.iter().any(is_said) {
            found.push((token.line, token.text));
        }
    }
    found
}

/// A row of a table that fits nothing says what is not so any more.
fn check_tables(all: &BTreeMap<&str, Found>) -> Vec<Violation> {
    let is_used = |row: &&crate::mutants::Exemption| {
        all.values().any(|found| {
            found.sites.iter().any(|site| row.covers_site(site))
                || found.fixed.iter().any(|fixed| row.covers_fixed(fixed))
        })
    };
    let unused = EXEMPTIONS.iter().filter(|row| !is_used(row)).map(|row| {
        let what = format!("no `{}` in `{}` of {}: {}", row.code, row.function, row.path, row.why);
        Violation::new(EXEMPTIONS_FILE, 1, what)
    });
    let has =
        |path: &str, function: &str| all.get(path).is_some_and(|found| found.functions.contains(function));
    let moved = stale(has).into_iter().map(|(path, function)| {
        Violation::new(WORDS_FILE, 1, format!("there is no function `{function}` in {path} any more"))
    });
    unused.chain(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "crates/segment/src/scan.rs";

    fn found(text: &str) -> Vec<String> {
        let file = File::new(PATH, text);
        let violations = check_source(&file, &find(PATH, text).unwrap());
        violations.into_iter().map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn words_that_the_syntax_shows_are_no_violation() {
        let text = "use a::write_checkpoint;
            fn write_checkpoint() {}
            impl Log { fn f(&mut self) -> Result<(), Error> {
                self.file.sync_data()?; File::set_len(&file, 3)?; index.write();
                self.stopped = None; let mut synced_len = 0;
                if a == b { return Err(Error::Lost { path }); }
                match error { Error::Lost { .. } => Ok(()), std::sync::Never::Some => Ok(()) }
            } }";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn a_word_in_a_form_that_cannot_be_switched_off_is_a_violation() {
        for line in [
            "assert!(file.sync_data().is_ok());",
            "let sync = files.map(File::sync_data);",
            "matches!(error, Error::Lost { .. });",
            "run!(self.stopped = None);",
        ] {
            let text = format!("fn f() {{\n{line}\n}}");
            let found = found(&text);
            assert!(found.len() == 1 && found[0].contains(":2: `"), "{line}: {found:?}");
        }
    }

    #[test]
    fn a_refusal_without_a_condition_is_a_violation() {
        let always = "fn f() -> Result<(), Error> { Err(Error::Misplaced { path, why }) }";
        assert!(found(always)[0].contains(":1: `Error::Misplaced"), "{:?}", found(always));
        let chosen =
            "fn f() -> Result<(), Error> { if a { Err(Error::Misplaced { path, why }) } else { b } }";
        assert_eq!(found(chosen), [""; 0]);
    }

    #[test]
    fn a_file_of_tests_has_no_sites() {
        let unswitched = "fn f() { assert!(file.sync_data().is_ok()); }";
        let said = |path: &str| check(&[File::new(path, unswitched)]).iter().any(|found| found.path == path);
        assert!(said(PATH) && !said("crates/segment/src/scan/tests.rs"));
    }

    #[test]
    fn tables_that_say_what_is_not_so_are_violations() {
        let found = check(&[File::new(PATH, "//! Nothing.\n")]);
        assert!(found.iter().any(|violation| violation.path == EXEMPTIONS_FILE));
        assert!(found.iter().any(|violation| violation.path == WORDS_FILE));
    }
}
