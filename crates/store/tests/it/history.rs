//! Histories of a store: what was sent, and so everything that the store must answer.
//!
//! The oracle is a list of [`Facts`], filled in from what was sent and what the receipts say; every question is
//! answered from it by filtering, with no index. Strings, kinds and ids are few, so that streams, tags and
//! conversations have many events each and lie in many segments.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use annals::{
    Background, Coordinate, Depth, Digest, Durability, Error, Event, EventId, Events, Expected, Kind, Lane,
    NewEvent, Occurred, Options, Query, QueryItem, Receipt, Recorded, Revision, Sequence, Store, Tag,
    disk::{Clock, Directory, MemoryDirectory, SeededEntropy},
};
use annals_wire::{SEGMENT_HEADER_LEN, SegmentHeader};
use proptest::{collection::vec, prelude::*};

const SCOPES: [&str; 3] = ["shop/eu", "bank", "shop"];
const ENTITIES: [&str; 4] = ["order:1", "order:10", "user:1", "ä"];
const TAGS: [&str; 3] = ["a", "blue", "vip"];
const KINDS: [u16; 3] = [0x2001, 0x2002, 0xf001];

/// The bytes of every file.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// The files of `directory`, but for the lock, whose content is for people.
pub(crate) fn image(directory: &MemoryDirectory) -> Image {
    let names = directory.names().into_iter().filter(|name| name != "LOCK");
    names.map(|name| (name.clone(), directory.file(&name).unwrap())).collect()
}

pub(crate) fn directory(image: &Image) -> MemoryDirectory {
    MemoryDirectory::from_files(image.iter().map(|(name, bytes)| (name.clone(), bytes.clone())))
}

/// The names of the segments in `image`, oldest first.
pub(crate) fn segments(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(".seg")).cloned().collect()
}

/// Where the frames of every sealed segment end, as the header behind it says.
pub(crate) fn frame_ends(image: &Image) -> Vec<(String, usize)> {
    let names = segments(image);
    let end = |next: &String| {
        let header = SegmentHeader::decode(&image[next][..SEGMENT_HEADER_LEN]).unwrap();
        usize::try_from(header.previous.unwrap().end).unwrap()
    };
    names.iter().cloned().zip(names.iter().skip(1).map(end)).collect()
}

/// A clock that runs unsteadily, and back now and then.
#[derive(Debug, Default)]
struct UnsteadyClock(AtomicU64);

impl Clock for UnsteadyClock {
    fn now_millis(&self) -> u64 {
        1_700_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed) * 7919 % 5000
    }
}

/// Small segments, nothing in the background, and nothing by chance.
pub(crate) fn options(seed: u64) -> Options {
    Options::new()
        .segment_bytes(4096)
        .checkpoint_bytes(5000)
        .background(Background::Manual)
        .clock(UnsteadyClock::default())
        .entropy(SeededEntropy::new(seed))
}

/// The id of the event with `number`; the order of ids is not that of numbers.
pub(crate) fn id(number: u64) -> EventId {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    EventId((u128::from(number) << 64 | u128::from(mixed)).to_le_bytes())
}

/// All that an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) sequence: Sequence,
    pub(crate) revision: Revision,
    pub(crate) recorded: Recorded,
    pub(crate) hash: Digest,
    pub(crate) id: EventId,
    pub(crate) kind: Kind,
    pub(crate) entity: String,
    pub(crate) scope: String,
    pub(crate) lane: Lane,
    pub(crate) depth: Depth,
    pub(crate) correlation: EventId,
    pub(crate) causation: Option<EventId>,
    pub(crate) occurred: Option<Occurred>,
    pub(crate) tags: Vec<String>,
    pub(crate) extensions: Vec<(String, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
    /// Whether no read shows it.
    pub(crate) is_hidden: bool,
}

