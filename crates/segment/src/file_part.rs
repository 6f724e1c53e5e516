//! A part of a file with tables: read where it is first touched, and mapped once much of it was.
//!
//! The first touch of a place in a map can bring a whole large page of the cache into the process, 2 MiB on some
//! systems; a read brings the 4 KiB that were asked. Who looks into many files once reads; who looks into one often
//! has it mapped.
//!
//! Invariant: nothing is mapped that may still be written. What was lent before stays where it was read to.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use annals_wire::{Error, FetchBytes};

use crate::{
    File, Region,
    map::{Filled, MapWatch},
};

/// This many pages are read before the rest is mapped.
const PAGES_BEFORE_MAP: usize = 32;

/// A part of a file.
#[derive(Debug)]
pub struct FilePart {
    file: Arc<dyn File>,
    path: PathBuf,
    range: Range<u64>,
    filled: Filled,
    filled_count: AtomicUsize,
    may_map: AtomicBool,
    map: OnceLock<Region>,
    gate: Option<Pass>,
    failure: Mutex<Option<io::Error>>,
}

/// Whether what may be written again may be mapped, and who has it mapped.
#[derive(Debug, Default)]
pub(crate) struct MapGate(Mutex<GateState>);

#[derive(Debug, Default)]
struct GateState {
    is_shut: bool,
    written_count: u64,
    maps: Vec<MapWatch>,
}

/// What was there when a part was found.
#[derive(Debug)]
struct Pass {
    gate: Arc<MapGate>,
    written_count: u64,
}

impl FilePart {
    /// The bytes of `file` at `range`, which has the path `path` and nobody ever writes again; with `maps` they may be
    /// mapped.
    ///
    /// # Errors
    /// What the system says where there is no room in memory.
    pub fn new(file: Arc<dyn File>, path: PathBuf, range: Range<u64>, maps: bool) -> io::Result<Self> {
        let len = range.end.checked_sub(range.start).and_then(|len| usize::try_from(len).ok());
        let filled = Filled::new(len.ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(Self {
            file,
            path,
            range,
            filled,
            filled_count: AtomicUsize::new(0),
            may_map: AtomicBool::new(maps),
            map: OnceLock::new(),
            gate: None,
            failure: Mutex::default(),
        })
    }

    /// The same, of bytes that are mapped only as long as `gate` lets them.
    pub(crate) fn behind(self, gate: &Arc<MapGate>) -> Self {
        let written_count = gate.state().written_count;
        Self { gate: Some(Pass { gate: Arc::clone(gate), written_count }), ..self }
    }

    /// Says that it is not to be mapped.
    pub(crate) fn only_read(&self) {
        self.may_map.store(false, Ordering::Relaxed);
    }

    /// The bytes at `range` of the part.
    ///
    /// # Errors
    /// What the system says, or `UnexpectedEof` where the file became shorter.
    ///
    /// # Panics
    /// Where the range is not within the part.
    pub(crate) fn read(&self, range: Range<usize>) -> io::Result<&[u8]> {
        let mut read = |bytes: &mut [u8], start: usize| {
            self.file.read_exact_at(bytes, self.range.start.saturating_add(start as u64))
        };
        let (bytes, filled_count) = self.filled.get(range, &mut read)?;
        if filled_count > 0 {
            self.filled_count.fetch_add(filled_count, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// What the system said when bytes last could not be fetched, once.
    pub fn take_failure(&self) -> Option<crate::Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map(crate::Error::io("read", &self.path))
    }

    /// All of it.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn read_all(&self) -> Result<&[u8], crate::Error> {
        self.read(0..self.filled.len()).map_err(crate::Error::io("read", &self.path))
    }

    /// The map, once enough was read. Where there can be none, all is read.
    fn map(&self) -> Option<&Region> {
        if let Some(map) = self.map.get() {
            return Some(map);
        }
        let is_hot = self.filled_count.load(Ordering::Relaxed) >= PAGES_BEFORE_MAP;
        if !is_hot || !self.may_map.load(Ordering::Relaxed) {
            return None;
        }
        let map = || self.file.map(self.range.clone()).ok();
        match self.gate.as_ref().map_or_else(map, |pass| pass.map(map)) {
            Some(map) => Some(self.map.get_or_init(|| map)),
            None => {
                self.only_read();
                None
            }
        }
    }
}

impl FetchBytes for FilePart {
    fn len(&self) -> usize {
        self.filled.len()
    }

    fn at_hand(&self) -> Option<&[u8]> {
        self.map.get().map(|map| &map[..])
    }

    fn fetch(&self, range: Range<usize>) -> Result<&[u8], Error> {
        if let Some(bytes) = self.map().and_then(|map| map.get(range.clone())) {
            return Ok(bytes);
        }
        self.read(range).map_err(|error| {
            let path = self.path.display();
            tracing::warn!(%error, %path, "tables cannot be read");
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Error::Invalid { what: "tables", why: "they cannot be read" }
        })
    }
}

impl MapGate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no part be mapped until something was written.
    pub(crate) fn shut(&self) {
        self.state().is_shut = true;
    }

    /// Lets no part be mapped that was found before now, and the next ones.
    pub(crate) fn note_written(&self) {
        let mut state = self.state();
        state.written_count += 1;
        state.is_shut = false;
    }

    /// Whether anybody still has what may be written mapped.
    pub(crate) fn is_held(&self) -> bool {
        let mut state = self.state();
        state.maps.retain(MapWatch::is_held);
        !state.maps.is_empty()
    }
}

impl Pass {
    fn map(&self, map: impl FnOnce() -> Option<Region>) -> Option<Region> {
        let mut state = self.gate.state();
        if state.is_shut || state.written_count != self.written_count {
            return None;
        }
        let map = map()?;
        state.maps.retain(MapWatch::is_held);
        state.maps.push(map.watch());
        Some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, MemoryDirectory};

