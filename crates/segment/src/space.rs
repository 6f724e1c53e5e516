//! Space: how many bytes a log may still take, by its budget and by what the file system has left.
//!
//! Invariant: nothing is looked at while what was found last suffices, so a frame costs two subtractions. What
//! indexes or prepares takes from the same budget, and yields to frames: it may use the headroom, they may not.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{Directory, Error};

/// How far a look is good for, at least: what others take of the file system meanwhile is noticed after so many
/// bytes of frames.
const LOOK_AGAIN_BYTES: u64 = 1 << 20;

/// How much space a log may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two limits are all there is to it")]
pub struct SpaceLimits {
    /// The most bytes that all files of the directory may have together; `None` for as many as fit the disk.
    pub budget: Option<u64>,
    /// The bytes that frames leave unused, of the budget and of the file system: room for what indexes them, and
    /// for putting a log in order after a crash.
    pub headroom: u64,
}

/// What was found by looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// The bytes of all files, with the active segment as long as its frames.
    used: u64,
    /// What the file system has left, with what is prepared in the active segment.
    free: Option<u64>,
}

/// The space of one log. Shared with who writes beside it what indexes its segments.
#[derive(Debug)]
pub struct Space {
    limits: SpaceLimits,
    directory: Arc<dyn Directory>,
    /// What frames may still take, as far as was known when it was last looked at.
    room: AtomicU64,
    /// How much of that may be taken before it is looked at again.
    good_for: AtomicU64,
    /// How much is prepared for frames already.
    ahead: AtomicU64,
}

/// How far the active segment reaches, which its file's length does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActiveLen {
    /// Where its frames end, those included that are only staged.
    pub(crate) end: u64,
    /// Where what was prepared ends.
    pub(crate) prepared: u64,
    /// The length of its file.
    pub(crate) file: u64,
}

impl Space {
    pub(crate) fn new(directory: Arc<dyn Directory>, limits: SpaceLimits) -> Arc<Self> {
        let known = if limits == SpaceLimits::default() { u64::MAX } else { 0 };
        let (room, good_for) = (AtomicU64::new(known), AtomicU64::new(known));
        Arc::new(Self { limits, directory, room, good_for, ahead: AtomicU64::new(0) })
    }

    /// What may be prepared ahead of frames: no more than they may take.
    pub(crate) fn room(&self) -> u64 {
        self.room.load(Ordering::Relaxed)
    }

    /// Makes sure that frames of `len` bytes have room. They take it when they are staged.
    pub(crate) fn check(
        &self,
        len: u64,
        active: impl FnOnce() -> Result<ActiveLen, Error>,
    ) -> Result<(), Error> {
        if len <= self.good_for.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (room, limit) = self.limits.room(self.look(Some(active()?))?);
        self.room.store(room, Ordering::Relaxed);
        // To ask the file system is cheap, and others write to it; the budget takes a listing, and is the log's own.
        let step = if limit == FILE_SYSTEM { LOOK_AGAIN_BYTES } else { LOOK_AGAIN_BYTES.max(room / 16) };
        self.good_for.store(room.min(len.max(step)), Ordering::Relaxed);
        self.enough(len, room, limit)
    }

    /// Takes `len` bytes, which were checked to be there.
    pub(crate) fn take(&self, len: u64) {
        for counter in [&self.room, &self.good_for, &self.ahead] {
            // One thread at a time stages, and nobody else takes.
            counter.store(counter.load(Ordering::Relaxed).saturating_sub(len), Ordering::Relaxed);
        }
    }

    /// Notes how much is prepared for frames.
    pub(crate) fn note_ahead(&self, len: u64) {
        self.ahead.store(len, Ordering::Relaxed);
    }

    /// Makes sure that `len` bytes of what is derived from the log have room. They may use the headroom, but
    /// nothing that frames were promised.
    ///
    /// # Errors
    /// [`Error::NoSpace`], or [`Error::Io`] where looking fails.
    pub fn check_derived(&self, len: u64) -> Result<(), Error> {
        if self.limits == SpaceLimits::default() {
            return Ok(());
        }
        let found = self.look(None)?;
        // What is prepared is in the files already.
        let (promised, ahead) = (self.good_for.load(Ordering::Relaxed), self.ahead.load(Ordering::Relaxed));
        let promised = promised.saturating_sub(ahead);
        let found = Found {
            used: found.used.saturating_add(promised),
            free: found.free.map(|free| free.saturating_sub(promised)),
        };
        let (room, limit) = SpaceLimits { headroom: 0, ..self.limits }.room(found);
        self.enough(len, room, limit)
    }

