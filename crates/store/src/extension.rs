//! Extensions: the rules for their keys, and the keys of the store's own.
//!
//! Invariant: a key is a namespace and a name with a slash between them, and nobody but the store writes one of the
//! namespace `annals`. The format allows any text; these rules keep the keys of different programs apart.

use std::borrow::Cow;

use annals_wire::Extension;

use crate::Error;

/// The most bytes that a key may have.
const KEY_LEN_MAX: usize = 1024;
/// How many characters of a key that is refused are told.
const TOLD_CHARS: usize = 80;
/// The namespace of the store's own keys.
const OWN_NAMESPACE: &str = "annals";
/// The version of its type that a payload has: a number from 2 in decimal digits. Without it, the version is 1.
pub(crate) const VERSION: &str = "annals/version";

/// The value of [`VERSION`] for `version`; `None` for 1.
///
/// # Errors
/// [`Error::Invalid`] for 0.
pub(crate) fn version_value(version: u32) -> Result<Option<String>, Error> {
    match version {
        0 => Err(Error::Invalid { what: "version", why: "versions count from 1".to_owned() }),
        1 => Ok(None),
        version => Ok(Some(version.to_string())),
    }
}

/// The version that `value` of [`VERSION`] stands for; `None` where it stands for none.
pub(crate) fn version(value: Option<&[u8]>) -> Option<u32> {
    let Some(value) = value else { return Some(1) };
    let version = str::from_utf8(value).ok()?.parse().ok()?;
    // One number has one text: no sign, no zeros before it.
    let is_canonical = version_value(version).ok()??.as_bytes() == value;
    is_canonical.then_some(version)
}

/// The extensions that a caller gives, and the version, sorted by key.
///
/// # Errors
/// [`Error::Invalid`] naming the key and the rule that it breaks.
pub(crate) fn sorted<'e>(
    given: &'e [(Cow<'_, str>, Cow<'_, [u8]>)],
    version: Option<&'e str>,
) -> Result<Vec<Extension<'e>>, Error> {
    let mut extensions = Vec::with_capacity(given.len() + usize::from(version.is_some()));
    extensions.extend(version.map(|text| Extension { key: VERSION, value: text.as_bytes() }));
    for (key, value) in given {
        check(key)?;
        extensions.push(Extension { key, value });
    }
    extensions.sort_by_key(|extension| extension.key);
    for (one, next) in extensions.iter().zip(extensions.iter().skip(1)) {
        if one.key == next.key {
            return Err(invalid(one.key, "is there twice"));
        }
    }
    Ok(extensions)
}

fn check(key: &str) -> Result<(), Error> {
    if key.len() > KEY_LEN_MAX {
        let why = format!("has {} bytes; at most {KEY_LEN_MAX} are allowed", key.len());
        return Err(invalid(key, &why));
    }
    if key.chars().any(char::is_control) {
        return Err(invalid(key, "contains a control character"));
    }
    match key.split_once('/') {
        Some((OWN_NAMESPACE, _)) => Err(invalid(key, "is in the namespace annals, which is the store's own")),
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(invalid(key, "is no namespace and name with a slash between them, such as shop/terminal")),
    }
}

fn invalid(key: &str, why: &str) -> Error {
    let told: String = key.chars().take(TOLD_CHARS).collect();
    let rest = if told.len() < key.len() { "..." } else { "" };
    Error::Invalid { what: "extension key", why: format!("{told:?}{rest} {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_text() {
        assert_eq!(version(None), Some(1));
        for number in [2, 10, u32::MAX] {
            let text = version_value(number).unwrap().unwrap();
            assert_eq!(version(Some(text.as_bytes())), Some(number));
        }
        for text in ["", "0", "1", "02", "+2", " 2", "2 ", "4294967296", "two", "\u{662}"] {
            assert_eq!(version(Some(text.as_bytes())), None, "{text:?}");
        }
        assert_eq!(version(Some(b"\xff")), None);
    }
}
