//! A whole directory: a store to which things happened behind its back, opened.
//!
//! The input's first word chooses one of the moments of a small store's life and how it is opened, each further
//! word is a mutation of its files. The oracle is what the untouched store answers.

mod base;
mod mutation;
mod reseal;

use std::collections::BTreeMap;

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Store,
    disk::{MemoryDirectory, SeededEntropy, verify_on},
    report::VerifyReport,
};

use self::{
    base::{Fact, Moment, SteadyClock, moments, strangers, tag},
    mutation::Mutation,
};
use super::word::{Word, choose, words};

/// The bytes of every file.
type Image = BTreeMap<String, Vec<u8>>;

const WORD_COUNT_MAX: usize = 24;

/// What opening may take, however little there is: a checkpoint's head alone may take 2 MiB.
const MEMORY_MAX: u64 = 4 << 20;

/// How many bytes opening may take for each that is there.
const MEMORY_FACTOR: u64 = 16;

/// Mutations of a small store's files, as words; see [`mutation`].
///
/// Must hold: no panic, and no memory for what is not there; an open refuses with an error that is about the bytes, and then changes nothing, as an
/// open for reading never does; what is asked twice is answered twice alike. Where no checksum was set right again:
/// every event is one that was there, in its place; the answer is whole, or ends in an error, or is a prefix that
/// evidence allows and of which the report is not clean; what verification finds sound can all be read; going on
/// with the store makes nothing worse.
pub fn open_dir(input: &[u8]) {
    let mut words = words(input, WORD_COUNT_MAX).into_iter();
    let Some(first) = words.next() else { return };
    let mutations: Vec<_> = words.map(Mutation::of).collect();
    let case = Case::new(first, &mutations);
    let verified = case.within_memory(|| verify_on(directory(&case.image), &mut |_| {}));
    case.check_verified(&verified);
    let shown = case.check_read_only();
    if let (Ok(report), Err(error)) = (&verified, &shown) {
        assert!(!report.is_sound(), "verification finds nothing, and opening {error:?}");
    }
    let is_sound = verified.is_ok_and(|report| report.is_sound());
    assert!(
        !is_sound || case.is_forged || shown.is_ok_and(|shown| shown.is_whole),
        "sound, and not readable"
    );
    case.check_writing(is_sound);
}

/// One mutated store.
struct Case {
    image: Image,
    moment: &'static Moment,
    /// Whether checksums were set right again, so that they vouch for anything.
    is_forged: bool,
    /// Whether files may be older copies of themselves: then all of them together may be a store that was.
    may_be_older: bool,
    /// Whether footers are used; else each is told of as built again.
    uses_footers: bool,
    options: Options,
}

/// What an open showed.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    last: u64,
    events: Vec<Fact>,
    /// Whether every answer came to its end.
    is_whole: bool,
}

impl Case {
    fn new(first: Word, mutations: &[Mutation]) -> Self {
        let moments = moments();
        let place = usize::from(first.which) % moments.len();
        let mut image = moments[place].image.clone();
        for mutation in mutations {
            mutation.make(&mut image, &moments[..place], strangers());
        }
        let uses_footers = first.value & 2 == 0;
        let options = options(first.place.into())
            .maps(first.value & 1 == 0)
            .use_footers(uses_footers)
            .use_checkpoint(first.value & 4 == 0)
            .segment_bytes(choose([4096, 1 << 20], first.value >> 3 & 1));
        Self {
            image,
            moment: &moments[place],
            is_forged: mutations.iter().any(Mutation::forges),
            may_be_older: mutations.iter().any(Mutation::moves),
            uses_footers,
            options,
        }
    }

