//! The entities of a footer's streams: sorted, and so alike that of most only the end is stored.
//!
//! Every 16th is there in full; the others say how many bytes they share with the last that is, in one byte, and
//! what comes behind.

use std::{borrow::Cow, cmp::Ordering};

use crate::Error;

/// Of this many entities the first is there in full.
pub(super) const GROUP_LEN: usize = 16;
/// Of this many, which are whole groups, the first is among the fences as well.
pub(super) const FENCE_LEN: usize = 64 * GROUP_LEN;

/// An entity in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entity<'a> {
    shared: &'a [u8],
    own: &'a [u8],
}

impl<'a> Entity<'a> {
    /// The entity that `bytes` are in full.
    pub(super) fn full(bytes: &'a [u8]) -> Self {
        Self { shared: &[], own: bytes }
    }

    /// The entity of `bytes` behind a first one that is there in full.
    pub(super) fn behind(first: &'a [u8], bytes: &'a [u8]) -> Result<Self, Error> {
        let (len, own) = bytes.split_first().ok_or(invalid("without its first byte"))?;
        let shared = first.get(..usize::from(*len)).ok_or(invalid("longer than what it shares"))?;
        Ok(Self { shared, own })
    }

    pub(super) fn order(&self, other: &str) -> Ordering {
        match other.as_bytes().split_at_checked(self.shared.len()) {
            Some((start, end)) => self.shared.cmp(start).then_with(|| self.own.cmp(end)),
            // Of what is shorter and begins alike, the longer is the larger.
            None => self.shared.cmp(other.as_bytes()),
        }
    }

    pub(super) fn whole(&self) -> Result<Cow<'a, str>, Error> {
        let own = text(self.own)?;
        Ok(if self.shared.is_empty() {
            Cow::Borrowed(own)
        } else {
            Cow::Owned([text(self.shared)?, own].concat())
        })
    }
}

/// Puts an entity behind the first of its group, or as that.
pub(super) fn put(first: Option<&str>, entity: &str, out: &mut Vec<u8>) {
    let Some(first) = first else { return out.extend_from_slice(entity.as_bytes()) };
    let alike = first.bytes().zip(entity.bytes()).take_while(|(one, other)| one == other).count();
    let shared = entity.floor_char_boundary(alike.min(usize::from(u8::MAX)));
    out.push(u8::try_from(shared).expect("cut to what a byte holds"));
    out.extend_from_slice(entity.as_bytes().get(shared..).unwrap_or_default());
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| invalid("not UTF-8"))
}

fn invalid(why: &'static str) -> Error {
    Error::Invalid { what: "footer entity", why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_what_it_was_and_in_its_place() {
        let long = "x".repeat(300);
        let entities = ["a", "ab", "abc", "abé", "abè", "", "b", "ä", &long, &long[1..]];
        for first in entities {
            for entity in entities {
                let mut bytes = Vec::new();
                put(Some(first), entity, &mut bytes);
                let found = Entity::behind(first.as_bytes(), &bytes).unwrap();
                assert_eq!(found.whole().unwrap(), entity);
                for other in entities {
                    assert_eq!(found.order(other), entity.cmp(other), "{entity} behind {first}, and {other}");
                }
            }
        }
    }

    #[test]
    fn what_nothing_puts_is_refused() {
        for (first, bytes) in
            [(&b"abc"[..], &[][..]), (b"abc", &[4]), ("é".as_bytes(), &[1]), (b"a", &[1, 0xff])]
        {
            assert!(Entity::behind(first, bytes).and_then(|entity| entity.whole()).is_err(), "{bytes:?}");
        }
        assert!(Entity::full(&[0xff]).whole().is_err());
    }
}
