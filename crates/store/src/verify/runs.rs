//! What index runs say, compared with the segments that they cover.
//!
//! Invariant: a segment's keys are kept as their number and a sum that does not depend on their order, so that
//! verifying takes memory for each segment and none for each key.

use std::collections::BTreeMap;

use annals_checkpoint::{RunRange, open_run};
use annals_index::{ActiveIndex, Index, RunIndex};
use annals_segment::{Directory, RunFile, SealedPlace, run_name};
use annals_wire::{RunSegment, SegmentId};

use crate::Error;

/// What is known of the keys of the segments that were walked.
#[derive(Debug, Default)]
pub(super) struct Keys {
    segments: BTreeMap<SegmentId, (RunSegment, KeySum)>,
}

/// How many hashes there are, and their sum, each spread over all bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct KeySum {
    count: u64,
    sum: u64,
}

impl KeySum {
    fn add(&mut self, hash: u32) {
        // The finalizer of SplitMix64: Steele, Lea and Flood, 2014.
        let mut mixed = u64::from(hash).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.count += 1;
        self.sum = self.sum.wrapping_add(mixed ^ mixed >> 31);
    }
}

impl Keys {
    /// Notes the keys of the segment at `place`, whose frames gave `index`.
    pub(super) fn note(&mut self, place: &SealedPlace, index: &ActiveIndex) {
        let mut sum = KeySum::default();
        index.key_hashes(place.store).unwrap_or_default().into_iter().for_each(|hash| sum.add(hash));
        let segment = RunSegment { generation: place.generation, chain: place.chain };
        self.segments.insert(place.id, (segment, sum));
    }

    /// Whether all segments of `range` were walked and indexed.
    pub(super) fn cover(&self, range: RunRange) -> bool {
        (range.first.0..=range.last.0).all(|id| self.segments.contains_key(&SegmentId(id)))
    }

    /// What is wrong with the run `file`, if anything is.
    ///
    /// # Errors
    /// [`Error::Environment`] where it cannot be read, [`Error::NewerVersion`].
    pub(super) fn difference(
        &self,
        directory: &dyn Directory,
        file: &RunFile,
    ) -> Result<Option<String>, Error> {
        let range = RunRange { first: file.first, last: file.last };
        match open_run(directory, range, false) {
            Ok(run) => Ok(self.different_entries(range, &run)),
            Err(error) if error.is_damage() => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    fn different_entries(&self, range: RunRange, run: &RunIndex) -> Option<String> {
        let segments: Vec<_> =
            self.segments.range(range.first..=range.last).map(|(_, known)| known).collect();
        let header = run.header();
        if header.first != range.first
            || !header.segments.iter().eq(segments.iter().map(|(segment, _)| segment))
        {
            return Some("it is of other segments".to_owned());
        }
        let mut sums = vec![KeySum::default(); segments.len()];
        let mut last = None;
        for entry in run.entries() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(error.to_string()),
            };
            match sums.get_mut(usize::from(entry.place)).filter(|_| Some(entry) > last) {
                Some(sum) => sum.add(entry.hash),
                None => {
                    return Some(
                        "its entries are out of order, or of segments that it does not cover".to_owned(),
                    );
                }
            }
            last = Some(entry);
        }
        let differs = sums.iter().zip(&segments).position(|(sum, (_, known))| sum != known);
        let differs =
            differs.map(|place| format!("it has other keys of segment {}", range.first.0 + place as u64));
        differs.or_else(|| run.check_all().err().map(|error| error.to_string()))
    }
}

/// The name of the run `file`.
pub(super) fn name(file: &RunFile) -> String {
    run_name(file.first, file.last)
}
