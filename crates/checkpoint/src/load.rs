//! The plan, carried out: an index for every stretch of the log, and what the store keeps beside it.
//!
//! Invariant: a source that turns out damaged costs its own stretch a walk over frames, and is in the report.

use std::sync::Arc;

use annals_index::{ActiveIndex, Index, SealedIndex};
use annals_segment::{
    CHECKPOINT, Directory, Error, Layout, Newest, Outside, Position, SealedPlace, SealedSegment, Tail,
    read_frame, segment_name,
};
use annals_wire::{Control, Digest, Event, SegmentId, Sequence, Watermark};

use crate::{
    FRAME_TYPES, Fold, Plan, Rejected, SegmentSource, Sources, TailSource,
    fold::{index_frame, index_segment},
    report::OpenReport,
};

/// The index of one stretch.
#[derive(Debug)]
#[non_exhaustive]
pub enum PartIndex {
    /// A footer, or the checkpoint's tables, in place.
    Sealed(Arc<SealedIndex>),
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

/// Loads parts while a report is written of it.
struct Loader<'a> {
    directory: &'a Arc<dyn Directory>,
    layout: &'a Layout,
    sources: &'a Sources,
    maps: bool,
    report: &'a mut OpenReport,
    parts: Vec<Part>,
    fold: Fold,
}

impl Loaded {
    /// Carries out `plan`. With `frontier_end`, the newest segment is read no further than a live writer lets.
    ///
    /// # Errors
    /// Whatever reading the log may have: what is only derived is rejected, and never an error.
    pub fn load(
        directory: &Arc<dyn Directory>,
        layout: &Layout,
        sources: &Sources,
        plan: &Plan,
        maps: bool,
        frontier_end: Option<u64>,
        report: &mut OpenReport,
    ) -> Result<Self, Error> {
        report.rejected.extend(plan.rejected.iter().cloned());
        report.segment_count = layout.sealed.len() as u64 + u64::from(layout.newest.is_some());
        let fold = Fold::default();
        let mut loader = Loader { directory, layout, sources, maps, report, parts: Vec::new(), fold };
        for (place, source) in &plan.segments {
            loader.segment(place, *source)?;
        }
        let tables = loader.tables(plan.tail);
        if !tables.as_ref().is_some_and(|(_, watermark)| loader.take_controls(*watermark)) {
            loader.controls()?;
        }
        let tail = loader.tail(tables, frontier_end)?;
        let Loader { parts, fold, .. } = loader;
        Ok(Self { parts, fold, tail })
    }
}

