//! The input of a campaign, and what an export must be of it: a prefix that ends where a batch does.
//!
//! Invariant: every event of the input has an id of its own, so that a line of an export that differs can be
//! told to be missing, there twice, altered or foreign.

use std::{collections::HashMap, fmt, fs, path::Path};

use serde_json::Value;

use crate::failure::Failure;

/// The events of an input, in its order.
#[derive(Debug)]
pub(super) struct History {
    events: Vec<Event>,
    /// Where each id stands in `events`.
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Event {
    json: Value,
    /// The number of its batch; a line without one is a batch of its own.
    batch: usize,
}

/// How an export, or what was acknowledged, differs from the input. Lines count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    NotJson { line: usize },
    Missing { line: usize, id: String },
    Twice { line: usize, id: String },
    Altered { line: usize, id: String },
    Foreign { line: usize },
    SplitBatch { count: usize },
    Short { count: usize, expected: usize },
    Fewer { count: usize, before: usize },
    Unacknowledged { count: usize, expected: usize },
    Lost { id: String, line: usize, count: usize },
    ForeignAcknowledgement { id: String },
}

impl History {
    /// The events of the file at `path`, one JSON object per line.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(line, why)| Failure::Input { path: path.to_owned(), line, why })
    }

    /// The events of a text, or which line is none and why.
    fn parse(text: &[u8]) -> Result<Self, (usize, &'static str)> {
        let (mut events, mut places) = (Vec::<Event>::new(), HashMap::new());
        let mut previous: Option<String> = None;
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let json: Value = serde_json::from_slice(line).map_err(|_| (at + 1, "is not JSON"))?;
            let id = id(&json).ok_or((at + 1, "has no id"))?.to_owned();
            if places.insert(id, events.len()).is_some() {
                return Err((at + 1, "has the id of a line before it"));
            }
            let name = json.get("batch").and_then(Value::as_str).map(str::to_owned);
            let is_continued = name.is_some() && name == previous;
            let batch = events.last().map_or(0, |event| event.batch + usize::from(!is_continued));
            previous = name;
            events.push(Event { json, batch });
        }
        if events.is_empty() {
            Err((1, "is all there is, and no event"))
        } else {
            Ok(Self { events, places })
        }
    }

    pub(super) fn event_count(&self) -> usize {
        self.events.len()
    }

    pub(super) fn batch_count(&self) -> usize {
        self.events.last().map_or(0, |event| event.batch + 1)
    }

    /// How many events `export` has, which must be the input's first ones in whole batches.
    pub(super) fn prefix_count(&self, export: &[u8]) -> Result<usize, Difference> {
        let lines = export.strip_suffix(b"\n").unwrap_or(export).split(|byte| *byte == b'\n');
        let mut count = 0;
        for line in lines.filter(|_| !export.is_empty()) {
            let json: Value =
                serde_json::from_slice(line).map_err(|_| Difference::NotJson { line: count + 1 })?;
            if self.events.get(count).is_none_or(|event| event.json != json) {
                return Err(self.difference(count, &json));
            }
            count += 1;
        }
        if self.ends_batch(count) { Ok(count) } else { Err(Difference::SplitBatch { count }) }
    }

    /// Whether `export` is the whole input.
    pub(super) fn check_whole(&self, export: &[u8]) -> Result<(), Difference> {
        let (count, expected) = (self.prefix_count(export)?, self.event_count());
        if count == expected { Ok(()) } else { Err(Difference::Short { count, expected }) }
    }

    /// Whether each id is one of the first `count` events.
    pub(super) fn check_acknowledged(&self, ids: &[String], count: usize) -> Result<(), Difference> {
        for id in ids {
            match self.places.get(id) {
                Some(place) if *place < count => {}
                Some(place) => return Err(Difference::Lost { id: id.clone(), line: place + 1, count }),
                None => return Err(Difference::ForeignAcknowledgement { id: id.clone() }),
            }
        }
        Ok(())
    }

    /// Whether a batch ends with the `count`th event.
    fn ends_batch(&self, count: usize) -> bool {
        let batch = |place| self.events.get(place).map(|event: &Event| event.batch);
        count == 0 || batch(count - 1) != batch(count)
    }

    /// What `json` is, which is not the event at `place`.
    fn difference(&self, place: usize, json: &Value) -> Difference {
        let line = place + 1;
        let Some((id, found)) = id(json).and_then(|id| self.places.get_key_value(id)) else {
            return Difference::Foreign { line };
        };
        if *found < place {
            return Difference::Twice { line, id: id.clone() };
        }
        let expected = self.events.get(place).and_then(|event| self::id(&event.json));
        match expected.filter(|_| *found > place) {
            Some(expected) => Difference::Missing { line, id: expected.to_owned() },
            None => Difference::Altered { line, id: id.clone() },
        }
    }
}