    fn enough(&self, len: u64, room: u64, limit: &'static str) -> Result<(), Error> {
        if len <= room {
            return Ok(());
        }
        Err(Error::NoSpace { path: self.directory.path().to_owned(), len, room, limit })
    }

    fn look(&self, active: Option<ActiveLen>) -> Result<Found, Error> {
        let directory = &*self.directory;
        let mut found = Found { used: 0, free: None };
        if self.limits.budget.is_some() {
            let entries = directory.list().map_err(Error::io("list", directory.path()))?;
            found.used = entries.iter().fold(0, |used, entry| used.saturating_add(entry.len));
        }
        found.free = directory.free_space().map_err(Error::io("look at the space of", directory.path()))?;
        Ok(active.map_or(found, |active| found.with(active)))
    }
}

const BUDGET: &str = "the size budget";
const FILE_SYSTEM: &str = "the file system";

impl Found {
    /// Counts the active segment by its frames: what is prepared behind them is room for more.
    fn with(self, active: ActiveLen) -> Self {
        let used = self.used.saturating_sub(active.file).saturating_add(active.end);
        let free = self.free.map(|free| free.saturating_add(active.prepared).saturating_sub(active.end));
        Self { used, free }
    }
}

impl SpaceLimits {
    /// What frames may still take, and which limit says so.
    fn room(self, found: Found) -> (u64, &'static str) {
        let left = |of: u64| of.saturating_sub(self.headroom);
        let in_budget = self.budget.map_or(u64::MAX, |budget| left(budget).saturating_sub(found.used));
        let on_disk = found.free.map_or(u64::MAX, left);
        if in_budget <= on_disk { (in_budget, BUDGET) } else { (on_disk, FILE_SYSTEM) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, MemoryDirectory};

    #[test]
    fn the_narrower_limit_counts_and_is_named() {
        let room = |budget, headroom, used, free| SpaceLimits { budget, headroom }.room(Found { used, free });
        assert_eq!(room(None, 0, 5, None), (u64::MAX, BUDGET));
        assert_eq!(room(Some(100), 10, 50, None), (40, BUDGET));
        assert_eq!(room(Some(100), 10, 50, Some(45)), (35, FILE_SYSTEM));
        assert_eq!(room(Some(100), 10, 50, Some(1000)), (40, BUDGET));
        assert_eq!(room(Some(100), 10, 95, Some(1000)), (0, BUDGET));
        assert_eq!(room(Some(5), 10, 0, None), (0, BUDGET));
        assert_eq!(room(None, 10, 0, Some(5)), (0, FILE_SYSTEM));
    }

    #[test]
    fn what_is_prepared_counts_as_room_and_what_is_staged_as_taken() {
        let found = Found { used: 1000, free: Some(100) };
        let active = |end, prepared, file| found.with(ActiveLen { end, prepared, file });
        assert_eq!(active(300, 400, 400), Found { used: 900, free: Some(200) });
        assert_eq!(active(450, 400, 400), Found { used: 1050, free: Some(50) });
    }

    #[test]
    fn a_look_is_good_for_a_while_and_others_are_noticed_then() {
        let memory = MemoryDirectory::new();
        let file = memory.create("a").unwrap();
        let limits = SpaceLimits { budget: Some(64 << 20), headroom: 0 };
        let space = Space::new(Arc::new(memory.clone()), limits);
        let (looks, len) = (std::cell::Cell::new(0), 1 << 19);
        let take = || {
            let active = || {
                looks.set(looks.get() + 1);
                Ok(ActiveLen { end: 0, prepared: 0, file: 0 })
            };
            space.check(len, active)?;
            space.take(len);
            Ok::<_, Error>(())
        };
        for _ in 0..8 {
            take().unwrap();
        }
        assert_eq!(looks.get(), 1, "a sixteenth of 64 MiB is good for eight of half a MiB");
        file.set_len(64 << 20).unwrap();
        assert!(matches!(take(), Err(Error::NoSpace { room: 0, .. })));
        space.check_derived(1).unwrap_err();
        file.set_len(0).unwrap();
        take().unwrap();
        space.check_derived(1).unwrap();
        assert!(memory.open("a", Access::Read).unwrap().is_empty().unwrap());
    }

    #[test]
    fn without_limits_nothing_is_looked_at() {
        let space = Space::new(Arc::new(MemoryDirectory::new()), SpaceLimits::default());
        space.check(1 << 60, || panic!("looked")).unwrap();
        space.check_derived(1 << 60).unwrap();
        assert_eq!(space.room(), u64::MAX);
    }
}
