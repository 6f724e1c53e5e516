//! Everything that writes, in random order, against a list of events, while the power goes now and then: tickets that
//! nobody waited for yet, stages, conditions, expectations, lanes, hidden events, cursors' moves in batches.
//!
//! What goes is any part of what was not synced, as the profile of a file system lets it. What was acknowledged is
//! there afterwards, whole batches of the rest in order, and every answer of the store is the list's.

use annals::{
    Condition, Durability, Error, Expected, NewEvent, Query, QueryItem, Revision, Sequence, Ticket,
    disk::{SimulatedDirectory, verify_on},
};
use annals_segment::CrashProfile;
use proptest::{collection::vec, prelude::*};

use crate::history::{Draft, Facts, History, Step, drafts, steps, with_events};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Deed {
    Step(Step),
    /// A batch that nobody waits for.
    Submit(Vec<Draft>),
    /// All tickets so far.
    Wait,
    /// A batch, if no event with the tag lies after so many of a hundred parts of the history.
    If(Vec<Draft>, &'static str, u64),
    /// One event, if its stream has the revision that it has, and so many more.
    Expecting(Draft, u64),
    /// A batch by way of a stage; thrown away where the flag is set.
    Stage(Vec<Draft>, bool),
    /// The power goes: a profile, and what it does.
    Lose(usize, u64),
}

const PROFILES: [CrashProfile; 4] =
    [CrashProfile::StrictPosix, CrashProfile::Ext4, CrashProfile::Btrfs, CrashProfile::Torn];

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let batch = || vec(drafts(), 1..4);
    let steps = steps().prop_map(|steps| Deed::Step(steps[0].clone()));
    let deed = prop_oneof![
        8 => steps,
        4 => batch().prop_map(Deed::Submit),
        2 => Just(Deed::Wait),
        4 => (batch(), prop::sample::select(vec!["a", "blue", "vip"]), 0..100_u64)
            .prop_map(|(drafts, tag, part)| Deed::If(drafts, tag, part)),
        2 => (drafts(), 0..2_u64).prop_map(|(draft, more)| Deed::Expecting(draft, more)),
        2 => (batch(), any::<bool>()).prop_map(|(drafts, is_cancelled)| Deed::Stage(drafts, is_cancelled)),
        3 => (0..PROFILES.len(), any::<u64>()).prop_map(|(profile, seed)| Deed::Lose(profile, seed)),
    ];
    vec(deed, 5..40)
}

/// A history on a disk, with the tickets of this life.
struct Life {
    history: History<SimulatedDirectory>,
    tickets: Vec<(Ticket, usize)>,
}

impl Life {
    fn new() -> Self {
        Self { history: History::on(SimulatedDirectory::new(), 1), tickets: Vec::new() }
    }

    fn apply(&mut self, deed: &Deed) {
        match deed {
            Deed::Step(step) => {
                if matches!(step, Step::Close | Step::Drop) {
                    // They hold the store.
                    self.tickets.clear();
                }
                self.history.apply(step);
            }
            Deed::Submit(drafts) => self.submit(drafts),
            Deed::Wait => self.wait(),
            Deed::If(drafts, tag, part) => self.append_if(drafts, tag, *part),
            Deed::Expecting(draft, more) => self.expect(draft, *more),
            Deed::Stage(drafts, is_cancelled) => self.stage(drafts, *is_cancelled),
            Deed::Lose(profile, seed) => self.lose(PROFILES[*profile], *seed),
        }
    }

    fn submit(&mut self, drafts: &[Draft]) {
        let (drafts, ids) = self.history.prepare(drafts);
        let ticket = with_events(&drafts, Some(&ids), |events| {
            self.history.store().submit(events, &Condition::new()).unwrap()
        });
        self.history.note(&drafts, ticket.receipts(), true, Durability::Queued);
        self.tickets.push((ticket, self.history.events.len()));
    }

    fn wait(&mut self) {
        for (ticket, count) in self.tickets.drain(..) {
            let receipts = ticket.wait().unwrap();
            assert!(receipts.iter().all(|receipt| receipt.durability == Durability::Durable));
            self.history.durable = self.history.durable.max(count);
        }
    }

