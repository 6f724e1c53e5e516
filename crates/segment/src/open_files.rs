//! The sealed segments that are open: no more at once than a budget, whichever they are.
//!
//! Who reads a segment that is open takes no lock. Where one more would be too many, the first is given back that
//! nobody asked since the hand of a clock last passed it. It is opened again when next asked; what a reader holds of
//! it stays until that reader lets go.
//!
//! Invariant: each open segment has one entry in the clock, which has at most as many as the budget allows. The lock
//! is not held while a directory is called or a file closed.

use std::{
    any::Any,
    fmt,
    marker::PhantomData,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwapOption, Guard};

use crate::{Directory, SealedSegment, buffers::Buffers, sealed::OpenSegment};

/// Where the segments of one log are opened, and how many at once.
#[derive(Debug)]
pub struct OpenFiles {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) maps: bool,
    pub(crate) buffers: Arc<Buffers>,
    max: usize,
    clock: Mutex<Clock>,
    opened_count: AtomicU64,
}

#[derive(Debug, Default)]
struct Clock {
    slots: Vec<Weak<Slot>>,
    hand: usize,
}

/// A segment's place among those that are open.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    open: ArcSwapOption<OpenSegment>,
    is_touched: AtomicBool,
}

/// What was made of an open segment's footer. As long as it is held, the segment's map is not given back.
pub struct MadeFooter<T> {
    open: Guard<Option<Arc<OpenSegment>>>,
    made: PhantomData<fn() -> T>,
}

impl SealedSegment {
    /// What [`SealedSegment::footer_as`] made of the footer, where the segment is still open.
    ///
    /// It is there for look-ups in many segments: no count of references is changed, which would make the processor
    /// wait for one before it begins with the next.
    #[must_use]
    pub fn made_footer<T: Any>(&self) -> Option<MadeFooter<T>> {
        let made: MadeFooter<T> = MadeFooter { open: self.slot.look(), made: PhantomData };
        made.get().is_some().then_some(made)
    }
}

impl<T: Any> MadeFooter<T> {
    fn get(&self) -> Option<&T> {
        self.open.as_ref()?.made.get()?.downcast_ref()
    }
}

impl<T: Any> Deref for MadeFooter<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get().expect("looked at when it was taken, and made once")
    }
}

impl<T> fmt::Debug for MadeFooter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeFooter").finish_non_exhaustive()
    }
}

impl OpenFiles {
    /// Segments in `directory`, of which at most `max` are open at once, and at least one; with `maps`, they are
    /// mapped.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, maps: bool, max: usize) -> Arc<Self> {
        Arc::new(Self {
            directory,
            maps,
            buffers: Arc::default(),
            max: max.max(1),
            clock: Mutex::default(),
            opened_count: AtomicU64::new(0),
        })
    }

    /// How many segments are open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        let slots = self.clock().slots.clone();
        slots.iter().filter_map(Weak::upgrade).filter(|slot| slot.open.load().is_some()).count()
    }

    /// How often a segment was opened until now.
    #[must_use]
    pub fn opened_count(&self) -> u64 {
        self.opened_count.load(Ordering::Relaxed)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the segment that was just opened into `slot`, unless another reader did so meanwhile.
    pub(crate) fn admit(&self, slot: &Arc<Slot>, opened: OpenSegment) -> Arc<OpenSegment> {
        self.opened_count.fetch_add(1, Ordering::Relaxed);
        let opened = Arc::new(opened);
        let mut given_back = Vec::new();
        let mut clock = self.clock();
        if let Some(before) = slot.get() {
            return before;
        }
        slot.open.store(Some(Arc::clone(&opened)));
        slot.is_touched.store(true, Ordering::Relaxed);
        clock.slots.push(Arc::downgrade(slot));
        while clock.slots.len() > self.max {
            given_back.push(clock.turn());
        }
        drop(clock);
        drop(given_back);
        opened
    }

    /// Gives the segment of `slot` back.
    pub(crate) fn give_back(&self, slot: &Arc<Slot>) {
        let mut clock = self.clock();
        let given_back = slot.open.swap(None);
        clock.slots.retain(|other| !Weak::ptr_eq(other, &Arc::downgrade(slot)));
        drop(clock);
        drop(given_back);
    }
}

impl Clock {
    /// Moves the hand until it takes a segment that was not asked since it last passed.
    fn turn(&mut self) -> Option<Arc<OpenSegment>> {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = self.slots.get(self.hand)?.upgrade();
            match slot {
                Some(slot) if slot.is_touched.swap(false, Ordering::Relaxed) => self.hand += 1,
                slot => {
                    self.slots.swap_remove(self.hand);
                    return slot.and_then(|slot| slot.open.swap(None));
                }
            }
        }
    }
}

impl Slot {
    /// The segment, where it is open.
    pub(crate) fn get(&self) -> Option<Arc<OpenSegment>> {
        self.look().clone()
    }

    /// As [`Slot::get`], for a moment.
    fn look(&self) -> Guard<Option<Arc<OpenSegment>>> {
        let open = self.open.load();
        if open.is_some() && !self.is_touched.load(Ordering::Relaxed) {
            self.is_touched.store(true, Ordering::Relaxed);
        }
        open
    }
}
