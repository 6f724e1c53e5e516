//! A store as it lives through steps, and the list beside it.

use annals::{
    Background, Durability, Error, Options, Store,
    disk::{Clock, SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_segment::{CrashProfile, Errno, ReadFault, Span};

use super::{
    Word,
    calls::{is_of_the_disk, send},
    check::check,
    choose,
    model::{Draft, Model, Wanted},
    step::{Step, Trouble},
};

/// How the store is opened, in all its lives.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    options: Options,
    visibility: Durability,
    /// That of a name.
    pub(super) durability: Durability,
    /// Whether footers are used; else each is told of as built again.
    uses_footers: bool,
}

/// A clock that stands still: recorded times then come from the store's own counter.
#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now_millis(&self) -> u64 {
        1_700_000_000_000
    }
}

impl Setup {
    pub(super) fn of(word: Word) -> Self {
        let visibility = choose([Durability::Durable, Durability::Written], word.value & 1);
        let durability = choose([Durability::Durable, Durability::Written], word.value >> 1 & 1);
        let uses_footers = word.value >> 7 & 1 == 0;
        let options = Options::new()
            .create(true)
            .background(Background::Manual)
            .clock(StoppedClock)
            .visibility(visibility)
            .durability(durability)
            .segment_bytes(choose([4096, 4096, 8192, 1 << 16], word.value >> 2 & 3))
            .checkpoint_bytes(choose([1000, 6000, 1 << 20], word.value >> 4 & 3))
            .maps(word.value >> 6 & 1 == 0)
            .use_footers(uses_footers)
            .use_checkpoint(word.value >> 8 & 1 == 0);
        Self { options, visibility, durability, uses_footers }
    }
}

pub(super) struct Life {
    pub(super) setup: Setup,
    disk: SimulatedDirectory,
    store: Option<Store>,
    pub(super) model: Model,
    /// How often the store was opened.
    lives: u64,
    /// How many events were sent.
    pub(super) numbers: u64,
    pub(super) name_count: u64,
    /// Whether the disk may refuse something that the store asks.
    is_faulty: bool,
}

impl Life {
    pub(super) fn new(setup: Setup) -> Self {
        let disk = SimulatedDirectory::new();
        let mut life = Self {
            setup,
            disk,
            store: None,
            model: Model::default(),
            lives: 0,
            numbers: 0,
            name_count: 0,
            is_faulty: false,
        };
        life.open_at_last(false);
        life
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().expect("open between steps")
    }

    pub(super) fn live(&mut self, step: &Step) {
        let outcome = match *step {
            Step::Append { pattern, expectation, durability } => {
                self.append_new(pattern, expectation, durability)
            }
            Step::Repeat { place, count, flaw, durability } => {
                self.append_again(place, count, flaw, durability)
            }
            Step::Name => self.name(),
            Step::NameAgain { place } => self.name_again(place),
            Step::Sync => self.store().sync().map(|last| {
                assert_eq!(last.0, self.model.events().len() as u64);
                self.model.acknowledge_all(Durability::Durable);
            }),
            Step::Pump => self.store().pump(),
            Step::Checkpoint => {
                self.store().checkpoint().map(|()| self.model.acknowledge_all(Durability::Durable))
            }
            Step::Close { trouble } => self.close(trouble),
            Step::Drop { trouble } => {
                self.store = None;
                self.disk = self.disk.kill();
                self.open(false, trouble);
                Ok(())
            }
            Step::Kill { trouble } => {
                self.go_to(self.disk.kill());
                self.open(false, trouble);
                Ok(())
            }
            Step::PowerLoss { profile, seed, trouble } => {
                self.go_to(self.disk.crash(profile, seed));
                self.open(true, trouble);
                Ok(())
            }
            Step::Fault { after, fault, span } => {
                self.disk.inject(self.disk.operation_count() + after, fault, span);
                self.is_faulty = true;
                Ok(())
            }
            Step::ReadFault { after, errno } => {
                self.inject_read(after, errno);
                Ok(())
            }
            Step::Check => self.check(),
        };
        match outcome {
            Ok(()) => self.observe(),
            Err(error) => self.fail(&error),
        }
    }

    fn inject_read(&mut self, after: u64, errno: Errno) {
        self.disk.inject_read(self.disk.read_count() + after, ReadFault::Fail(errno), Span::Once);
        self.is_faulty = true;
    }

    /// Closes the store, compares it once more, and verifies it.
    pub(super) fn end(mut self) {
        if let Err(error) = self.check().and_then(|()| self.close(None)) {
            self.fail(&error);
        }
        self.check().expect("it was just opened on a disk without faults");
    }