    fn append_if(&mut self, drafts: &[Draft], tag: &'static str, part: u64) {
        let events = &self.history.events;
        let after = events.len() as u64 * part / 100;
        let is_ruled_out = |event: &&Facts| {
            event.sequence.0 > after && !event.is_hidden && event.tags.iter().any(|found| found == tag)
        };
        let first = events.iter().find(is_ruled_out).map(|event| event.sequence);
        let (drafts, ids) = self.history.prepare(drafts);
        let condition = Condition::new().no_event(Query::of(QueryItem::new().tag(tag)), Sequence(after));
        let outcome = with_events(&drafts, Some(&ids), |events| {
            self.history.store().append_if_with(events, &condition, Durability::Written)
        });
        match (outcome, first) {
            (Ok(receipts), None) => self.history.note(&drafts, &receipts, true, Durability::Written),
            (Err(Error::ConditionFailed { found, .. }), Some(first)) => assert_eq!(found, first),
            (outcome, first) => panic!("{outcome:?}, and the first that rules it out is {first:?}"),
        }
    }

    fn expect(&mut self, draft: &Draft, more: u64) {
        let (drafts, ids) = self.history.prepare(std::slice::from_ref(draft));
        let is_new_lane = drafts[0].fork.is_some();
        with_events(&drafts, Some(&ids), |events| {
            let [event] = events else { panic!("one event") };
            let (entity, scope) = drafts[0].place();
            let of_stream = |facts: &&Facts| {
                (facts.entity.as_str(), facts.scope.as_str(), facts.lane.0) == (entity, scope, drafts[0].lane)
            };
            let count = self.history.events.iter().filter(of_stream).count() as u64;
            let expected = match count + more {
                0 => Expected::None,
                revision => Expected::Exactly(Revision(revision)),
            };
            let event: NewEvent<'_> = event.clone().expected(expected);
            match self.history.store().append(&event) {
                Ok(receipt) if more == 0 => {
                    self.history.note(&drafts, &[receipt], true, Durability::Durable);
                }
                Err(Error::Conflict { actual, .. }) if more > 0 => {
                    assert_eq!(actual.map_or(0, |revision| revision.0), count);
                }
                outcome => panic!("{outcome:?} of {count}, expecting {expected:?}, new lane {is_new_lane}"),
            }
        });
    }

    fn stage(&mut self, drafts: &[Draft], is_cancelled: bool) {
        let (drafts, ids) = self.history.prepare(drafts);
        let receipts = with_events(&drafts, Some(&ids), |events| {
            let mut stage = self.history.store().stage();
            for event in events {
                stage.append(event.clone()).unwrap();
            }
            if is_cancelled {
                stage.cancel()
            } else {
                return Some(stage.commit().unwrap());
            };
            None
        });
        if let Some(receipts) = receipts {
            self.history.note(&drafts, &receipts, true, Durability::Durable);
        }
    }

    fn lose(&mut self, profile: CrashProfile, seed: u64) {
        self.tickets.clear();
        self.history.leave();
        self.history.directory = self.history.directory.crash(profile, seed);
        self.history.open();
        let hidden = |event: &Facts| {
            let ranges = self.history.store().hidden();
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&event.sequence))
        };
        assert!(self.history.events.iter().all(|event| hidden(event) == event.is_hidden));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_is_written_and_lost_the_store_answers_as_a_list_does(deeds in deeds()) {
        let mut life = Life::new();
        deeds.iter().for_each(|deed| life.apply(deed));
        life.wait();
        life.history.apply(&Step::Sync);
        life.history.expected().brief().check(life.history.store(), "at last");
        let verified = life.history.store().verify(&mut |_| {}).unwrap();
        prop_assert!(verified.is_sound(), "{:?}", verified.damage);
        let disk = life.history.directory.clone();
        drop(life);
        let lost = disk.crash(CrashProfile::StrictPosix, 1);
        let verified = verify_on(lost, &mut |_| {}).unwrap();
        prop_assert!(verified.is_sound(), "{:?}", verified.damage);
    }
}
