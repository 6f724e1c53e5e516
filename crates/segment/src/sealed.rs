//! A sealed segment: its frames never change, and its successor's header says where they end.
//!
//! Invariant: the file is opened and mapped when first asked, and its header compared then with what is known
//! of the segment.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use annals_wire::{
    Chain, Digest, FRAME_HEADER_LEN, FooterTrailer, FrameHeader, FrameType, Generation, SEGMENT_HEADER_LEN,
    STAMP_LEN_MAX, SegmentHeader, SegmentId, Sequence, StoreId, TRAILER_LEN,
};

use crate::{
    Access, Directory, Error, File, FrameBytes, Region, name,
    scan::{Position, Scan, Scanned},
};

/// What is known of a sealed segment without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever found it: every field must be given")]
pub struct SealedPlace {
    /// The log.
    pub store: StoreId,
    /// The segment.
    pub id: SegmentId,
    /// Its generation.
    pub generation: Generation,
    /// The sequence of its first event.
    pub first_sequence: Sequence,
    /// Where its frames end.
    pub end: u64,
    /// Its chain there.
    pub chain: Chain,
}

/// A sealed segment.
#[derive(Debug)]
pub struct SealedSegment {
    place: SealedPlace,
    directory: Arc<dyn Directory>,
    path: PathBuf,
    maps: bool,
    opened: OnceLock<Opened>,
    region: OnceLock<Region>,
}

/// What lies behind a sealed segment's frames.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoundFooter {
    /// Nothing but zeros.
    Absent,
    /// A footer with a sound trailer: bytes that end with it.
    Sound(Region),
    /// Something that is no footer of these frames, and why.
    Unusable(String),
}

#[derive(Debug)]
struct Opened {
    file: Arc<dyn File>,
    header: SegmentHeader,
}

