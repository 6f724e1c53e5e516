//! A sealed segment: its frames never change, and its successor's header says where they end.
//!
//! Invariant: the file is opened when asked, whenever that is, and its header compared then with what is known of the
//! segment. Its frames are mapped when many were asked, and so is its footer: the first are read, which costs less than
//! what comes into memory around a place in a map.

use std::{
    any::Any,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use annals_wire::{
    Chain, Digest, FOOTER_HEAD_LEN_GUESS, FRAME_HEADER_LEN, FetchBytes as _, FooterTrailer, FrameHeader,
    FrameType, Generation, SEGMENT_HEADER_LEN, STAMP_LEN_MAX, SegmentHeader, SegmentId, Sequence, StoreId,
    TRAILER_LEN,
};

use crate::{
    Access, Directory, Error, File, FilePart, FrameBytes, OpenFiles, Region,
    file_part::MapGate,
    name,
    open_files::Slot,
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
    path: PathBuf,
    files: Arc<OpenFiles>,
    pub(crate) slot: Arc<Slot>,
    /// Whether what lies behind the frames may be mapped, and who has it mapped.
    footer_maps: Arc<MapGate>,
}

/// What lies behind a sealed segment's frames.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoundFooter {
    /// Nothing but zeros.
    Absent,
    /// A footer with a sound trailer.
    Sound(FilePart),
    /// Something that is no footer of these frames, and why.
    Unusable(String),
}

/// A segment that is open.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    header: SegmentHeader,
    file: Arc<dyn File>,
    read_count: AtomicU32,
    /// Its frames, once many were asked; `None` where they cannot be mapped.
    frames: OnceLock<Option<Region>>,
    /// What was made of its footer.
    pub(crate) made: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// This many frames are read before others are looked at in the map.
const READS_BEFORE_MAP: u32 = 64;