    /// Does `work`, and fails where that takes more memory than the files bear out.
    fn within_memory<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut outcome = None;
        let taken = allocation_counter::measure(|| outcome = Some(work())).bytes_max;
        let len: usize = self.image.values().map(Vec::len).sum();
        let bound = MEMORY_MAX + MEMORY_FACTOR * len as u64;
        assert!(taken <= bound, "{taken} bytes of memory for {len} bytes of files");
        outcome.expect("it was done")
    }

    /// Opening for reading, twice: the same both times, and nothing is changed.
    fn check_read_only(&self) -> Result<Shown, Error> {
        let [first, second] = [(), ()].map(|()| {
            let directory = directory(&self.image);
            let shown = self
                .within_memory(|| self.options.clone().open_read_only_on(directory.clone()))
                .map(|store| self.read(&store));
            assert!(image(&directory) == without_lock(&self.image), "a reader changed something");
            shown
        });
        match (&first, &second) {
            (Ok(first), Ok(second)) => assert_eq!(first, second, "opened twice"),
            (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string(), "refused twice"),
            _ => panic!("opened and refused: {first:?}, {second:?}"),
        }
        if let Err(error) = &first {
            self.check_error(error);
        }
        first
    }

    fn check_error(&self, error: &Error) {
        let is_of_the_bytes = match error {
            Error::Corrupt { .. } | Error::NotFound { .. } => true,
            Error::NewerVersion { .. } => self.is_forged,
            // A sequence or segment id at its end is told as the end of what the format can count.
            Error::Environment { .. } | Error::Invalid { .. } => self.is_forged,
            _ => false,
        };
        assert!(is_of_the_bytes, "{error:?}");
    }

    fn check_verified(&self, verified: &Result<VerifyReport, Error>) {
        match verified {
            Ok(report) => assert!(report.event_count <= self.moment.events.len() as u64 || self.is_forged),
            Err(error) => self.check_error(error),
        }
    }

    /// Reads all that `store` shows and compares it with what was there.
    fn read(&self, store: &Store) -> Shown {
        let last = store.last_sequence().0;
        let (mut events, mut is_whole) = (Vec::new(), true);
        for event in store.all() {
            match event.as_ref().map(Fact::of) {
                Ok(fact) => events.push(fact),
                Err(error) => {
                    self.check_error(error);
                    is_whole = false;
                }
            }
        }
        is_whole &= self.read_otherwise(store, &events);
        if !self.is_forged {
            self.check_events(store, &events, is_whole);
        }
        Shown { last, events, is_whole }
    }

    fn check_events(&self, store: &Store, events: &[Fact], is_whole: bool) {
        let (last, all) = (store.last_sequence().0, &self.moment.events);
        assert!(last <= all.len() as u64, "{last} events, of {} that were there", all.len());
        assert!(all.starts_with(events), "other events, or another order");
        assert!(!is_whole || events.len() as u64 == last, "a shorter answer: {} of {last}", events.len());
        let names = store.kind_names();
        assert!(self.moment.names.starts_with(&names), "names of kinds: {names:?}");
        let is_closed = self.moment.is_closed && self.is_untouched("MANIFEST");
        assert!(!is_closed || !self.goes_on(), "closed, and something stands behind the end");
        if last < all.len() as u64 {
            self.check_cut(store, last);
        }
    }

    /// Whether the newest segment is as it was, and something other than zeros stands behind it.
    fn goes_on(&self) -> bool {
        let name = &self.moment.newest;
        let rest = self.image.get(name).and_then(|bytes| bytes.strip_prefix(&*self.moment.image[name]));
        rest.is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
    }

    fn is_untouched(&self, name: &str) -> bool {
        self.image.get(name) == self.moment.image.get(name)
    }

    /// Whether evidence allows that events from `last` on are gone.
    fn check_cut(&self, store: &Store, last: u64) {
        let is_older = self.may_be_older && moments().iter().any(|moment| moment.events.len() as u64 == last);
        assert!(is_older || !store.report().is_clean(), "cut to {last}, and the report is clean");
        assert!(!self.moment.is_closed || !self.is_untouched("MANIFEST"), "closed, and cut to {last}");
        assert!(
            last >= self.moment.durable || !self.is_untouched(&self.moment.newest),
            "the newest segment is untouched"
        );
    }

    /// Asks by stream, by tag and by id; returns whether all answers came to their end.
    fn read_otherwise(&self, store: &Store, events: &[Fact]) -> bool {
        let mut is_whole = store.streams().is_ok();
        for fact in &self.moment.events {
            match store.get(fact.id) {
                Ok(Some(found)) => assert!(self.is_forged || Fact::of(&found) == *fact, "get {}", fact.id),
                Ok(None) => {
                    assert!(self.is_forged || fact.sequence > store.last_sequence(), "get {}", fact.id)
                }
                Err(_) => is_whole = false,
            }
        }
        for number in 0..3 {
            let query = annals::Query::of(annals::QueryItem::new().tag(tag(number)));
            let asked = |fact: &&Fact| fact.tags.iter().any(|found| found == tag(number));
            is_whole &= self.compare(store.query(query), events.iter().filter(asked));
        }
        if let Some(fact) = events.first() {
            let coordinate = Coordinate::new(&fact.entity, &fact.scope).expect("it was read");
            let asked = |other: &&Fact| (&other.scope, &other.entity) == (&fact.scope, &fact.entity);
            is_whole &= self.compare(store.stream(&coordinate), events.iter().filter(asked));
        }
        is_whole
    }

    /// An answer begins as was expected; it may go on behind where the log could be read at once.
    fn compare<'a>(&self, found: annals::Events, expected: impl Iterator<Item = &'a Fact>) -> bool {
        let mut expected = expected.fuse();
        for event in found {
            let Ok(event) = event else { return false };
            let expected = expected.next();
            assert!(self.is_forged || expected.is_none_or(|expected| Fact::of(&event) == *expected));
        }
        assert!(self.is_forged || expected.next().is_none(), "a shorter answer");
        true
    }

    /// Opening for writing: refused and nothing changed, or opened; then the store goes on, and is opened again.
    fn check_writing(&self, is_sound: bool) {
        let directory = directory(&self.image);
        let opened = self.within_memory(|| self.options.clone().open_on(directory.clone()));
        let store = match opened {
            Ok(store) => store,
            Err(error) => {
                self.check_error(&error);
                assert!(image(&directory) == without_lock(&self.image), "refused, and something was changed");
                assert!(!is_sound || self.is_forged, "sound, and refused: {error}");
                return;
            }
        };
        let shown = self.read(&store);
        let appended = go_on(&store);
        let is_closed = store.close().is_ok();
        let Ok(store) = self.options.clone().open_on(directory.clone()) else {
            assert!(self.is_forged || !is_sound, "opened once, and not again");
            return;
        };
        if self.is_forged {
            return;
        }
        assert_eq!(store.last_sequence().0, shown.last + appended, "opened twice");
        assert!(store.report().log.torn.is_none(), "cut twice");
        let has_to_tell = !is_sound || !is_closed || !self.uses_footers;
        assert!(has_to_tell || store.report().is_clean(), "{:?}", store.report());
        for (event, fact) in store.all().zip(&shown.events) {
            assert!(event.is_ok_and(|event| Fact::of(&event) == *fact) || !is_sound, "opened twice");
        }
    }
}

