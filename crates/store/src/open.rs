//! Opening: lock, look, plan, load, recover; then a store.
//!
//! Invariant: nothing is changed before everything was found sound; a store that is refused is left as it is.

use std::{io, path::Path, time::Instant};

use annals_checkpoint::{FRAME_TYPES, Fold, Load, Loaded, OpenReport, PartIndex, Plan, RunRange, Sources};
use annals_index::ActiveIndex;
use annals_segment::{
    Access, CHECKPOINT, Directory, Inventory, Layout, Log, LogOptions, MANIFEST, Note, OpenFiles, Position,
    Recovery, SealedPlace, SealedSegment, WriterLock, live_epoch, read_frontier, segment_name,
};
use annals_wire::{Frontier, Recorded, SEGMENT_HEADER_LEN, SegmentId, Sequence};

use crate::{
    Background, Error, Options, Store,
    background::WorkerThread,
    follow::{Following, Growing},
    ids::IdSource,
    kinds::Kinds,
    metrics::{Metrics, precise},
    part::{Frames, Part},
    store::Shared,
    sync::{Arc, AtomicBool, Mutex, RwLock},
    turn::{Landing, Landmark, Reach, Turn, Writer},
    view::View,
    watch::Watch,
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

pub(crate) fn open_read_only(options: &Options, directory: &Arc<dyn Directory>) -> Result<Store, Error> {
    open_to_read(options, directory, None)
}

/// Opens for reading only; `no_space` is why, where it was to be written.
fn open_to_read(
    options: &Options,
    directory: &Arc<dyn Directory>,
    no_space: Option<&Arc<annals_segment::Error>>,
) -> Result<Store, Error> {
    let mut attempt = 0;
    loop {
        let epoch = live_epoch(&**directory)?;
        match open_beside(options, directory, epoch, no_space) {
            Err(error)
                if epoch.is_some() && attempt < ATTEMPTS && !matches!(error, Error::NewerVersion { .. }) =>
            {
                tracing::debug!(%error, "the writer was in the middle of something; looking again");
                attempt += 1;
            }
            Ok(store) if attempt < ATTEMPTS && has_changed(directory, epoch, &store)? => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// Whether a writer went or came while the files were looked at, or began to write: they then mean something else.
fn has_changed(directory: &Arc<dyn Directory>, epoch: Option<u64>, store: &Store) -> Result<bool, Error> {
    let now = live_epoch(&**directory)?;
    if now != epoch {
        return Ok(true);
    }
    let Some(epoch) = epoch.filter(|_| !store.report().has_frontier) else { return Ok(false) };
    Ok(read_frontier(&**directory, epoch)?.is_some())
}

/// Opens for reading only, beside the writer with `epoch` where there is one.
fn open_beside(
    options: &Options,
    directory: &Arc<dyn Directory>,
    epoch: Option<u64>,
    no_space: Option<&Arc<annals_segment::Error>>,
) -> Result<Store, Error> {
    let frontier = match epoch {
        Some(epoch) => read_frontier(&**directory, epoch)?,
        None => None,
    };
    let files = options.open_files(directory);
    let mut found = Beside::look(options, directory, &files, frontier, epoch)?;
    let following = Following::new(frontier, epoch, &mut found);
    let Beside { mut report, view, visible, fold, .. } = found;
    report.no_space = no_space.map(ToString::to_string);
    let metrics = Metrics::of(report.store);
    let shared = Shared {
        directory: Arc::clone(directory),
        files,
        options: options.clone(),
        report,
        view: RwLock::new(Arc::new(view)),
        watch: Arc::new(Watch::new(visible)),
        kinds: Arc::new(RwLock::new(Kinds::new(fold.kind_names, options.register()))),
        is_checkpoint_damaged: AtomicBool::default(),
        metrics,
        incidents: Mutex::default(),
        no_space: no_space.cloned(),
        writer: None,
        following: Some(following),
    };
    Ok(Store::new(Arc::new(shared)))
}

/// What somebody who only reads found, beside a writer or without one.
pub(crate) struct Beside {
    report: OpenReport,
    pub(crate) view: View,
    pub(crate) visible: Sequence,
    pub(crate) fold: Fold,
    /// Where to go on, where the writer has said how far its segment may be read.
    pub(crate) growing: Option<Growing>,
}

impl Beside {
    /// Looks at the files as far as `frontier` says, which is of the writer with `epoch` or of one before it.
    pub(crate) fn look(
        options: &Options,
        directory: &Arc<dyn Directory>,
        files: &Arc<OpenFiles>,
        frontier: Option<Frontier>,
        epoch: Option<u64>,
    ) -> Result<Self, Error> {
        let mut report = OpenReport::default();
        report.is_read_only = true;
        report.has_live_writer = epoch.is_some();
        report.has_frontier = frontier.is_some();
        let mut stopwatch = Stopwatch(Instant::now());
        let inventory = Inventory::list(&**directory)?;
        note_inventory(&inventory, &mut report);
        let upto = frontier.map(|frontier| frontier.segment);
        let found = Found::look(directory, files, inventory, options, upto, &mut report)?;
        let layout = &found.layout;
        stopwatch.lap(&mut report, "look");
        let newest = layout.newest.as_ref().map(|newest| newest.header.id);
        let written = frontier.filter(|frontier| Some(frontier.segment) == newest);
        let end = written.map(|frontier| frontier.end);
        let loaded = found.load(directory, files, options, end, &mut report)?;
        stopwatch.lap(&mut report, "load");
        note_unproven(&loaded, layout, &mut report);
        let proven = report.proven.filter(|_| report.has_live_writer);
        let position = loaded.tail.as_ref().map(|tail| tail.position);
        let maps = options.sources.maps && frontier.is_none();
        let mut view = reader_view(loaded.parts, layout, position, directory, maps);
        view.take_runs(directory, &found.runs, options.sources.maps);
        view.hidden = Arc::new(loaded.fold.hidden.clone());
        view.moves = Arc::new(loaded.fold.moves.clone());
        report.run_count = view.runs.len() as u64;
        let visible = proven.unwrap_or(Sequence(u64::MAX)).min(last_sequence(&view, frontier));
        let growing = written.zip(position).filter(|(written, position)| written.end == position.offset);
        let growing = growing.map(|(written, position)| {
            let fold = loaded.fold.clone();
            Growing { segment: written.segment, position, fold }
        });
        Ok(Self { report, view, visible, fold: loaded.fold, growing })
    }
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

/// A read-only open shows what is whole, and says what is not proven durable and what it would cut. Beside a
/// writer that does not say how far others may read, it shows only what is proven.
fn note_unproven(loaded: &Loaded, layout: &Layout, report: &mut OpenReport) {
    let (Some(tail), Some(newest)) = (&loaded.tail, &layout.newest) else { return };
    if newest.clean.is_some() || report.has_frontier {
        return;
    }
    report.log.was_unclean = true;
    let name = segment_name(newest.header.id, newest.header.generation);
    report.log.torn = tail.torn.clone().map(|torn| (name, torn));
    report.log.removed.clone_from(&layout.discard);
    if tail.proven < tail.position.offset {
        report.log.rewritten = Some((tail.proven, tail.position.offset));
        let unproven = loaded.parts.last().and_then(|part| match &part.index {
            PartIndex::Active(index) => first_behind(index, tail.proven),
            _ => None,
        });
        report.proven = unproven.map(|first| Sequence(first.0.saturating_sub(1)));
    }
}

/// The first event of `index` whose frame begins at `offset` or behind it.
fn first_behind(index: &ActiveIndex, offset: u64) -> Option<Sequence> {
    use annals_index::Index;
    let is_behind =
        |row: &u32| index.row(*row).ok().flatten().is_some_and(|row| u64::from(row.offset) >= offset);
    let row = (0..index.row_count()).find(is_behind)?;
    Some(Sequence(index.first_sequence().0 + u64::from(row)))
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

fn reader_view(
    parts: Vec<annals_checkpoint::Part>,
    layout: &Layout,
    position: Option<Position>,
    directory: &Arc<dyn Directory>,
    maps: bool,
) -> View {
    let Some((newest, position)) = layout.newest.as_ref().zip(position) else { return View::default() };
    let place = SealedPlace {
        store: newest.header.store,
        id: newest.header.id,
        generation: newest.header.generation,
        first_sequence: newest.header.first_sequence,
        end: position.offset,
        chain: position.chain,
    };
    // Not mapped, unless it is closed: a writer may cut what it prepared, and goes on behind the end.
    let maps = maps && newest.clean.is_some();
    let frames = Frames::Sealed(Arc::new(SealedSegment::new(Arc::clone(directory), place, maps)));
    let parts = parts.into_iter().map(|part| place_part(part, &frames)).collect();
    View { store: place.store, parts, ..View::default() }
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

fn last_sequence(view: &View, frontier: Option<Frontier>) -> Sequence {
    let last = view.parts.last();
    let behind = last.map_or(1, |part| part.first_sequence.0 + u64::from(part.row_count()));
    let last = Sequence(behind - 1);
    frontier.map_or(last, |frontier| frontier.visible.min(last))
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

/// A store around an open log, with its thread.
fn start(
    options: Options,
    directory: Arc<dyn Directory>,
    files: Arc<OpenFiles>,
    mut report: OpenReport,
    view: View,
    fold: Fold,
    log: Log,
) -> Store {
    report.store = log.id();
    let owes_checkpoint = report.rejected.iter().any(|rejected| rejected.file == CHECKPOINT);
    let has_work = owes_checkpoint || !without_footers(&view).is_empty();
    let last = Sequence(log.next_sequence().0 - 1);
    let tail_bytes = report.tail_bytes;
    let space = Arc::clone(log.space());
    let turn = first_turn(&options, &fold, log, tail_bytes);
    let kinds = Kinds::new(fold.kind_names, options.register());
    let is_threaded = options.background == Background::Thread;
    let writer = Writer {
        turn: Mutex::new(Turn {
            landmark: Landmark { kind_count: kinds.count(), ..turn.landmark },
            owes_checkpoint,
            ..turn
        }),
        landed: Default::default(),
        space,
        ids: IdSource::new(Arc::clone(&options.entropy)),
        worker: Arc::default(),
        thread: Mutex::default(),
        sealing: Mutex::default(),
        checkpointing: Mutex::default(),
        merging: Mutex::default(),
    };
    let metrics = Metrics::of(report.store);
    metrics.visible_sequence.set(precise(last.0));
    let shared = Arc::new_cyclic(|shared| Shared {
        directory,
        files,
        options,
        report,
        view: RwLock::new(Arc::new(view)),
        watch: Arc::new(Watch::new(last)),
        kinds: Arc::new(RwLock::new(kinds)),
        is_checkpoint_damaged: AtomicBool::default(),
        metrics,
        incidents: Mutex::default(),
        no_space: None,
        writer: Some(Writer { thread: Mutex::new(WorkerThread::of(is_threaded, shared)), ..writer }),
        following: None,
    });
    if has_work {
        shared.wake_to_work();
    }
    if shared.report.log.was_unclean || shared.report.was_created {
        shared.begin_frontier();
    }
    Store::new(shared)
}

fn first_turn(options: &Options, fold: &Fold, log: Log, tail_bytes: u64) -> Turn {
    let last = Sequence(log.next_sequence().0 - 1);
    let reach = Reach { bytes: tail_bytes, sequence: last };
    let header = log.active().header();
    // The header may be of this opening, and the system's clock behind it by now.
    let recorded = fold.recorded.max(header.recorded);
    let landmark = Landmark {
        segment: header.id,
        generation: header.generation,
        first_sequence: header.first_sequence,
        offset: log.end(),
        chain: log.chain(),
        sequence: last,
        recorded,
        mark: fold.mark,
        control: fold.control,
        kind_count: 0,
        hidden: Arc::new(fold.hidden.clone()),
        moves: Arc::new(fold.moves.clone()),
    };
    Turn {
        frontier: None,
        has_frontier: false,
        recorded: note(fold, options).recorded.max(recorded),
        mark: fold.mark,
        control: fold.control,
        hidden: Arc::clone(&landmark.hidden),
        moves: Arc::clone(&landmark.moves),
        group: 0,
        waiting: 0,
        wants_sync: false,
        is_led: false,
        landing: Landing::default(),
        appended: reach,
        written: reach,
        durable: reach,
        landmark,
        checkpointed_bytes: 0,
        is_checkpoint_asked: false,
        // Behind a segment that recovery sealed, all of the tail is before the newest one.
        segment_start_bytes: if log.end() == SEGMENT_HEADER_LEN as u64 { tail_bytes } else { 0 },
        owes_checkpoint: false,
        tally: Default::default(),
        log: Some(log),
    }
}