impl Loader<'_> {
    fn segment(&mut self, place: &SealedPlace, source: SegmentSource) -> Result<(), Error> {
        let segment = Arc::new(SealedSegment::new(Arc::clone(self.directory), *place, self.maps));
        let footer = self.sources.footers.get(&place.id).and_then(|footer| footer.as_ref().ok());
        let index = match footer.filter(|_| source == SegmentSource::Footer) {
            Some(footer) => {
                self.report.events.footers += u64::from(footer.row_count());
                PartIndex::Sealed(Arc::clone(footer))
            }
            None => {
                let (index, passed_over) = index_segment(&segment)?;
                segment.check_end()?;
                self.report.events.frames += u64::from(index.row_count());
                self.report.passed_over += passed_over;
                PartIndex::Active(Box::new(index))
            }
        };
        self.check_first_sequence(place, &index)?;
        self.parts.push(Part { sealed: Some(segment), index });
        Ok(())
    }

    /// Sequences have no gap between one stretch and the next.
    fn check_first_sequence(&self, place: &SealedPlace, index: &PartIndex) -> Result<(), Error> {
        let next = place.id.next().unwrap_or(SegmentId(0));
        let in_layout = self.layout.sealed.iter().find(|sealed| sealed.id == next);
        let newest = self.layout.newest.as_ref().map(|newest| newest.header.first_sequence);
        let expected = in_layout.map(|sealed| sealed.first_sequence).or(newest);
        let found = Some(next_sequence(index.as_index()));
        if expected == found {
            return Ok(());
        }
        Err(Error::Mismatch {
            path: self.directory.path().join(segment_name(place.id, place.generation)),
            offset: place.end,
            what: "the sequence behind its last event",
            expected: expected.map(|sequence| sequence.to_string()).unwrap_or_default(),
            found: found.map(|sequence| sequence.to_string()).unwrap_or_default(),
        })
    }

    /// The checkpoint's tables, where the plan wants them and they are sound and of this very segment.
    fn tables(&mut self, source: TailSource) -> Option<(Arc<SealedIndex>, Watermark)> {
        let TailSource::Checkpoint(watermark) = source else { return None };
        let found = self.sources.checkpoint.as_ref()?.as_ref().ok()?;
        match self.check_tables(found.region.clone(), &watermark) {
            Ok(index) => Some((Arc::new(index), watermark)),
            Err(why) => {
                self.report.rejected.push(Rejected::new(CHECKPOINT, &why));
                None
            }
        }
    }

    fn check_tables(
        &self,
        region: annals_segment::Region,
        watermark: &Watermark,
    ) -> Result<SealedIndex, String> {
        let newest = self.layout.newest.as_ref().ok_or("there is no segment that it could be of")?;
        let index = SealedIndex::new(Arc::new(region)).map_err(|error| error.to_string())?;
        let trailer = index.trailer();
        let expected = (self.layout.manifest.store, watermark.segment, watermark.generation);
        let place = (watermark.chain, watermark.offset, newest.header.first_sequence);
        if (trailer.store, trailer.segment, trailer.generation) != expected
            || (trailer.chain, trailer.frames_end, trailer.first_sequence) != place
            || watermark.sequence.next() != Some(next_sequence(&index))
        {
            return Err("its tables are of another segment, or of another part of it".to_owned());
        }
        Ok(index)
    }

    /// Takes names and the control chain from the checkpoint.
    fn take_controls(&mut self, watermark: Watermark) -> bool {
        let Some(Ok(found)) = &self.sources.checkpoint else { return false };
        let head = &found.head;
        self.fold = Fold {
            kind_names: head.kind_names.iter().cloned().collect(),
            control: head.control,
            mark: watermark.mark,
            recorded: watermark.recorded,
        };
        self.take_clock();
        true
    }

    /// Takes names and the control chain from the control records of all sealed segments.
    fn controls(&mut self) -> Result<(), Error> {
        for place in 0..self.parts.len() {
            let part = self.parts.get_mut(place).expect("a place of the list");
            let segment = part.sealed.clone().expect("only sealed segments were loaded yet");
            let offsets = match part.index.as_index().control_offsets() {
                Ok(offsets) => offsets,
                Err(error) => {
                    let (index, _) = index_segment(&segment)?;
                    let name = segment_name(segment.place().id, segment.place().generation);
                    self.report.rejected.push(Rejected::new(format!("{name} (its footer)"), &error));
                    part.index = PartIndex::Active(Box::new(index));
                    part.index.as_index().control_offsets().unwrap_or_default()
                }
            };
            for offset in offsets {
                let bytes = segment.frame(u64::from(offset))?;
                self.fold.control(&bytes.frame(), segment.path(), u64::from(offset))?;
            }
        }
        if let Some(newest) = &self.layout.newest {
            self.fold.mark = newest.header.previous.map(|previous| previous.mark).unwrap_or_default();
        }
        self.take_clock();
        Ok(())
    }

    /// The clock was at least where the newest segment's header has it, whatever led here: a checkpoint behind a
    /// header without frames may say less.
    fn take_clock(&mut self) {
        if let Some(newest) = &self.layout.newest {
            self.fold.recorded = self.fold.recorded.max(newest.header.recorded);
        }
    }

    fn tail(
        &mut self,
        tables: Option<(Arc<SealedIndex>, Watermark)>,
        frontier_end: Option<u64>,
    ) -> Result<Option<Tail>, Error> {
        let Some(newest) = &self.layout.newest else {
            self.parts.push(Part {
                sealed: None,
                index: PartIndex::Active(Box::new(ActiveIndex::new(Sequence(1)))),
            });
            return Ok(None);
        };
        let start = tables.as_ref().map(|(_, watermark)| Position {
            offset: watermark.offset,
            chain: watermark.chain,
            next_sequence: Sequence(watermark.sequence.0.saturating_add(1)),
        });
        let first = start.map_or(newest.header.first_sequence, |start| start.next_sequence);
        let checkpoint_end = self.checkpoint_end(newest);
        if let Some((index, watermark)) = tables {
            self.check_mark(newest, &index, &watermark)?;
            self.report.events.checkpoint += u64::from(index.row_count());
            self.parts.push(Part { sealed: None, index: PartIndex::Sealed(index) });
        }
        let mut index = ActiveIndex::new(first);
        let path = self.directory.path().join(segment_name(newest.header.id, newest.header.generation));
        let outside = Outside { start, checkpoint_end, frontier_end };
        let fold = &mut self.fold;
        let tail = Tail::walk(&**self.directory, newest, outside, FRAME_TYPES, &mut |offset, frame| {
            match index_frame(&mut index, &path, offset, frame)? {
                Some(event) => fold.event(&event),
                None => fold.control(frame, &path, offset)?,
            }
            Ok(())
        })?;
        self.report.events.tail += u64::from(index.row_count());
        self.report.passed_over += tail.passed_over;
        let from = start.map_or(annals_wire::SEGMENT_HEADER_LEN as u64, |start| start.offset);
        self.report.tail_bytes = tail.position.offset - from;
        self.parts.push(Part { sealed: None, index: PartIndex::Active(Box::new(index)) });
        Ok(Some(tail))
    }

    /// How far a sound checkpoint proves that the newest segment was durable, used or not.
    fn checkpoint_end(&self, newest: &Newest) -> u64 {
        let found = self.sources.checkpoint.as_ref().and_then(|found| found.as_ref().ok());
        let of_newest = found
            .map(|found| &found.head)
            .filter(|head| head.store == newest.header.store && head.watermark.segment == newest.header.id);
        of_newest.map_or(0, |head| head.watermark.offset)
    }

    /// The last event and the last control record before the watermark must be the very ones that the checkpoint
    /// saw: a segment that went another way since, or an older copy of it, has others there, or nothing.
    fn check_mark(&self, newest: &Newest, index: &SealedIndex, watermark: &Watermark) -> Result<(), Error> {
        let path = self.directory.path().join(segment_name(newest.header.id, newest.header.generation));
        let compare = |what, offset, expected: Digest, found: Digest| {
            let mismatch = || {
                let (expected, found) = (expected.to_string(), found.to_string());
                Error::Mismatch { path: path.clone(), offset, what, expected, found }
            };
            if expected == found { Ok(()) } else { Err(mismatch()) }
        };
        let last = index.row_count().checked_sub(1);
        match last.map(|last| index.row(last)) {
            Some(Ok(Some(row))) => {
                let offset = u64::from(row.offset);
                let bytes = read_frame(&**self.directory, &newest.header, offset)?;
                let event = Event::decode(&bytes.frame()).map_err(Error::bytes(&path, offset))?;
                compare("the event that the checkpoint ends with", offset, watermark.mark, event.stamp.hash)?;
            }
            // The tables turned out damaged, and are built again when they are asked.
            Some(_) => return Ok(()),
            None => {
                let before = newest.header.previous.map(|previous| previous.mark).unwrap_or_default();
                compare("the last event before the segment", 96, watermark.mark, before)?;
            }
        }
        if let Some(offset) = index.control_offsets().unwrap_or_default().last().copied().map(u64::from) {
            let bytes = read_frame(&**self.directory, &newest.header, offset)?;
            let (stamp, _) = Control::decode(&bytes.frame()).map_err(Error::bytes(&path, offset))?;
            compare(
                "the control record that the checkpoint saw last",
                offset,
                self.fold.control,
                stamp.hash,
            )?;
        }
        Ok(())
    }
}

/// The sequence behind the last event of `index`.
fn next_sequence(index: &dyn Index) -> Sequence {
    Sequence(index.first_sequence().0.saturating_add(u64::from(index.row_count())))
}

impl PartIndex {
    /// The index, whichever form it has.
    #[must_use]
    pub fn as_index(&self) -> &dyn Index {
        match self {
            Self::Sealed(index) => &**index,
            Self::Active(index) => &**index,
        }
    }
}
