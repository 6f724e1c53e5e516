//! The plan, carried out: an index for every stretch of the log, and what the store keeps beside it.
//!
//! Invariant: a source that turns out damaged costs its own stretch a walk over frames, and is in the report.

use std::sync::Arc;

use annals_index::{ActiveIndex, Index};
use annals_segment::{
    CHECKPOINT, Directory, Error, FrameBytes, Layout, Newest, OpenFiles, Outside, Position, SealedPlace,
    SealedSegment, Tail, segment_name,
};
use annals_wire::{Chain, SEGMENT_HEADER_LEN, SegmentId, Sequence, Watermark};

use crate::{
    Built, ControlSource, Fold, LazyIndex, Observer, Plan, Rejected, SegmentSource, Sources, TailSource,
    Unopened,
    indexing::index_segment,
    mark::Marked,
    newest::WalkedTail,
    rebuild::{Rebuilt, Stretch, rebuild},
    report::OpenReport,
};

/// The index of one stretch.
#[derive(Debug)]
#[non_exhaustive]
pub enum PartIndex {
    /// A footer, or the checkpoint's tables, in place, and opened when first asked.
    Lazy(Arc<LazyIndex>),
    /// Built from frames, and encoded.
    Built(Built),
    /// Built from frames, in memory.
    Active(Box<ActiveIndex>),
}

/// One stretch of the log and its index.
#[derive(Debug)]
#[non_exhaustive]
pub struct Part {
    /// The segment; `None` for the newest, whose end is not fixed.
    pub sealed: Option<Arc<SealedSegment>>,
    /// The index.
    pub index: PartIndex,
}

/// Everything that an open loads.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The stretches, oldest first; the last is the growing end of the newest segment.
    pub parts: Vec<Part>,
    /// What the store keeps beside the index.
    pub fold: Fold,
    /// The newest segment, walked; `None` where there is none.
    pub tail: Option<Tail>,
}

/// What is loaded, and from what.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever opens: every field must be given")]
pub struct Load<'a> {
    /// The directory.
    pub directory: &'a Arc<dyn Directory>,
    /// Where its sealed segments are opened.
    pub files: &'a Arc<OpenFiles>,
    /// Which segments there are.
    pub layout: &'a Layout,
    /// What was found beside them.
    pub sources: &'a Sources,
    /// What is used.
    pub plan: &'a Plan,
    /// Whether the checkpoint is mapped.
    pub maps: bool,
    /// How far a live writer lets others read the newest segment.
    pub frontier_end: Option<u64>,
    /// Who is told how far it is.
    pub observer: &'a Observer,
}

/// Of each sealed segment the index that is there.
type Known = Vec<Option<Arc<LazyIndex>>>;

/// Loads parts while a report is written of it.
struct Loader<'a> {
    load: &'a Load<'a>,
    report: &'a mut OpenReport,
    parts: Vec<Part>,
    fold: Fold,
}

impl Load<'_> {
    /// Carries out the plan.
    ///
    /// # Errors
    /// Whatever reading the log may have: what is only derived is rejected, and never an error.
    pub fn run(&self, report: &mut OpenReport) -> Result<Loaded, Error> {
        report.rejected.extend(self.plan.rejected.iter().cloned());
        report.segment_count = self.layout.sealed.len() as u64 + u64::from(self.layout.newest.is_some());
        let mut loader = Loader { load: self, report, parts: Vec::new(), fold: Fold::default() };
        let (known, stretches) = loader.look_up()?;
        let tables = loader.newest_tables()?;
        let walk = || loader.load.walk_tail(tables.as_ref());
        let (rebuilt, walked) = rebuild(stretches, self.observer, walk);
        loader.segments(known, rebuilt)?;
        if !loader.take_controls(tables.is_some())? {
            loader.fold = Fold::before(self.layout.manifest.oldest);
            loader.controls_from(0, 0)?;
        }
        loader.take_note(tables.is_some());
        let tail = loader.tail(tables, walked)?;
        let Loader { parts, fold, .. } = loader;
        Ok(Loaded { parts, fold, tail })
    }

    /// The end of the newest segment, behind what `tables` have of it.
    fn walk_tail(&self, tables: Option<&Arc<LazyIndex>>) -> Option<WalkedTail> {
        let newest = self.layout.newest.as_ref()?;
        let start = self.start(newest.header.first_sequence, tables);
        let outside = Outside {
            start: tables.map(|_| start),
            checkpoint_end: self.checkpoint_end(newest),
            frontier_end: self.frontier_end,
        };
        Some(WalkedTail::walk(&**self.directory, newest, outside, start))
    }

    /// Where the frames begin that `tables` do not have.
    fn start(&self, first_sequence: Sequence, tables: Option<&Arc<LazyIndex>>) -> Position {
        let covered = tables.map(|tables| tables.place()).zip(self.sources.sound_checkpoint());
        match covered {
            Some((covered, found)) => Position {
                offset: covered.end,
                chain: covered.chain,
                next_sequence: Sequence(found.head.watermark.sequence.0.saturating_add(1)),
            },
            None => Position {
                offset: SEGMENT_HEADER_LEN as u64,
                chain: Chain::default(),
                next_sequence: first_sequence,
            },
        }
    }

    /// How far a sound checkpoint proves that the newest segment was durable, used or not.
    fn checkpoint_end(&self, newest: &Newest) -> u64 {
        let found = self.sources.sound_checkpoint();
        let of_newest = found
            .map(|found| &found.head)
            .filter(|head| head.store == newest.header.store && head.watermark.segment == newest.header.id);
        of_newest.map_or(0, |head| head.watermark.offset)
    }
}

