//! Merging what neighbouring segments or runs hold: entries of several sorted inputs, in order.
//!
//! Invariant: inputs cover different segments, so that no two have the same entry, and the merged run has as
//! many entries as they have together.

use std::fmt;

use annals_wire::RunEntry;

use super::RunIndex;
use crate::Error;

/// What is merged.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a run is made of segments or of runs")]
pub enum RunInput<'a> {
    /// The keys of one segment, as [`crate::Index::key_hashes`] gives them.
    Keys(Vec<u32>),
    /// A run.
    Run(&'a RunIndex),
}

type Entries<'a> = Box<dyn Iterator<Item = Result<RunEntry, Error>> + 'a>;

/// Entries of several inputs, in order.
pub struct RunMerge<'a> {
    inputs: Vec<Entries<'a>>,
    /// The next entry of each input; `None` where it ended.
    heads: Vec<Option<RunEntry>>,
}

impl<'a> RunMerge<'a> {
    /// The entries behind `last` of `inputs`, each with the place that its first segment has in the merged run.
    ///
    /// # Errors
    /// [`Error::Damaged`] where an input is damaged.
    pub fn new(inputs: &'a [(RunInput<'a>, u16)], last: Option<RunEntry>) -> Result<Self, Error> {
        let inputs = inputs.iter().map(|(input, place)| input.entries(*place, last));
        let mut merge = Self { inputs: inputs.collect::<Result<_, _>>()?, heads: Vec::new() };
        for input in &mut merge.inputs {
            merge.heads.push(input.next().transpose()?);
        }
        Ok(merge)
    }

    /// The next entry, or `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Damaged`] where an input is damaged, or not in order.
    pub fn next_entry(&mut self) -> Result<Option<RunEntry>, Error> {
        let heads = self.heads.iter().zip(0..).filter_map(|(head, place)| Some(((*head)?, place)));
        let Some((entry, least)) = heads.min() else { return Ok(None) };
        let next = self.inputs.get_mut(least).and_then(Iterator::next).transpose()?;
        if next.is_some_and(|next| next <= entry) {
            return Err(Error::invalid("index run", "entries out of order"));
        }
        *self.heads.get_mut(least).expect("a head for each input") = next;
        Ok(Some(entry))
    }
}

impl<'a> RunInput<'a> {
    /// How many entries it has.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        match self {
            Self::Keys(hashes) => hashes.len() as u64,
            Self::Run(run) => run.header().entry_count,
        }
    }

    /// The entries behind `last`, where the first segment has `place`.
    fn entries(&'a self, place: u16, last: Option<RunEntry>) -> Result<Entries<'a>, Error> {
        match self {
            Self::Keys(hashes) => {
                let is_behind = |hash: &&u32| Some(RunEntry { hash: **hash, place }) > last;
                let start = hashes.partition_point(|hash| !is_behind(&hash));
                let hashes = hashes.get(start..).unwrap_or_default();
                Ok(Box::new(hashes.iter().map(move |hash| Ok(RunEntry { hash: *hash, place }))))
            }
            Self::Run(run) => {
                let since = RunEntry { hash: last.map_or(0, |last| last.hash), place: 0 };
                let moved = move |entry: Result<RunEntry, Error>| {
                    let entry = entry?;
                    let place = entry.place.checked_add(place);
                    let place =
                        place.ok_or(Error::invalid("index run", "more segments than a run covers"))?;
                    Ok(RunEntry { hash: entry.hash, place })
                };
                let entries = run.entries_since(since)?.map(moved);
                Ok(Box::new(
                    entries.skip_while(move |entry| entry.as_ref().is_ok_and(|entry| Some(*entry) <= last)),
                ))
            }
        }
    }
}

impl fmt::Debug for RunMerge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunMerge({} inputs)", self.inputs.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(inputs: &[(RunInput<'_>, u16)], last: Option<(u32, u16)>) -> Result<Vec<(u32, u16)>, Error> {
        let last = last.map(|(hash, place)| RunEntry { hash, place });
        let (mut merge, mut entries) = (RunMerge::new(inputs, last)?, Vec::new());
        while let Some(entry) = merge.next_entry()? {
            entries.push((entry.hash, entry.place));
        }
        Ok(entries)
    }

    fn keys(hashes: &[u32]) -> RunInput<'static> {
        RunInput::Keys(hashes.to_vec())
    }

    #[test]
    fn inputs_are_merged_by_hash_then_place() {
        let inputs = [(keys(&[3, 7, 9]), 0), (keys(&[]), 1), (keys(&[1, 7]), 2)];
        let all = [(1, 2), (3, 0), (7, 0), (7, 2), (9, 0)];
        assert_eq!(drain(&inputs, None).unwrap(), all);
        for (place, last) in (1..).zip(all) {
            assert_eq!(drain(&inputs, Some(last)).unwrap(), all[place..], "behind {last:?}");
        }
        assert_eq!(drain(&[], None).unwrap(), []);
    }

    #[test]
    fn an_input_out_of_order_is_an_error() {
        for hashes in [&[3, 3][..], &[4, 3]] {
            assert!(drain(&[(keys(hashes), 0)], None).is_err());
        }
    }
}
