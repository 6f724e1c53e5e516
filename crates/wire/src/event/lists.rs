//! The lists in an event's body, in place: its tags and its extensions.
//!
//! Invariant: a list that was decoded is sorted, distinct and not empty; an empty one is left out.
//!
//! Layout: docs/format.md, "Event".

use crate::{
    Error,
    codec::Reader,
    coordinate::{TAG_LEN_MAX, decode_text},
};

/// The most bytes of an extension's key.
pub(super) const EXTENSION_KEY_LEN_MAX: usize = 1024;

/// A key and bytes carried beside the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a key and a value are all there is to an extension")]
pub struct Extension<'a> {
    /// The namespaced key, 1 to 1,024 bytes without control characters.
    pub key: &'a str,
    /// The value.
    pub value: &'a [u8],
}

/// An event's tags, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Tags<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, there: bool) -> Result<Self, Error> {
        if !there {
            return Ok(Self::default());
        }
        let count = reader.u16()?;
        let start = reader.rest();
        let from = reader.position();
        let mut last = None;
        for _ in 0..count {
            let tag = decode_text("tag", reader.short_bytes()?, TAG_LEN_MAX)?;
            if last >= Some(tag) {
                return Err(reader.invalid("the tags are not sorted and distinct"));
            }
            last = Some(tag);
        }
        if last.is_none() {
            return Err(reader.invalid("an empty list of tags is left out"));
        }
        Ok(Self { bytes: start.get(..reader.position() - from).unwrap_or_default(), count })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The tags, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new("tag", self.bytes);
        std::iter::from_fn(move || std::str::from_utf8(reader.short_bytes().ok()?).ok())
    }
}

/// An event's extensions, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Extensions<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, there: bool) -> Result<Self, Error> {
        if !there {
            return Ok(Self::default());
        }
        let count = reader.u16()?;
        let start = reader.rest();
        let from = reader.position();
        let mut last = None;
        for _ in 0..count {
            let extension = decode_extension(reader)?;
            if last >= Some(extension.key) {
                return Err(reader.invalid("the extensions are not sorted by distinct keys"));
            }
            last = Some(extension.key);
        }
        if last.is_none() {
            return Err(reader.invalid("an empty list of extensions is left out"));
        }
        Ok(Self { bytes: start.get(..reader.position() - from).unwrap_or_default(), count })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The extensions, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        let mut reader = Reader::new("extension", self.bytes);
        std::iter::from_fn(move || decode_extension(&mut reader).ok())
    }

    /// The value of the extension `key`.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&'a [u8]> {
        self.iter().find(|extension| extension.key == key).map(|extension| extension.value)
    }
}

fn decode_extension<'a>(reader: &mut Reader<'a>) -> Result<Extension<'a>, Error> {
    let key = decode_text("extension key", reader.short_bytes()?, EXTENSION_KEY_LEN_MAX)?;
    let len = reader.u32()?;
    Ok(Extension { key, value: reader.bytes(len as usize)? })
}
