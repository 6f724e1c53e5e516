//! One segment of a copy: checked where it lies, linked or copied, and read back.
//!
//! Invariant: what [`Walked::of`] returned `Ok` for has all frames of its place, by their checksums and their chain.
//! A file of a copy is synced before it is read back.

use annals_checkpoint::{FRAME_TYPES, encode_index, index_frame};
use annals_index::ActiveIndex;
use annals_segment::{Access, Directory, Error, File, Position, Scan, SealedPlace, segment_name};
use annals_wire::{
    Chain, CleanEnd, Control, Digest, Digester, FrameType, Recorded, SEGMENT_HEADER_LEN, SegmentHeader,
    Sequence,
};

use crate::sync::Arc;

const WINDOW_LEN: usize = 1 << 20;

/// Is shown a window of a file, with its offset.
type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 'a;

/// A file that holds a segment, or is to.
#[derive(Debug)]
pub(super) struct Piece {
    file: Arc<dyn File>,
    path: std::path::PathBuf,
}

/// What the frames of a segment gave.
#[derive(Debug)]
pub(super) struct Walked {
    index: ActiveIndex,
    next_sequence: Sequence,
    recorded: Recorded,
    mark: Digest,
}

impl Walked {
    /// The place behind the frames, as a clean close records it.
    pub(super) fn clean_end(&self, place: &SealedPlace) -> CleanEnd {
        CleanEnd {
            end: place.end,
            chain: place.chain,
            next_sequence: self.next_sequence,
            recorded: self.recorded,
            mark: self.mark,
        }
    }
}

/// The name of the segment's file.
pub(super) fn name(place: &SealedPlace) -> String {
    segment_name(place.id, place.generation)
}

impl Piece {
    pub(super) fn open(directory: &dyn Directory, name: &str) -> Result<Self, Error> {
        let path = directory.path().join(name);
        let file = directory.open(name, Access::Read).map_err(Error::io("open", &path))?;
        Ok(Self { file, path })
    }

    /// The header, which must be that of the segment at `place`.
    pub(super) fn header(&self, place: &SealedPlace) -> Result<SegmentHeader, Error> {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        let read = self.file.read_full_at(&mut bytes, 0).map_err(Error::io("read", &self.path))?;
        let header = SegmentHeader::decode(bytes.get(..read).unwrap_or_default());
        let header = header.map_err(Error::bytes(&self.path, 0))?;
        let expected = (place.store, place.id, place.generation, place.first_sequence);
        let found = (header.store, header.id, header.generation, header.first_sequence);
        if expected == found {
            return Ok(header);
        }
        Err(self.mismatch(0, "its header", format!("{expected:?}"), format!("{found:?}")))
    }

    /// Whether the frames before `place.end` are those that have its chain.
    pub(super) fn leads_to(&self, place: &SealedPlace) -> Result<bool, Error> {
        let header = self.header(place)?;
        let mut scan = Scan::new(&*self.file, &self.path, header.seed(), FRAME_TYPES, place.end);
        let scanned = scan.run(start(place), &mut |_, _| Ok(()))?;
        let position = scanned.position;
        Ok(scanned.stop.is_none() && (position.offset, position.chain) == (place.end, place.chain))
    }

    /// Walks the frames before `place.end` and checks that they are all there; `show` is told how far it is.
    pub(super) fn walk(&self, place: &SealedPlace, show: &mut dyn FnMut(u64)) -> Result<Walked, Error> {
        let header = self.header(place)?;
        let mut walked = Walked {
            index: ActiveIndex::new(place.first_sequence),
            next_sequence: place.first_sequence,
            recorded: header.recorded,
            mark: header.previous.map(|previous| previous.mark).unwrap_or_default(),
        };
        let mut scan = Scan::new(&*self.file, &self.path, header.seed(), FRAME_TYPES, place.end);
        let scanned = scan.run(start(place), &mut |offset, frame| {
            show(offset);
            if frame.header.frame_type == FrameType::CONTROL {
                let (stamp, _) = Control::decode(frame).map_err(Error::bytes(&self.path, offset))?;
                walked.recorded = walked.recorded.max(stamp.recorded);
            }
            if let Some(stamp) = index_frame(&mut walked.index, &self.path, offset, frame)? {
                walked.recorded = walked.recorded.max(stamp.recorded);
                walked.mark = stamp.hash;
            }
            Ok(())
        })?;
        if let Some(stop) = scanned.stop {
            return Err(Error::bytes(&self.path, stop.offset)(stop.error));
        }
        let (expected, found) = (place.chain, scanned.position.chain);
        if (scanned.position.offset, found) != (place.end, expected) {
            return Err(self.mismatch(place.end, "the chain", expected.to_string(), found.to_string()));
        }
        walked.next_sequence = scanned.position.next_sequence;
        Ok(walked)
    }

