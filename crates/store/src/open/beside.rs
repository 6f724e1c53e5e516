//! Opening for reading only, beside a writer or without one.
//!
//! Invariant: nothing is written. Beside a writer nothing is shown that it may still take back: what FRONTIER says, or
//! where it says nothing what is proven. What a writer changed while it was looked at is looked at again.

use std::time::Instant;

use annals_checkpoint::{Fold, Loaded, OpenReport, PartIndex};
use annals_index::{ActiveIndex, Index};
use annals_segment::{
    Directory, Inventory, Layout, OpenFiles, Position, SealedPlace, SealedSegment, live_epoch, read_frontier,
    segment_name,
};
use annals_wire::{Frontier, Sequence};

use super::{ATTEMPTS, Found, Stopwatch, note_inventory, place_part};
use crate::{
    Error, Options, Store,
    follow::{Following, Growing},
    kinds::Kinds,
    metrics::Metrics,
    part::Frames,
    store::Shared,
    sync::{Arc, AtomicBool, Mutex, RwLock},
    view::View,
    watch::Watch,
};

pub(crate) fn open_read_only(options: &Options, directory: &Arc<dyn Directory>) -> Result<Store, Error> {
    open_to_read(options, directory, None)
}

/// Opens for reading only; `no_space` is why, where it was to be written.
pub(super) fn open_to_read(
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
    pub(crate) report: OpenReport,
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
    let is_behind =
        |row: &u32| index.row(*row).ok().flatten().is_some_and(|row| u64::from(row.offset) >= offset);
    let row = (0..index.row_count()).find(is_behind)?;
    Some(Sequence(index.first_sequence().0 + u64::from(row)))
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

fn last_sequence(view: &View, frontier: Option<Frontier>) -> Sequence {
    let last = view.parts.last();
    let behind = last.map_or(1, |part| part.first_sequence.0 + u64::from(part.row_count()));
    let last = Sequence(behind - 1);
    frontier.map_or(last, |frontier| frontier.visible.min(last))
}
