//! Little-endian numbers and counted bytes, read from a slice and put into a vector.
//!
//! Invariant: a [`Reader`] never hands out what is not there, and allocates nothing.

use crate::Error;

/// Reads one structure front to back.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, position: 0 }
    }

    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let rest = self.rest();
        let taken = rest.get(..len).ok_or_else(|| self.truncated(len))?;
        self.position += len;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = self.rest();
        let taken = rest.first_chunk().ok_or_else(|| self.truncated(N))?;
        self.position += N;
        Ok(*taken)
    }

    #[cold]
    fn truncated(&self, needed: usize) -> Error {
        Error::Truncated { what: self.what, needed: needed as u64, available: self.rest().len() as u64 }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of three bytes.
    pub(crate) fn u24(&mut self) -> Result<u32, Error> {
        self.array().map(|[low, middle, high]: [u8; 3]| u32::from_le_bytes([low, middle, high, 0]))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number in as many bytes as it takes, seven bits in each, the lowest first; in no more bytes than it takes.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = u64::from(self.u8()?);
            let bits = byte & 0x7f;
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.invalid("a number in more bytes than it takes"))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// Bytes behind their u16 length.
    #[inline]
    pub(crate) fn short_bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// Bytes that must all be zero, so that a later version can give them a meaning.
    pub(crate) fn zeros(&mut self, len: usize) -> Result<(), Error> {
        if self.bytes(len)?.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(self.invalid("reserved bytes are not zero"))
        }
    }

    pub(crate) fn magic(&mut self, expected: &'static [u8; 8]) -> Result<(), Error> {
        let found: [u8; 8] = self.array()?;
        if found == *expected {
            Ok(())
        } else {
            Err(Error::Magic { what: self.what, expected: expected.to_vec(), found: found.to_vec() })
        }
    }

    /// A version that must be the one that this crate writes; an older one does not exist yet.
    pub(crate) fn version(&mut self) -> Result<(), Error> {
        match self.u32()? {
            crate::FORMAT_VERSION => Ok(()),
            0 => Err(self.invalid("version 0 was never written")),
            found => Err(Error::Version { what: self.what, found, supported: crate::FORMAT_VERSION }),
        }
    }

    pub(crate) fn invalid(&self, why: &'static str) -> Error {
        Error::Invalid { what: self.what, why }
    }
}

/// Puts numbers and bytes behind one another.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// Puts a number in as many bytes as it takes.
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value.to_le_bytes()[0] | 0x80]);
            value >>= 7;
        }
        self.put(&[value.to_le_bytes()[0]]);
    }

    fn put_zeros(&mut self, count: usize);
}

/// The bytes of a number below 2^24.
#[inline]
pub(crate) fn u24(value: u32) -> [u8; 3] {
    let [low, middle, high, none] = value.to_le_bytes();
    assert_eq!(none, 0, "a number below 2^24");
    [low, middle, high]
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_zeros(&mut self, count: usize) {
        self.resize(self.len() + count, 0);
    }
}

/// A length that a caller has already bounded, as a u16.
pub(crate) fn short_len(len: usize) -> u16 {
    u16::try_from(len).expect("checked when the value was made: at most 65,535 bytes")
}

/// A length or count that a caller has already bounded, as a u32.
pub(crate) fn long_len(len: usize) -> u32 {
    u32::try_from(len).expect("checked when the value was made: under 4 GiB")
}

/// Checks that the last four bytes of a structure are the CRC-32 of all before them.
pub(crate) fn check_trailing_crc(what: &'static str, bytes: &[u8]) -> Result<(), Error> {
    let Some((covered, stored)) = bytes.split_last_chunk::<4>() else {
        return Err(Error::Truncated { what, needed: 4, available: bytes.len() as u64 });
    };
    check_crc(what, u32::from_le_bytes(*stored), crc32fast::hash(covered))
}

/// The CRC-32 of `bytes`, as every checksum of the format is one (polynomial 0x04C11DB7, as in zip and PNG).
#[must_use]
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

pub(crate) fn check_crc(what: &'static str, expected: u32, found: u32) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Checksum { what, expected, found }) }
}
