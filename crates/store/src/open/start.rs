//! The start of a store that writes: its log was opened or made, and its view is whole.
//!
//! Invariant: all three places of the log, what was appended, written and made durable, begin as one.

use annals_checkpoint::{Fold, OpenReport};
use annals_segment::{CHECKPOINT, Directory, Log, OpenFiles};
use annals_wire::{SEGMENT_HEADER_LEN, Sequence};

use super::{note, without_footers};
use crate::{
    Background, Options, Store,
    background::WorkerThread,
    ids::IdSource,
    kinds::Kinds,
    metrics::{Metrics, precise},
    store::Shared,
    sync::{Arc, AtomicBool, Mutex, RwLock},
    turn::{Landing, Landmark, Reach, Turn, Writer},
    view::View,
    watch::Watch,
};

/// A store around an open log, with its thread.
pub(super) fn start(
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
        covered_bytes: 0,
        is_checkpoint_asked: false,
        // Behind a segment that recovery sealed, all of the tail is before the newest one.
        segment_start_bytes: if log.end() == SEGMENT_HEADER_LEN as u64 { tail_bytes } else { 0 },
        owes_checkpoint: false,
        tally: Default::default(),
        log: Some(log),
    }
}
