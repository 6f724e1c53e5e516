//! Opening: lock, look, plan, load, recover; then a store.
//!
//! Invariant: nothing is changed before everything was found sound; a store that is refused is left as it is.

mod beside;
mod start;

use std::{io, path::Path, time::Instant};

use annals_checkpoint::{FRAME_TYPES, Fold, Load, Loaded, OpenReport, PartIndex, Plan, RunRange, Sources};
use annals_index::ActiveIndex;
use annals_segment::{
    Access, Directory, Inventory, Layout, Log, LogOptions, MANIFEST, Note, OpenFiles, Recovery, SealedPlace,
    SealedSegment, WriterLock, segment_name,
};
use annals_wire::{Recorded, SegmentId, Sequence};

pub(crate) use self::beside::{Beside, open_read_only};
use self::{beside::open_to_read, start::start};
use crate::{
    Error, Options, Store,
    part::{Frames, Part},
    sync::Arc,
    view::View,
};

/// A reader that meets a writer in the middle of a rotation or a recovery looks again this often.
pub(crate) const ATTEMPTS: usize = 20;

pub(crate) fn directory_error(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::NotFound { path: path.display().to_string() };
    }
    annals_segment::Error::io("open", path)(error).into()
}

/// Measures the parts of an open.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self, report: &mut OpenReport, name: &'static str) {
        let micros = u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX);
        report.phases.push(annals_checkpoint::Phase { name, micros });
        self.0 = Instant::now();
    }
}

/// Opens for writing; for reading only where there is a store and no space to put it in order.
pub(crate) fn open(options: &Options, directory: &Arc<dyn Directory>) -> Result<Store, Error> {
    match open_for_writing(options.clone(), Arc::clone(directory)) {
        Err(Error::Environment { source }) if source.is_out_of_space() => {
            let full = Arc::new(source);
            match open_to_read(options, directory, Some(&full)) {
                // Of a store in the making there is nothing to read.
                Ok(store) if store.report().segment_count == 0 => Err(Error::NoSpace { source: full }),
                Err(Error::NotFound { .. }) => Err(Error::NoSpace { source: full }),
                opened => opened,
            }
        }
        opened => opened,
    }
}

fn open_for_writing(options: Options, directory: Arc<dyn Directory>) -> Result<Store, Error> {
    let _span = tracing::debug_span!("open", path = %directory.path().display()).entered();
    let mut report = OpenReport::default();
    let mut stopwatch = Stopwatch(Instant::now());
    if !options.create {
        refuse_nothing(&*directory)?;
    }
    let lock = WriterLock::acquire(&*directory, options.lock_timeout, options.entropy.number())?;
    stopwatch.lap(&mut report, "lock");
    let inventory = Inventory::list(&*directory)?;
    note_inventory(&inventory, &mut report);
    if inventory.is_empty() {
        return create(options, directory, lock, report);
    }
    let files = options.open_files(&directory);
    let found = Found::look(&directory, &files, inventory, &options, None, &mut report)?;
    stopwatch.lap(&mut report, "look");
    let loaded = found.load(&directory, &files, &options, None, &mut report)?;
    stopwatch.lap(&mut report, "load");
    let Found { layout, runs, .. } = found;
    let note = note(&loaded.fold, &options);
    let recovery = Recovery {
        directory: Arc::clone(&directory),
        lock,
        options: log_options(&options),
        entropy: Arc::clone(&options.entropy),
        layout,
        tail: loaded.tail.clone(),
        note,
    };
    let (log, log_report, sealed) = recovery.run()?;
    report.log = log_report;
    stopwatch.lap(&mut report, "recover");
    let mut view = writer_view(loaded.parts, &log, sealed, &files);
    view.take_runs(&directory, &runs, options.sources.maps);
    view.hidden = Arc::new(loaded.fold.hidden.clone());
    report.run_count = view.runs.len() as u64;
    report.rebuilt = without_footers(&view);
    Ok(start(options, directory, files, report, view, loaded.fold, log))
}

/// Refuses a directory without a store before anything is left in it, a lock file not excepted.
fn refuse_nothing(directory: &dyn Directory) -> Result<(), Error> {
    match directory.open(MANIFEST, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && Inventory::list(directory)?.is_empty() => {
            Err(Error::NotFound { path: directory.path().display().to_string() })
        }
        _ => Ok(()),
    }
}

fn create(
    options: Options,
    directory: Arc<dyn Directory>,
    lock: WriterLock,
    mut report: OpenReport,
) -> Result<Store, Error> {
    if !options.create {
        return Err(Error::NotFound { path: directory.path().display().to_string() });
    }
    let fold = Fold::default();
    let entropy = Arc::clone(&options.entropy);
    let log =
        Log::create(Arc::clone(&directory), lock, log_options(&options), entropy, note(&fold, &options))?;
    report.was_created = true;
    report.segment_count = 1;
    let index = ActiveIndex::new(Sequence(1));
    let parts = vec![Part::active(Frames::Active(Arc::clone(log.active())), index)];
    let view = View { store: log.id(), parts, ..View::default() };
    let files = options.open_files(&directory);
    Ok(start(options, directory, files, report, view, fold, log))
}

