//! The lines of an input, one after another, none longer than is allowed.
//!
//! Invariant: no more than one line and one buffer are in memory, whatever the input is.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{cloudevents::BadLine, failure::Failure};

/// The most bytes that a line may have.
pub(super) const LINE_BYTES_MAX: u64 = 64 << 20;

const BUFFER_BYTES: usize = 256 << 10;

/// An input, read line by line.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read>>,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
    read_bytes: u64,
    total_bytes: Option<u64>,
}

impl Lines {
    /// The lines of the file at `path`; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::new(Box::new(io::stdin()), Path::new("standard input"), None));
        }
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) =
            opened.map_err(|source| Failure::File { operation: "open", path: path.to_owned(), source })?;
        let total_bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self::new(Box::new(file), path, total_bytes))
    }

    fn new(input: Box<dyn Read>, path: &Path, total_bytes: Option<u64>) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { input, path: path.to_owned(), line: Vec::new(), number: 0, read_bytes: 0, total_bytes }
    }

    /// The next line that is not blank, and its number from 1, without what ends it; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &[u8])>, Failure> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut bounded = (&mut self.input).take(LINE_BYTES_MAX + 1);
            let len = bounded.read_until(b'\n', &mut self.line).map_err(|source| Failure::File {
                operation: "read",
                path: self.path.clone(),
                source,
            })?;
            self.read_bytes += len as u64;
            if len == 0 {
                return Ok(None);
            }
            if self.line.len() as u64 > LINE_BYTES_MAX {
                let why = BadLine::new("longer than 64 MiB");
                return Err(Failure::Line { number: self.number, why });
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, self.line.trim_ascii())));
            }
        }
    }

    /// Whether all that has arrived was read: the next line may be long in coming.
    pub(super) fn is_drained(&self) -> bool {
        self.input.buffer().is_empty()
    }

    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The length of the whole input, where it is known.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: impl Read + 'static) -> Lines {
        Lines::new(Box::new(input), Path::new("test"), None)
    }

    #[test]
    fn blank_lines_count_and_are_passed_over() {
        let mut lines = lines(&b"\n a \r\n\t\n\nb"[..]);
        assert_eq!(lines.next().unwrap(), Some((2, &b"a"[..])));
        assert_eq!(lines.next().unwrap(), Some((5, &b"b"[..])));
        assert_eq!(lines.next().unwrap(), None);
        assert_eq!(lines.read_bytes(), 10);
    }

    #[test]
    fn a_line_without_an_end_is_refused_in_bounded_memory() {
        let mut lines = lines(io::repeat(b'x'));
        assert_eq!(lines.next().unwrap_err().to_string(), "line 1: longer than 64 MiB");
    }
}
