//! Causality: what led to an event, and what came of it.
//!
//! Invariant: every walk ends and shows each event once, whatever callers said of causes: an event has one cause, so
//! that only a circle leads to one again, and circles are noticed. A walk leads through hidden events, and shows none.

use std::{collections::HashSet, iter};

use annals_index::{Query, QueryItem};
use annals_wire::{EventId, Revision, Sequence};

use crate::{Error, Event, Events, Store, store::Shared, sync::Arc, view::Found};

impl Store {
    /// What came before the event `id` in its stream, the newest first; across the fork of its lane into the history
    /// that the lane left. Nothing where the store has no such event, or it is the first.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let (at, kind) = (Coordinate::new("order:42", "shop")?, store.kind("booked")?);
    /// let [placed, paid] = [b"placed", b"paid.."].map(|payload| store.append(&NewEvent::new(&at, kind, payload)));
    /// let before: Vec<_> = store.ancestors(paid?.id).collect::<Result<_, _>>()?;
    /// assert_eq!(before[0].id(), placed?.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The iterator ends with [`Error::Corrupt`] or [`Error::Environment`] where an event cannot be read, or a lane
    /// forks from an event that lies no nearer to the beginning.
    pub fn ancestors(&self, id: EventId) -> impl Iterator<Item = Result<Event, Error>> + use<> {
        let at = self.at();
        let mut walk = Ancestors { at: at.clone(), id, reached: None };
        until_error(move || at.shown(|| walk.step()))
    }

    /// What caused the event `id`: its cause, the cause of that, and so on to the one that nothing in the store
    /// caused. Keeps a number for each that it shows.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let (at, kind) = (Coordinate::new("order:42", "shop")?, store.kind("booked")?);
    /// let placed = store.append(&NewEvent::new(&at, kind, b"placed"))?;
    /// let paid = store.append(&NewEvent::new(&at, kind, b"paid").causation(placed.id))?;
    /// let sent = store.append(&NewEvent::new(&at, kind, b"sent").causation(paid.id))?;
    ///
    /// let sequences = |event: Result<Event, Error>| Ok::<_, Error>(event?.sequence().0);
    /// let causes: Vec<_> = store.causes(sent.id).map(sequences).collect::<Result<_, _>>()?;
    /// let effects: Vec<_> = store.effects(placed.id).map(sequences).collect::<Result<_, _>>()?;
    /// assert_eq!((causes, effects), (vec![2, 1], vec![2, 3]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The iterator ends with [`Error::Corrupt`] or [`Error::Environment`] where an event cannot be read.
    pub fn causes(&self, id: EventId) -> impl Iterator<Item = Result<Event, Error>> + use<> {
        let at = self.at();
        let mut walk = Causes { at: at.clone(), id, cause: None, seen: HashSet::new() };
        until_error(move || at.shown(|| walk.step()))
    }

    /// What the event `id` caused, and what that caused, and so on. Each is followed by its own effects before the
    /// next of its cause's; those of one cause come in order of sequence. The store need not have the event `id`.
    /// Memory is taken for each generation in the line that is being followed, and not for how many there are.
    ///
    /// An example is with [`Store::causes`].
    ///
    /// # Errors
    /// As [`Store::causes`].
    pub fn effects(&self, id: EventId) -> impl Iterator<Item = Result<Event, Error>> + use<> {
        let at = self.at();
        let mut walk = Effects { at: at.clone(), root: id, last: Some(id), generations: Vec::new() };
        until_error(move || at.shown(|| walk.step()))
    }

    /// The conversation `id`: the event with that id where it began it, and all whose correlation it is, in order of
    /// sequence. [`Event::correlation`] says which conversation an event belongs to.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let (at, kind) = (Coordinate::new("order:42", "shop")?, store.kind("booked")?);
    /// let placed = store.append(&NewEvent::new(&at, kind, b"placed"))?;
    /// store.append(&NewEvent::new(&at, kind, b"paid").correlation(placed.id))?;
    /// assert_eq!(store.conversation(placed.id).count_events()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn conversation(&self, id: EventId) -> Events {
        self.query(Query::of(QueryItem::new().correlation(id)))
    }

    fn at(&self) -> At {
        At { shared: Arc::clone(&self.shared), visible: self.last_sequence() }
    }
}

/// A walk that ends with its first error.
fn until_error(
    mut step: impl FnMut() -> Result<Option<Event>, Error>,
) -> impl Iterator<Item = Result<Event, Error>> {
    let mut is_done = false;
    iter::from_fn(move || {
        if is_done {
            return None;
        }
        let next = step().transpose();
        is_done = !matches!(next, Some(Ok(_)));
        next
    })
}

