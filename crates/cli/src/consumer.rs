//! What `cursors` and `groups` say and ask alike: where one is taken, how far behind it is, and who has it.

use std::{str::FromStr, time::Duration};

use annals::{Sequence, Store};
use indicatif::{HumanCount, HumanDuration};
use serde_json::json;

use crate::{failure::Failure, output::Console};

/// Where a cursor or a group is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    After(Sequence),
    Now,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "start" => Ok(Self::After(Sequence(0))),
            "now" => Ok(Self::Now),
            number => number
                .parse()
                .map(|number| Self::After(Sequence(number)))
                .map_err(|_| "say start, now, or a sequence".to_owned()),
        }
    }
}

impl Target {
    /// The last event of `store` that counts as done.
    pub(crate) fn after(self, store: &Store) -> Sequence {
        match self {
            Self::After(sequence) => sequence,
            Self::Now => store.last_sequence(),
        }
    }
}

/// How far behind one is, for people.
pub(crate) fn lag(events: u64, millis: u64) -> String {
    let time = HumanDuration(Duration::from_millis(millis));
    match events {
        0 => "nothing".to_owned(),
        1 => format!("1 event, {time}"),
        events => format!("{} events, {time}", HumanCount(events)),
    }
}

/// Whether somebody holds it, and why it would not be opened.
pub(crate) fn state(is_held: bool, refused: Option<&str>) -> String {
    match (refused, is_held) {
        (Some(why), _) => format!("refused: {why}"),
        (None, true) => "held".to_owned(),
        (None, false) => "free".to_owned(),
    }
}

/// Says where one of this sort was taken.
pub(crate) fn tell_reset(
    sort: &str,
    name: &str,
    after: Sequence,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if console.is_json() {
        return console.json(&json!({ "name": name, "position": after }));
    }
    console.line(format_args!("the {sort} {name} goes on behind sequence {after}"))
}

/// Says that one of this sort was deleted.
pub(crate) fn tell_deleted(
    sort: &str,
    name: &str,
    is_deleted: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if console.is_json() {
        return console.json(&json!({ "name": name, "deleted": is_deleted }));
    }
    console.line(format_args!("the {sort} {name} was deleted"))
}