/// What was found, and what to make of it.
pub(crate) struct Found {
    pub(crate) inventory: Inventory,
    pub(crate) layout: Layout,
    sources: Sources,
    pub(crate) plan: Plan,
    /// The runs that are there and may be used.
    runs: Vec<RunRange>,
}

impl Found {
    /// Looks at what `inventory` leaves open, and decides. With `upto`, that segment is the newest that counts.
    pub(crate) fn look(
        directory: &Arc<dyn Directory>,
        files: &Arc<OpenFiles>,
        mut inventory: Inventory,
        options: &Options,
        upto: Option<SegmentId>,
        report: &mut OpenReport,
    ) -> Result<Self, Error> {
        let is_read_only = report.is_read_only;
        let mut sources = Sources::look(&**directory, options.sources, is_read_only)?;
        // Without footers, their segments are walked, and the headers with them.
        let vouching = sources.sound_checkpoint().filter(|_| options.sources.footers);
        inventory.read_headers(&**directory, vouching.map(|found| &found.head), upto)?;
        let layout = Layout::decide(&inventory, directory.path(), upto)?;
        if options.sources.footers {
            sources.look_at_footers(files, &inventory, &layout, is_read_only)?;
        }
        let plan = Plan::decide(&layout, &sources, directory.path())?;
        report.store = layout.manifest.store;
        report.oddities.extend(layout.oddities.iter().cloned());
        let runs = inventory.runs.iter().filter(|_| options.sources.runs);
        let runs = runs.map(|run| RunRange { first: run.first, last: run.last }).collect();
        Ok(Self { inventory, layout, sources, plan, runs })
    }

    fn load(
        &self,
        directory: &Arc<dyn Directory>,
        files: &Arc<OpenFiles>,
        options: &Options,
        frontier_end: Option<u64>,
        report: &mut OpenReport,
    ) -> Result<Loaded, Error> {
        let Self { layout, sources, plan, .. } = self;
        let (maps, observer) = (options.sources.maps, &options.observer);
        let load = Load { directory, files, layout, sources, plan, maps, frontier_end, observer };
        Ok(load.run(report)?)
    }
}

fn note_inventory(inventory: &Inventory, report: &mut OpenReport) {
    report.torn_files.clone_from(&inventory.torn);
    report.foreign_count = inventory.foreign_count;
}

fn log_options(options: &Options) -> LogOptions {
    LogOptions {
        segment_bytes: options.segment_bytes,
        prepare: true,
        frame_types: FRAME_TYPES,
        lock_timeout: options.lock_timeout,
        space: options.space,
    }
}

fn note(fold: &Fold, options: &Options) -> Note {
    let now = Recorded::from_millis(options.clock.now_millis());
    Note { recorded: fold.recorded.max(now), mark: fold.mark }
}

/// The view of a writer: the newest segment's parts belong to the segment that is written, or to the one that
/// recovery sealed, behind which an empty one is written.
fn writer_view(
    parts: Vec<annals_checkpoint::Part>,
    log: &Log,
    sealed: Option<SealedPlace>,
    files: &Arc<OpenFiles>,
) -> View {
    let active = Frames::Active(Arc::clone(log.active()));
    let frames = match sealed {
        Some(place) => Frames::Sealed(Arc::new(SealedSegment::within(files, place))),
        None => active.clone(),
    };
    let parts = parts.into_iter().map(|part| place_part(part, &frames)).collect();
    let mut view = View { store: log.id(), parts, ..View::default() };
    if sealed.is_some() {
        view.parts.push(Part::active(active, ActiveIndex::new(log.next_sequence())));
    }
    view
}

fn place_part(part: annals_checkpoint::Part, newest: &Frames) -> Part {
    let frames = part.sealed.map_or_else(|| newest.clone(), Frames::Sealed);
    match part.index {
        PartIndex::Lazy(index) => Part::lazy(frames, index),
        PartIndex::Built(built) => Part::built(frames, built),
        PartIndex::Active(index) => Part::active(frames, *index),
        _ => Part::active(frames, ActiveIndex::new(Sequence(1))),
    }
}

/// Sealed segments whose footer is to be written behind the appends.
fn without_footers(view: &View) -> Vec<String> {
    let missing = view.parts.iter().filter_map(|part| match &part.frames {
        Frames::Sealed(segment) if !part.has_footer() => Some(segment.place()),
        _ => None,
    });
    let mut names: Vec<_> = missing.map(|place| segment_name(place.id, place.generation)).collect();
    names.dedup();
    names
}
