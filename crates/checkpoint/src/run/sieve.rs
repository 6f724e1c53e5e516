//! The sieve of a run that is being written: it grows behind the entries as they come.
//!
//! Invariant: it holds no more than a set number of lines, however long the run is.

use std::io;

use annals_segment::File;
use annals_wire::{RUN_LINES_PER_PAGE, RunHeader, RunPage, RunSeed, SIEVE_LINE_LEN, SieveBuilder};

/// How many pages are written at once.
const PAGES_PER_WRITE: usize = 64;
const LINES_LEN: usize = RUN_LINES_PER_PAGE * SIEVE_LINE_LEN;

/// The part of a sieve that was not written yet.
pub(super) struct SieveWriter {
    builder: SieveBuilder,
    lines: Vec<u8>,
    /// The number of the next page in its run, and its offset.
    number: u64,
    offset: u64,
    seed: RunSeed,
}

impl SieveWriter {
    /// For the run with `header`.
    pub(super) fn new(header: &RunHeader, seed: RunSeed) -> Self {
        let number = header.page_count();
        let (builder, offset) = (SieveBuilder::new(header.entry_count), header.page_offset(number));
        Self { builder, lines: Vec::new(), number, offset, seed }
    }

    /// Takes the hash of the next entry.
    pub(super) fn push(&mut self, hash: u32, file: &dyn File) -> io::Result<()> {
        self.builder.push(hash, &mut self.lines);
        if self.lines.len() >= PAGES_PER_WRITE * LINES_LEN { self.write_whole(file) } else { Ok(()) }
    }

    /// Writes what is left, behind the last entry.
    pub(super) fn finish(mut self, file: &dyn File) -> io::Result<()> {
        self.builder.clone().finish(&mut self.lines);
        self.write_whole(file)?;
        let rest = std::mem::take(&mut self.lines);
        if rest.is_empty() { Ok(()) } else { self.write(&[&rest], file) }
    }

    fn write_whole(&mut self, file: &dyn File) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        let (whole, rest) = lines.as_chunks::<LINES_LEN>();
        rest.clone_into(&mut self.lines);
        let whole: Vec<&[u8]> = whole.iter().map(|lines| &lines[..]).collect();
        self.write(&whole, file)
    }

    fn write(&mut self, pages: &[&[u8]], file: &dyn File) -> io::Result<()> {
        let mut bytes = Vec::new();
        for lines in pages {
            RunPage::encode_lines(lines, self.seed, self.number, &mut bytes);
            self.number += 1;
        }
        file.write_all_at(&bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}