impl Facts {
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            sequence: event.sequence(),
            revision: event.revision(),
            recorded: event.recorded(),
            hash: event.hash(),
            id: event.id(),
            kind: event.kind(),
            entity: event.entity().to_owned(),
            scope: event.scope().to_owned(),
            lane: event.lane(),
            depth: event.depth(),
            correlation: event.correlation(),
            causation: event.causation(),
            occurred: event.occurred(),
            tags: event.tags().map(str::to_owned).collect(),
            extensions: event.extensions().map(|(key, value)| (key.to_owned(), value.to_vec())).collect(),
            payload: event.payload().unwrap().to_vec(),
            is_hidden: false,
        }
    }

    /// Whether these are the facts of `event`; its hash covers them all.
    fn are_of(&self, event: &Event) -> bool {
        event.sequence() == self.sequence && event.hash() == self.hash
    }
}

/// What a correlation or causation names.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    None,
    Own,
    Earlier(u64),
    Foreign,
}

/// An event to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) entity: usize,
    pub(crate) scope: usize,
    pub(crate) kind: usize,
    pub(crate) tags: u8,
    pub(crate) links: [Link; 2],
    pub(crate) extras: bool,
    pub(crate) len: usize,
    /// Where it is wanted; an event of a coordinate without history stays on the trunk.
    pub(crate) lane: u32,
    /// What it forks from, known when it is sent.
    pub(crate) fork: Option<EventId>,
}

impl Draft {
    /// An event of `len` bytes without anything special.
    pub(crate) fn plain(entity: usize, len: usize) -> Self {
        let links = [Link::None, Link::None];
        let entity = entity % ENTITIES.len();
        Self { entity, scope: 0, kind: 0, tags: 0, links, extras: false, len, lane: 0, fork: None }
    }

    /// The entity and the scope.
    pub(crate) fn place(&self) -> (&'static str, &'static str) {
        (ENTITIES[self.entity], SCOPES[self.scope])
    }

    /// An event with something of everything.
    pub(crate) fn rich(number: usize, len: usize) -> Self {
        Self {
            entity: number % ENTITIES.len(),
            scope: number % 2,
            kind: number % KINDS.len(),
            tags: u8::try_from(number % 8).unwrap(),
            links: [Link::Earlier(number as u64 / 2), Link::Earlier(number as u64 / 3)],
            extras: number.is_multiple_of(2),
            len,
            lane: 0,
            fork: None,
        }
    }
}

/// A step of a history.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A batch; with ids of the store's making where the flag is not set.
    Batch(Vec<Draft>, bool, Durability),
    /// An earlier batch once more.
    Repeat(usize),
    Name,
    /// So many events from a place on.
    Hide(usize, usize),
    Sync,
    Pump,
    Checkpoint,
    Close,
    Drop,
}

pub(crate) fn drafts() -> impl Strategy<Value = Draft> {
    let link = prop_oneof![
        3 => Just(Link::None),
        1 => Just(Link::Own),
        4 => (0..40_u64).prop_map(Link::Earlier),
        1 => Just(Link::Foreign),
    ];
    let strings = (0..ENTITIES.len(), 0..SCOPES.len(), 0..KINDS.len(), 0..8_u8);
    let len = prop_oneof![8 => 0..300_usize, 2 => 300..1500_usize, 1 => Just(5000)];
    let lane = prop_oneof![4 => Just(0), 1 => 1..3_u32];
    (strings, [link.clone(), link], any::<bool>(), len, lane).prop_map(
        |(strings, links, extras, len, lane)| {
            let (entity, scope, kind, tags) = strings;
            Draft { entity, scope, kind, tags, links, extras, len, lane, fork: None }
        },
    )
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let durability = prop_oneof![3 => Just(Durability::Durable), 1 => Just(Durability::Written), 1 => Just(Durability::Queued)];
    let step = prop_oneof![
        12 => (vec(drafts(), 1..5), prop::bool::weighted(0.8), durability)
            .prop_map(|(drafts, has_ids, durability)| Step::Batch(drafts, has_ids, durability)),
        2 => (0..100_usize).prop_map(Step::Repeat),
        2 => Just(Step::Name),
        2 => (0..1000_usize, 1..4_usize).prop_map(|(place, count)| Step::Hide(place, count)),
        1 => Just(Step::Sync),
        2 => Just(Step::Pump),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
    ];
    vec(step, 5..45)
}