impl SealedSegment {
    /// The segment at `place`, open and closed by itself; with `maps`, its frames are read through a map.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, place: SealedPlace, maps: bool) -> Self {
        Self::within(&OpenFiles::new(directory, maps, 1), place)
    }

    /// The segment at `place`, open when asked, as long as the budget of `files` bears it.
    #[must_use]
    pub fn within(files: &Arc<OpenFiles>, place: SealedPlace) -> Self {
        Self {
            place,
            path: files.directory.path().join(name::segment_name(place.id, place.generation)),
            files: Arc::clone(files),
            slot: Arc::default(),
            footer_maps: Arc::default(),
        }
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
    pub fn header(&self) -> Result<SegmentHeader, Error> {
        Ok(self.open()?.header)
    }

    /// The frame at `offset`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Corrupt`] where no whole frame lies there.
    pub fn frame(&self, offset: u64) -> Result<FrameBytes, Error> {
        let open = self.open()?;
        let seed = open.header.seed();
        match self.mapped_frames(&open) {
            Some(region) => FrameBytes::view(region, self.place.end, &self.path, seed, offset),
            None => FrameBytes::read(&self.files.buffers, &*open.file, &self.path, seed, offset),
        }
    }

    /// The map of the frames, once many were asked. A file that is too short is read, and says so where its frames are
    /// missing.
    fn mapped_frames<'a>(&self, open: &'a OpenSegment) -> Option<&'a Region> {
        if let Some(frames) = open.frames.get() {
            return frames.as_ref();
        }
        if !self.files.maps || open.read_count.fetch_add(1, Ordering::Relaxed) < READS_BEFORE_MAP {
            return None;
        }
        open.frames.get_or_init(|| open.file.map(0..self.place.end).ok()).as_ref()
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
        self.scan_from(start, known, visit)
    }

    /// Walks the frames from `start`, a place between batches, and checks that with what came before they are all
    /// there.
    ///
    /// # Errors
    /// As [`SealedSegment::scan`].
    pub fn scan_from(
        &self,
        start: Position,
        known: &[FrameType],
        visit: &mut dyn FnMut(u64, &annals_wire::Frame<'_>) -> Result<(), Error>,
    ) -> Result<Scanned, Error> {
        let (file, header) = self.file()?;
        let scanned =
            Scan::new(&*file, &self.path, header.seed(), known, self.place.end).run(start, visit)?;
        if let Some(stop) = scanned.stop {
            return Err(Error::bytes(&self.path, stop.offset)(stop.error));
        }
        self.check_same("the chain", self.place.end, &self.place.chain, &scanned.position.chain)?;
        Ok(scanned)
    }

    /// Walks the frames from `start`, a place between batches, to `end`, as far as whoever writes them has said that
    /// they may be read: also behind the end that was known when this was made.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where a frame is not whole, whatever [`Scan::run`] returns.
    pub fn scan_on(
        &self,
        start: Position,
        end: u64,
        known: &[FrameType],
        visit: &mut dyn FnMut(u64, &annals_wire::Frame<'_>) -> Result<(), Error>,
    ) -> Result<Position, Error> {
        let open = self.open()?;
        let mut scan = Scan::new(&*open.file, &self.path, open.header.seed(), known, end);
        let scanned = scan.run(start, visit)?;
        match scanned.stop {
            Some(stop) => Err(Error::bytes(&self.path, stop.offset)(stop.error)),
            None => Ok(scanned.position),
        }
    }

    /// Looks for the footer behind the frames. Only one whose trailer is sound and belongs here is ever mapped: no
    /// writer cuts that.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Newer`], or [`Error::Mismatch`] where a sound footer of this segment indexes frames
    /// behind the end: the next segment is then of another history.
    pub fn footer(&self) -> Result<FoundFooter, Error> {
        self.footer_of(&*self.open()?)
    }

    /// What `make` makes of the footer. It is kept as long as the segment is open, and made once.
    ///
    /// # Errors
    /// What [`SealedSegment::footer`] or `make` returns.
    pub fn footer_as<T: Any + Send + Sync, E: From<Error>>(
        &self,
        make: impl FnOnce(FoundFooter) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let open = self.open()?;
        if let Some(kept) = open.made.get().and_then(|made| Arc::clone(made).downcast().ok()) {
            return Ok(kept);
        }
        let made = Arc::new(make(self.footer_of(&open)?)?);
        let kept = open.made.get_or_init(|| Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        Ok(Arc::clone(kept).downcast().unwrap_or(made))
    }

    fn footer_of(&self, open: &OpenSegment) -> Result<FoundFooter, Error> {
        let len = open.file.len().map_err(Error::io("look at", &self.path))?;
        let range = self.place.end.min(len)..len;
        let part = FilePart::new(Arc::clone(&open.file), self.path.clone(), range, self.files.maps);
        let part = part.map_err(Error::io("make room for", &self.path))?.behind(&self.footer_maps);
        let end = part.read(part.len().saturating_sub(FOOTER_HEAD_LEN_GUESS)..part.len());
        match FooterTrailer::decode_end(end.map_err(Error::io("read", &self.path))?) {
            Ok((trailer, _)) if self.is_own(&trailer) && trailer.frames_end > self.place.end => {
                Err(self.frames_behind(format!("a footer of frames to {}", trailer.frames_end)))
            }
            Ok((_, footer_len)) if footer_len != part.len() as u64 => {
                Ok(FoundFooter::Unusable("it does not begin where the frames end".to_owned()))
            }
            Ok((trailer, _)) => {
                let SealedPlace { end, chain, first_sequence, .. } = self.place;
                let frames = (trailer.frames_end, trailer.chain, trailer.first_sequence);
                if !self.is_own(&trailer) || frames != (end, chain, first_sequence) {
                    part.only_read();
                }
                Ok(FoundFooter::Sound(part))
            }
            Err(source) if source.is_newer_version() => {
                let at = len.saturating_sub(TRAILER_LEN as u64).max(self.place.end);
                Err(Error::bytes(&self.path, at)(source))
            }
            Err(_) if crate::scan::nonzero_len(&self.behind()?) == 0 => Ok(FoundFooter::Absent),
            Err(source) => Ok(FoundFooter::Unusable(source.to_string())),
        }
    }

    fn is_own(&self, trailer: &FooterTrailer) -> bool {
        let place = (self.place.store, self.place.id, self.place.generation);
        (trailer.store, trailer.segment, trailer.generation) == place
    }

    /// Says that the footer turned out damaged: it is not mapped again, and another may be written when nobody has
    /// it mapped any more.
    pub fn reject_footer(&self) {
        self.footer_maps.shut();
        self.files.give_back(&self.slot);
    }

    /// Whether somebody may still have what lies behind the frames mapped, so that nothing may be written there.
    #[must_use]
    pub fn is_footer_mapped(&self) -> bool {
        self.footer_maps.is_held()
    }

    /// The bytes behind the frames.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn behind(&self) -> Result<Vec<u8>, Error> {
        let (file, _) = self.file()?;
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
        let (file, header) = self.file()?;
        let mut bytes = [0; FRAME_HEADER_LEN + STAMP_LEN_MAX];
        let end = self.place.end;
        let read = file.read_full_at(&mut bytes, end).map_err(Error::io("read", &self.path))?;
        match FrameHeader::decode(bytes.get(..read).unwrap_or_default(), header.seed(), end) {
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
    ///
    /// # Panics
    /// Where somebody has what lies there mapped: see [`SealedSegment::is_footer_mapped`].
    pub fn write_footer(&self, footer: &[u8]) -> Result<(), Error> {
        assert!(!self.is_footer_mapped(), "what is mapped is not written");
        self.footer_maps.shut();
        let name = name::segment_name(self.place.id, self.place.generation);
        let file = self.files.directory.open(&name, Access::Write).map_err(Error::io("open", &self.path))?;
        let start = self.place.end;
        file.write_all_at(footer, start).map_err(Error::io("write", &self.path))?;
        let len = file.len().map_err(Error::io("look at", &self.path))?;
        let end = start + footer.len() as u64;
        if len > end {
            file.set_len(end).map_err(Error::io("truncate", &self.path))?;
        }
        file.sync_data().map_err(Error::io("sync", &self.path))?;
        self.footer_maps.note_written();
        self.files.give_back(&self.slot);
        Ok(())
    }

    /// The BLAKE3 digest of the segment's bytes up to the end of its frames.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn digest(&self) -> Result<Digest, Error> {
        let (file, _) = self.file()?;
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

    /// The segment, open.
    fn open(&self) -> Result<Arc<OpenSegment>, Error> {
        match self.slot.get() {
            Some(open) => Ok(open),
            None => Ok(self.files.admit(&self.slot, self.open_anew()?)),
        }
    }

    fn open_anew(&self) -> Result<OpenSegment, Error> {
        let (file, header) = self.file()?;
        let (read_count, frames) = (AtomicU32::new(0), OnceLock::new());
        Ok(OpenSegment { header, file, read_count, frames, made: OnceLock::new() })
    }

    /// The segment's file, opened for the moment, and its header, which is that of this segment.
    fn file(&self) -> Result<(Arc<dyn File>, SegmentHeader), Error> {
        let name = name::segment_name(self.place.id, self.place.generation);
        let (file, header) = open_segment(&*self.files.directory, &name)?;
        self.check_same("the store's id", 16, &self.place.store, &header.store)?;
        self.check_same("the segment's id", 32, &self.place.id, &header.id)?;
        self.check_same("the generation", 40, &self.place.generation, &header.generation)?;
        self.check_same("the first sequence", 56, &self.place.first_sequence, &header.first_sequence)?;
        Ok((file, header))
    }

    fn check_same<T: PartialEq + ToString>(
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

/// The sequence that stands in the header of the frame at `offset` of the segment with `header`; `None` where that is
/// not whole, or cannot be read, or the frame has none. For naming what is damaged behind it.
#[must_use]
pub fn find_sequence(directory: &dyn Directory, header: &SegmentHeader, offset: u64) -> Option<Sequence> {
    let file = directory.open(&name::segment_name(header.id, header.generation), Access::Read).ok()?;
    let mut bytes = [0; FRAME_HEADER_LEN + STAMP_LEN_MAX];
    let read = file.read_full_at(&mut bytes, offset).ok()?;
    let frame = FrameHeader::decode(bytes.get(..read)?, header.seed(), offset).ok()?;
    Some(frame.sequence).filter(|sequence| *sequence != Sequence(0))
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
    FrameBytes::read(&Arc::default(), &*file, &directory.path().join(name), header.seed(), offset)
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
