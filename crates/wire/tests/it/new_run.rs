//! An index run, encoded from its entries.

use annals_wire::{RUN_ENTRIES_PER_PAGE, RunEntry, RunHeader, RunPage};

pub(crate) fn encode_run(header: &RunHeader, entries: &[RunEntry]) -> Vec<u8> {
    let (mut bytes, seed) = header.encode();
    for (number, page) in (0..).zip(entries.chunks(RUN_ENTRIES_PER_PAGE)) {
        RunPage::encode(page, seed, number, &mut bytes);
    }
    bytes
}