/// A history as it happens.
#[derive(Debug)]
pub(crate) struct History<D = MemoryDirectory> {
    pub(crate) directory: D,
    store: Option<Store>,
    /// Everything that was sent and is not known to be lost.
    pub(crate) events: Vec<Facts>,
    pub(crate) names: BTreeMap<Kind, String>,
    batches: Vec<(usize, Vec<Draft>, Vec<EventId>)>,
    pub(crate) durable: usize,
    numbers: u64,
    lives: u64,
}

impl History {
    pub(crate) fn new() -> Self {
        Self::of_seed(1)
    }

    /// An empty store, another one for each seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        Self::on(MemoryDirectory::new(), seed)
    }

    /// A copy of the directory as it is now, with a store that goes its own way from here: its random numbers are
    /// those of `lives`.
    pub(crate) fn fork(&self, lives: u64) -> Self {
        let mut fork = Self {
            directory: directory(&image(&self.directory)),
            store: None,
            events: self.events.clone(),
            names: self.names.clone(),
            batches: self.batches.clone(),
            durable: self.durable,
            numbers: self.numbers,
            lives,
        };
        fork.open();
        fork
    }

    /// A history of `steps`, whose store is open.
    pub(crate) fn of(steps: &[Step]) -> Self {
        let mut history = Self::new();
        steps.iter().for_each(|step| history.apply(step));
        history
    }
}

