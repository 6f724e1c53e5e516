//! The same events as records in one file, and nothing else: what reading costs where everybody knows where
//! everything lies.
//!
//! Each record is its body's length, the CRC-32 of the body, and the body: id, kind, stream, payload. All are
//! equally long.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use indicatif::ProgressBar;

use crate::content::{Content, stream_name};

const HEADER_LEN: usize = 8;
const ID_LEN: usize = 16;
const KIND_LEN: usize = 2;

/// Makes a file of `content`.
pub(crate) fn build(path: &Path, content: &Content, bar: &ProgressBar) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    let mut payload = Vec::new();
    for event in 0..content.events.get() {
        content.payload(event, &mut payload);
        let stream = stream_name(content.stream(event));
        let body =
            [&content.id(event).0[..], &content.kind(event).to_le_bytes(), stream.as_bytes(), &payload]
                .concat();
        let len = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        file.write_all(&len.to_le_bytes())?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(&body)?;
        bar.inc(1);
    }
    file.into_inner()?.sync_all()
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Records {
    file: File,
    record_len: usize,
    payload_len: usize,
}

impl Records {
    pub(crate) fn open(path: &Path, content: &Content) -> io::Result<Self> {
        let payload_len = content.payload_bytes as usize;
        let record_len = HEADER_LEN + ID_LEN + KIND_LEN + stream_name(0).len() + payload_len;
        Ok(Self { file: File::open(path)?, record_len, payload_len })
    }

    /// The payload of an event, whose record is read and checked.
    pub(crate) fn payload(&self, event: u64) -> io::Result<Vec<u8>> {
        let mut record = vec![0; self.record_len];
        (&self.file).seek(SeekFrom::Start(event * self.record_len as u64))?;
        (&self.file).read_exact(&mut record)?;
        let (header, body) = record.split_at(HEADER_LEN);
        let (len, crc) = header.split_at(HEADER_LEN / 2);
        let is_whole = len == u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes()
            && crc == crc32fast::hash(body).to_le_bytes();
        let payload = body.get(body.len() - self.payload_len..).filter(|_| is_whole);
        payload.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
