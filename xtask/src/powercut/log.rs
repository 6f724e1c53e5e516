//! The log of dm-log-writes: every write, flush and mark of a device, in the order in which they took effect.
//!
//! A sector with the head comes first, then for each entry a sector that says what it is, and behind it the
//! sectors that were written. A write without FUA stands in front of the first flush that made it durable, not
//! where it was issued; a mark stands where it was made. So everything before a mark that a flush covers was
//! durable when the mark was made. See `Documentation/admin-guide/device-mapper/log-writes.rst` of the kernel.
//!
//! Invariant: a number of the log is believed only as far as there are bytes for it.

use std::{
    fmt,
    io::{self, Read},
};

/// What a device counts in; the offsets of writes are multiples of it.
pub(super) const SECTOR_LEN: u64 = 512;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;

/// The head's fields: magic, version, number of entries, length of a sector.
const HEAD_LEN: u64 = 28;
/// An entry's fields: sector, number of sectors, flags, length of what stands behind the fields.
const FIELDS_LEN: usize = 32;

const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// What happened to the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Bytes were written at an offset. With `is_durable` they were durable when the write ended.
    Write { offset: u64, bytes: Vec<u8>, is_durable: bool },
    /// A stretch was given back, and reads as zeros.
    Discard { offset: u64, len: u64 },
    /// Somebody named this moment.
    Mark(String),
    /// Nothing but the flush.
    Flush,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether everything before it was durable when it took effect.
    pub(super) has_flushed: bool,
    pub(super) action: Action,
}

/// Why a log can't be read: where, and what is wrong there.
#[derive(Debug)]
pub(crate) struct Unreadable {
    offset: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    NoLog,
    Version(u64),
    SectorLen(u64),
    Cut,
    Mark,
    Io(io::Error),
}

/// Reads all entries of a log.
pub(super) fn read(source: impl Read) -> Result<Vec<Entry>, Unreadable> {
    let mut reader = Reader { source, offset: 0 };
    let head = reader.take(HEAD_LEN)?;
    let (magic, version, count) = (number(&head, 0), number(&head, 8), number(&head, 16));
    let sector_len = number(&head, 24);
    let failed = |what| Unreadable { offset: 0, what };
    if magic != MAGIC {
        return Err(failed(What::NoLog));
    }
    if version != VERSION {
        return Err(failed(What::Version(version)));
    }
    if !sector_len.is_multiple_of(SECTOR_LEN) || sector_len == 0 {
        return Err(failed(What::SectorLen(sector_len)));
    }
    reader.take(sector_len - HEAD_LEN)?;
    (0..count).map(|_| reader.entry(sector_len)).collect()
}

struct Reader<R> {
    source: R,
    offset: u64,
}

impl<R: Read> Reader<R> {
    fn entry(&mut self, sector_len: u64) -> Result<Entry, Unreadable> {
        let start = self.offset;
        let sector = self.take(sector_len)?;
        let (place, count) = (number(&sector, 0), number(&sector, 8));
        let (flags, text_len) = (number(&sector, 16), number(&sector, 24));
        let cut = || Unreadable { offset: start, what: What::Cut };
        let offset = place.checked_mul(sector_len).ok_or_else(cut)?;
        let len = count.checked_mul(sector_len).ok_or_else(cut)?;
        let action = if flags & MARK != 0 {
            Action::Mark(mark(&sector, text_len).ok_or(Unreadable { offset: start, what: What::Mark })?)
        } else if flags & DISCARD != 0 {
            Action::Discard { offset, len }
        } else if len == 0 {
            Action::Flush
        } else {
            Action::Write { offset, bytes: self.take(len)?, is_durable: flags & FUA != 0 }
        };
        Ok(Entry { has_flushed: flags & FLUSH != 0, action })
    }

    /// The next `len` bytes. Memory is taken for those that are there.
    fn take(&mut self, len: u64) -> Result<Vec<u8>, Unreadable> {
        let failed = |what| Unreadable { offset: self.offset, what };
        let mut bytes = Vec::new();
        let read = self.source.by_ref().take(len).read_to_end(&mut bytes);
        read.map_err(|source| failed(What::Io(source)))?;
        if bytes.len() as u64 != len {
            return Err(failed(What::Cut));
        }
        self.offset += len;
        Ok(bytes)
    }
}

