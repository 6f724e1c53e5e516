//! Memory maps: the one file with `unsafe`.
//!
//! Invariant: only bytes that nobody changes again are mapped. These are
//! - the frames of a sealed segment, up to the end that its successor's header gives them. Recovery writes to
//!   the newest segment alone, and a segment with a successor is not that one;
//! - a sealed segment with a footer whose trailer is sound and of these frames. A footer is written where there
//!   was none of that sort, or where it turned out damaged behind its trailer: then it is not mapped any more, and
//!   not written as long as anybody still has a map from before;
//! - a checkpoint, a run, a state. They are replaced by rename, so that an open map keeps the old file.
//!
//! A prefix of the log that is dropped is unlinked and not cut: who has it mapped keeps it.
//!
//! What is left is what safe code, here or in another program, can do to a file by its name: a map of bytes that
//! are written to is undefined behaviour in this language's terms, and a map of a file that is cut, or of a sector
//! that cannot be read, ends the process with SIGBUS. No type can forbid that. Who can't rule it out does without
//! maps: see `Options::maps` of the store, with which every byte comes through a read into memory of its own.

use std::{
    fmt, fs, io,
    ops::Deref,
    sync::{Arc, Weak},
};

use memmap2::{Mmap, MmapOptions};

/// Bytes of a file that do not change: a map, or a copy.
#[derive(Clone)]
pub struct Region(Inner);

#[derive(Clone)]
enum Inner {
    Map(Arc<Mmap>),
    Heap(Arc<[u8]>),
}

/// What says whether anybody still has a map.
#[derive(Debug, Default)]
pub(crate) struct MapWatch(Weak<Mmap>);

impl MapWatch {
    /// Whether anybody still has the map.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
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
        // SAFETY: the map is only read, is private to `Region` and lives as long as the slices that borrow from
        // it, so all that can go wrong is that the file changes. The caller of `File::map` promises that these
        // bytes are neither written nor cut meanwhile: the list above is of all callers. That the file has the
        // length is looked up, not assumed, and `len` fits an address. What another program does to the file
        // is outside of what can be promised; docs/format.md says so.
        let map = unsafe { MmapOptions::new().len(len).map(file) }?;
        Ok(Self(Inner::Map(Arc::new(map))))
    }

    /// Says that tables lie from `start` on, of which a page here and there will be asked: nothing is fetched around
    /// what is asked.
    pub fn expect_look_ups(&self, start: u64) {
        #[cfg(target_os = "linux")]
        if let Inner::Map(map) = &self.0 {
            use memmap2::Advice;
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(map.len());
            // Advice that is not taken changes no answer.
            let _ = map.advise_range(Advice::Random, start, map.len() - start);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = start;
    }

    /// What says whether anybody still has this map; a copy is nobody's concern.
    pub(crate) fn watch(&self) -> MapWatch {
        match &self.0 {
            Inner::Map(map) => MapWatch(Arc::downgrade(map)),
            Inner::Heap(_) => MapWatch::default(),
        }
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
