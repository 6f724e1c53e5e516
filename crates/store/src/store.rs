//! The store: what a program holds.

use std::path::Path;

use annals_checkpoint::OpenReport;
use annals_index::{Query, QueryItem};
use annals_segment::{Directory, OpenFiles};
use annals_wire::{Coordinate, EventId, Kind, Lane, Sequence, StoreId};

use crate::{
    Condition, Durability, Error, Event, Events, NewEvent, Options, Receipt,
    append::Stay,
    follow::Following,
    kinds::Kinds,
    metrics::Metrics,
    sync::{Arc, AtomicBool, Mutex, MutexGuard, PoisonError, RwLock},
    turn::Writer,
    view::{Found, Trouble, View},
    watch::Watch,
};

/// A store that is open. Cheap to clone; all clones are the same store.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// let same = store.clone();
/// std::thread::spawn(move || same.append(&NewEvent::new(&order, placed, b"two chairs"))).join().expect("no panic")?;
/// assert_eq!(store.all().count(), 1);
/// store.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    _hold: Arc<Hold>,
}

/// Shared by all clones and by tickets, and by nothing that only reads: when the last of them goes, so do the thread,
/// the log and its lock, before that returns.
#[derive(Debug)]
struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.stop_worker();
        self.0.watch.close();
        self.0.let_go();
    }
}

/// What all clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: Arc<dyn Directory>,
    /// Where sealed segments are opened, and how many at once.
    pub(crate) files: Arc<OpenFiles>,
    pub(crate) options: Options,
    pub(crate) report: OpenReport,
    pub(crate) view: RwLock<Arc<View>>,
    /// The newest event that may be read, and who waits for more.
    pub(crate) watch: Arc<Watch>,
    pub(crate) kinds: Arc<RwLock<Kinds>>,
    /// Whether the checkpoint's tables turned out damaged, and it is to be replaced.
    pub(crate) is_checkpoint_damaged: AtomicBool,
    pub(crate) metrics: Metrics,
    /// What went wrong since the open and was mended, or waits to be.
    pub(crate) incidents: Mutex<Vec<String>>,
    /// Why the store could be opened for reading only, though it was to be written.
    pub(crate) no_space: Option<Arc<annals_segment::Error>>,
    /// `None` where the store was opened for reading only.
    pub(crate) writer: Option<Writer>,
    /// `None` where it was not.
    pub(crate) following: Option<Following>,
}

