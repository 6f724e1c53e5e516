//! The examples of docs/format.md: fenced blocks marked `hex`, their name and circumstances behind the mark.
//!
//! A line is an offset, bytes in groups, and perhaps a comment behind a semicolon. What lies between two lines
//! is zero; the last line reaches the end.

use std::fmt::Write;

const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md"));
const PLAIN_LINE_LEN: usize = 16;

/// One example.
#[derive(Debug)]
pub(crate) struct HexBlock {
    /// What stands behind `hex`.
    pub(crate) title: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    offset: usize,
    groups: Vec<Vec<u8>>,
    comment: String,
}

/// The examples of the document, in its order.
pub(crate) fn hex_blocks() -> Vec<HexBlock> {
    let mut blocks = Vec::new();
    let mut lines = TEXT.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("```hex ") {
            let lines = lines.by_ref().take_while(|line| *line != "```").map(Line::parse).collect();
            blocks.push(HexBlock { title: title.to_owned(), lines });
        }
    }
    blocks
}

impl HexBlock {
    /// An example that shows nothing yet.
    pub(crate) fn titled(title: String) -> Self {
        Self { title, lines: Vec::new() }
    }

    /// The bytes that the example shows.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.lines {
            assert!(bytes.len() <= line.offset, "{}: the line at {:04x} goes back", self.title, line.offset);
            bytes.resize(line.offset, 0);
            bytes.extend(line.groups.concat());
        }
        bytes
    }

    /// The example as it would show `bytes`: the same lines as far as they reach, plain ones elsewhere.
    pub(crate) fn showing(&self, bytes: &[u8]) -> String {
        let mut text = format!("```hex {}\n", self.title);
        let mut shown = 0;
        for line in self.lines.iter().filter(|line| line.end() <= bytes.len()) {
            put_plain(&mut text, &bytes[..line.offset], shown);
            line.put(&mut text, bytes);
            shown = line.end();
        }
        put_plain(&mut text, bytes, shown);
        text + "```\n"
    }
}

fn put_plain(text: &mut String, bytes: &[u8], start: usize) {
    let mut offset = start;
    for chunk in bytes[start..].chunks(PLAIN_LINE_LEN) {
        if chunk.iter().any(|byte| *byte != 0) {
            Line { offset, groups: vec![chunk.to_owned()], comment: String::new() }.put(text, bytes);
        }
        offset += chunk.len();
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let (bytes, comment) = line.split_once(';').unwrap_or((line, ""));
        let mut words = bytes.split_whitespace();
        let offset = usize::from_str_radix(words.next().expect("an offset"), 16).expect("an offset");
        Self { offset, groups: words.map(parse_hex).collect(), comment: comment.trim().to_owned() }
    }

    fn end(&self) -> usize {
        self.offset + self.groups.iter().map(Vec::len).sum::<usize>()
    }

    /// Appends the line with what stands in its place in `bytes`.
    fn put(&self, text: &mut String, bytes: &[u8]) {
        let mut rest = &bytes[self.offset..];
        let mut line = format!("{:04x} ", self.offset);
        for group in &self.groups {
            let (shown, behind) = rest.split_at(group.len());
            line.push(' ');
            shown.iter().for_each(|byte| write!(line, "{byte:02x}").expect("a string takes all"));
            rest = behind;
        }
        if !self.comment.is_empty() {
            write!(line, "  ; {}", self.comment).expect("a string takes all");
        }
        text.push_str(&line);
        text.push('\n');
    }
}

fn parse_hex(word: &str) -> Vec<u8> {
    assert!(word.len().is_multiple_of(2), "half a byte in {word}");
    (0..word.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&word[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

#[test]
fn an_example_is_shown_as_it_was_parsed() {
    let lines = ["0000  0102 03  ; numbers", "0010  ff"].map(Line::parse);
    let block = HexBlock { title: "x".to_owned(), lines: lines.into() };
    assert_eq!(block.bytes(), [&[1, 2, 3][..], &[0; 13], &[255]].concat());
    assert_eq!(block.showing(&block.bytes()), "```hex x\n0000  0102 03  ; numbers\n0010  ff\n```\n");
    assert_eq!(block.showing(&[0, 0, 9, 8]), "```hex x\n0000  0000 09  ; numbers\n0003  08\n```\n");
}
