//! One line of a transcript: a fact about a run, in words that are read again.
//!
//! Invariant: `decode` gives back what `Display` wrote. A line that ends in `ack N` is a promise that outlives
//! the power, the Nth of its transcript.

use std::fmt;

use annals::{Durability, Kind};

/// What a promise is to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a process ends, or the power does")]
pub enum Level {
    /// The end of the process: what was written is promised.
    Kill,
    /// The end of the power: only what is durable is promised.
    Power,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// A process began, with these options and this workload.
    Begun {
        /// How long a segment becomes.
        segment_bytes: u64,
        /// After how many bytes a checkpoint is due.
        checkpoint_bytes: u64,
        /// The workload's name.
        name: String,
    },
    /// The store is about to be opened.
    Opening,
    /// It is open, and shows so many events and names: nobody may lose them again.
    Opened {
        /// How many events it shows.
        events: usize,
        /// How many kinds have a name.
        names: usize,
    },
    /// It is open for reading only, because putting it in order takes space that is not there.
    Reads {
        /// How many events it shows.
        events: usize,
        /// How many kinds have a name.
        names: usize,
    },
    /// So many events with payloads of so many bytes are about to be appended.
    Sending {
        /// How many.
        count: u64,
        /// How long each payload is.
        len: usize,
    },
    /// The events that were sent last are as durable as this.
    Appended(Durability),
    /// A kind is about to be named.
    Naming,
    /// The name that was sent last is bound to this kind.
    Named(Kind),
    /// What was sent last was refused: nothing of it was appended.
    Refused,
    /// All that was sent is durable.
    Synced,
    /// A checkpoint of all that was sent is written.
    Checkpointed,
    /// The work behind the appends is done.
    Pumped,
    /// The store is about to be closed.
    Closing,
    /// It is closed.
    Closed,
    /// It is about to be let go without being closed.
    Dropping,
    /// The store told of something that it mended, or does without.
    Told(String),
    /// Something failed: what, with which kind of error, and where the store has stopped what it still shows.
    Failed {
        /// What was tried.
        what: String,
        /// The variant of [`annals::Error`].
        variant: String,
        /// How many events are durable or visible, as far as the store said so.
        kept: usize,
        /// The error's words.
        why: String,
    },
    /// All steps were done.
    Done,
}

impl Line {
    /// Whether it tells of a promise that outlives the power.
    #[must_use]
    pub fn is_acknowledgement(&self) -> bool {
        match self {
            Self::Appended(durability) => *durability == Durability::Durable,
            Self::Opened { .. } | Self::Named(_) | Self::Synced | Self::Checkpointed | Self::Closed => true,
            _ => false,
        }
    }

    /// The line that `text` is, and the number behind its `ack`; `None` where it is none.
    #[must_use]
    pub fn decode(text: &str) -> Option<(Self, Option<u64>)> {
        if let Some(line) = decode_words(text) {
            return Some((line, None));
        }
        let (line, number) = text.rsplit_once(" ack ")?;
        Some((decode_plain(line)?, Some(number.parse().ok()?)))
    }
}

/// A line whose last part is free text, in which anything may stand.
fn decode_words(text: &str) -> Option<Line> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "begun" => {
            let mut parts = rest.splitn(3, ' ');
            let mut number = || parts.next()?.parse().ok();
            let (segment_bytes, checkpoint_bytes) = (number()?, number()?);
            Some(Line::Begun { segment_bytes, checkpoint_bytes, name: parts.next()?.to_owned() })
        }
        "told" => Some(Line::Told(rest.to_owned())),
        "failed" => {
            let mut parts = rest.splitn(4, ' ');
            let mut part = || parts.next().map(str::to_owned);
            let (what, variant) = (part()?, part()?);
            Some(Line::Failed { what, variant, kept: part()?.parse().ok()?, why: part()? })
        }
        _ => decode_plain(text).filter(|line| !line.is_acknowledgement()),
    }
}