impl Loader<'_> {
    /// What is known of each sealed segment, and what of them is to be indexed.
    fn look_up(&mut self) -> Result<(Known, Vec<Stretch>), Error> {
        let mut stretches = Vec::new();
        let mut known = Vec::with_capacity(self.load.plan.segments.len());
        for (place, source) in &self.load.plan.segments {
            let footer = self.load.sources.footers.get(&place.id).and_then(|footer| footer.as_ref().ok());
            if let (Some(footer), SegmentSource::Footer) = (footer, source) {
                known.push(Some(Arc::clone(footer)));
                continue;
            }
            let segment = Arc::new(SealedSegment::within(self.load.files, *place));
            let tables = self.tables_of(&segment, *source)?;
            let start = self.load.start(place.first_sequence, tables.as_ref());
            stretches.push(Stretch { segment, start });
            known.push(tables);
        }
        Ok((known, stretches))
    }

    /// A part for each sealed segment, or two where the checkpoint ends within it.
    fn segments(&mut self, known: Known, rebuilt: Vec<Result<Rebuilt, Error>>) -> Result<(), Error> {
        let mut rebuilt = rebuilt.into_iter().peekable();
        for ((place, _), known) in self.load.plan.segments.iter().zip(known) {
            if let Some(lazy) = known {
                self.known(place, lazy);
            }
            let is_of_place = |rebuilt: &Result<Rebuilt, Error>| {
                rebuilt.as_ref().map_or(true, |rebuilt| rebuilt.segment.place().id == place.id)
            };
            if let Some(rebuilt) = rebuilt.next_if(is_of_place) {
                self.rebuilt(place, rebuilt?)?;
            }
        }
        Ok(())
    }

    /// The part of an index that is there.
    fn known(&mut self, place: &SealedPlace, lazy: Arc<LazyIndex>) {
        let segment = match lazy.segment() {
            Some(segment) => {
                self.report.events.footers += u64::from(lazy.row_count());
                Arc::clone(segment)
            }
            None => {
                self.report.events.checkpoint += u64::from(lazy.row_count());
                Arc::new(SealedSegment::within(self.load.files, *place))
            }
        };
        self.parts.push(Part { sealed: Some(segment), index: PartIndex::Lazy(lazy) });
    }

    /// The part of an index that was built.
    fn rebuilt(&mut self, place: &SealedPlace, rebuilt: Rebuilt) -> Result<(), Error> {
        self.check_next_sequence(place, rebuilt.index.next_sequence())?;
        self.report.events.frames += u64::from(rebuilt.index.row_count());
        self.report.passed_over += rebuilt.passed_over;
        self.parts.push(Part { sealed: Some(rebuilt.segment), index: rebuilt.index });
        Ok(())
    }

    /// Sequences have no gap between one segment and the next.
    fn check_next_sequence(&self, place: &SealedPlace, found: Sequence) -> Result<(), Error> {
        let layout = self.load.layout;
        let next = layout.find_sealed(place.id).ok().and_then(|number| layout.sealed.get(number + 1));
        let newest = layout.newest.as_ref().map(|newest| newest.header.first_sequence);
        let expected = next.map(|next| next.first_sequence).or(newest);
        if expected == Some(found) {
            return Ok(());
        }
        Err(Error::Mismatch {
            path: self.path(place),
            offset: place.end,
            what: "the sequence behind its last event",
            expected: expected.map(|sequence| sequence.to_string()).unwrap_or_default(),
            found: found.to_string(),
        })
    }

    fn path(&self, place: &SealedPlace) -> std::path::PathBuf {
        self.load.directory.path().join(segment_name(place.id, place.generation))
    }

    /// The checkpoint's tables, where the plan wants them for a segment that was sealed since, and they are sound.
    fn tables_of(
        &mut self,
        segment: &SealedSegment,
        source: SegmentSource,
    ) -> Result<Option<Arc<LazyIndex>>, Error> {
        let SegmentSource::Checkpoint(_) = source else { return Ok(None) };
        let Some(found) = self.load.sources.sound_checkpoint() else { return Ok(None) };
        let tables = LazyIndex::tables(self.load.directory, found, segment.header()?, self.load.maps);
        self.opened(tables.map(Arc::new))
    }

    /// The checkpoint's tables, where the plan wants them for the newest segment and they are sound. Where the log was
    /// closed at the watermark, nothing is behind it and they are opened when they are asked.
    fn newest_tables(&mut self) -> Result<Option<Arc<LazyIndex>>, Error> {
        let TailSource::Checkpoint(watermark) = self.load.plan.tail else { return Ok(None) };
        let (Some(found), Some(newest)) = (self.load.sources.sound_checkpoint(), &self.load.layout.newest)
        else {
            return Ok(None);
        };
        let tables = LazyIndex::tables(self.load.directory, found, newest.header, self.load.maps);
        let tables = tables.map(Arc::new);
        if let Some(tables) = &tables
            && is_closed_at(newest, &watermark)
        {
            return Ok(Some(Arc::clone(tables)));
        }
        self.opened(tables)
    }

    /// `tables`, where they can be opened.
    fn opened(&mut self, tables: Option<Arc<LazyIndex>>) -> Result<Option<Arc<LazyIndex>>, Error> {
        let why = match tables.as_ref().map(|tables| tables.index()) {
            Some(Ok(_)) => return Ok(tables),
            Some(Err(Unopened::Log(error))) => return Err(error),
            Some(Err(why)) => why.to_string(),
            None => "its tables are of another segment, or of another part of it".to_owned(),
        };
        self.report.rejected.push(Rejected::new(CHECKPOINT, &why));
        Ok(None)
    }

    /// Takes names and the control chain from the checkpoint, and what follows it from the control records; false
    /// where that cannot be. `has_tables` says whether its tables serve the newest segment.
    fn take_controls(&mut self, has_tables: bool) -> Result<bool, Error> {
        let ControlSource::Checkpoint(watermark) = self.load.plan.controls else { return Ok(false) };
        let Some(found) = self.load.sources.sound_checkpoint() else { return Ok(false) };
        let is_of_sealed = self.load.layout.find_sealed(watermark.segment).is_ok();
        let is_seen = has_tables || is_of_sealed && self.check_mark(&watermark)?;
        if !is_seen {
            return Ok(false);
        }
        self.fold = Fold::of(&found.head);
        let first = self.parts.partition_point(|part| part.segment() < watermark.segment);
        self.controls_from(first, watermark.offset)?;
        Ok(true)
    }

    /// Whether the sealed segment that the watermark lies in is the one that the checkpoint saw.
    fn check_mark(&mut self, watermark: &Watermark) -> Result<bool, Error> {
        let Some(found) = self.load.sources.sound_checkpoint() else { return Ok(false) };
        let place = self.parts.partition_point(|part| part.segment() < watermark.segment);
        let Some(Part { sealed: Some(segment), index }) = self.parts.get(place) else { return Ok(false) };
        if matches!(index, PartIndex::Lazy(lazy) if lazy.segment().is_none()) {
            // Its own tables, which were compared when they were opened.
            return Ok(true);
        }
        let before = segment.header()?.previous.map(|previous| previous.mark).unwrap_or_default();
        let read = |offset| -> Result<FrameBytes, Error> { segment.frame(offset) };
        let marked = Marked { path: segment.path(), before, read: &read };
        match index.ask(|index| Ok(marked.check(index, &found.head))) {
            Ok(checked) => checked,
            Err(Unopened::Log(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Takes in the control records of the parts from `first` on, but for those of its segment before `offset`.
    fn controls_from(&mut self, first: usize, offset: u64) -> Result<(), Error> {
        let watermark = self.parts.get(first).map(Part::segment);
        for place in first..self.parts.len() {
            let (segment, offsets) = self.control_offsets(place)?;
            let is_first = watermark == Some(segment.place().id);
            for at in offsets.into_iter().map(u64::from).filter(|at| !is_first || *at >= offset) {
                let bytes = segment.frame(at)?;
                self.fold.control(&bytes.frame(), segment.path(), at)?;
            }
        }
        Ok(())
    }

    /// Where the control records of a part are. Where its tables do not say, it is indexed from its frames.
    fn control_offsets(&mut self, place: usize) -> Result<(Arc<SealedSegment>, Vec<u32>), Error> {
        let part = self.parts.get_mut(place).expect("a place of the list");
        let segment = part.sealed.clone().expect("only sealed segments were loaded yet");
        let why = match part.index.ask(|index| index.control_offsets()) {
            Ok(offsets) => return Ok((segment, offsets)),
            Err(Unopened::Log(error)) => return Err(error),
            Err(why) => why,
        };
        if let PartIndex::Lazy(lazy) = &part.index {
            lazy.reject();
        }
        let (index, _) = index_segment(&segment)?;
        let name = segment_name(segment.place().id, segment.place().generation);
        self.report.rejected.push(Rejected::new(format!("{name} (its footer)"), &why));
        let offsets = index.control_offsets().unwrap_or_default();
        part.index = PartIndex::Active(Box::new(index));
        Ok((segment, offsets))
    }

    /// Takes the last event before the newest segment, unless the checkpoint has a later one; and the clock, which was
    /// at least where that segment's header has it, whatever led here.
    fn take_note(&mut self, has_tables: bool) {
        let Some(newest) = &self.load.layout.newest else { return };
        if !has_tables {
            self.fold.mark = newest.header.previous.map(|previous| previous.mark).unwrap_or_default();
        }
        self.fold.recorded = self.fold.recorded.max(newest.header.recorded);
    }

    fn tail(
        &mut self,
        tables: Option<Arc<LazyIndex>>,
        walked: Option<WalkedTail>,
    ) -> Result<Option<Tail>, Error> {
        let Some((newest, walked)) = self.load.layout.newest.as_ref().zip(walked) else {
            let index = PartIndex::Active(Box::new(ActiveIndex::new(Sequence(1))));
            self.parts.push(Part { sealed: None, index });
            return Ok(None);
        };
        let start = self.load.start(newest.header.first_sequence, tables.as_ref());
        if let Some(tables) = tables {
            self.report.events.checkpoint += u64::from(tables.row_count());
            self.parts.push(Part { sealed: None, index: PartIndex::Lazy(tables) });
        }
        let (index, tail) = walked.take(&mut self.fold)?;
        self.report.events.tail += u64::from(index.row_count());
        self.report.passed_over += tail.passed_over;
        self.report.tail_bytes = tail.position.offset - start.offset;
        self.parts.push(Part { sealed: None, index: PartIndex::Active(Box::new(index)) });
        Ok(Some(tail))
    }
}

/// Whether the log was closed cleanly right at the watermark.
fn is_closed_at(newest: &Newest, watermark: &Watermark) -> bool {
    newest.clean.is_some_and(|clean| {
        (clean.end, clean.chain, clean.mark) == (watermark.offset, watermark.chain, watermark.mark)
            && watermark.sequence.next() == Some(clean.next_sequence)
    })
}

impl Part {
    /// The segment; the greatest of all for the newest.
    fn segment(&self) -> SegmentId {
        self.sealed.as_ref().map_or(SegmentId(u64::MAX), |segment| segment.place().id)
    }
}

impl PartIndex {
    /// Asks the index, whichever form it has.
    ///
    /// # Errors
    /// [`Unopened`] where it is not there or does not answer.
    pub(crate) fn ask<R>(
        &self,
        question: impl FnOnce(&dyn Index) -> Result<R, annals_index::Error>,
    ) -> Result<R, Unopened> {
        let answer = match self {
            Self::Lazy(lazy) => question(&*lazy.index()?),
            Self::Built(built) => question(&*built.index),
            Self::Active(index) => question(&**index),
        };
        answer.map_err(|error| Unopened::Unusable(error.to_string()))
    }

    fn row_count(&self) -> u32 {
        match self {
            Self::Lazy(lazy) => lazy.row_count(),
            Self::Built(built) => built.index.row_count(),
            Self::Active(index) => index.row_count(),
        }
    }

    /// The sequence behind the last event.
    fn next_sequence(&self) -> Sequence {
        let first = match self {
            Self::Lazy(lazy) => lazy.place().first_sequence,
            Self::Built(built) => built.index.first_sequence(),
            Self::Active(index) => index.first_sequence(),
        };
        Sequence(first.0.saturating_add(u64::from(self.row_count())))
    }
}