impl Store {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { _hold: Arc::new(Hold(Arc::clone(&shared))), shared }
    }

    /// Opens the store in the directory `path` with the default [`Options`], making it where there is none.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Options::new().create(true).open(path)
    }

    /// Opens the store in the directory `path` for reading only, with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open_read_only`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, Error> {
        Options::new().open_read_only(path)
    }

    /// What opening the store found and did.
    pub fn report(&self) -> &OpenReport {
        &self.shared.report
    }

    /// The store's id.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.shared.report.store
    }

    /// Appends one event, as durable as [`Options::durability`] says.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::IdTaken`], [`Error::Invalid`], [`Error::TooLarge`], [`Error::NoSpace`], and
    /// [`Error::Environment`] where what it is compared with could not be read: nothing was appended.
    /// [`Error::Stopped`]: whether it was is unknown until the store is opened again.
    pub fn append(&self, event: &NewEvent<'_>) -> Result<Receipt, Error> {
        self.append_with(event, self.shared.options.durability)
    }

    /// Appends one event, and returns when it is as durable as `durability` says.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn append_with(&self, event: &NewEvent<'_>, durability: Durability) -> Result<Receipt, Error> {
        let mut receipts = self.append_batch_with(std::slice::from_ref(event), durability)?;
        Ok(receipts.pop().expect("a receipt for each event"))
    }

    /// Appends all of `events` or none, to any streams, as durable as [`Options::durability`] says. Expectations
    /// are about the streams before the batch. Where all were appended before, these are the first receipts.
    ///
    /// # Errors
    /// As [`Store::append`], and [`Error::PartlyRepeated`].
    pub fn append_batch(&self, events: &[NewEvent<'_>]) -> Result<Vec<Receipt>, Error> {
        self.append_batch_with(events, self.shared.options.durability)
    }

    /// Appends all of `events` or none, and returns when they are as durable as `durability` says.
    ///
    /// # Errors
    /// As [`Store::append_batch`].
    pub fn append_batch_with(
        &self,
        events: &[NewEvent<'_>],
        durability: Durability,
    ) -> Result<Vec<Receipt>, Error> {
        self.append_if_with(events, &Condition::new(), durability)
    }

    /// Appends all of `events` or none, if `condition` holds when their turn comes, as durable as
    /// [`Options::durability`] says.
    ///
    /// # Errors
    /// As [`Store::append_batch`], and [`Error::ConditionFailed`] where it does not hold.
    pub fn append_if(&self, events: &[NewEvent<'_>], condition: &Condition) -> Result<Vec<Receipt>, Error> {
        self.append_if_with(events, condition, self.shared.options.durability)
    }

    /// Appends all of `events` or none, if `condition` holds, and returns when they are as durable as `durability`
    /// says.
    ///
    /// # Errors
    /// As [`Store::append_if`].
    pub fn append_if_with(
        &self,
        events: &[NewEvent<'_>],
        condition: &Condition,
        durability: Durability,
    ) -> Result<Vec<Receipt>, Error> {
        let appended = self.shared.append(events, condition, Stay::Until(durability));
        appended.map_err(|error| self.shared.name_frontier(error))
    }

    /// Makes everything that was appended so far durable; returns the last durable event.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::ReadOnly`], [`Error::Closed`].
    pub fn sync(&self) -> Result<Sequence, Error> {
        self.shared.sync().map_err(|error| self.shared.name_frontier(error))
    }

    /// The kind with the name `name`: the one that has it, or the next free one of category 0x1, to which the
    /// name is then bound, in the log and for ever.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is empty, over 1,024 bytes or has control characters, or where all
    /// 4,096 kinds are taken; [`Error::ReadOnly`], [`Error::Closed`], [`Error::Stopped`].
    pub fn kind(&self, name: &str) -> Result<Kind, Error> {
        match self.find_kind(name) {
            Some(kind) => Ok(kind),
            None => self.shared.bind_kind(None, name).map_err(|error| self.shared.name_frontier(error)),
        }
    }

    /// Binds `name` to `kind`, in the log and for ever; nothing happens where it is bound so already.
    ///
    /// # Errors
    /// As [`Store::kind`], and [`Error::Invalid`] where either is bound otherwise.
    pub fn name_kind(&self, kind: Kind, name: &str) -> Result<(), Error> {
        if self.find_kind(name) == Some(kind) {
            return Ok(());
        }
        self.shared.bind_kind(Some(kind), name).map(|_| ())
    }

    /// The kind that has the name `name`.
    #[must_use]
    pub fn find_kind(&self, name: &str) -> Option<Kind> {
        self.shared.kinds.read().unwrap_or_else(PoisonError::into_inner).kind(name)
    }

    /// The name of `kind`.
    #[must_use]
    pub fn kind_name(&self, kind: Kind) -> Option<String> {
        self.shared.kinds.read().unwrap_or_else(PoisonError::into_inner).name(kind).map(str::to_owned)
    }

    /// All kinds that have a name, by kind.
    #[must_use]
    pub fn kind_names(&self) -> Vec<(Kind, String)> {
        self.shared.kinds.read().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// The event with the id `id`, where it is there, visible and not hidden.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`].
    pub fn get(&self, id: EventId) -> Result<Option<Event>, Error> {
        let visible = self.last_sequence();
        self.shared.ask(|view| {
            let is_shown = |found: &Found| found.sequence <= visible && !view.hidden.contains(found.sequence);
            let found = view.find_id(id)?.filter(is_shown);
            let event = found.map(|found| found.read()).transpose()?;
            Ok(event.map(|event| event.with_kinds(&self.shared.kinds)))
        })
    }

    /// Every event, in order of sequence.
    pub fn all(&self) -> Events {
        Events::query(Arc::clone(&self.shared), Query::all())
    }

    /// The events that `query` asks for, in order of sequence.
    pub fn query(&self, query: Query) -> Events {
        Events::query(Arc::clone(&self.shared), query)
    }

    /// The events of a coordinate's trunk, in order of revision.
    pub fn stream(&self, coordinate: &Coordinate) -> Events {
        Events::stream(Arc::clone(&self.shared), coordinate, Lane(0))
    }

    /// The events of a scope, in order of sequence.
    pub fn scope(&self, scope: &str) -> Events {
        self.query(Query::of(QueryItem::new().scope(scope)))
    }

    /// The newest event that can be read; 0 where there is none.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.shared.watch.visible()
    }

    /// What went wrong since the store was opened and did not end it: derived files that were damaged or could
    /// not be written.
    #[must_use]
    pub fn incidents(&self) -> Vec<String> {
        lock(&self.shared.incidents).clone()
    }

    /// Does what waits to be done behind the appends: syncs, seals, writes a checkpoint where one is due. With
    /// [`crate::Background::Manual`] nobody else does.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Environment`].
    pub fn pump(&self) -> Result<(), Error> {
        self.shared.pump()
    }

    /// Writes a checkpoint now, whether one is due or not. Appends go on meanwhile.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Closed`], [`Error::Stopped`], [`Error::Environment`].
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.shared.sync()?;
        self.shared.write_checkpoint()
    }

    /// Makes everything durable, finishes the work behind the appends, and records that the store was closed
    /// cleanly. Other clones can still read, and append no more. A store that was opened for reading only has
    /// nothing to close but its subscriptions, which end in either case when they have delivered what can be read.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Environment`]: what was acknowledged as durable is safe all the same.
    pub fn close(self) -> Result<(), Error> {
        self.shared.close()
    }
}

impl Shared {
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the view by what `change` makes of it.
    pub(crate) fn change_view(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = (**view).clone();
        change(&mut changed);
        *view = Arc::new(changed);
    }

    /// Asks the view. Where tables turn out damaged, their part is indexed from its frames and asked again.
    pub(crate) fn ask<R>(
        &self,
        mut question: impl FnMut(&Arc<View>) -> Result<R, Trouble>,
    ) -> Result<R, Error> {
        loop {
            match question(&self.view()) {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Log(error)) => return Err(error.into()),
                Err(Trouble::Run { range, why }) => self.drop_run(range, &why),
                Err(Trouble::Index { segment, first_sequence, why }) => {
                    self.mend_index(segment, first_sequence, &why)?;
                }
            }
        }
    }

    /// Puts the last durable event into the error of a writer that stopped.
    pub(crate) fn name_frontier(&self, error: Error) -> Error {
        match (error, &self.writer) {
            (Error::Stopped { source, .. }, Some(writer)) => {
                Error::Stopped { durable: lock(&writer.turn).durable.sequence, source }
            }
            (error, _) => error,
        }
    }

    pub(crate) fn incident(&self, what: String) {
        tracing::warn!("{what}");
        let mut incidents = lock(&self.incidents);
        if incidents.last() != Some(&what) {
            incidents.push(what);
            self.metrics.incidents.increment(1);
        }
    }
}

/// Locks what no panic leaves half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