impl SealedSegment {
    /// The segment at `place`; with `maps`, its frames are read through a map.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, place: SealedPlace, maps: bool) -> Self {
        let path = directory.path().join(name::segment_name(place.id, place.generation));
        Self { place, directory, path, maps, opened: OnceLock::new(), region: OnceLock::new() }
    }

    /// What is known of it.
    #[must_use]
    pub fn place(&self) -> &SealedPlace {
        &self.place
    }

    /// The segment's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segment's header.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`], or [`Error::Mismatch`] where the file is another segment's.
    pub fn header(&self) -> Result<&SegmentHeader, Error> {
        Ok(&self.open()?.header)
    }

    /// The frame at `offset`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Corrupt`] where no whole frame lies there.
    pub fn frame(&self, offset: u64) -> Result<FrameBytes, Error> {
        let seed = self.header()?.seed();
        if self.maps {
            FrameBytes::view(self.region()?, &self.path, seed, offset)
        } else {
            FrameBytes::read(&*self.open()?.file, &self.path, seed, offset)
        }
    }

    /// Walks all frames and checks that they are all there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Mismatch`] where a frame is not whole or the chain is another, whatever
    /// [`Scan::run`] returns.
    pub fn scan(
        &self,
        known: &[FrameType],
        visit: &mut dyn FnMut(u64, &annals_wire::Frame<'_>) -> Result<(), Error>,
    ) -> Result<Scanned, Error> {
        let start = Position {
            offset: SEGMENT_HEADER_LEN as u64,
            chain: Chain::default(),
            next_sequence: self.place.first_sequence,
        };
        let opened = self.open()?;
        let seed = opened.header.seed();
        let scanned = Scan::new(&*opened.file, &self.path, seed, known, self.place.end).run(start, visit)?;
        if let Some(stop) = scanned.stop {
            return Err(Error::bytes(&self.path, stop.offset)(stop.error));
        }
        self.mismatch("the chain", self.place.end, &self.place.chain, &scanned.position.chain)?;
        Ok(scanned)
    }

    /// Looks for the footer behind the frames. Only one whose trailer is sound and belongs here is mapped: no
    /// writer cuts that.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Newer`], or [`Error::Mismatch`] where a sound footer of this segment indexes frames
    /// behind the end: the next segment is then of another history.
    pub fn footer(&self) -> Result<FoundFooter, Error> {
        let file = &self.open()?.file;
        let len = file.len().map_err(Error::io("look at", &self.path))?;
        let behind = len.saturating_sub(self.place.end);
        let mut trailer = [0; TRAILER_LEN];
        let at = len.saturating_sub(TRAILER_LEN as u64).max(self.place.end);
        let read = file.read_full_at(&mut trailer, at).map_err(Error::io("read", &self.path))?;
        let (trailer, footer_len) = match FooterTrailer::decode_end(trailer.get(..read).unwrap_or_default()) {
            Ok(found) => found,
            Err(source) if source.is_newer_version() => return Err(Error::bytes(&self.path, at)(source)),
            Err(source) => {
                let is_empty = crate::scan::nonzero_len(&self.behind()?) == 0;
                return Ok(if is_empty {
                    FoundFooter::Absent
                } else {
                    FoundFooter::Unusable(source.to_string())
                });
            }
        };
        let place = (self.place.store, self.place.id, self.place.generation);
        if (trailer.store, trailer.segment, trailer.generation) == place
            && trailer.frames_end > self.place.end
        {
            return Err(self.frames_behind(format!("a footer of frames to {}", trailer.frames_end)));
        }
        if footer_len != behind {
            return Ok(FoundFooter::Unusable("it does not begin where the frames end".to_owned()));
        }
        if self.maps {
            return file.map(len).map(FoundFooter::Sound).map_err(Error::io("map", &self.path));
        }
        self.behind().map(|bytes| FoundFooter::Sound(bytes.into()))
    }

    /// The bytes behind the frames.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn behind(&self) -> Result<Vec<u8>, Error> {
        let file = &self.open()?.file;
        let len = file.len().map_err(Error::io("look at", &self.path))?.saturating_sub(self.place.end);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = file.read_full_at(&mut bytes, self.place.end).map_err(Error::io("read", &self.path))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Makes sure that no frame of the segment lies behind the end that its successor gives it.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Mismatch`]: the next segment is then of another history.
    pub fn check_end(&self) -> Result<(), Error> {
        let opened = self.open()?;
        let mut bytes = [0; FRAME_HEADER_LEN + STAMP_LEN_MAX];
        let end = self.place.end;
        let read = opened.file.read_full_at(&mut bytes, end).map_err(Error::io("read", &self.path))?;
        match FrameHeader::decode(bytes.get(..read).unwrap_or_default(), opened.header.seed(), end) {
            Ok(_) => Err(self.frames_behind("another frame".to_owned())),
            Err(_) => Ok(()),
        }
    }

    fn frames_behind(&self, found: String) -> Error {
        let what = "the end of the frames, which the next segment's header gives,";
        let (path, offset) = (self.path.clone(), self.place.end);
        Error::Mismatch { path, offset, what, expected: self.place.end.to_string(), found }
    }

    /// Replaces what lies behind the frames by `footer`, durably.
    ///
    /// # Errors
    /// [`Error::Io`]; the footer is then absent, torn or whole, and the frames are as they were.
    pub fn write_footer(&self, footer: &[u8]) -> Result<(), Error> {
        let name = name::segment_name(self.place.id, self.place.generation);
        let file = self.directory.open(&name, Access::Write).map_err(Error::io("open", &self.path))?;
        let start = self.place.end;
        file.write_all_at(footer, start).map_err(Error::io("write", &self.path))?;
        let len = file.len().map_err(Error::io("look at", &self.path))?;
        let end = start + footer.len() as u64;
        if len > end {
            // Nothing has mapped what lies behind: a footer is mapped when it is whole, and then kept.
            file.set_len(end).map_err(Error::io("truncate", &self.path))?;
        }
        file.sync_data().map_err(Error::io("sync", &self.path))
    }

    /// The BLAKE3 digest of the segment's bytes up to the end of its frames.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn digest(&self) -> Result<Digest, Error> {
        let file = &self.open()?.file;
        let end = usize::try_from(self.place.end).unwrap_or(usize::MAX);
        let mut digester = annals_wire::Digester::default();
        let mut window = vec![0; end.min(1 << 20)];
        let mut offset = 0;
        while offset < end {
            let len = window.len().min(end - offset);
            let bytes = window.get_mut(..len).unwrap_or_default();
            file.read_exact_at(bytes, offset as u64).map_err(Error::io("read", &self.path))?;
            digester.update(bytes);
            offset += len;
        }
        Ok(digester.digest())
    }

    fn region(&self) -> Result<&Region, Error> {
        if let Some(region) = self.region.get() {
            return Ok(region);
        }
        let region = self.open()?.file.map(self.place.end).map_err(Error::io("map", &self.path))?;
        Ok(self.region.get_or_init(|| region))
    }

    fn open(&self) -> Result<&Opened, Error> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let name = name::segment_name(self.place.id, self.place.generation);
        let (file, header) = open_segment(&*self.directory, &name)?;
        self.mismatch("the store's id", 16, &self.place.store, &header.store)?;
        self.mismatch("the segment's id", 32, &self.place.id, &header.id)?;
        self.mismatch("the generation", 40, &self.place.generation, &header.generation)?;
        self.mismatch("the first sequence", 56, &self.place.first_sequence, &header.first_sequence)?;
        Ok(self.opened.get_or_init(|| Opened { file, header }))
    }

    fn mismatch<T: PartialEq + ToString>(
        &self,
        what: &'static str,
        offset: u64,
        expected: &T,
        found: &T,
    ) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        let (expected, found) = (expected.to_string(), found.to_string());
        Err(Error::Mismatch { path: self.path.clone(), offset, what, expected, found })
    }
}

/// The frame at `offset` of the segment with `header`, sealed or not.
///
/// # Errors
/// [`Error::Io`], or [`Error::Corrupt`] where no whole frame lies there.
pub fn read_frame(
    directory: &dyn Directory,
    header: &SegmentHeader,
    offset: u64,
) -> Result<FrameBytes, Error> {
    let name = name::segment_name(header.id, header.generation);
    let (file, header) = open_segment(directory, &name)?;
    FrameBytes::read(&*file, &directory.path().join(name), header.seed(), offset)
}

/// Opens the segment's file `name` for reading and checks its header.
pub(crate) fn open_segment(
    directory: &dyn Directory,
    name: &str,
) -> Result<(Arc<dyn File>, SegmentHeader), Error> {
    let path = directory.path().join(name);
    let file = directory.open(name, Access::Read).map_err(Error::io("open", &path))?;
    let mut bytes = [0; SEGMENT_HEADER_LEN];
    let read = file.read_full_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
    let header = SegmentHeader::decode(bytes.get(..read).unwrap_or_default());
    Ok((file, header.map_err(Error::bytes(path, 0))?))
}
