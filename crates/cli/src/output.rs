//! Where a command writes: results to one place, words and progress to another.
//!
//! Invariant: what is printed as JSON is one object per line. Control characters of events never reach a
//! terminal: in JSON they are escaped, in tables [`printable`] replaces them.

use std::{
    fmt,
    io::{self, BufWriter, IsTerminal, Write},
};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// What a command speaks to.
pub(crate) struct Console<'a> {
    results: Box<dyn Write + 'a>,
    words: Box<dyn Write + 'a>,
    is_json: bool,
    /// Whether standard error is a terminal, which is when progress is of use.
    has_progress: bool,
    /// The columns that a table may take; `None` where comfy-table finds out, or no table is cut.
    width: Option<u16>,
}

/// What a progress bar counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Bytes,
    Events,
}

impl<'a> Console<'a> {
    /// Standard output and standard error.
    pub(crate) fn standard(is_json: bool) -> Self {
        Self {
            results: Box::new(BufWriter::with_capacity(64 << 10, io::stdout())),
            words: Box::new(io::stderr()),
            is_json,
            has_progress: io::stderr().is_terminal(),
            width: None,
        }
    }

    /// Two places of the caller's, without progress.
    pub(crate) fn captured(
        results: &'a mut Vec<u8>,
        words: &'a mut Vec<u8>,
        is_json: bool,
        width: u16,
    ) -> Self {
        let (results, words) = (Box::new(results), Box::new(words));
        Self { results, words, is_json, has_progress: false, width: Some(width) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints a line of the result.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) -> Result<(), Failure> {
        writeln!(self.results, "{text}").map_err(Failure::Output)
    }

    /// Prints a part of the result as a line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(value).map_err(|error| Failure::Output(error.into()))?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Prints a part of the result as it is.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.results.write_all(bytes).map_err(Failure::Output)
    }

    /// Prints a table of the result.
    pub(crate) fn table(&mut self, mut table: Table) -> Result<(), Failure> {
        if let Some(width) = self.width {
            table.set_width(width);
        }
        self.line(format_args!("{table}"))
    }

    /// Hands on what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.results.flush().map_err(Failure::Output)
    }

    /// Says something that is no result. Where standard error is closed, nobody wanted to hear it.
    pub(crate) fn say(&mut self, text: fmt::Arguments<'_>) {
        drop(self.flush());
        drop(writeln!(self.words, "{text}"));
    }

    /// A progress bar, or a counter where the total is not known; nothing where nobody would see it.
    pub(crate) fn progress(&self, total: Option<u64>, unit: Unit) -> ProgressBar {
        if self.has_progress { shown(total, unit) } else { ProgressBar::hidden() }
    }

    /// What makes a progress bar of a total when there is one; `None` where nobody would see it.
    pub(crate) fn bars(&self, unit: Unit) -> Option<impl Fn(u64) -> ProgressBar + Send + Sync + 'static> {
        self.has_progress.then_some(move |total| shown(Some(total), unit))
    }
}

fn shown(total: Option<u64>, unit: Unit) -> ProgressBar {
    let template = match (total, unit) {
        (Some(_), Unit::Bytes) => "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        (Some(_), Unit::Events) => "{bar:40} {human_pos}/{human_len} {per_sec} {eta}",
        (None, Unit::Bytes) => "{spinner} {bytes} {bytes_per_sec}",
        (None, Unit::Events) => "{spinner} {human_pos} events {per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are sound");
    ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style)
}

/// An empty table with these headings.
pub(crate) fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = facts();
    table.set_header(headings);
    table
}

/// An empty table without headings, for names and what they stand for.
pub(crate) fn facts() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// At most `count` characters of a text, without control characters.
pub(crate) fn printable(text: &str, count: usize) -> String {
    let mut shown: String =
        text.chars().take(count).map(|char| if char.is_control() { '·' } else { char }).collect();
    if text.chars().nth(count).is_some() {
        shown.push('…');
    }
    shown
}
