//! Following: a store that was opened for reading sees what its writer goes on to publish.
//!
//! Invariant: what is visible only grows. What the frontier's file says is believed where its writer lives, or was seen
//! alive before: as long as this process lives, the system that holds the file did not go down. Within a segment only
//! frames that are new are walked; where the segment is another one, the files are looked at as by an open, and the
//! newest event that was read must still be there. Nothing is written.

use std::time::Duration;

use annals_checkpoint::{FRAME_TYPES, Fold, index_frame};
use annals_segment::{Position, find_frontier, live_epoch};
use annals_wire::{Digest, FrameType, Frontier, SegmentId, Sequence, StoreId};

use crate::{
    Error, Store,
    open::{ATTEMPTS, Beside},
    part::{Frames, PartIndex},
    store::{Shared, lock},
    sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, PoisonError},
    view::{Trouble, View},
    watch::{Patience, Woken},
};

/// How long a follower that waits does not look, at first and where nothing comes.
const PAUSE_MIN: Duration = Duration::from_micros(100);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// So many looks in a row may fail beside a writer that lives, which may be putting its files in order.
const FAILED_MAX: u32 = 100;

/// What a store that only reads knows of its writer.
#[derive(Debug)]
pub(crate) struct Following {
    followed: Mutex<Followed>,
    /// Whether somebody who waits looks for all.
    is_watched: AtomicBool,
    /// The newest event of which a writer, or what proves it, said that no loss of power takes it.
    durable: AtomicU64,
}

#[derive(Debug, Default)]
struct Followed {
    /// What stood in the frontier's file when everything in it had been taken in.
    taken: Option<Frontier>,
    /// The last writer that was seen alive.
    epoch: Option<u64>,
    /// Where to go on in the segment that is being written; `None` where the files are to be looked at anew.
    growing: Option<Growing>,
    /// The newest event that was visible, and its hash.
    shown: Option<(Sequence, Digest)>,
    failed_count: u32,
}

/// The segment that is being written, as far as it was read.
#[derive(Debug)]
pub(crate) struct Growing {
    pub(crate) segment: SegmentId,
    pub(crate) position: Position,
    pub(crate) fold: Fold,
}

/// What the frontier's file is worth.
enum Word {
    /// It holds.
    Holds(Frontier),
    /// No writer lives, and its last one was never met: the files speak for themselves.
    Files,
    /// A writer lives, and has not said anything yet.
    Nothing,
}

impl Following {
    /// Of a store that `found` is of, as far as `taken` says, while the writer with `epoch` lived. What stands in the
    /// frontier's file where none did is not known, and looked at when it is first asked for.
    pub(crate) fn new(taken: Option<Frontier>, epoch: Option<u64>, found: &mut Beside) -> Self {
        let mut followed = Followed { taken, epoch, growing: found.growing.take(), ..Followed::default() };
        followed.shown = found.newest();
        let durable = AtomicU64::new(found.durable(taken).0);
        Self { followed: Mutex::new(followed), is_watched: AtomicBool::new(false), durable }
    }

    /// The newest event that is known to be durable. What a writer said last holds also when it is gone.
    pub(crate) fn durable(&self) -> Sequence {
        Sequence(self.durable.load(Ordering::SeqCst))
    }

    fn note_durable(&self, durable: Sequence) {
        self.durable.fetch_max(durable.0, Ordering::SeqCst);
    }

    /// Looks for all who wait, unless somebody does.
    fn watch(&self) -> Option<Watching<'_>> {
        let is_mine = !self.is_watched.swap(true, Ordering::SeqCst);
        is_mine.then_some(Watching(&self.is_watched))
    }
}

impl Store {
    /// Sees what a writer in this or another process has published since; returns the newest event that can be read.
    /// Subscriptions do so by themselves. Of a store that was opened for writing nothing is to be seen anew.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let directory = MemoryDirectory::new();
    /// let writer = Options::new().create(true).open_on(directory.clone())?;
    /// let reader = Options::new().open_read_only_on(directory)?;
    /// let (at, kind) = (Coordinate::new("account:7", "bank")?, writer.kind("booked")?);
    /// writer.append(&NewEvent::new(&at, kind, b"12.50"))?;
    /// assert_eq!(reader.last_sequence(), Sequence(0));
    /// assert_eq!(reader.refresh()?, Sequence(1));
    /// assert_eq!(reader.all().count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::OtherHistory`] where what was read is there no more; [`Error::Corrupt`], [`Error::NewerVersion`],
    /// [`Error::Environment`]. What could be read before still can.
    pub fn refresh(&self) -> Result<Sequence, Error> {
        self.shared.refresh()?;
        Ok(self.last_sequence())
    }
}

