//! The table of faults: docs/faults.md has every row, and every test that it names is there.
//!
//! A row is four cells: its number, the fault, the outcome, and what shows it: tests in backticks as
//! `path: name`, or `none: ` and why it cannot happen. A test is a function of that name in that file, behind
//! an attribute. Rows without a number, of the tables behind that, have the tests in their last cell too.

use super::{
    File, Violation,
    tokens::{Token, tokens},
};

const TABLE: &str = "docs/faults.md";
const ROW_COUNT: usize = 60;

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let Some(table) = files.iter().find(|file| file.path == TABLE) else {
        return vec![Violation::new(TABLE, 1, "there is no table of faults")];
    };
    let lines = table.text.lines().enumerate().filter(|(_, line)| line.starts_with("| F"));
    let rows: Vec<_> = lines.map(|(at, line)| (at + 1, cells(line))).collect();
    let mut violations: Vec<_> = rows
        .iter()
        .zip(1..)
        .filter_map(|((line, cells), number)| check_number(*line, cells, number))
        .collect();
    if rows.len() != ROW_COUNT {
        let what = format!("{} rows of faults; there are {ROW_COUNT} faults", rows.len());
        violations.push(Violation::new(TABLE, rows.last().map_or(1, |(line, _)| *line), what));
    }
    violations.extend(rows.iter().flat_map(|(line, cells)| check_shown(*line, cells, files)));
    let unnumbered = table.text.lines().enumerate().filter(|(_, line)| is_unnumbered(line));
    violations.extend(unnumbered.flat_map(|(at, line)| check_shown(at + 1, &cells(line), files)));
    violations
}

/// Whether a row that is none of the numbered ones names a test.
fn is_unnumbered(line: &str) -> bool {
    line.starts_with("| ")
        && !line.starts_with("| F")
        && line.contains("| `crates/")
        && line.contains(".rs: ")
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn check_number(line: usize, cells: &[&str], number: usize) -> Option<Violation> {
    let is_row = matches!(cells, [found, fault, outcome, shown]
        if *found == format!("F{number}") && ![fault, outcome, shown].iter().any(|cell| cell.is_empty()));
    (!is_row)
        .then(|| Violation::new(TABLE, line, format!("the row of F{number}, with four cells, stands here")))
}

/// What is wrong with the tests that a row names.
fn check_shown(line: usize, cells: &[&str], files: &[File]) -> Vec<Violation> {
    let shown = cells.last().copied().unwrap_or_default();
    if shown.starts_with("none: ") {
        return Vec::new();
    }
    let named: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
    let missing = named.iter().filter(|test| !is_there(test, files));
    let mut violations: Vec<_> =
        missing.map(|test| Violation::new(TABLE, line, format!("there is no test `{test}`"))).collect();
    if named.is_empty() {
        violations.push(Violation::new(TABLE, line, "names no test, and not why there is none"));
    }
    violations
}

fn is_there(test: &str, files: &[File]) -> bool {
    let Some((path, name)) = test.split_once(": ") else { return false };
    let file = files.iter().find(|file| file.path == path);
    file.is_some_and(|file| has_test(&tokens(&file.text), name))
}

/// Whether `name` is a function behind `#[test]`, whatever stands between.
fn has_test(tokens: &[Token<'_>], name: &str) -> bool {
    let names = |pair: &[Token<'_>], texts: [&str; 2]| pair.iter().map(|token| token.text).eq(texts);
    let is_test = |at: usize| {
        let before = tokens.get(..at).unwrap_or_default();
        let item = before.rsplit(|token| ["}", ";"].contains(&token.text)).next().unwrap_or_default();
        item.windows(2).any(|pair| names(pair, ["test", "]"]))
    };
    tokens.windows(2).enumerate().any(|(at, pair)| names(pair, ["fn", name]) && is_test(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "mod a; #[cfg(unix)] #[test] fn it_holds() {} fn helper() {} #[test]\nfn other() {}";

    /// The table with all rows, of which F3 shows `shown`.
    fn found(shown: &str) -> Vec<String> {
        let row = |number: usize| {
            let shown = if number == 3 { shown } else { "none: it cannot happen" };
            format!("| F{number} | fault | outcome | {shown} |\n")
        };
        let text = format!("# Faults\n\n{}", (1..=ROW_COUNT).map(row).collect::<String>());
        check(&[File::new(TABLE, &text), File::new("crates/a/tests/it/b.rs", SOURCE)])
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn tests_that_are_there_and_reasons_are_good() {
        assert_eq!(found("none: the kernel does not have it"), [""; 0]);
        assert_eq!(found("`crates/a/tests/it/b.rs: it_holds`"), [""; 0]);
        assert_eq!(found("`crates/a/tests/it/b.rs: it_holds`, `crates/a/tests/it/b.rs: other`"), [""; 0]);
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        for test in ["crates/a/tests/it/b.rs: gone", "crates/a/tests/it/b.rs: helper", "b.rs: other", "other"]
        {
            let expected = [format!("docs/faults.md:5: there is no test `{test}`")];
            assert_eq!(found(&format!("`{test}`, `crates/a/tests/it/b.rs: other`")), expected);
        }
        assert_eq!(found("see elsewhere").len(), 1);
        assert_eq!(found("").len(), 2, "an empty cell, and no test in it");
    }

    #[test]
    fn rows_without_a_number_name_tests_that_are_there() {
        let rows: String =
            (1..=ROW_COUNT).map(|number| format!("| F{number} | a | b | none: c |\n")).collect();
        let count = |test: &str| {
            let text =
                format!("{rows}\n| fault | shown by |\n| --- | --- |\n| a | `crates/a/b.rs: {test}` |\n");
            check(&[File::new(TABLE, &text), File::new("crates/a/b.rs", SOURCE)]).len()
        };
        assert_eq!((count("it_holds"), count("gone")), (0, 1));
    }

    #[test]
    fn a_row_that_is_missing_or_in_the_wrong_place_is_found() {
        let rows = |numbers: &[usize]| {
            let row = |number: &usize| format!("| F{number} | fault | outcome | none: no |\n");
            check(&[File::new(TABLE, &numbers.iter().map(row).collect::<String>())]).len()
        };
        let all: Vec<_> = (1..=ROW_COUNT).collect();
        assert_eq!(rows(&all), 0);
        assert_eq!(rows(&all[..ROW_COUNT - 1]), 1);
        assert!(rows(&all[1..]) > 1);
        assert_eq!(rows(&[&all[..], &[57]].concat()), 2);
        let mut swapped = all;
        swapped.swap(3, 4);
        assert_eq!(rows(&swapped), 2);
        assert_eq!(check(&[]).len(), 1, "no table at all");
    }
}
