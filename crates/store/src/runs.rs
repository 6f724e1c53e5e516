//! Merging: the index runs over many segments, made behind the appends.
//!
//! Invariant: a run is used only after all of it was read back; what it replaces is removed after that. Where one
//! cannot be written, or is lost, its segments are asked, and nothing is missing.

use std::time::Duration;

use annals_checkpoint::{LazyRun, Merge, RunRange, RunWriter, Runs, remove_run};
use annals_index::{RunInput, RunMerge};
use annals_segment::{Directory, Inventory, SealedPlace, run_name};
use annals_wire::{RunHeader, RunSegment, SegmentId};

use crate::{
    Background, Error,
    part::{Frames, Part},
    store::{Shared, lock},
    sync::Arc,
    view::View,
};

/// After each step the thread lets the appends go first for this long.
const PAUSE: Duration = Duration::from_millis(2);

impl View {
    /// Takes those of the runs over `found` that are of use here.
    pub(crate) fn take_runs(&mut self, directory: &Arc<dyn Directory>, found: &[RunRange], maps: bool) {
        let sealed = self.sealed_with_footers();
        let oldest = sealed.first().map_or(SegmentId(1), |place| place.id);
        let used = Runs::choose(found, oldest, sealed.last().map(|place| place.id)).used;
        let run = |range| LazyRun::new(directory, range, self.store, segments(&sealed, range), maps);
        self.runs = used.into_iter().map(|range| Arc::new(run(range))).collect();
    }

    /// The oldest segments, as far as they have footers: what runs may cover.
    fn sealed_with_footers(&self) -> Vec<SealedPlace> {
        let places = self.parts.iter().map_while(|part| match &part.frames {
            Frames::Sealed(segment) if part.has_footer() => Some(*segment.place()),
            _ => None,
        });
        places.collect()
    }

    fn run(&self, range: RunRange) -> Option<&Arc<LazyRun>> {
        self.runs.iter().find(|run| run.range() == range)
    }
}

/// What a run says of those segments of `range` that are there.
fn segments(sealed: &[SealedPlace], range: RunRange) -> Vec<RunSegment> {
    let covered = sealed.iter().filter(|place| range.contains(place.id));
    covered.map(|place| RunSegment { generation: place.generation, chain: place.chain }).collect()
}

impl Shared {
    /// Makes the runs that there should be, until there are no more or the store is being closed.
    pub(crate) fn merge_runs(&self) -> Result<(), Error> {
        let writer = self.writer()?;
        if !self.options.sources.runs {
            return Ok(());
        }
        let _one_at_a_time = lock(&writer.merging);
        self.remove_superfluous()?;
        while let Some(merge) = self.next_merge() {
            if !self.merge_run(&merge)? {
                break;
            }
        }
        Ok(())
    }

    /// Removes runs whose segments are covered by others: whoever made those did not get that far.
    fn remove_superfluous(&self) -> Result<(), Error> {
        let inventory = Inventory::list(&*self.directory)?;
        let found: Vec<RunRange> =
            inventory.runs.iter().map(|run| RunRange { first: run.first, last: run.last }).collect();
        let view = self.view();
        // A run whose segment lost its footer is of use again when that is written.
        let is_sealed = |part: &&Part| matches!(part.frames, Frames::Sealed(_));
        let newest = view.parts.iter().rfind(is_sealed).map(|part| part.frames.segment());
        let oldest = view.parts.first().map_or(SegmentId(1), |part| part.frames.segment());
        let superfluous = Runs::choose(&found, oldest, newest).superfluous;
        superfluous.iter().try_for_each(|range| Ok(remove_run(&*self.directory, *range)?))
    }

    fn next_merge(&self) -> Option<Merge> {
        let view = self.view();
        let sealed = view.sealed_with_footers();
        let used: Vec<RunRange> = view.runs.iter().map(|run| run.range()).collect();
        Runs::next_merge(&used, sealed.first()?.id, sealed.last()?.id)
    }

    /// Makes one run; false where the store is being closed: what was written is gone on with another time.
    fn merge_run(&self, merge: &Merge) -> Result<bool, Error> {
        let view = self.view();
        let runs: Vec<&Arc<LazyRun>> = merge.runs.iter().filter_map(|range| view.run(*range)).collect();
        match self.write_run(&view, merge, &runs) {
            Ok(false) => Ok(false),
            Ok(true) => {
                merge.runs.iter().try_for_each(|range| remove_run(&*self.directory, *range))?;
                Ok(true)
            }
            Err(error) => {
                // What turns out damaged is made again from what it was made of.
                for run in runs {
                    if let Err(why) = run.check_all() {
                        self.drop_run(run.range(), &why);
                    }
                }
                Err(error)
            }
        }
    }