fn decode_plain(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split(' ').collect();
    let line = match *words.as_slice() {
        ["opening"] => Line::Opening,
        ["opened", events, names] => {
            Line::Opened { events: events.parse().ok()?, names: names.parse().ok()? }
        }
        ["reads", events, names] => Line::Reads { events: events.parse().ok()?, names: names.parse().ok()? },
        ["sending", count, len] => Line::Sending { count: count.parse().ok()?, len: len.parse().ok()? },
        ["appended", "durable"] => Line::Appended(Durability::Durable),
        ["appended", "written"] => Line::Appended(Durability::Written),
        ["appended", "queued"] => Line::Appended(Durability::Queued),
        ["naming"] => Line::Naming,
        ["named", kind] => Line::Named(Kind::new(kind.parse().ok()?).ok()?),
        ["refused"] => Line::Refused,
        ["synced"] => Line::Synced,
        ["checkpointed"] => Line::Checkpointed,
        ["pumped"] => Line::Pumped,
        ["closing"] => Line::Closing,
        ["closed"] => Line::Closed,
        ["dropping"] => Line::Dropping,
        ["done"] => Line::Done,
        _ => return None,
    };
    Some(line)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { segment_bytes, checkpoint_bytes, name } => {
                write!(f, "begun {segment_bytes} {checkpoint_bytes} {name}")
            }
            Self::Opening => f.write_str("opening"),
            Self::Opened { events, names } => write!(f, "opened {events} {names}"),
            Self::Reads { events, names } => write!(f, "reads {events} {names}"),
            Self::Sending { count, len } => write!(f, "sending {count} {len}"),
            Self::Appended(durability) => write!(f, "appended {}", word(*durability)),
            Self::Naming => f.write_str("naming"),
            Self::Named(kind) => write!(f, "named {}", kind.number()),
            Self::Refused => f.write_str("refused"),
            Self::Synced => f.write_str("synced"),
            Self::Checkpointed => f.write_str("checkpointed"),
            Self::Pumped => f.write_str("pumped"),
            Self::Closing => f.write_str("closing"),
            Self::Closed => f.write_str("closed"),
            Self::Dropping => f.write_str("dropping"),
            Self::Told(what) => write!(f, "told {}", what.replace('\n', " ")),
            Self::Failed { what, variant, kept, why } => {
                write!(f, "failed {what} {variant} {kept} {}", why.replace('\n', " "))
            }
            Self::Done => f.write_str("done"),
        }
    }
}

fn word(durability: Durability) -> &'static str {
    match durability {
        Durability::Durable => "durable",
        Durability::Written => "written",
        _ => "queued",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let begun = Line::Begun { segment_bytes: 4096, checkpoint_bytes: 7, name: "drops and x".to_owned() };
        let failed = |why: &str| Line::Failed {
            what: "append".to_owned(),
            variant: "Stopped".to_owned(),
            kept: 3,
            why: why.to_owned(),
        };
        let lines = [
            begun,
            Line::Opening,
            Line::Reads { events: 3, names: 1 },
            Line::Sending { count: 2, len: 40 },
            Line::Appended(Durability::Queued),
            Line::Appended(Durability::Written),
            Line::Naming,
            Line::Refused,
            Line::Pumped,
            Line::Closing,
            Line::Dropping,
            Line::Told("CHECKPOINT: no ack 3".to_owned()),
            failed("write x: no ack 7"),
            Line::Done,
        ];
        for line in lines {
            assert_eq!(Line::decode(&line.to_string()), Some((line, None)));
        }
    }

    #[test]
    fn a_promise_has_its_number() {
        let kind = Kind::new(0x2001).unwrap();
        let promises = [
            Line::Opened { events: 3, names: 1 },
            Line::Appended(Durability::Durable),
            Line::Named(kind),
            Line::Synced,
            Line::Checkpointed,
            Line::Closed,
        ];
        for line in promises {
            assert!(line.is_acknowledgement());
            assert_eq!(Line::decode(&format!("{line} ack 12")), Some((line.clone(), Some(12))));
            assert_eq!(Line::decode(&line.to_string()), None, "cut before its number");
        }
        assert_eq!(Line::decode("appended durab"), None);
    }
}