fn id(event: &Value) -> Option<&str> {
    event.get("id")?.as_str()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line } => write!(f, "line {line} of the export is not JSON"),
            Self::Missing { line, id } => {
                write!(f, "the event {id} is missing: line {line} of the export is a later one")
            }
            Self::Twice { line, id } => {
                write!(f, "the event {id} is there twice, again in line {line} of the export")
            }
            Self::Altered { line, id } => {
                write!(f, "the event {id} in line {line} of the export is not equal to the input's")
            }
            Self::Foreign { line } => write!(f, "line {line} of the export is no event of the input"),
            Self::SplitBatch { count } => {
                write!(f, "the export ends after {count} events, in the middle of a batch")
            }
            Self::Short { count, expected } => write!(f, "the export has {count} events of {expected}"),
            Self::Fewer { count, before } => {
                write!(f, "the export has {count} events, and had {before} before the store was opened again")
            }
            Self::Unacknowledged { count, expected } => {
                write!(f, "{count} events of {expected} were acknowledged")
            }
            Self::Lost { id, line, count } => write!(
                f,
                "the event {id} was acknowledged and is lost: it is line {line} of the input, and the export \
                 has {count} events"
            ),
            Self::ForeignAcknowledgement { id } => write!(
                f,
                "{id} was acknowledged and is no id of the input, which must be UUIDs in lower case here"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of two, one, one (a line without a batch), one, and two events.
    const INPUT: [&str; 7] = [
        r#"{"id":"a","batch":"1","data":1}"#,
        r#"{"id":"b","batch":"1","data":2}"#,
        r#"{"id":"c","batch":"2"}"#,
        r#"{"id":"d"}"#,
        r#"{"id":"e"}"#,
        r#"{"id":"f","batch":"1"}"#,
        r#"{"id":"g","batch":"1"}"#,
    ];

    fn history() -> History {
        History::parse(INPUT.join("\n").as_bytes()).unwrap()
    }

    fn prefix_count(lines: &[&str]) -> Result<usize, Difference> {
        let export: String = lines.iter().map(|line| format!("{line}\n")).collect();
        history().prefix_count(export.as_bytes())
    }

    #[test]
    fn batches_are_consecutive_lines_with_the_same_name() {
        let history = history();
        assert_eq!((history.event_count(), history.batch_count()), (7, 5));
        let ends = (0..=INPUT.len()).filter(|count| history.ends_batch(*count));
        assert_eq!(ends.collect::<Vec<_>>(), [0, 2, 3, 4, 5, 7]);
    }

    #[test]
    fn a_prefix_of_whole_batches_is_accepted_and_no_other() {
        for count in 0..=INPUT.len() {
            let expected = match count {
                1 | 6 => Err(Difference::SplitBatch { count }),
                _ => Ok(count),
            };
            assert_eq!(prefix_count(&INPUT[..count]), expected);
        }
    }

    #[test]
    fn equal_as_json_is_equal() {
        assert_eq!(prefix_count(&[r#"{"data":1, "batch":"1","id":"\u0061"}"#, INPUT[1]]), Ok(2));
    }

    #[test]
    fn an_export_that_is_no_prefix_is_told_apart() {
        let [a, b, c, d, ..] = INPUT;
        let id = |id: &str| id.to_owned();
        let altered = r#"{"id":"b","batch":"1","data":3}"#;
        assert_eq!(prefix_count(&[a, b, d]), Err(Difference::Missing { line: 3, id: id("c") }));
        assert_eq!(prefix_count(&[b, a]), Err(Difference::Missing { line: 1, id: id("a") }));
        assert_eq!(prefix_count(&[a, b, b]), Err(Difference::Twice { line: 3, id: id("b") }));
        assert_eq!(prefix_count(&[a, altered]), Err(Difference::Altered { line: 2, id: id("b") }));
        assert_eq!(prefix_count(&[a, b, c, r#"{"id":"z"}"#]), Err(Difference::Foreign { line: 4 }));
        assert_eq!(prefix_count(&[a, "{"]), Err(Difference::NotJson { line: 2 }));
        assert_eq!(prefix_count(&[a, "", b]), Err(Difference::NotJson { line: 2 }));
        let twice = [&INPUT[..], &[INPUT[6]]].concat();
        assert_eq!(prefix_count(&twice), Err(Difference::Twice { line: 8, id: id("g") }));
    }

    #[test]
    fn a_whole_export_has_every_line() {
        let history = history();
        assert_eq!(history.check_whole(INPUT.join("\n").as_bytes()), Ok(()));
        let short = Err(Difference::Short { count: 5, expected: 7 });
        assert_eq!(history.check_whole(INPUT[..5].join("\n").as_bytes()), short);
    }

    #[test]
    fn an_acknowledged_event_behind_the_end_is_lost() {
        let (history, ids) = (history(), |ids: &[&str]| ids.iter().copied().map(str::to_owned).collect());
        let check = |names: &[&str], count| {
            let ids: Vec<String> = ids(names);
            history.check_acknowledged(&ids, count)
        };
        assert_eq!(check(&["a", "b"], 2), Ok(()));
        let lost = Difference::Lost { id: "c".to_owned(), line: 3, count: 2 };
        assert_eq!(check(&["a", "b", "c"], 2), Err(lost));
        let foreign = Difference::ForeignAcknowledgement { id: "z".to_owned() };
        assert_eq!(check(&["z"], 7), Err(foreign));
    }

    #[test]
    fn an_input_that_proves_nothing_is_refused() {
        let refused = |text: &str| History::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused(" \n"), (1, "is all there is, and no event"));
        assert_eq!(refused("{\"id\":\"a\"}\n\n{\"id\":\"a\"}"), (3, "has the id of a line before it"));
        assert_eq!(refused("{\"id\":\"a\"}\n{}"), (2, "has no id"));
        assert_eq!(refused("x"), (1, "is not JSON"));
    }
}