    fn close(&mut self, trouble: Option<Trouble>) -> Result<(), Error> {
        let store = self.store.take().expect("open between steps");
        let was_faulty = self.is_faulty;
        let closed = store.close();
        self.disk = self.disk.kill();
        if let Err(error) = closed {
            assert!(was_faulty && is_of_the_disk(&error), "{error:?}");
            self.open(false, trouble);
            return Ok(());
        }
        self.model.acknowledge_all(Durability::Durable);
        self.open(false, trouble);
        let report = self.store().report();
        let has_to_tell = was_faulty || trouble.is_some() || !self.setup.uses_footers;
        assert!(has_to_tell || report.is_clean(), "closed, and {report:?}");
        Ok(())
    }

    /// Leaves the store as it is and goes on with another disk: the process is no more.
    fn go_to(&mut self, disk: SimulatedDirectory) {
        self.store = None;
        self.disk = disk;
    }

    /// Opens the store; where there is trouble, once more after it.
    fn open(&mut self, mut after_power_loss: bool, trouble: Option<Trouble>) {
        if let Some(Trouble { at, profile, seed }) = trouble {
            self.disk.stop_before(at);
            let opened = self.options().open_on(self.disk.clone());
            let error = opened.as_ref().err();
            assert!(error.is_none_or(|error| is_of_the_disk(error) && self.disk.is_stopped()), "{error:?}");
            drop(opened);
            self.disk = self.disk.crash(profile, seed);
            after_power_loss = true;
        }
        self.open_at_last(after_power_loss);
    }

    fn options(&mut self) -> Options {
        self.lives += 1;
        self.setup.options.clone().entropy(SeededEntropy::new(self.lives))
    }

    /// Opens the store on a disk without faults, which must succeed, and compares all.
    fn open_at_last(&mut self, after_power_loss: bool) {
        self.is_faulty = false;
        let opened = self.options().open_on(self.disk.clone());
        let store = opened.unwrap_or_else(|error| panic!("not opened: {error:?}"));
        let last = usize::try_from(store.last_sequence().0).expect("few events");
        self.model.recover(last, store.kind_names().len(), after_power_loss);
        self.store = Some(store);
        self.check().expect("a disk without faults");
        let verified = verify_on(self.disk.kill(), &mut |_| {}).expect("a disk without faults");
        assert!(verified.is_sound() && verified.torn.is_none(), "{verified:?}");
        assert_eq!(verified.event_count, last as u64);
    }

    /// What can be seen is as durable as the store promises.
    fn observe(&mut self) {
        let visible = usize::try_from(self.store().last_sequence().0).expect("few events");
        self.model.acknowledge_events(visible, self.setup.visibility);
    }

    /// Compares all that can be seen, and the names; a reader beside the writer sees the same.
    fn check(&self) -> Result<(), Error> {
        let store = self.store();
        let events = self.model.events();
        let (seen, behind) = events.split_at(usize::try_from(store.last_sequence().0).expect("few events"));
        self.allow(check(store, seen, behind))?;
        let names = store.kind_names();
        let expected = self.model.names();
        assert_eq!(names.len(), expected.len(), "names of kinds");
        for (name, kind) in &expected {
            let found = store.find_kind(name);
            assert!(found.is_some() && kind.is_none_or(|kind| found == Some(kind)), "{name}: {found:?}");
        }
        let reader = self.setup.options.clone().open_read_only_on(self.disk.clone());
        let Some(reader) = self.allow(reader)? else { return Ok(()) };
        let count = usize::try_from(reader.last_sequence().0).expect("few events");
        assert!(count <= seen.len() && (self.is_faulty || count == seen.len()), "{count} of {}", seen.len());
        let (read, rest) = events.split_at(count);
        self.allow(check(&reader, read, rest)).map(drop)
    }

    /// On a disk with faults an answer may be an error of the disk's; none otherwise.
    fn allow<T>(&self, answer: Result<T, Error>) -> Result<Option<T>, Error> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if self.is_faulty && is_of_the_disk(&error) => Ok(None),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// After a failure nothing more is written, and what was visible can be read; then the process ends.
    fn fail(&mut self, error: &Error) {
        assert!(self.is_faulty && is_of_the_disk(error), "{error:?}");
        if let (Error::Stopped { .. }, Some(store)) = (error, &self.store) {
            let draft = Draft { number: u64::MAX, entity: 0, scope: 0, kind: 0x2001, tags: 0, len: 0 };
            let again = send(store, &[draft], Wanted::Anywhere, Durability::Queued);
            assert!(matches!(again, Err(ref error) if is_of_the_disk(error)), "{again:?}");
            assert!(store.sync().is_err() && store.checkpoint().is_err());
            let visible = usize::try_from(store.last_sequence().0).expect("few events");
            self.model.acknowledge_events(visible, self.setup.visibility);
            let events = self.model.events();
            let (seen, behind) = events.split_at(visible);
            let _ = self.allow(check(store, seen, behind));
        }
        let after_power_loss = self.lives.is_multiple_of(2);
        let disk = if after_power_loss {
            self.disk.crash(choose(CrashProfile::ALL, self.lives), self.numbers)
        } else {
            self.disk.kill()
        };
        self.go_to(disk);
        self.open_at_last(after_power_loss);
    }
}
