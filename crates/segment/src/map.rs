//! Memory maps: the one file with `unsafe`.
//!
//! Invariant: only bytes that this crate never changes again are mapped: a sealed segment's frames and
//! footer, a checkpoint, a run. The store never shortens a file that it has mapped, and replaces derived
//! files by rename, so that an open map keeps the old one. Against others who cut files under a running
//! process there is no defence but not to map: see `Options::maps` of the store.

use std::{fmt, fs, io, ops::Deref, sync::Arc};

use memmap2::{Mmap, MmapOptions};

/// Bytes of a file that do not change: a map, or a copy.
#[derive(Clone)]
pub struct Region(Inner);

#[derive(Clone)]
enum Inner {
    Map(Arc<Mmap>),
    Heap(Arc<[u8]>),
}

impl Region {
    /// Maps the first `len` bytes of `file`.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter, or what the system says.
    #[expect(unsafe_code, reason = "a map is only safe while nobody changes the file")]
    pub(crate) fn map(file: &fs::File, len: u64) -> io::Result<Self> {
        if file.metadata()?.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        if len == 0 {
            return Ok(Self::from(Vec::new()));
        }
        // SAFETY: the caller of `File::map` promises that the bytes are neither written nor cut while the
        // region lives, and the length was there just now. What another program does to the file is
        // outside of what the store can promise; docs/format.md says so.
        let map = unsafe { MmapOptions::new().len(len).map(file) }?;
        Ok(Self(Inner::Map(Arc::new(map))))
    }
}

impl From<Vec<u8>> for Region {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Inner::Heap(bytes.into()))
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Map(map) => map,
            Inner::Heap(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Inner::Map(_) => "map",
            Inner::Heap(_) => "heap",
        };
        write!(f, "Region({kind}, {} bytes)", self.len())
    }
}
