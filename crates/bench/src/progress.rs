//! How far it is: a bar on a terminal, and nothing elsewhere.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `count` steps.
pub(crate) fn bar(what: impl Into<Cow<'static, str>>, count: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:30} {bar:30} {human_pos}/{human_len} {per_sec}, {eta} to go");
    ProgressBar::new(count)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}
