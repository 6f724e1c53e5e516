//! The small store, at every moment of its life.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use annals::{
    Coordinate, Digest, Durability, Event, EventId, Kind, NewEvent, Revision, Sequence, Store, Tag,
    disk::{Clock, MemoryDirectory},
};

use super::{Image, image, options};

const SCOPES: [&str; 2] = ["shop/eu", "bank"];
const ENTITIES: [&str; 3] = ["order:1", "order:10", "ä"];
const TAGS: [&str; 3] = ["a", "blue", "vip"];

/// How many zeros stay behind what was written.
const PREPARED_LEN: usize = 256;

pub(super) fn tag(number: usize) -> &'static str {
    TAGS[number % TAGS.len()]
}

/// A clock of which each reading is a millisecond later.
#[derive(Debug, Default)]
pub(super) struct SteadyClock(AtomicU64);

impl Clock for SteadyClock {
    fn now_millis(&self) -> u64 {
        1_700_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// All that an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) sequence: Sequence,
    pub(super) id: EventId,
    pub(super) entity: String,
    pub(super) scope: String,
    pub(super) tags: Vec<String>,
    revision: Revision,
    kind: Kind,
    hash: Digest,
    payload: Option<Vec<u8>>,
}

impl Fact {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            sequence: event.sequence(),
            id: event.id(),
            entity: event.entity().to_owned(),
            scope: event.scope().to_owned(),
            tags: event.tags().map(str::to_owned).collect(),
            revision: event.revision(),
            kind: event.kind(),
            hash: event.hash(),
            payload: event.payload().map(<[u8]>::to_vec),
        }
    }
}

/// The store between two steps of its life, as a process that was killed then leaves it.
pub(super) struct Moment {
    pub(super) image: Image,
    pub(super) events: Vec<Fact>,
    pub(super) names: Vec<(Kind, String)>,
    /// The name of the newest segment.
    pub(super) newest: String,
    /// How many events were acknowledged as durable.
    pub(super) durable: u64,
    pub(super) is_closed: bool,
}

/// The moments, the oldest first: an empty store, one with a single segment, ones with footers, with a checkpoint
/// in every place, with a group that nobody synced, closed and let go of, and with a torn end set aside.
pub(super) fn moments() -> &'static [Moment] {
    static MOMENTS: OnceLock<Vec<Moment>> = OnceLock::new();
    MOMENTS.get_or_init(|| Life::of_seed(0))
}

/// The same moments of another store, in which the same was done.
pub(super) fn strangers() -> &'static [Moment] {
    static STRANGERS: OnceLock<Vec<Moment>> = OnceLock::new();
    STRANGERS.get_or_init(|| Life::of_seed(100))
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Batch(usize, Durability),
    Name,
    Pump,
    Checkpoint,
    Close,
    Open,
    Drop,
    /// Bytes that a crash left behind the last frame.
    Tear,
}

const STEPS: &[Step] = {
    use Durability::{Durable, Written};
    use Step::{Batch, Checkpoint, Close, Drop, Name, Open, Pump, Tear};
    &[
        Open,
        Name,
        Batch(2, Durable),
        Close,
        Open,
        Batch(1, Written),
        Drop,
        Open,
        Batch(8, Durable),
        Batch(8, Durable),
        Pump,
        Checkpoint,
        Name,
        Batch(2, Durable),
        Batch(1, Written),
        Batch(2, Written),
        Drop,
        Tear,
        Open,
        Batch(9, Durable),
        Close,
        Open,
        Batch(9, Durable),
        Close,
    ]
};

struct Life {
    directory: MemoryDirectory,
    store: Option<Store>,
    moments: Vec<Moment>,
    /// What tells its events from those of another store.
    seed: u64,
    sent: usize,
    durable: usize,
    names: usize,
    lives: u64,
}

