//! A line taken apart: names and JSON texts, nothing decoded that nobody asks for.
//!
//! Invariant: every text is a piece of the line as it stands there, and no name is there twice.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why a line is no event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine(pub(crate) String);

impl BadLine {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The attributes of a line, sorted by name.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    attributes: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, BadLine> {
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(BadLine::new("this is compressed with gzip: zcat FILE | annals import -"));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| BadLine(format!("not UTF-8 at byte {}", error.valid_up_to() + 1)))?;
        serde_json::from_str(text).map_err(|error| bad_json(&error))
    }

    /// All names and their texts.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.attributes.iter().map(|(name, value)| (&**name, value.get()))
    }

    /// The JSON text of the attribute `name`.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.attributes.get(name).map(|value| value.get())
    }

    /// The string that the attribute `name` is; `None` where it is not there or null.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, BadLine> {
        match self.raw(name) {
            None | Some("null") => Ok(None),
            Some(raw) if raw.starts_with('"') => decode_text(name, raw).map(Some),
            Some(_) => Err(BadLine(format!("the attribute `{name}` is no string"))),
        }
    }

    /// The string that the attribute `name` must be.
    pub(super) fn required(&self, name: &str) -> Result<Cow<'a, str>, BadLine> {
        self.text(name)?.ok_or_else(|| BadLine(format!("the attribute `{name}` is missing")))
    }

    /// What the attribute `name` says: its string, or its JSON text where it is another value; `None` where it
    /// is not there or null.
    pub(super) fn words(&self, name: &str) -> Result<Option<Cow<'a, str>>, BadLine> {
        match self.raw(name) {
            Some(raw) if raw != "null" && !raw.starts_with('"') => Ok(Some(Cow::Borrowed(raw))),
            _ => self.text(name),
        }
    }

    /// The batch that the line belongs to.
    pub(crate) fn batch(&self) -> Result<Option<Cow<'a, str>>, BadLine> {
        self.words("batch")
    }
}

fn decode_text<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, BadLine> {
    let Text(text) = serde_json::from_str(raw)
        .map_err(|error| BadLine(format!("the attribute `{name}` is no text: {}", bad_json(&error))))?;
    if text.is_empty() { Err(BadLine(format!("the attribute `{name}` is empty"))) } else { Ok(text) }
}

/// What is wrong, and in which column; the line within the text says nothing, there is only one.
fn bad_json(error: &serde_json::Error) -> BadLine {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => BadLine(format!("{what}, at column {}", error.column())),
        None => BadLine(text),
    }
}

/// A string that is borrowed from the line where nothing in it is escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut attributes = BTreeMap::new();
        while let Some(Text(name)) = map.next_key()? {
            match attributes.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(map.next_value()?)),
                Entry::Occupied(entry) => {
                    return Err(A::Error::custom(format!("the attribute `{}` is there twice", entry.key())));
                }
            }
        }
        Ok(Line { attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_as_they_stood() {
        let line = Line::parse(br#" { "a" : 1.50 , "b":"\u0041" , "c" :{"x": [ 1,2]},"d":null} "#).unwrap();
        let found: Vec<_> = line.attributes().collect();
        assert_eq!(found, [("a", "1.50"), ("b", r#""\u0041""#), ("c", r#"{"x": [ 1,2]}"#), ("d", "null")]);
        assert_eq!(line.text("b").unwrap().unwrap(), "A");
        assert_eq!((line.text("d"), line.text("e")), (Ok(None), Ok(None)));
        assert_eq!(line.words("a").unwrap().unwrap(), "1.50");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_column() {
        let why = |bytes: &[u8]| Line::parse(bytes).map(|_| ()).unwrap_err().to_string();
        assert_eq!(why(br#"{"a":1,"a":2}"#), "the attribute `a` is there twice, at column 10");
        assert_eq!(why(br#"{"a":1,"\u0061":2}"#), "the attribute `a` is there twice, at column 15");
        assert!(why(b"[1]").contains("expected a JSON object"));
        assert!(why(br#"{"a":1"#).contains("EOF while parsing an object, at column 6"));
        assert!(why(br#"{"a":1} x"#).contains("trailing characters, at column 9"));
        assert_eq!(why(b"{\"a\":\"\xff\"}"), "not UTF-8 at byte 7");
        assert!(why(b"\x1f\x8b\x08").contains("zcat"));
    }

    #[test]
    fn a_deep_value_is_no_deep_recursion() {
        let text = format!(r#"{{"data":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(Line::parse(text.as_bytes()).unwrap().raw("data").unwrap().len(), 2_000_000);
    }
}
