//! Where events belong: coordinates, streams and tags, and the rules for their strings.

use std::fmt;

use crate::{Error, Lane};

/// The most bytes that an entity or a scope may have.
pub const COORDINATE_PART_LEN_MAX: usize = 1024;

/// The most bytes that a tag may have.
pub const TAG_LEN_MAX: usize = 1024;

/// An entity within a scope.
///
/// ```
/// # use annals_wire::Coordinate;
/// let order = Coordinate::new("order:42", "shop/eu")?;
/// assert_eq!((order.entity(), order.scope()), ("order:42", "shop/eu"));
/// assert!(Coordinate::new("", "shop/eu").is_err(), "1 to 1,024 bytes each, no control characters");
/// # Ok::<(), annals_wire::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinate {
    scope: Box<str>,
    entity: Box<str>,
}

impl Coordinate {
    /// The coordinate of `entity` in `scope`, each 1 to 1,024 bytes without control characters.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn new(entity: &str, scope: &str) -> Result<Self, Error> {
        check_text("entity", entity, COORDINATE_PART_LEN_MAX)?;
        check_text("scope", scope, COORDINATE_PART_LEN_MAX)?;
        Ok(Self { scope: scope.into(), entity: entity.into() })
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The scope.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The key of this coordinate's stream on `lane`.
    #[must_use]
    pub fn stream(&self, lane: Lane) -> StreamKey<'_> {
        StreamKey { scope: &self.scope, entity: &self.entity, lane }
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream(Lane(0)).fmt(f)
    }
}

/// What names a stream: a coordinate and a lane. Streams are ordered by scope, then entity, then lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these three are what a stream is")]
pub struct StreamKey<'a> {
    /// The scope.
    pub scope: &'a str,
    /// The entity.
    pub entity: &'a str,
    /// The lane.
    pub lane: Lane,
}

impl fmt::Display for StreamKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.entity, self.scope)?;
        if self.lane == Lane(0) { Ok(()) } else { write!(f, " on lane {}", self.lane) }
    }
}

/// A short string that an event is found by.
///
/// ```
/// # use annals_wire::Tag;
/// let tag = Tag::new("customer:7")?;
/// assert_eq!(tag.as_str(), "customer:7");
/// # Ok::<(), annals_wire::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag `text`, 1 to 1,024 bytes without control characters.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn new(text: &str) -> Result<Self, Error> {
        check_text("tag", text, TAG_LEN_MAX)?;
        Ok(Self(text.into()))
    }

    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn check_text(what: &'static str, text: &str, len_max: usize) -> Result<(), Error> {
    let why = if text.is_empty() {
        "empty"
    } else if text.len() > len_max {
        "longer than 1,024 bytes"
    } else if has_control(text) {
        "contains a control character"
    } else {
        return Ok(());
    };
    Err(Error::Invalid { what, why })
}

/// Whether the text has a character of Unicode's category Cc: U+0000 to U+001F, U+007F, U+0080 to U+009F.
fn has_control(text: &str) -> bool {
    let (words, rest) = text.as_bytes().as_chunks();
    let is_plain_ascii = words.iter().all(|word| is_plain(u64::from_le_bytes(*word)))
        && rest.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
    !is_plain_ascii && text.chars().any(char::is_control)
}

/// Whether all eight bytes of `word` are ASCII, and none of them a control character.
fn is_plain(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let high = EACH * 0x80;
    // Of bytes below 0x80, those below 0x20 borrow, and 0x7f carries; where others mislead, they are seen themselves.
    let (below, above) = (word.wrapping_sub(EACH * 0x20), word.wrapping_add(EACH));
    (word | below | above) & high == 0
}

pub(crate) fn decode_text<'a>(what: &'static str, bytes: &'a [u8], len_max: usize) -> Result<&'a str, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Invalid { what, why: "not UTF-8" })?;
    check_text(what, text, len_max)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for place in 0..20 {
            for found in (0..0x180).filter_map(char::from_u32) {
                let text: String = (0..20).map(|at| if at == place { found } else { 'x' }).collect();
                assert_eq!(has_control(&text), found.is_control(), "{found:?} at {place}");
                assert!(has_control(&text.replacen('x', "\u{1f}", 1)), "{found:?} at {place}");
            }
        }
    }

    #[test]
    fn a_coordinate_is_two_bounded_strings_without_control_characters() {
        let long = "x".repeat(1025);
        assert!(Coordinate::new(&long[..1024], "s").is_ok());
        for (entity, scope) in
            [("", "s"), ("e", ""), (&*long, "s"), ("e", &*long), ("a\0", "s"), ("e", "\n"), ("e\u{85}", "s")]
        {
            assert!(Coordinate::new(entity, scope).is_err(), "{entity:?} {scope:?}");
        }
        assert_eq!(Coordinate::new("order:42", "shop/eu").unwrap().to_string(), "order:42 in shop/eu");
    }
}