    fn write_run(&self, view: &View, merge: &Merge, runs: &[&Arc<LazyRun>]) -> Result<bool, Error> {
        let sealed = view.sealed_with_footers();
        let found = self.lazy_run(merge.range, segments(&sealed, merge.range));
        if found.check_all().is_ok() {
            // It is there, and was not used because a segment had no footer.
            self.use_run(merge, found);
            return Ok(true);
        }
        let Some(inputs) = self.inputs(merge, runs)? else { return Ok(false) };
        let header = RunHeader {
            store: view.store,
            first: merge.range.first,
            segments: segments(&sealed, merge.range),
            entry_count: inputs.iter().map(|(input, _)| input.entry_count()).sum(),
        };
        self.writer()?.space.check_derived(header.file_len().unwrap_or(u64::MAX))?;
        let mut file = RunWriter::begin(&*self.directory, header, |last| RunMerge::new(&inputs, last))?;
        while !file.step()? {
            if !self.let_others_go_first()? {
                return Ok(false);
            }
        }
        file.finish()?;
        let run = self.lazy_run(merge.range, segments(&sealed, merge.range));
        run.check_all().map_err(|why| self.unusable(merge.range, &why))?;
        self.use_run(merge, run);
        Ok(true)
    }

    /// Puts a run into the place of what it was merged from.
    fn use_run(&self, merge: &Merge, run: LazyRun) {
        self.change_view(|view| {
            view.runs.retain(|old| !merge.runs.contains(&old.range()));
            let place = view.runs.partition_point(|old| old.range().last < merge.range.first);
            view.runs.insert(place, Arc::new(run));
        });
    }

    /// What `merge` is made from; `None` where the store is being closed.
    fn inputs<'a>(
        &self,
        merge: &Merge,
        runs: &[&'a Arc<LazyRun>],
    ) -> Result<Option<Vec<(RunInput<'a>, u16)>>, Error> {
        let place = |segment: SegmentId| {
            u16::try_from(segment.0 - merge.range.first.0).expect("a run covers no more segments")
        };
        let mut inputs = Vec::new();
        for run in runs {
            let index = run.index().map_err(|why| self.unusable(run.range(), why))?;
            inputs.push((RunInput::Run(index), place(run.range().first)));
        }
        for segment in (merge.range.first.0..=merge.range.last.0).map(SegmentId).filter(|_| runs.is_empty()) {
            let hashes = self.ask(|view| {
                let part = view.parts.iter().find(|part| part.frames.segment() == segment);
                part.map_or(Ok(Vec::new()), |part| part.try_ask(|index| index.key_hashes(view.store)))
            })?;
            inputs.push((RunInput::Keys(hashes), place(segment)));
            if !self.let_others_go_first()? {
                return Ok(None);
            }
        }
        Ok(Some(inputs))
    }

    /// Does what cannot wait for a merge to end, and waits a little; false where the store is being closed.
    fn let_others_go_first(&self) -> Result<bool, Error> {
        self.pump_what_is_due()?;
        let pause = if self.options.background == Background::Thread { PAUSE } else { Duration::ZERO };
        Ok(self.writer()?.worker.pause(pause))
    }

    fn unusable(&self, range: RunRange, why: &str) -> Error {
        tracing::warn!(why, "an index run cannot be used");
        let name = run_name(range.first, range.last);
        let source = annals_wire::Error::Invalid { what: "index run", why: "it cannot be used" };
        annals_segment::Error::bytes(self.directory.path().join(name), 0)(source).into()
    }

    /// Does without a run that cannot be used, and has it made again.
    pub(crate) fn drop_run(&self, range: RunRange, why: &str) {
        let name = run_name(range.first, range.last);
        self.incident(format!("{name} cannot be used, and its segments are asked: {why}"));
        self.change_view(|view| view.runs.retain(|run| run.range() != range));
        if let Some(writer) = &self.writer {
            writer.worker.wake_to_work();
        }
    }

    /// The run over `range`, whose newest segments are `expected`.
    pub(crate) fn lazy_run(&self, range: RunRange, expected: Vec<RunSegment>) -> LazyRun {
        LazyRun::new(&self.directory, range, self.report.store, expected, self.options.sources.maps)
    }

    /// Errors of merging are told, and what was to be merged is asked as it is.
    pub(crate) fn merge_or_tell(&self) {
        let _span = tracing::debug_span!("merge", store = %self.report.store).entered();
        if let Err(error) = self.merge_runs() {
            self.incident(format!("an index run could not be written: {error}"));
        }
    }
}