/// The words of a mark, which stand behind the fields of its entry, as a C string.
fn mark(sector: &[u8], len: u64) -> Option<String> {
    let text = sector.get(FIELDS_LEN..)?.get(..usize::try_from(len).ok()?)?;
    let text = text.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}

/// The little-endian number of up to eight bytes at `place`; what is not there is zero.
fn number(bytes: &[u8], place: usize) -> u64 {
    let bytes = bytes.get(place..).unwrap_or_default().iter().take(8).enumerate();
    bytes.fold(0, |number, (place, byte)| number | u64::from(*byte) << (8 * place))
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log of writes, at byte {}: ", self.offset)?;
        match &self.what {
            What::NoLog => f.write_str("this is none"),
            What::Version(version) => write!(f, "version {version} is not known"),
            What::SectorLen(len) => write!(f, "sectors of {len} bytes"),
            What::Cut => f.write_str("it ends within an entry"),
            What::Mark => f.write_str("a mark is no text"),
            What::Io(source) => source.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTOR: usize = 512;

    fn sector(numbers: &[u64], text: &str) -> Vec<u8> {
        let mut bytes: Vec<_> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(SECTOR, 0);
        bytes
    }

    fn head(count: u64) -> Vec<u8> {
        sector(&[MAGIC, VERSION, count, SECTOR as u64], "")
    }

    fn entry(has_flushed: bool, action: Action) -> Entry {
        Entry { has_flushed, action }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let parts = [
            head(6),
            sector(&[3, 2, 0, 0], ""),
            vec![0xaa; 2 * SECTOR],
            sector(&[0, 0, FLUSH | FUA | 16, 0], ""),
            sector(&[0, 0, MARK, 6], "ack-7\0"),
            sector(&[5, 1, FUA, 0], ""),
            vec![0xbb; SECTOR],
            sector(&[8, 4, DISCARD, 0], ""),
            sector(&[1, 1, FLUSH, 0], ""),
            vec![0xcc; SECTOR],
        ];
        let write = |offset, bytes, is_durable| Action::Write { offset, bytes, is_durable };
        let expected = [
            entry(false, write(1536, vec![0xaa; 2 * SECTOR], false)),
            entry(true, Action::Flush),
            entry(false, Action::Mark("ack-7".to_owned())),
            entry(false, write(2560, vec![0xbb; SECTOR], true)),
            entry(false, Action::Discard { offset: 4096, len: 2048 }),
            entry(true, write(512, vec![0xcc; SECTOR], false)),
        ];
        assert_eq!(read(parts.concat().as_slice()).unwrap(), expected);
    }

    #[test]
    fn what_follows_the_last_entry_is_not_read() {
        assert!(read([head(0), vec![0xff; 9]].concat().as_slice()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_log_is_told_with_its_place() {
        let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(told(&[0; 600]).ends_with("at byte 0: this is none"));
        assert!(told(&sector(&[MAGIC, 2, 0, 512], "")).contains("version 2"));
        assert!(told(&sector(&[MAGIC, 1, 0, 100], "")).contains("sectors of 100 bytes"));
        let mark = [head(1), sector(&[0, 0, MARK, 1000], "x")].concat();
        assert!(told(&mark).ends_with("at byte 512: a mark is no text"));
    }

    #[test]
    fn a_log_that_ends_early_is_told_at_every_length() {
        let whole = [head(1), sector(&[0, 1, 0, 0], ""), vec![1; SECTOR]].concat();
        assert!(read(whole.as_slice()).is_ok());
        for len in 0..whole.len() {
            let error = read(whole.get(..len).unwrap()).unwrap_err().to_string();
            assert!(error.ends_with("it ends within an entry"), "{len}: {error}");
        }
    }

    #[test]
    fn a_huge_number_takes_no_memory() {
        for numbers in [[0, u64::MAX / 512, 0, 0], [0, u64::MAX, 0, 0], [u64::MAX, 0, 0, 0]] {
            let log = [head(1), sector(&numbers, "")].concat();
            let error = read(log.as_slice()).unwrap_err().to_string();
            assert!(error.ends_with("it ends within an entry"), "{error}");
        }
    }
}