    /// The footer that belongs behind the frames that gave `walked`.
    fn footer(&self, place: &SealedPlace, walked: &Walked) -> Result<Vec<u8>, Error> {
        let mut digester = Digester::default();
        self.windows(place.end, &mut |_, bytes| {
            digester.update(bytes);
            Ok(())
        })?;
        Ok(encode_index(&walked.index, place, digester.digest()))
    }

    /// Whether behind the frames lies what belongs there: their footer, or nothing where the segment `is_newest`.
    pub(super) fn ends_soundly(
        &self,
        place: &SealedPlace,
        walked: &Walked,
        is_newest: bool,
    ) -> Result<bool, Error> {
        let expected = if is_newest { Vec::new() } else { self.footer(place, walked)? };
        let len = self.file.len().map_err(Error::io("look at", &self.path))?;
        if len != place.end + expected.len() as u64 {
            return Ok(false);
        }
        let mut found = vec![0; expected.len()];
        let read = self.file.read_full_at(&mut found, place.end).map_err(Error::io("read", &self.path))?;
        Ok(read == expected.len() && found == expected)
    }

    /// Copies the frames of `place` into the new file `name` of `directory`, and their footer, which is made anew,
    /// behind them where the segment is sealed; durably, and read back. Returns the bytes that were written.
    pub(super) fn copy_to(
        &self,
        place: &SealedPlace,
        directory: &dyn Directory,
        name: &str,
        is_newest: bool,
        show: &mut dyn FnMut(u64),
    ) -> Result<(Walked, u64), Error> {
        let path = directory.path().join(name);
        let file = directory.create(name).map_err(Error::io("create", &path))?;
        let to = Self { file, path };
        self.windows(place.end, &mut |offset, bytes| {
            to.file.write_all_at(bytes, offset).map_err(Error::io("write", &to.path))
        })?;
        to.sync()?;
        let walked = match to.walk(place, show) {
            Ok(walked) => walked,
            // Is it the store that is damaged? Then that is what is to be said.
            Err(error) => return Err(self.walk(place, show).err().unwrap_or(error)),
        };
        let footer = if is_newest { Vec::new() } else { to.footer(place, &walked)? };
        to.file.write_all_at(&footer, place.end).map_err(Error::io("write", &to.path))?;
        to.sync()?;
        if !to.ends_soundly(place, &walked, is_newest)? {
            let (expected, found) = ("what was just written".to_owned(), "other bytes".to_owned());
            return Err(to.mismatch(place.end, "the footer", expected, found));
        }
        Ok((walked, place.end + footer.len() as u64))
    }

    /// Makes what the file has durable.
    fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }

    /// Shows `visit` the first `end` bytes of the file, with their offset.
    fn windows(&self, end: u64, visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut window = vec![0; usize::try_from(end).unwrap_or(usize::MAX).min(WINDOW_LEN)];
        let mut offset = 0;
        while offset < end {
            let len = usize::try_from(end - offset).unwrap_or(usize::MAX).min(window.len());
            let bytes = window.get_mut(..len).unwrap_or_default();
            self.file.read_exact_at(bytes, offset).map_err(|error| self.unread(error, end))?;
            visit(offset, bytes)?;
            offset += len as u64;
        }
        Ok(())
    }

    /// Why bytes before `end`, which were there, were not read.
    fn unread(&self, error: std::io::Error, proven: u64) -> Error {
        match self.file.len() {
            Ok(end) if end < proven => {
                Error::Lost { path: self.path.clone(), end, proven, witness: "the store that is open" }
            }
            _ => Error::io("read", &self.path)(error),
        }
    }

    fn mismatch(&self, offset: u64, what: &'static str, expected: String, found: String) -> Error {
        Error::Mismatch { path: self.path.clone(), offset, what, expected, found }
    }
}

/// Where a segment's frames begin.
fn start(place: &SealedPlace) -> Position {
    Position {
        offset: SEGMENT_HEADER_LEN as u64,
        chain: Chain::default(),
        next_sequence: place.first_sequence,
    }
}

/// Gives the segment at `place` of `from` the name `name` in `directory` too, where that can be and the file is as it will
/// stay: sealed, with a sound footer. `None` where it is to be copied.
///
/// # Errors
/// What a damaged segment has, with the name that it has in `from`.
pub(super) fn link(
    from: &dyn Directory,
    place: &SealedPlace,
    directory: &dyn Directory,
    name: &str,
    show: &mut dyn FnMut(u64),
) -> Result<Option<Walked>, Error> {
    let own_name = self::name(place);
    if directory.link(from, &own_name, name).is_err() {
        return Ok(None);
    }
    let path = directory.path().join(name);
    let file = directory.open(name, Access::Write).map_err(Error::io("open", &path))?;
    file.sync_data().map_err(Error::io("sync", &path))?;
    let linked = Piece { file, path: from.path().join(own_name) };
    let walked = linked.walk(place, show)?;
    if linked.ends_soundly(place, &walked, false)? {
        return Ok(Some(walked));
    }
    directory.remove(name).map_err(Error::io("remove", path))?;
    Ok(None)
}
