//! Rust source as tokens: names and punctuation with their lines, without comments and literals.
//!
//! Enough for the rules and no more: nothing is expanded or resolved. A rule over tokens isn't tripped by a
//! comment or a message.

/// A name, a `::` or one character of punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// The tokens of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_len(rest, first);
        let (lexeme, after) = rest.split_at(skipped.unwrap_or_else(|| token_len(rest, first)));
        if skipped.is_none() {
            tokens.push(Token { line, text: lexeme });
        }
        line += lexeme.matches('\n').count();
        rest = after;
    }
    tokens
}

pub(super) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of what `rest` begins with while `belongs`.
fn run_len(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !belongs(c)).unwrap_or(rest.len())
}

fn token_len(rest: &str, first: char) -> usize {
    if is_name_start(first) {
        run_len(rest, is_name)
    } else if rest.starts_with("::") {
        2
    } else {
        first.len_utf8()
    }
}

/// The length of the space, comment, literal or lifetime that `rest` begins with.
fn skipped_len(rest: &str, first: char) -> Option<usize> {
    match first {
        _ if first.is_whitespace() => Some(run_len(rest, char::is_whitespace)),
        _ if rest.starts_with("//") => Some(run_len(rest, |c| c != '\n')),
        _ if rest.starts_with("/*") => Some(block_comment_len(rest)),
        '0'..='9' => Some(run_len(rest, is_name)),
        '\'' => Some(quote_len(rest)),
        '"' => Some(quoted_len(rest, '"')),
        'b' | 'c' | 'r' => prefixed_literal_len(rest),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(inner) = rest.get(at..).filter(|inner| !inner.is_empty()) {
        if inner.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if inner.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += inner.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// A literal between two `quote`s, in which a backslash takes the next character with it.
fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// A character, or a lifetime: the quote with a name behind it and no other quote after one character.
fn quote_len(rest: &str) -> usize {
    let mut inner = rest.chars().skip(1);
    let (first, second) = (inner.next(), inner.next());
    if first == Some('\\') || second == Some('\'') {
        quoted_len(rest, '\'')
    } else {
        1 + run_len(rest.trim_start_matches('\''), is_name)
    }
}

/// A byte, C or raw literal; `None` where the letters begin a name.
fn prefixed_literal_len(rest: &str) -> Option<usize> {
    let prefix_len = ["br", "cr", "b", "c", "r"].iter().find(|prefix| rest.starts_with(**prefix))?.len();
    let (prefix, literal) = rest.split_at(prefix_len);
    let len = if prefix.ends_with('r') {
        raw_len(literal)?
    } else if literal.starts_with('"') {
        quoted_len(literal, '"')
    } else if prefix == "b" && literal.starts_with('\'') {
        quoted_len(literal, '\'')
    } else {
        return None;
    };
    Some(prefix_len + len)
}

fn raw_len(literal: &str) -> Option<usize> {
    let hashes = run_len(literal, |c| c == '#');
    let inner = literal.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let inner_len = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(hashes + 1 + inner_len)
}

/// `tokens` parted into what is shipped and what stands under `#[cfg(test)]`.
pub(super) fn parted<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<Token<'a>>) {
    let (mut shipped, mut tests) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        if starts_with(rest, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let (item, after) = rest.split_at(item_len(rest));
            tests.extend_from_slice(item);
            rest = after;
        } else {
            shipped.push(*first);
            rest = after;
        }
    }
    (shipped, tests)
}

fn starts_with(tokens: &[Token<'_>], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.text == *text)
}

/// The count of tokens up to the end of the item: its body, or the semicolon of one without a body.
fn item_len(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.text, "}" | ";") {
            return at + 1;
        }
    }
    tokens.len()
}

/// The tokens within each attribute.
pub(super) fn attributes<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let starts = (0..tokens.len()).filter_map(|at| {
        let rest = tokens.get(at..)?;
        let inner = if starts_with(rest, &["#", "!", "["]) { 2 } else { 1 };
        (starts_with(rest, &["#"]) && rest.get(inner)?.text == "[").then(|| rest.get(inner..))?
    });
    starts.map(|rest| rest.split_at(bracket_len(rest)).0).collect()
}

fn bracket_len(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "[" => depth += 1,
            "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_no_tokens() {
        assert_eq!(texts("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(
            texts(r##"a "b\"c" d br#"e"f"# g b"h" c"i" r"j\" k b'l' '\'' 'm' n"##),
            ["a", "d", "g", "k", "n"]
        );
        assert_eq!(texts("0x1f_u8 a.0 1.5 'q"), ["a", ".", "."]);
        assert_eq!(
            texts("&'a str, 'b: loop { break 'b }"),
            ["&", "str", ",", ":", "loop", "{", "break", "}"]
        );
        assert_eq!(texts("bytes cr r_x b"), ["bytes", "cr", "r_x", "b"]);
    }

    #[test]
    fn what_is_not_closed_ends_with_the_text() {
        for source in ["\"a", "/* a", "'\\", "r#\"a", "b'", "'", "é\"é"] {
            tokens(source);
        }
    }

    #[test]
    fn tokens_know_their_lines() {
        let lines = tokens("a\n\"\n\" b\n/*\n*/ c").iter().map(|token| token.line).collect::<Vec<_>>();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn tests_are_parted_from_what_is_shipped() {
        let source = "fn a() {} #[cfg(test)] use b::{c, d}; #[cfg(test)] mod t { fn e() {} } #[cfg(test)] mod f; fn g() {}";
        let tokens = tokens(source);
        let (shipped, tests) = parted(&tokens);
        let is_in = |part: &[Token<'_>], name: &str| part.iter().any(|token| token.text == name);
        assert!(["a", "g"].iter().all(|name| is_in(&shipped, name) && !is_in(&tests, name)));
        assert!(["b", "e", "f"].iter().all(|name| is_in(&tests, name) && !is_in(&shipped, name)));
    }

    #[test]
    fn attributes_are_taken_whole() {
        let tokens = tokens("#![a] #[cfg_attr(x, b([c]))] fn d() { e[f] }");
        let attributes: Vec<Vec<_>> =
            attributes(&tokens).iter().map(|inner| inner.iter().map(|token| token.text).collect()).collect();
        assert_eq!(
            attributes.iter().map(|inner| inner.concat()).collect::<Vec<_>>(),
            ["[a]", "[cfg_attr(x,b([c]))]"]
        );
    }
}
