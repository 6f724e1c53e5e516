//! The entities of a footer's streams: sorted, and so alike that of most only the end is stored.
//!
//! The first of each group of streams is there in full; the others share their beginning with it.

use std::{borrow::Cow, cmp::Ordering};

use crate::Error;

/// An entity in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entity<'a> {
    shared: &'a [u8],
    own: &'a [u8],
}

impl<'a> Entity<'a> {
    /// The entity that has its first `shared_len` bytes from `first`, and then its own.
    pub(super) fn behind(first: &'a [u8], shared_len: u8, own: &'a [u8]) -> Result<Self, Error> {
        let shared = first.get(..usize::from(shared_len)).ok_or(invalid("longer than what it shares"))?;
        Ok(Self { shared, own })
    }

    /// What the others of its group may share, where it is the first.
    pub(super) fn own(&self) -> &'a [u8] {
        self.own
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

/// How many bytes `entity` shares with the first of its group, and what is its own.
pub(super) fn parted<'a>(first: &str, entity: &'a str) -> (u8, &'a str) {
    let alike = first.bytes().zip(entity.bytes()).take_while(|(one, other)| one == other).count();
    let shared = entity.floor_char_boundary(alike.min(usize::from(u8::MAX)));
    let shared_len = u8::try_from(shared).expect("cut to what a byte holds");
    (shared_len, entity.get(shared..).unwrap_or_default())
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
                let (shared_len, own) = parted(first, entity);
                let found = Entity::behind(first.as_bytes(), shared_len, own.as_bytes()).unwrap();
                assert_eq!(found.whole().unwrap(), entity);
                for other in entities {
                    assert_eq!(found.order(other), entity.cmp(other), "{entity} behind {first}, and {other}");
                }
            }
        }
    }

    #[test]
    fn what_nothing_puts_is_refused() {
        for (first, shared_len, own) in
            [(&b"abc"[..], 4, &[][..]), ("é".as_bytes(), 1, &[]), (b"a", 1, &[0xff]), (b"", 0, &[0xff])]
        {
            let entity = Entity::behind(first, shared_len, own);
            assert!(entity.and_then(|entity| entity.whole()).is_err(), "{first:?} {shared_len} {own:?}");
        }
    }
}