impl<D: Directory + Clone + 'static> History<D> {
    /// An empty store in `directory`.
    pub(crate) fn on(directory: D, seed: u64) -> Self {
        let store = options(seed).create(true).open_on(directory.clone()).unwrap();
        Self {
            directory,
            store: Some(store),
            events: Vec::new(),
            names: BTreeMap::new(),
            batches: Vec::new(),
            durable: 0,
            numbers: 0,
            lives: seed,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().expect("open between steps")
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Batch(drafts, has_ids, durability) => self.send(drafts, *has_ids, *durability),
            Step::Repeat(place) => self.repeat(*place),
            Step::Name => {
                let name = format!("name {}", self.names.len());
                let kind = self.store().kind(&name).unwrap();
                self.names.insert(kind, name);
            }
            Step::Hide(place, count) => self.hide(*place, *count),
            Step::Sync => {
                assert_eq!(self.store().sync().unwrap().0, self.events.len() as u64);
                self.durable = self.events.len();
            }
            Step::Pump => self.store().pump().unwrap(),
            Step::Checkpoint => {
                self.store().checkpoint().unwrap();
                self.durable = self.events.len();
            }
            Step::Close => {
                self.close();
                self.open();
            }
            Step::Drop => {
                self.leave();
                self.open();
            }
        }
    }

    /// Hides up to `count` events from `place` on, of those that are visible.
    fn hide(&mut self, place: usize, count: usize) {
        let Some(first) = place.checked_rem(self.durable) else { return };
        let last = (first + count).min(self.durable);
        self.store().hide(Sequence(first as u64 + 1), Sequence(last as u64)).unwrap();
        self.events[first..last].iter_mut().for_each(|event| event.is_hidden = true);
        self.durable = self.events.len();
    }

    /// Closes the store cleanly.
    pub(crate) fn close(&mut self) {
        self.store.take().unwrap().close().unwrap();
        self.durable = self.events.len();
    }

    /// Lets go of the store without closing it: what was only queued is lost.
    pub(crate) fn leave(&mut self) {
        self.store = None;
    }

    pub(crate) fn open(&mut self) {
        self.lives += 1;
        let store = options(self.lives).open_on(self.directory.clone()).unwrap();
        let last = usize::try_from(store.last_sequence().0).unwrap();
        let is_end =
            |end: usize| end == 0 || self.batches.iter().any(|(first, batch, _)| first + batch.len() == end);
        assert!(
            self.durable <= last && last <= self.events.len() && is_end(last),
            "a prefix of whole batches"
        );
        self.events.truncate(last);
        self.durable = last;
        self.batches.retain(|(first, ..)| *first < last);
        let names: BTreeMap<_, _> = store.kind_names().into_iter().collect();
        assert!(names.iter().all(|(kind, name)| self.names.get(kind) == Some(name)), "no name was invented");
        self.names = names;
        self.store = Some(store);
    }

    fn send(&mut self, drafts: &[Draft], has_ids: bool, durability: Durability) {
        let (drafts, ids) = self.prepare(drafts);
        let receipts = append(self.store(), &drafts, has_ids.then_some(&ids), durability).unwrap();
        self.note(&drafts, &receipts, has_ids, durability);
    }

    /// `drafts` as they can be sent, with ids that none had before.
    pub(crate) fn prepare(&mut self, drafts: &[Draft]) -> (Vec<Draft>, Vec<EventId>) {
        let ids: Vec<_> = (0..drafts.len() as u64).map(|index| id(self.numbers + index)).collect();
        self.numbers += drafts.len() as u64;
        (self.on_lanes(drafts), ids)
    }

    /// Takes in what was appended.
    pub(crate) fn note(
        &mut self,
        drafts: &[Draft],
        receipts: &[Receipt],
        has_ids: bool,
        durability: Durability,
    ) {
        let first = self.events.len();
        for (draft, receipt) in drafts.iter().zip(receipts) {
            assert!(!receipt.is_repeat && receipt.durability >= durability);
            let mut facts = facts(draft, receipt, has_ids);
            facts.depth = self.next_depth(&facts, draft.fork);
            assert_eq!(facts.sequence.0, self.events.len() as u64 + 1);
            assert_eq!(facts.revision, next_revision(&self.events, &facts));
            self.events.push(facts);
        }
        if durability == Durability::Durable {
            self.durable = self.events.len();
        }
        let ids = receipts.iter().map(|receipt| receipt.id).collect();
        // A batch whose ids the store made is sent again with them, and is a repeat all the same.
        self.batches.push((first, drafts.to_vec(), ids));
    }

    /// `drafts` as they can be sent: the first of a lane forks from the newest event of its coordinate.
    fn on_lanes(&self, drafts: &[Draft]) -> Vec<Draft> {
        let mut sent: Vec<Draft> = Vec::new();
        for draft in drafts {
            let mut draft = draft.clone();
            let (entity, scope) = (ENTITIES[draft.entity], SCOPES[draft.scope]);
            let own = |event: &&Facts| event.entity == entity && event.scope == scope;
            let is_begun = self.events.iter().filter(own).any(|event| event.lane.0 == draft.lane)
                || sent.iter().any(|other| {
                    (other.entity, other.scope, other.lane) == (draft.entity, draft.scope, draft.lane)
                });
            if draft.lane != 0 && !is_begun {
                draft.fork = self.events.iter().rev().find(own).map(|event| event.id);
                draft.lane = draft.fork.map_or(0, |_| draft.lane);
            }
            sent.push(draft);
        }
        sent
    }

    fn next_depth(&self, next: &Facts, fork: Option<EventId>) -> Depth {
        let before = match fork {
            Some(fork) => self.events.iter().find(|event| event.id == fork),
            None => self.events.iter().rfind(|event| is_same_stream(event, next)),
        };
        before.map_or(Depth(0), |before| Depth(before.depth.0 + 1))
    }

    fn repeat(&mut self, place: usize) {
        let Some((first, drafts, ids)) = self.batches.get(place % self.batches.len().max(1)) else { return };
        let own = |draft: &Draft| draft.links.iter().any(|link| matches!(link, Link::Own));
        if drafts.iter().any(own) {
            return;
        }
        let receipts = append(self.store(), drafts, Some(ids), Durability::Written).unwrap();
        for (facts, receipt) in self.events[*first..].iter().zip(&receipts) {
            assert!(receipt.is_repeat);
            assert_eq!((receipt.sequence, receipt.hash), (facts.sequence, facts.hash));
            assert_eq!((receipt.revision, receipt.recorded), (facts.revision, facts.recorded));
        }
    }

    /// Everything that the store must answer.
    pub(crate) fn expected(&self) -> Answers {
        Answers::of(self.events.clone(), self.names.clone().into_iter().collect())
    }
}

