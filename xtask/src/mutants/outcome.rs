//! What came of every site, in words: a table, a summary for each kind, and the survivors in full.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{site::Site, suite::Caught, words::Kind};

/// A site that was tried.
#[derive(Debug)]
pub(super) struct Tried<'a> {
    pub(super) number: usize,
    pub(super) site: &'a Site,
    pub(super) caught: Option<Caught>,
    pub(super) duration: Duration,
}

/// The longest piece of code that a table shows.
const CODE_LEN_MAX: usize = 60;

/// `code` as a table shows it.
pub(super) fn shortened(code: &str) -> String {
    if code.chars().count() <= CODE_LEN_MAX {
        return code.to_owned();
    }
    code.chars().take(CODE_LEN_MAX - 2).chain("..".chars()).collect()
}

impl Tried<'_> {
    pub(super) fn words(&self) -> String {
        match &self.caught {
            Some(Caught { by, how: Some(how), .. }) => format!("{by} ({how})"),
            Some(Caught { by, .. }) => by.clone(),
            None => "SURVIVED".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let caught = self.caught.as_ref();
        json!({
            "number": self.number,
            "path": self.site.path,
            "line": self.site.line,
            "function": self.site.function,
            "kind": self.site.kind.name(),
            "code": self.site.code,
            "caught_by": caught.map(|caught| &caught.by),
            "how": caught.and_then(|caught| caught.how),
            "seconds": self.duration.as_secs_f64(),
        })
    }
}

/// One site as a line of a list.
pub(super) fn listed(number: usize, site: &Site) -> String {
    let place = format!("{}:{}", site.path, site.line);
    format!("{number:>4}  {place:<44}  {:<14}  {}", site.kind, shortened(&site.code))
}

/// The table of all that was tried, the summary, and the survivors.
pub(super) fn table(tried: &[Tried<'_>]) -> String {
    let mut text = String::new();
    let mut add = |line: String| writeln!(text, "{line}").expect("a string takes all");
    for row in tried {
        let seconds = row.duration.as_secs_f64();
        add(format!("{:<130}  {seconds:>6.1} s  {}", listed(row.number, row.site), row.words()));
    }
    add(String::new());
    add(format!(
        "{:<14} {:>6} {:>12} {:>10} {:>10}",
        "kind", "sites", "by campaign", "by tests", "survivors"
    ));
    for kind in Kind::ALL {
        summary(kind.name(), tried.iter().filter(|row| row.site.kind == kind)).into_iter().for_each(&mut add);
    }
    summary("all", tried.iter()).into_iter().for_each(&mut add);
    for row in tried.iter().filter(|row| row.caught.is_none()) {
        let Site { path, line, function, kind, code, .. } = row.site;
        add(format!("\nsurvived: {} at {path}:{line} in `{function}`, {kind}:\n    {code}", row.number));
        add(format!("to run it alone: cargo xtask mutants --only {}", row.number));
    }
    text
}

/// The row of a summary; `None` where nothing is counted.
fn summary<'t>(name: &str, rows: impl Iterator<Item = &'t Tried<'t>>) -> Option<String> {
    let (mut campaign, mut tests, mut survivors) = (0_u32, 0_u32, 0_u32);
    for row in rows {
        match &row.caught {
            Some(Caught { is_campaign: true, .. }) => campaign += 1,
            Some(_) => tests += 1,
            None => survivors += 1,
        }
    }
    let all = campaign + tests + survivors;
    (all > 0).then(|| format!("{name:<14} {all:>6} {campaign:>12} {tests:>10} {survivors:>10}"))
}

/// All that was tried, for programs.
pub(super) fn json(tried: &[Tried<'_>]) -> String {
    Value::Array(tried.iter().map(Tried::json).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::site::Change;

    #[test]
    fn the_summary_counts_and_survivors_can_be_run_alone() {
        let site = Site {
            path: "crates/segment/src/log.rs".to_owned(),
            line: 7,
            function: "land".to_owned(),
            kind: Kind::Sync,
            code: "self.file.sync_data()".to_owned(),
            range: 0..1,
            change: Change::Success,
        };
        let caught = |is_campaign| Some(Caught { by: "x".to_owned(), is_campaign, how: Some("hung") });
        let tried = |number, caught| Tried { number, site: &site, caught, duration: Duration::from_secs(1) };
        let all = [tried(1, caught(true)), tried(2, caught(false)), tried(3, None)];
        let text = table(&all);
        let row = text.lines().find(|line| line.starts_with("sync")).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["sync", "3", "1", "1", "1"]);
        assert!(text.contains("x (hung)") && text.contains("cargo xtask mutants --only 3\n"));
        assert!(json(&all).contains(r#""caught_by":null"#));
    }

    #[test]
    fn long_code_is_shortened() {
        assert_eq!(shortened("a()"), "a()");
        assert_eq!(shortened(&"ä".repeat(80)).chars().count(), CODE_LEN_MAX);
    }
}