/// The store, as it was visible when a walk was made.
#[derive(Debug, Clone)]
struct At {
    shared: Arc<Shared>,
    visible: Sequence,
}

impl At {
    /// The next event of a walk that is not hidden. A walk goes through what is hidden, and does not show it.
    fn shown(&self, mut step: impl FnMut() -> Result<Option<Event>, Error>) -> Result<Option<Event>, Error> {
        loop {
            match step()? {
                Some(event) if self.shared.view().hidden.contains(event.sequence()) => {}
                shown_or_end => return Ok(shown_or_end),
            }
        }
    }

    fn find(&self, id: EventId) -> Result<Option<Found>, Error> {
        self.shared.ask(|view| Ok(view.find_id(id)?.filter(|found| found.sequence <= self.visible)))
    }

    fn read(&self, found: &Found) -> Result<Event, Error> {
        Ok(found.read()?.with_kinds(&self.shared.kinds))
    }

    /// What comes before `event` in its stream, the newest first.
    fn before(&self, event: &Event) -> Events {
        let events = Events::stream(Arc::clone(&self.shared), &event.coordinate(), event.lane());
        events.with_hidden().until(self.visible).backwards().from(Revision(event.revision().0 - 1))
    }

    /// The event that the lane forks from whose first event is `first`; `None` where it is not the first of a lane, or
    /// that event is gone.
    fn fork_of(&self, first: &Event) -> Result<Option<Event>, Error> {
        let Some(id) = first.view().fork.and_then(|fork| fork.event) else { return Ok(None) };
        let Some(found) = self.find(id)? else { return Ok(None) };
        let event = self.read(&found)?;
        if event.depth() < first.depth() {
            return Ok(Some(event));
        }
        let (expected, depth) = (format!("under {}", first.depth()), event.depth().to_string());
        Err(found.mismatch("the depth of an event that a lane forks from", expected, depth).into())
    }

    fn effects(&self, id: EventId) -> Events {
        let query = Query::of(QueryItem::new().causation(id));
        Events::query(Arc::clone(&self.shared), query).with_hidden().until(self.visible)
    }
}

#[derive(Debug)]
struct Ancestors {
    at: At,
    id: EventId,
    /// The oldest so far, and what comes before it in its stream.
    reached: Option<(Event, Events)>,
}

impl Ancestors {
    fn step(&mut self) -> Result<Option<Event>, Error> {
        if self.reached.is_none() {
            let Some(found) = self.at.find(self.id)? else { return Ok(None) };
            let event = self.at.read(&found)?;
            let events = self.at.before(&event);
            self.reached = Some((event, events));
        }
        let Some((oldest, events)) = &mut self.reached else { return Ok(None) };
        if let Some(event) = events.next().transpose()? {
            *oldest = event.clone();
            return Ok(Some(event));
        }
        let Some(event) = self.at.fork_of(oldest)? else { return Ok(None) };
        (*oldest, *events) = (event.clone(), self.at.before(&event));
        Ok(Some(event))
    }
}

#[derive(Debug)]
struct Causes {
    at: At,
    id: EventId,
    cause: Option<EventId>,
    /// Those that the walk came by: only a circle leads to one again.
    seen: HashSet<Sequence>,
}

impl Causes {
    fn step(&mut self) -> Result<Option<Event>, Error> {
        if self.seen.is_empty() {
            self.go_to(self.id)?;
        }
        self.cause.take().map_or(Ok(None), |cause| self.go_to(cause))
    }

    fn go_to(&mut self, id: EventId) -> Result<Option<Event>, Error> {
        let found = self.at.find(id)?.filter(|found| self.seen.insert(found.sequence));
        let event = found.map(|found| self.at.read(&found)).transpose()?;
        self.cause = event.as_ref().and_then(Event::causation);
        Ok(event)
    }
}

#[derive(Debug)]
struct Effects {
    at: At,
    /// Where the walk began. An event has one cause, so that no circle leads anywhere else.
    root: EventId,
    /// Whose effects come next.
    last: Option<EventId>,
    /// What is still to come of each generation, the youngest last.
    generations: Vec<Events>,
}

impl Effects {
    fn step(&mut self) -> Result<Option<Event>, Error> {
        if let Some(cause) = self.last.take() {
            // Who has no more to show is not kept: a long line of causes takes no more memory than a short one.
            if self.generations.last_mut().map_or(Ok(false), Events::is_at_end)? {
                self.generations.pop();
            }
            self.generations.push(self.at.effects(cause));
        }
        while let Some(generation) = self.generations.last_mut() {
            match generation.next().transpose()? {
                None => _ = self.generations.pop(),
                Some(event) if event.id() == self.root => {}
                Some(event) => {
                    self.last = Some(event.id());
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }
}