fn next_revision(events: &[Facts], next: &Facts) -> Revision {
    Revision(events.iter().filter(|event| is_same_stream(event, next)).count() as u64 + 1)
}

fn is_same_stream(event: &Facts, other: &Facts) -> bool {
    (&event.scope, &event.entity, event.lane) == (&other.scope, &other.entity, other.lane)
}

fn link(link: &Link, own: Option<EventId>) -> Option<EventId> {
    match link {
        Link::None => None,
        Link::Own => own,
        Link::Earlier(number) => Some(id(*number)),
        Link::Foreign => Some(EventId([0xee; 16])),
    }
}

/// Appends `drafts` as one batch, with `ids` or with ids of the store's making.
pub(crate) fn append(
    store: &Store,
    drafts: &[Draft],
    ids: Option<&Vec<EventId>>,
    durability: Durability,
) -> Result<Vec<Receipt>, Error> {
    with_events(drafts, ids, |events| store.append_batch_with(events, durability))
}

/// Does something with `drafts` as events, with `ids` or with ids of the store's making.
pub(crate) fn with_events<R>(
    drafts: &[Draft],
    ids: Option<&Vec<EventId>>,
    append: impl FnOnce(&[NewEvent<'_>]) -> R,
) -> R {
    let coordinates: Vec<_> = drafts
        .iter()
        .map(|draft| Coordinate::new(ENTITIES[draft.entity], SCOPES[draft.scope]).unwrap())
        .collect();
    let payloads: Vec<_> = drafts.iter().map(payload).collect();
    let event = |index: usize| {
        let (draft, own) = (&drafts[index], ids.map(|ids| ids[index]));
        let kind = Kind::new(KINDS[draft.kind]).unwrap();
        let mut event = NewEvent::new(&coordinates[index], kind, &payloads[index]);
        for (_, tag) in TAGS.iter().enumerate().filter(|(bit, _)| draft.tags & (1 << bit) != 0) {
            event = event.tag(Tag::new(tag).unwrap());
        }
        if let Some(own) = own {
            event = event.id(own);
        }
        if let Some(correlation) = link(&draft.links[0], own) {
            event = event.correlation(correlation);
        }
        if let Some(causation) = link(&draft.links[1], own) {
            event = event.causation(causation);
        }
        if draft.extras {
            event = event.occurred(Occurred(-7)).extension("b/b", &b"value"[..]).extension("a/a", &b""[..]);
        }
        let event = match draft.fork {
            Some(from) => event.fork(Lane(draft.lane), from),
            None => event.lane(Lane(draft.lane)),
        };
        event.expected(Expected::Any)
    };
    let events: Vec<_> = (0..drafts.len()).map(event).collect();
    append(&events)
}

fn payload(draft: &Draft) -> Vec<u8> {
    (0..draft.len).map(|place| u8::try_from((place * 31 + draft.entity) % 251).unwrap()).collect()
}

fn facts(draft: &Draft, receipt: &Receipt, has_id: bool) -> Facts {
    let own = has_id.then_some(receipt.id);
    let extensions = [("a/a", &b""[..]), ("b/b", b"value")];
    Facts {
        sequence: receipt.sequence,
        revision: receipt.revision,
        recorded: receipt.recorded,
        hash: receipt.hash,
        id: receipt.id,
        kind: Kind::new(KINDS[draft.kind]).unwrap(),
        entity: ENTITIES[draft.entity].to_owned(),
        scope: SCOPES[draft.scope].to_owned(),
        lane: Lane(draft.lane),
        depth: Depth(receipt.revision.0 - 1),
        correlation: link(&draft.links[0], own).unwrap_or(receipt.id),
        causation: link(&draft.links[1], own),
        occurred: draft.extras.then_some(Occurred(-7)),
        tags: (0..TAGS.len())
            .filter(|bit| draft.tags & (1 << bit) != 0)
            .map(|bit| TAGS[bit].to_owned())
            .collect(),
        extensions: extensions
            .iter()
            .filter(|_| draft.extras)
            .map(|(key, value)| ((*key).to_owned(), value.to_vec()))
            .collect(),
        payload: payload(draft),
        is_hidden: false,
    }
}

/// What a question asks for.
#[derive(Debug, Clone)]
enum Ask {
    Stream(Coordinate, Lane),
    Query(Query),
}

/// A question, and the places of the events that are its answer.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    ask: Ask,
    places: Vec<usize>,
    is_of_conversation: bool,
}

/// Everything that a store must answer.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) events: Vec<Facts>,
    names: Vec<(Kind, String)>,
    questions: Vec<Question>,
    is_brief: bool,
}