impl Life {
    /// Lives through all steps; another store for each seed.
    fn of_seed(seed: u64) -> Vec<Moment> {
        let mut life = Self {
            directory: MemoryDirectory::new(),
            store: None,
            moments: Vec::new(),
            seed,
            sent: 0,
            durable: 0,
            names: 0,
            lives: seed,
        };
        for step in STEPS {
            life.live(*step);
            life.remember(*step);
        }
        life.moments
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the steps open it")
    }

    fn live(&mut self, step: Step) {
        match step {
            Step::Batch(count, durability) => self.append(count, durability),
            Step::Name => {
                self.names += 1;
                self.store().kind(&format!("name {}", self.names)).expect("memory takes it");
            }
            Step::Pump => self.store().pump().expect("memory takes it"),
            Step::Checkpoint => {
                self.store().checkpoint().expect("memory takes it");
                self.durable = self.sent;
            }
            Step::Close => {
                self.store.take().expect("the steps open it").close().expect("memory takes it");
                self.durable = self.sent;
            }
            Step::Drop => self.store = None,
            Step::Open => {
                self.lives += 1;
                let options = options(self.lives).segment_bytes(4096).create(true);
                self.store = Some(options.open_on(self.directory.clone()).expect("nothing happened to it"));
                self.durable = self.sent;
            }
            Step::Tear => {
                let name = newest(&image(&self.directory));
                let mut bytes = self.directory.file(&name).expect("it was listed");
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes.truncate(end.next_multiple_of(8));
                bytes.extend((0..100_u8).map(|byte| byte ^ 0xa7));
                self.directory.write_file(&name, bytes);
            }
        }
    }

    fn append(&mut self, count: usize, durability: Durability) {
        let numbers = self.sent..self.sent + count;
        let coordinate =
            |number: usize| Coordinate::new(ENTITIES[number % 3], SCOPES[number % 2]).expect("short");
        let coordinates: Vec<_> = numbers.clone().map(coordinate).collect();
        let payloads: Vec<_> =
            numbers.clone().map(|number| vec![number.to_le_bytes()[0]; 40 * (number % 7)]).collect();
        let event = |number: usize| {
            let place = number - self.sent;
            let kind = Kind::new([0x1001, 0x2001][number % 2]).expect("of a category that there is");
            let event = NewEvent::new(&coordinates[place], kind, &payloads[place]);
            let event = event.tag(Tag::new(tag(number)).expect("short")).id(self.id(number));
            if number.is_multiple_of(3) { event.causation(self.id(number / 2)) } else { event }
        };
        let events: Vec<_> = numbers.map(event).collect();
        self.store().append_batch_with(&events, durability).expect("memory takes it");
        self.sent += count;
        if durability == Durability::Durable {
            self.durable = self.sent;
        }
    }

    fn id(&self, number: usize) -> EventId {
        let mixed = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        EventId((mixed ^ u128::from(self.seed)).to_le_bytes())
    }

    /// Notes what the store has now, as a reader of the untouched files sees it.
    fn remember(&mut self, step: Step) {
        let mut image = image(&self.directory);
        image.insert("LOCK".to_owned(), self.directory.file("LOCK").unwrap_or_default());
        image.values_mut().for_each(cut_prepared);
        let store = options(0).open_read_only_on(super::directory(&image)).expect("nothing happened to it");
        let events: Vec<_> =
            store.all().map(|event| Fact::of(&event.expect("nothing happened to it"))).collect();
        assert_eq!(events.len(), self.sent, "all that was sent");
        self.moments.push(Moment {
            newest: newest(&image),
            image,
            events,
            names: store.kind_names(),
            durable: self.durable as u64,
            is_closed: matches!(step, Step::Close),
        });
    }
}

/// Leaves little of the zeros that were written ahead of frames: most mutations are to hit something else.
fn cut_prepared(bytes: &mut Vec<u8>) {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end.next_multiple_of(8) + PREPARED_LEN);
}

fn newest(image: &Image) -> String {
    image.keys().rfind(|name| name.ends_with(".seg")).cloned().unwrap_or_default()
}
