//! The paths that code names, those of a `use` written out.
//!
//! A rule over paths isn't passed by a nested import: `use std::{fmt, fs}` names `std::fs`. What is named by
//! way of another import (`fs::read` after it) isn't traced back; the import itself is what a rule finds.

use super::tokens::{Token, is_name_start};

/// A path that code names, such as `std::fs::File`, and the line of its last part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) path: String,
}

/// All paths that `tokens` name; those of a `use` are written out in full.
pub(super) fn paths(tokens: &[Token<'_>]) -> Vec<Named> {
    let mut named = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        rest = if first.text == "use" {
            use_tree(after, "", &mut named)
        } else if first.text.starts_with(is_name_start) {
            path(rest, &mut named)
        } else {
            after
        };
    }
    named
}

/// Takes the path that `tokens` begin with.
fn path<'t, 'a>(tokens: &'t [Token<'a>], named: &mut Vec<Named>) -> &'t [Token<'a>] {
    let mut parts = Vec::new();
    let (mut rest, mut line) = (tokens, 0);
    while let Some((part, after)) =
        rest.split_first().filter(|(part, _)| part.text.starts_with(is_name_start))
    {
        parts.push(part.text);
        (rest, line) = (after, part.line);
        match after.split_first() {
            Some((colons, next)) if colons.text == "::" => rest = next,
            _ => break,
        }
    }
    named.push(Named { line, path: parts.join("::") });
    rest
}

/// Takes the tree of a `use` that `tokens` begin with, each of its paths with `prefix` before it.
fn use_tree<'t, 'a>(tokens: &'t [Token<'a>], prefix: &str, named: &mut Vec<Named>) -> &'t [Token<'a>] {
    let Some((first, after)) = tokens.split_first() else { return tokens };
    match first.text {
        "::" => use_tree(after, prefix, named),
        "{" => use_group(after, prefix, named),
        name if name == "*" || name.starts_with(is_name_start) => {
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
            match after.split_first() {
                Some((colons, inner)) if colons.text == "::" => use_tree(inner, &path, named),
                _ => {
                    named.push(Named { line: first.line, path });
                    after
                }
            }
        }
        _ => tokens,
    }
}

fn use_group<'t, 'a>(tokens: &'t [Token<'a>], prefix: &str, named: &mut Vec<Named>) -> &'t [Token<'a>] {
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        rest = match first.text {
            "}" => return after,
            "," => after,
            "as" => after.split_first().map_or(after, |(_, after)| after),
            _ => {
                let after_tree = use_tree(rest, prefix, named);
                // Progress even over what is no tree.
                if after_tree.len() == rest.len() { after } else { after_tree }
            }
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tokens::tokens;

    fn named(source: &str) -> Vec<String> {
        paths(&tokens(source)).into_iter().map(|named| named.path).collect()
    }

    #[test]
    fn paths_are_named_as_written() {
        assert_eq!(named("let a = std::fs::read(b);"), ["let", "a", "std::fs::read", "b"]);
        assert_eq!(named("::std::vec::Vec::<u8>::new()"), ["std::vec::Vec", "u8", "new"]);
    }

    #[test]
    fn imports_are_written_out() {
        assert_eq!(
            named("use std::{fmt, fs::{self, File as F}, io::*, sync as s};"),
            ["std::fmt", "std::fs::self", "std::fs::File", "std::io::*", "std::sync"]
        );
        assert_eq!(named("use ::std::{fs}; x"), ["std::fs", "x"]);
        assert_eq!(named("use std::fs as disk;"), ["std::fs", "as", "disk"]);
        assert_eq!(named("impl Sized + use<'a, T>"), ["impl", "Sized", "T"]);
    }
}
