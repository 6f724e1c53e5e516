//! `checkpoint`: write one now.

use std::path::Path;

use annals::Options;
use serde_json::json;

use crate::{failure::Failure, opening, output::Console};

pub(crate) fn run(store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = opening::for_writing(Options::new(), store, console)?;
    store.checkpoint()?;
    let sequence = store.last_sequence();
    store.close()?;
    if console.is_json() {
        return console.json(&json!({ "sequence": sequence }));
    }
    console.line(format_args!("wrote a checkpoint, up to sequence {sequence}"))
}