impl Shared {
    /// As [`crate::watch::Watch::wait`], also where the store follows another's: of those who wait one looks for all,
    /// now and then.
    pub(crate) fn wait(
        &self,
        after: Sequence,
        is_ending: &AtomicBool,
        patience: Patience,
    ) -> Result<Woken, Error> {
        let Some(following) = &self.following else { return Ok(self.watch.wait(after, is_ending, patience)) };
        let mut pause = PAUSE_MIN;
        loop {
            let visible = self.watch.visible();
            let watching = following.watch();
            if watching.is_some() || patience.is_over() {
                self.refresh()?;
            }
            let rest = if watching.is_some() { pause } else { PAUSE_MAX };
            let woken = self.watch.wait(after, is_ending, patience.at_most(rest));
            drop(watching);
            if woken != Woken::Late || patience.is_over() {
                return Ok(woken);
            }
            pause = if self.watch.visible() > visible { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
        }
    }

    /// Takes in what the writer has published since.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let Some(following) = &self.following else { return Ok(()) };
        let mut followed = lock(&following.followed);
        let Some(frontier) = find_frontier(&*self.directory)? else { return Ok(()) };
        if followed.taken == Some(frontier) {
            return Ok(());
        }
        followed.note_shown(self)?;
        match self.take_in(following, &mut followed, frontier) {
            Ok(()) => followed.failed_count = 0,
            Err(error) => return followed.forgive(self, error),
        }
        Ok(())
    }

    fn take_in(
        &self,
        following: &Following,
        followed: &mut Followed,
        frontier: Frontier,
    ) -> Result<(), Error> {
        let is_same_writer = followed.epoch == Some(frontier.epoch);
        if is_same_writer
            && let Some(growing) = followed.growing.take_if(|growing| growing.segment == frontier.segment)
        {
            // Given back only whole: what failed halfway is looked at anew.
            let growing = self.grow(growing, &frontier)?;
            following.note_durable(frontier.durable);
            followed.shown = newest(&growing.fold, growing.position.next_sequence, self.watch.visible());
            (followed.growing, followed.taken) = (Some(growing), Some(frontier));
            return Ok(());
        }
        self.look_anew(following, followed)
    }

    /// Walks the frames of the growing segment that are new.
    fn grow(&self, mut growing: Growing, frontier: &Frontier) -> Result<Growing, Error> {
        let view = self.view();
        let part = view.parts.last().ok_or(Error::Closed)?;
        let (Frames::Sealed(segment), PartIndex::Active(index)) = (&part.frames, &part.index) else {
            unreachable!("the last part of a reader's view is in memory, and its segment another's")
        };
        let (path, fold) = (segment.path(), &mut growing.fold);
        growing.position =
            segment.scan_on(growing.position, frontier.end, FRAME_TYPES, &mut |offset, frame| {
                let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(stamp) = index_frame(&mut index, path, offset, frame)? {
                    fold.event(&stamp);
                }
                if frame.header.frame_type == FrameType::CONTROL {
                    fold.control(frame, path, offset)?;
                }
                Ok(())
            })?;
        self.take_fold(&growing.fold);
        self.show(frontier.visible.min(Sequence(growing.position.next_sequence.0 - 1)));
        Ok(growing)
    }

    /// Looks at the files as an open does.
    fn look_anew(&self, following: &Following, followed: &mut Followed) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            let Some(frontier) = find_frontier(&*self.directory)? else { return Ok(()) };
            let epoch = live_epoch(&*self.directory)?;
            let word = followed.word(frontier, epoch);
            let believed = match word {
                Word::Holds(frontier) => Some(frontier),
                Word::Files => None,
                Word::Nothing => return Ok(()),
            };
            let looked = Beside::look(&self.options, &self.directory, &self.files, believed, epoch);
            // Without a word of its own to go by, no writer may have come meanwhile.
            let is_stale = believed.is_none() && live_epoch(&*self.directory)? != epoch;
            match looked {
                Ok(found) if !is_stale => {
                    followed.check_shown(self.report.store, &found)?;
                    following.note_durable(found.durable(believed));
                    (followed.epoch, followed.taken) = (epoch.or(followed.epoch), Some(frontier));
                    followed.shown = found.newest().filter(|(newest, _)| *newest >= self.watch.visible());
                    followed.growing = self.install(found);
                    return Ok(());
                }
                Err(error) if attempt >= ATTEMPTS || matches!(error, Error::NewerVersion { .. }) => {
                    return Err(error);
                }
                _ if attempt >= ATTEMPTS => return Ok(()),
                _ => attempt += 1,
            }
        }
    }

    /// Shows what was found instead of what was there.
    fn install(&self, found: Beside) -> Option<Growing> {
        let Beside { mut view, visible, fold, growing, .. } = found;
        view.hidden = Arc::new(fold.hidden.clone());
        view.moves = Arc::new(fold.moves.clone());
        self.change_view(|shown| *shown = view);
        self.take_fold(&fold);
        self.show(visible);
        growing
    }

    /// Takes in names, what is hidden, and where consumers are.
    fn take_fold(&self, fold: &Fold) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        for (kind, name) in &fold.kind_names {
            if kinds.name(*kind).is_none() {
                kinds.bind(*kind, name);
            }
        }
        drop(kinds);
        if *self.view().hidden != fold.hidden {
            self.change_view(|view| view.hidden = Arc::new(fold.hidden.clone()));
        }
        if *self.view().moves != fold.moves {
            self.change_view(|view| view.moves = Arc::new(fold.moves.clone()));
        }
    }

    fn show(&self, visible: Sequence) {
        if visible > self.watch.visible() {
            self.watch.publish(visible);
        }
    }
}