/// Appends, seals and makes a checkpoint; returns how many events were appended.
fn go_on(store: &Store) -> u64 {
    let coordinate = Coordinate::new("order:1", "shop/eu").expect("short");
    let payload = [7; 1500];
    let event = NewEvent::new(&coordinate, Kind::new(0x2001).expect("of category 2"), &payload);
    let appended = (0..4).filter(|_| store.append_with(&event, Durability::Durable).is_ok()).count();
    let _ = (store.pump(), store.checkpoint());
    appended as u64
}

fn options(seed: u64) -> Options {
    Options::new()
        .checkpoint_bytes(5000)
        .background(Background::Manual)
        .clock(SteadyClock::default())
        .entropy(SeededEntropy::new(seed + 1000))
}

fn directory(image: &Image) -> MemoryDirectory {
    MemoryDirectory::from_files(image.iter().map(|(name, bytes)| (name.clone(), bytes.clone())))
}

/// The files of `directory`, but for the lock, whose content is for people.
fn image(directory: &MemoryDirectory) -> Image {
    let names = directory.names().into_iter();
    without_lock(&names.filter_map(|name| Some((name.clone(), directory.file(&name)?))).collect())
}

fn without_lock(image: &Image) -> Image {
    image
        .iter()
        .filter(|(name, _)| *name != "LOCK")
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect()
}