impl Question {
    fn new(events: &[Facts], ask: Ask, is_asked_for: impl Fn(&Facts) -> bool) -> Self {
        let is_answer = |place: &usize| is_asked_for(&events[*place]) && !events[*place].is_hidden;
        let places = (0..events.len()).filter(is_answer).collect();
        Self { ask, places, is_of_conversation: false }
    }

    fn put(&self, store: &Store) -> Events {
        match &self.ask {
            Ask::Stream(coordinate, lane) => store.lane(coordinate, *lane),
            Ask::Query(query) => store.query(query.clone()),
        }
    }
}

impl Answers {
    pub(crate) fn of(events: Vec<Facts>, names: Vec<(Kind, String)>) -> Self {
        let mut questions = vec![Question::new(&events, Ask::Query(Query::all()), |_| true)];
        let mut query = |item: QueryItem, is_asked_for: &dyn Fn(&Facts) -> bool| {
            questions.push(Question::new(&events, Ask::Query(Query::of(item)), is_asked_for));
        };
        for number in KINDS {
            let kind = Kind::new(number).unwrap();
            query(QueryItem::new().kind(kind), &|event| event.kind == kind);
        }
        query(QueryItem::new().category(0x2), &|event| event.kind.category() == 0x2);
        for scope in SCOPES {
            query(QueryItem::new().scope(scope), &|event| event.scope == scope);
        }
        for tag in TAGS {
            let has_tag = |event: &Facts| event.tags.iter().any(|found| found == tag);
            query(QueryItem::new().tag(tag), &has_tag);
            query(QueryItem::new().tag(tag).scope("bank"), &|event| has_tag(event) && event.scope == "bank");
        }
        query(QueryItem::new().entity_prefix("order:1"), &|event| event.entity.starts_with("order:1"));
        query(QueryItem::new().entity("user:1"), &|event| event.entity == "user:1");
        query(QueryItem::new().lane(Lane(1)), &|event| event.lane == Lane(1));
        let ids: BTreeSet<_> =
            events.iter().flat_map(|event| [Some(event.correlation), event.causation]).flatten().collect();
        let first_of_conversations = questions.len();
        let mut query = |item: QueryItem, is_asked_for: &dyn Fn(&Facts) -> bool| {
            questions.push(Question::new(&events, Ask::Query(Query::of(item)), is_asked_for));
        };
        for id in ids {
            query(QueryItem::new().correlation(id), &|event| event.correlation == id);
            query(QueryItem::new().causation(id), &|event| event.causation == Some(id));
        }
        questions[first_of_conversations..]
            .iter_mut()
            .for_each(|question| question.is_of_conversation = true);
        let streams: BTreeSet<_> =
            events.iter().map(|event| (event.scope.clone(), event.entity.clone(), event.lane)).collect();
        for (scope, entity, lane) in streams {
            let coordinate = Coordinate::new(&entity, &scope).unwrap();
            questions.push(Question::new(&events, Ask::Stream(coordinate, lane), |event| {
                (&event.scope, &event.entity, event.lane) == (&scope, &entity, lane)
            }));
        }
        let absent = Ask::Stream(Coordinate::new("no", "such").unwrap(), Lane(0));
        questions.push(Question::new(&events, absent, |_| false));
        Self { events, names, questions, is_brief: false }
    }