    const PAGE: usize = 4096;

    /// A file of 100 pages, each full of its number, behind ten other bytes.
    fn file() -> Arc<dyn File> {
        let file = MemoryDirectory::new().create("a").unwrap();
        let pages: Vec<u8> = (0..100).flat_map(|page| [page; PAGE]).collect();
        file.write_all_at(&pages, 10).unwrap();
        file
    }

    fn part(maps: bool) -> FilePart {
        FilePart::new(file(), PathBuf::from("a"), 10..10 + 100 * PAGE as u64, maps).unwrap()
    }

    fn look_at(part: &FilePart, pages: Range<usize>) {
        for page in pages {
            assert_eq!(
                part.fetch(page * PAGE + 7..page * PAGE + 9).unwrap(),
                [u8::try_from(page).unwrap(); 2]
            );
        }
    }

    #[test]
    fn the_first_pages_are_read_and_then_all_is_mapped() {
        let part = part(true);
        let lent = part.fetch(5..9).unwrap();
        look_at(&part, 0..PAGES_BEFORE_MAP);
        assert!(part.map.get().is_none());
        look_at(&part, 0..1);
        assert_eq!(part.at_hand().unwrap().len(), 100 * PAGE);
        assert_eq!((lent, part.fetch(0..8).unwrap()), (&[0; 4][..], &[0; 8][..]));
    }

    #[test]
    fn what_may_not_be_mapped_is_read() {
        let (never, shut, written, open) = (part(false), part(true), part(true), part(true));
        let gates = [(); 3].map(|()| Arc::new(MapGate::default()));
        let [shut, written, open] = [(shut, &gates[0]), (written, &gates[1]), (open, &gates[2])]
            .map(|(part, gate)| part.behind(gate));
        gates[0].shut();
        gates[1].shut();
        gates[1].note_written();
        for part in [&never, &shut, &written, &open] {
            look_at(part, 0..100);
        }
        let is_mapped = [never, shut, written, open].map(|part| part.at_hand().is_some());
        assert_eq!(is_mapped, [false, false, false, true]);
    }

    #[test]
    fn a_gate_knows_who_has_a_map() {
        let gate = Arc::new(MapGate::default());
        let part = part(true).behind(&gate);
        look_at(&part, 0..PAGES_BEFORE_MAP);
        assert!(!gate.is_held());
        look_at(&part, 50..51);
        // A copy is nobody's concern, and a directory in memory copies.
        assert!(part.at_hand().is_some() && !gate.is_held());
    }

    #[test]
    fn a_file_that_became_shorter_is_told() {
        let file = file();
        let part =
            FilePart::new(Arc::clone(&file), PathBuf::from("a"), 10..10 + 100 * PAGE as u64, true).unwrap();
        look_at(&part, 0..2);
        file.set_len(10 + 3 * PAGE as u64).unwrap();
        look_at(&part, 0..3);
        let error = part.fetch(50 * PAGE..50 * PAGE + 1).unwrap_err();
        assert_eq!(error.to_string(), "tables: they cannot be read");
        let failure = part.take_failure().unwrap();
        assert!(matches!(failure, crate::Error::Io { .. }), "{failure}");
        assert!(part.take_failure().is_none());
        assert!(part.read_all().is_err());
    }
}
