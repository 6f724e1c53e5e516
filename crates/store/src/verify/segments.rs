//! The segments: every frame of each, and the footer that a sealed one has behind them.
//!
//! Invariant: what is derived from a segment is compared only where its frames are sound.

use annals_checkpoint::FRAME_TYPES;
use annals_index::ActiveIndex;
use annals_segment::{Newest, Outside, SealedPlace, SealedSegment, Tail, find_sequence, segment_name};
use annals_wire::{Chain, SegmentHeader, Sequence};

use super::{
    VerifyReport, Walk,
    checkpoint::Prefix,
    compare::{first_difference, is_unfinished},
    frames::Frames,
    runs::Keys,
};
use crate::{Error, seal, sync::Arc};

/// A sealed segment whose frames are sound.
struct WalkedSegment {
    segment: SealedSegment,
    index: ActiveIndex,
    prefix: Prefix,
}

impl Walk<'_> {
    /// Walks the sealed segments, and while the next one is walked compares what is derived from the one before.
    pub(super) fn walk_sealed(
        &self,
        frames: &mut Frames,
        keys: &mut Keys,
        report: &mut VerifyReport,
        show: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let mut walked: Option<WalkedSegment> = None;
        for place in self.layout.sealed.iter().map(Some).chain([None]) {
            let (before, mut compared) = (walked.take(), Ok(VerifyReport::default()));
            rayon::in_place_scope(|scope| {
                if let Some(before) = &before {
                    scope.spawn(|_| compared = self.compare_derived(before, keys));
                }
                walked = place.map_or(Ok(None), |place| self.sealed(place, frames, report, show))?;
                Ok::<(), Error>(())
            })?;
            report.take(compared?);
        }
        Ok(())
    }

    /// Compares what is derived from a segment with its frames.
    fn compare_derived(&self, walked: &WalkedSegment, keys: &mut Keys) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        keys.note(walked.segment.place(), &walked.index);
        self.footer(&walked.segment, &walked.index, &mut report)?;
        self.compare_checkpoint(&walked.prefix, &mut report)?;
        Ok(report)
    }

    /// Walks one segment; `None` where it is damaged, and nothing can be compared with it.
    fn sealed(
        &self,
        place: &SealedPlace,
        frames: &mut Frames,
        report: &mut VerifyReport,
        show: &mut dyn FnMut(u64),
    ) -> Result<Option<WalkedSegment>, Error> {
        let segment = SealedSegment::new(Arc::clone(self.directory), *place, false);
        let mut index = ActiveIndex::new(place.first_sequence);
        let start = report.byte_count;
        report.byte_count += place.end;
        report.segment_count += 1;
        let mut prefix = Prefix::new(self.watermark(place.store, place.id), *place);
        let walked = segment.header().and_then(|header| {
            frames.begin(segment.path(), &header);
            segment.scan(FRAME_TYPES, &mut |offset, frame| {
                show(start + offset);
                prefix.reach(offset, &index, frames);
                frames.check(&mut index, segment.path(), offset, frame);
                prefix.chain = prefix.chain.then(frame.header.header_crc);
                Ok(())
            })
        });
        match walked {
            Ok(_) if frames.is_indexed() => {
                prefix.reach(place.end, &index, frames);
                Ok(Some(WalkedSegment { segment, index, prefix }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.is_damage() => {
                let header = segment.header().ok();
                report.damaged(&error, header.and_then(|header| self.find_sequence(&header, &error)));
                frames.lose_track();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Compares a footer with the one that its frames give.
    fn footer(
        &self,
        segment: &SealedSegment,
        index: &ActiveIndex,
        report: &mut VerifyReport,
    ) -> Result<(), Error> {
        let expected = seal::encode(index, segment.place(), segment.digest()?);
        let found = segment.behind()?;
        if found.iter().all(|byte| *byte == 0) {
            report.notes.push(format!("{} has no footer yet", segment.path().display()));
            return Ok(());
        }
        if is_unfinished(&expected, &found, segment.place().end) {
            let path = segment.path().display();
            let what = "has a footer that was not finished; the next open for writing builds it again";
            report.notes.push(format!("{path} {what}"));
            return Ok(());
        }
        report.footer_count += 1;
        if let Some(place) = first_difference(&expected, &found) {
            let what =
                "the footer is not the one that its frames give; the next open for writing builds it again";
            report.damaged_derived(
                segment.path().display().to_string(),
                Some(segment.place().end + place),
                what.to_owned(),
            );
        }
        Ok(())
    }

    /// Walks the segment that is written, or was.
    pub(super) fn newest(
        &self,
        newest: &Newest,
        frames: &mut Frames,
        report: &mut VerifyReport,
        show: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let header = &newest.header;
        let name = segment_name(header.id, header.generation);
        let path = self.directory.path().join(&name);
        let start = report.byte_count;
        report.byte_count += newest.len;
        report.segment_count += 1;
        let watermark = self.watermark(header.store, header.id);
        let outside = Outside {
            start: None,
            checkpoint_end: watermark.unwrap_or_default(),
            frontier_end: self
                .frontier
                .filter(|frontier| frontier.segment == header.id)
                .map(|found| found.end),
        };
        let mut index = ActiveIndex::new(header.first_sequence);
        let place = SealedPlace {
            store: header.store,
            id: header.id,
            generation: header.generation,
            first_sequence: header.first_sequence,
            end: newest.len,
            chain: Chain::default(),
        };
        let mut prefix = Prefix::new(watermark, place);
        frames.begin(&path, header);
        let walked = Tail::walk(&**self.directory, newest, outside, FRAME_TYPES, &mut |offset, frame| {
            show(start + offset);
            prefix.reach(offset, &index, frames);
            frames.check(&mut index, &path, offset, frame);
            prefix.chain = prefix.chain.then(frame.header.header_crc);
            Ok(())
        });
        match walked {
            Ok(tail) => {
                prefix.reach(tail.position.offset, &index, frames);
                report.torn = tail.torn.map(|torn| {
                    format!("{name} ends in {} torn bytes at offset {}: {}", torn.len, torn.offset, torn.why)
                });
                if frames.is_indexed() {
                    self.compare_checkpoint(&prefix, report)?;
                }
                Ok(())
            }
            Err(error) if error.is_damage() => {
                report.damaged(&error, self.find_sequence(header, &error));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The sequence of the event that is damaged, where its frame still says it.
    fn find_sequence(&self, header: &SegmentHeader, error: &annals_segment::Error) -> Option<Sequence> {
        let annals_segment::Error::Corrupt { offset, .. } = error else { return None };
        find_sequence(&**self.directory, header, *offset)
    }
}
