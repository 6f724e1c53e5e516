//! An index run, encoded from its entries.

use annals_wire::{
    RUN_ENTRIES_PER_PAGE, RUN_LINES_PER_PAGE, RunEntry, RunHeader, RunPage, SIEVE_LINE_LEN, SieveBuilder,
};

pub(crate) fn encode_run(header: &RunHeader, entries: &[RunEntry]) -> Vec<u8> {
    let (mut bytes, seed) = header.encode();
    let (mut sieve, mut lines) = (SieveBuilder::new(header.entry_count), Vec::new());
    for (number, page) in (0..).zip(entries.chunks(RUN_ENTRIES_PER_PAGE)) {
        RunPage::encode(page, seed, number, &mut bytes);
        page.iter().for_each(|entry| sieve.push(entry.hash, &mut lines));
    }
    sieve.finish(&mut lines);
    for (number, lines) in (header.page_count()..).zip(lines.chunks(RUN_LINES_PER_PAGE * SIEVE_LINE_LEN)) {
        RunPage::encode_lines(lines, seed, number, &mut bytes);
    }
    bytes
}