    /// The same, with questions about few conversations, and each in one direction only.
    pub(crate) fn brief(mut self) -> Self {
        let mut count = 0;
        self.is_brief = true;
        self.questions.retain(|question| {
            count += usize::from(question.is_of_conversation);
            !question.is_of_conversation || count <= 6
        });
        self
    }

    /// The same of the first `count` events only.
    pub(crate) fn prefix(&self, count: usize) -> Self {
        Self::of(self.events[..count].to_vec(), self.names.clone())
    }

    /// The same without the last `count` names of kinds.
    pub(crate) fn without_last_names(mut self, count: usize) -> Self {
        self.names.truncate(self.names.len() - count);
        self
    }

    /// Makes sure that `store` has an answer to everything, and the right one.
    pub(crate) fn check(&self, store: &Store, context: &str) {
        let errors = self.check_or_errors(store, context);
        assert!(errors.is_empty(), "{context}: {errors:?}");
    }

    /// Makes sure that every answer of `store` is the right one or ends with an error; returns the errors.
    pub(crate) fn check_or_errors(&self, store: &Store, context: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        assert_eq!(store.last_sequence().0, self.events.len() as u64, "{context}: last sequence");
        assert_eq!(store.kind_names(), self.names, "{context}: names of kinds");
        for (event, facts) in store.all().zip(self.events.iter().filter(|event| !event.is_hidden)) {
            match event {
                Ok(event) => assert_eq!(Facts::of(&event), *facts, "{context}"),
                Err(error) => errors.push(error),
            }
        }
        for (number, question) in self.questions.iter().enumerate() {
            if !self.is_brief || number % 2 == 0 {
                let places = question.places.iter().copied();
                errors.extend(self.compare(question, question.put(store), places, context));
            }
            if !self.is_brief || number % 2 == 1 {
                let places = question.places.iter().rev().copied();
                errors.extend(self.compare(question, question.put(store).backwards(), places, context));
            }
        }
        for event in &self.events {
            match store.get(event.id) {
                Ok(found) => {
                    let is_right =
                        found.map_or(event.is_hidden, |found| event.are_of(&found) && !event.is_hidden);
                    assert!(is_right, "{context}: get {}", event.id);
                }
                Err(error) => errors.push(error),
            }
        }
        match store.get(EventId([0xee; 16])) {
            Ok(found) => assert!(found.is_none(), "{context}: an event that nobody appended"),
            Err(error) => errors.push(error),
        }
        match store.streams() {
            Ok(streams) => self.check_streams(&streams, context),
            Err(error) => errors.push(error),
        }
        errors
    }

    fn compare(
        &self,
        question: &Question,
        mut found: Events,
        places: impl Iterator<Item = usize>,
        context: &str,
    ) -> Option<Error> {
        let ask = &question.ask;
        for place in places {
            match found.next() {
                Some(Ok(event)) => {
                    assert!(self.events[place].are_of(&event), "{context}: {ask:?}: place {place}")
                }
                Some(Err(error)) => {
                    assert!(found.next().is_none(), "{context}: {ask:?}: events behind an error");
                    return Some(error);
                }
                None => panic!("{context}: {ask:?}: a shorter answer, without the event at place {place}"),
            }
        }
        match found.next() {
            Some(Ok(event)) => panic!("{context}: {ask:?}: one event too many, {:?}", Facts::of(&event)),
            Some(Err(error)) => Some(error),
            None => None,
        }
    }

    fn check_streams(&self, streams: &[annals::report::StreamInfo], context: &str) {
        let mut expected = BTreeMap::new();
        for event in &self.events {
            *expected.entry((event.scope.as_str(), event.entity.as_str(), event.lane)).or_insert(0) += 1;
        }
        let found: Vec<_> = streams
            .iter()
            .map(|stream| {
                assert_eq!(stream.count, stream.revision.0, "{context}: a stream has no gaps");
                ((stream.scope.as_str(), stream.entity.as_str(), stream.lane), stream.count)
            })
            .collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{context}: streams");
    }
}
