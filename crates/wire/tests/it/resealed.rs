//! Structures whose checksums are set right again after their bytes were changed, so that tests reach what
//! stands behind the checksums. Positions and the CRC itself are written down here once more, from
//! docs/format.md and not from the crate. The fuzz targets include this file.

const TABLE: [u32; 256] = table();
const FRAME_HEADER_LEN: usize = 36;
const TRAILER_LEN: usize = 136;
const DIRECTORY_LEN: usize = 22 * 8;
const CHECKPOINT_PREFIX_LEN: usize = 32;

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0_u32;
    while index < 256 {
        let mut value = index;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index as usize] = value;
        index += 1;
    }
    table
}

/// The CRC-32 of `bytes`, going on from the CRC-32 `initial` of what came before.
pub(crate) fn crc32(initial: u32, bytes: &[u8]) -> u32 {
    let step =
        |register: u32, byte: &u8| (register >> 8) ^ TABLE[usize::from(register.to_le_bytes()[0] ^ byte)];
    !bytes.iter().fold(!initial, step)
}

/// The CRC-32 of the header of the frame that `bytes` begin with; `None` where they do not hold it.
pub(crate) fn frame_header_crc(bytes: &[u8], salt: u64, segment: u64, offset: u32) -> Option<u32> {
    let stamp_len = usize::from(*bytes.get(7)?);
    let seed = crc32(crc32(0, &salt.to_le_bytes()), &segment.to_le_bytes());
    Some(crc32(seed ^ offset, bytes.get(4..FRAME_HEADER_LEN + stamp_len)?))
}

/// Sets both checksums of the frame that `bytes` begin with.
pub(crate) fn reseal_frame(bytes: &mut [u8], salt: u64, segment: u64, offset: u32) {
    let body_start = FRAME_HEADER_LEN + usize::from(bytes.get(7).copied().unwrap_or_default());
    let body_len = number(bytes, 8, 4).unwrap_or_default();
    if let Some(body) = bytes.get(body_start..).and_then(|rest| rest.get(..body_len)) {
        let crc = crc32(0, body);
        put(bytes, 12, crc);
    }
    if let Some(crc) = frame_header_crc(bytes, salt, segment, offset) {
        put(bytes, 0, crc);
    }
}

/// Sets the checksum that the structure in `bytes` ends with.
pub(crate) fn reseal_end(bytes: &mut [u8]) {
    if let Some(at) = bytes.len().checked_sub(4) {
        let crc = crc32(0, &bytes[..at]);
        put(bytes, at, crc);
    }
}

/// Sets the checksums of the footer that `bytes` end with: pages, head, trailer.
pub(crate) fn reseal_footer(bytes: &mut [u8]) {
    let Some(trailer) = bytes.len().checked_sub(TRAILER_LEN) else { return };
    if let Some(sums) = reseal_pages(bytes, trailer) {
        let crc = crc32(0, &bytes[sums..trailer]);
        put(bytes, trailer + 68, crc);
    }
    reseal_end(&mut bytes[trailer..]);
}

/// Sets the checksums of the pages; returns where they begin.
fn reseal_pages(bytes: &mut [u8], trailer: usize) -> Option<usize> {
    let directory = trailer.checked_sub(DIRECTORY_LEN)?;
    let start = bytes.len().checked_sub(number(bytes, trailer + 72, 8)?)?;
    let lens = (directory..trailer).step_by(8).map(|at| number(bytes, at, 8)?.checked_next_multiple_of(8));
    let blocks_len = lens.into_iter().try_fold(0_usize, |sum, len| sum.checked_add(len?))?;
    let sums = start.checked_add(blocks_len).filter(|sums| *sums <= directory)?;
    let crcs: Vec<u32> = bytes[start..sums].chunks(4096).map(|page| crc32(0, page)).collect();
    for (at, crc) in (sums..directory).step_by(4).zip(crcs) {
        put(bytes, at, crc);
    }
    Some(sums)
}

/// Sets the checksums of an index run: header, pages.
pub(crate) fn reseal_run(bytes: &mut [u8]) {
    let header_len = number(bytes, 12, 4).unwrap_or_default();
    let Some((header, pages)) = bytes.split_at_mut_checked(header_len) else { return };
    reseal_end(header);
    let seed = number(header, header_len.saturating_sub(4), 4).unwrap_or_default();
    for (place, page) in pages.chunks_exact_mut(4096).enumerate() {
        let crc = crc32(u32::try_from(seed ^ place).unwrap(), &page[..4092]);
        put(page, 4092, crc);
    }
}

/// Sets the checksums of a checkpoint: head, prefix, and those of its tables.
pub(crate) fn reseal_checkpoint(bytes: &mut [u8]) {
    let head_len = number(bytes, 12, 4).unwrap_or_default();
    if let Some(head) = bytes.get(CHECKPOINT_PREFIX_LEN..).and_then(|rest| rest.get(..head_len)) {
        let crc = crc32(0, head);
        put(bytes, 24, crc);
    }
    if let Some(prefix) = bytes.get_mut(..CHECKPOINT_PREFIX_LEN) {
        reseal_end(prefix);
    }
    let tables = CHECKPOINT_PREFIX_LEN.saturating_add(head_len).checked_next_multiple_of(8);
    if let Some(tables) = tables.and_then(|tables| bytes.get_mut(tables..)) {
        reseal_footer(tables);
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let field = bytes.get(at..)?.get(..len)?;
    let number = field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}