impl Followed {
    /// What `frontier` is worth where the writer with `live` lives.
    fn word(&self, frontier: Frontier, live: Option<u64>) -> Word {
        let is_known = self.epoch == Some(frontier.epoch);
        match live {
            Some(live) if live == frontier.epoch => Word::Holds(frontier),
            _ if is_known => Word::Holds(frontier),
            Some(_) => Word::Nothing,
            None => Word::Files,
        }
    }

    /// Remembers the newest event that is visible, where it is not known yet.
    fn note_shown(&mut self, shared: &Shared) -> Result<(), Error> {
        let visible = shared.watch.visible();
        if visible.0 > 0 && self.shown.is_none_or(|(shown, _)| shown != visible) {
            let hash = shared.ask(|view| hash_at(view, visible))?;
            self.shown = hash.map(|hash| (visible, hash));
        }
        Ok(())
    }

    /// Refuses a history that does not hold what was shown.
    fn check_shown(&self, store: StoreId, found: &Beside) -> Result<(), Error> {
        let (sequence, expected) = self.shown.unwrap_or_default();
        if found.view.store != store {
            return Err(Error::OtherHistory { sequence, expected, found: None });
        }
        if sequence.0 == 0 {
            return Ok(());
        }
        let hash = match hash_at(&found.view, sequence) {
            Ok(hash) => hash,
            Err(Trouble::Log(error)) => return Err(error.into()),
            Err(Trouble::Index { .. } | Trouble::Run { .. }) => return Ok(()),
        };
        if hash == Some(expected) {
            return Ok(());
        }
        Err(Error::OtherHistory { sequence, expected, found: hash })
    }

    /// What failed beside a writer that lives may have met it in the middle of something, and is tried again later.
    fn forgive(&mut self, shared: &Shared, error: Error) -> Result<(), Error> {
        let is_final = matches!(error, Error::OtherHistory { .. } | Error::NewerVersion { .. });
        self.failed_count += 1;
        if is_final || self.failed_count > FAILED_MAX || live_epoch(&*shared.directory)?.is_none() {
            return Err(error);
        }
        tracing::debug!(%error, "the writer was in the middle of something; looking again later");
        Ok(())
    }
}

impl Beside {
    /// The newest event that no loss of power takes, as far as the writer says whose word is `believed`, or else as far
    /// as that is proven.
    fn durable(&self, believed: Option<Frontier>) -> Sequence {
        let durable = believed.map(|frontier| frontier.durable).or(self.report.proven);
        durable.unwrap_or(self.visible).min(self.visible)
    }

    /// The newest event and its hash, where it is visible.
    fn newest(&self) -> Option<(Sequence, Digest)> {
        let behind =
            self.view.parts.last().map(|part| part.first_sequence.0 + u64::from(part.row_count()))?;
        newest(&self.fold, Sequence(behind), self.visible)
    }
}

/// The event before `next_sequence`, which `fold` has as its last, and its hash, where it is the newest visible.
fn newest(fold: &Fold, next_sequence: Sequence, visible: Sequence) -> Option<(Sequence, Digest)> {
    (visible.0 > 0 && next_sequence.0 == visible.0 + 1).then_some((visible, fold.mark))
}

/// The hash of the event with `sequence`, where it is there.
fn hash_at(view: &View, sequence: Sequence) -> Result<Option<Digest>, Trouble> {
    let Some(part) = view.parts.get(view.part_of(sequence)) else { return Ok(None) };
    let row = sequence.0.checked_sub(part.first_sequence.0).and_then(|row| u32::try_from(row).ok());
    let Some(row) = row else { return Ok(None) };
    let found = part.try_ask(|index| Ok(index.row(row)?.map(|found| part.found(row, found.offset))))?;
    Ok(found.map(|found| found.read()).transpose()?.map(|event| event.hash()))
}

/// Lets others look when whoever looked for all is done.
struct Watching<'a>(&'a AtomicBool);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
