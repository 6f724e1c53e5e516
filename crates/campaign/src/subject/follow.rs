//! Reading beside a writer: opened anew each time that it is asked.

use std::{
    io::{self, BufRead, Write},
    path::Path,
};

use annals::{Error, Options};

use super::state::State;
use crate::{flaw::Flaw, oracle, sent::Found};

/// Opens the directory `path` for reading only once for each line of `asks`, and answers each with a line: `seen`
/// and how many events and names there are and whether a writer lives, or `none` where there is no store.
///
/// What is shown is checked against `state`, which is of all that the writer will ever send.
///
/// # Errors
/// A [`Flaw`] where a store does not open or shows what was not sent.
pub fn follow(path: &Path, state: &State, asks: impl BufRead, mut answers: impl Write) -> Result<(), Flaw> {
    let failed = |error: io::Error| Flaw::new(format!("nobody asks or listens: {error}"));
    let mut sent = state.sent.clone();
    // It may be asked before any of it was sent.
    sent.durable = Found::default();
    for ask in asks.lines() {
        ask.map_err(failed)?;
        let answer = match Options::new().open_read_only(path) {
            Ok(store) => {
                let found = oracle::check(&store, &sent)?;
                let (events, names) = (found.events, found.names);
                format!("seen {events} {names} {}\n", store.report().has_live_writer)
            }
            Err(Error::NotFound { .. }) => "none\n".to_owned(),
            Err(error) => return Err(Flaw::new(format!("it does not open for reading: {error}"))),
        };
        answers.write_all(answer.as_bytes()).and_then(|()| answers.flush()).map_err(failed)?;
    }
    Ok(())
}
