//! What a caller asks of the store, and what must come of it.

use annals::{Durability, Error, Expected, NewEvent, Receipt, Revision, Store};

use super::{
    check::{coordinate, kind, tags},
    life::Life,
    model::{Draft, Outcome, Record, Wanted},
    step::{Expectation, Flaw, Pattern},
};

impl Life {
    pub(super) fn append_new(
        &mut self,
        pattern: Pattern,
        expectation: Expectation,
        durability: Durability,
    ) -> Result<(), Error> {
        let Pattern { count, entity, scope, kind, tags, len } = pattern;
        let draft = |index: usize| Draft {
            number: self.numbers + index as u64,
            entity: (entity + index) % 3,
            scope,
            kind,
            tags: tags.rotate_left(u32::try_from(index).expect("few events")) & 7,
            len: len.saturating_sub(index * 7),
        };
        let batch: Vec<_> = (0..count).map(draft).collect();
        self.numbers += count as u64;
        let revision = self.model.revision(&batch[0]);
        let wanted = match expectation {
            Expectation::Any => Wanted::Anywhere,
            Expectation::None => Wanted::Nowhere,
            Expectation::Exists => Wanted::Somewhere,
            Expectation::Right if revision == 0 => Wanted::Nowhere,
            Expectation::Right => Wanted::At(revision),
            Expectation::Wrong => Wanted::At(revision + 1),
        };
        self.append(&batch, wanted, durability)
    }

    pub(super) fn append_again(
        &mut self,
        place: usize,
        count: usize,
        flaw: Flaw,
        durability: Durability,
    ) -> Result<(), Error> {
        let events = self.model.events();
        let first = place % events.len().max(1);
        let mut batch: Vec<_> = events.iter().copied().skip(first).take(count).collect();
        let Some(last) = batch.last_mut() else { return Ok(()) };
        match flaw {
            Flaw::None => {}
            Flaw::Content => last.len += 1,
            Flaw::New => last.number = self.numbers,
            Flaw::Twice => {
                let twice = *last;
                batch.push(twice);
            }
        }
        self.numbers += 1;
        self.append(&batch, Wanted::Nowhere, durability)
    }

    /// Appends `batch` and compares what comes of it with what must.
    fn append(&mut self, batch: &[Draft], wanted: Wanted, durability: Durability) -> Result<(), Error> {
        let predicted = self.model.predict(batch, wanted);
        let outcome = send(self.store(), batch, wanted, durability);
        match (&predicted, outcome) {
            (Outcome::New, Ok(receipts)) => {
                self.model.push(Record::Batch(batch.to_vec()));
                self.check_receipts(batch, &receipts, durability, false);
                self.model.acknowledge_all(durability);
            }
            (Outcome::Repeat(places), Ok(receipts)) => {
                self.check_receipts(batch, &receipts, durability.max(Durability::Written), true);
                let last = places.iter().max().expect("a batch has events");
                let reached = receipts.iter().map(|receipt| receipt.durability).min().expect("one for each");
                self.model.acknowledge_place(*last, reached);
            }
            (Outcome::Conflict, Err(Error::Conflict { .. }))
            | (Outcome::IdTaken, Err(Error::IdTaken { .. }))
            | (Outcome::PartlyRepeated, Err(Error::PartlyRepeated { .. }))
            | (Outcome::Invalid, Err(Error::Invalid { .. })) => {}
            (_, Err(error)) if is_of_the_disk(&error) => {
                if predicted == Outcome::New {
                    self.model.push(Record::Batch(batch.to_vec()));
                }
                return Err(error);
            }
            (_, outcome) => panic!("{predicted:?} was to come of {batch:?}, {wanted:?}: {outcome:?}"),
        }
        Ok(())
    }

    fn check_receipts(&self, batch: &[Draft], receipts: &[Receipt], durability: Durability, is_repeat: bool) {
        let events = self.model.events();
        assert_eq!(receipts.len(), batch.len());
        for (draft, receipt) in batch.iter().zip(receipts) {
            let place = events.iter().position(|event| event.number == draft.number).expect("it was sent");
            let stream = events[..=place].iter().filter(|event| event.is_of_stream_of(draft));
            assert_eq!((receipt.id, receipt.sequence.0), (draft.id(), place as u64 + 1));
            assert_eq!(receipt.revision, Revision(stream.count() as u64));
            assert!(receipt.durability >= durability && receipt.is_repeat == is_repeat, "{receipt:?}");
        }
    }

    pub(super) fn name(&mut self) -> Result<(), Error> {
        self.name_count += 1;
        let name = format!("name {}", self.name_count);
        let bound = self.store().kind(&name);
        self.model.push(Record::Name(name, bound.as_ref().ok().copied()));
        bound?;
        self.model.acknowledge_all(self.setup.durability);
        Ok(())
    }

    pub(super) fn name_again(&mut self, place: usize) -> Result<(), Error> {
        let names = self.model.names();
        let Some((name, kind)) = names.get(place % names.len().max(1)) else { return Ok(()) };
        let again = self.store().kind(name)?;
        assert!(kind.is_none_or(|kind| kind == again), "{name} is {again} now");
        Ok(())
    }
}

/// Whether the disk is to blame.
pub(super) fn is_of_the_disk(error: &Error) -> bool {
    matches!(error, Error::Stopped { .. } | Error::Environment { .. } | Error::NoSpace { .. })
}

pub(super) fn send(
    store: &Store,
    batch: &[Draft],
    wanted: Wanted,
    durability: Durability,
) -> Result<Vec<Receipt>, Error> {
    let expected = match wanted {
        Wanted::Anywhere => Expected::Any,
        Wanted::Nowhere => Expected::None,
        Wanted::Somewhere => Expected::Exists,
        Wanted::At(revision) => Expected::Exactly(Revision(revision)),
    };
    let coordinates: Vec<_> = batch.iter().map(coordinate).collect();
    let payloads: Vec<_> = batch.iter().map(Draft::payload).collect();
    let event = |(place, draft): (usize, &Draft)| {
        let event = NewEvent::new(&coordinates[place], kind(draft.kind), &payloads[place]);
        tags(draft).fold(event.id(draft.id()).expected(expected), NewEvent::tag)
    };
    let events: Vec<_> = batch.iter().enumerate().map(event).collect();
    store.append_batch_with(&events, durability)
}
