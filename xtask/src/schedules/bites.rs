//! What each model protects: a line of the store, and what it is changed to, so that the model must fail.

use crate::failure::Failure;

/// One line, or a few that belong together, and the model that must fail when it is changed.
pub(super) struct Bite {
    pub(super) model: &'static str,
    pub(super) path: &'static str,
    /// The text as it stands there, and nowhere else in the file.
    pub(super) line: &'static str,
    pub(super) instead: &'static str,
}

const APPEND: &str = "crates/store/src/append.rs";
const BACKGROUND: &str = "crates/store/src/background.rs";
const CHECKPOINT: &str = "crates/store/src/checkpoint.rs";
const GROUP: &str = "crates/store/src/group.rs";
const PART: &str = "crates/store/src/part.rs";
const REPEAT: &str = "crates/store/src/append/repeat.rs";
const SEAL: &str = "crates/store/src/seal.rs";
const STORE: &str = "crates/store/src/store.rs";
const SUBSCRIPTION: &str = "crates/store/src/subscription.rs";
const TICKET: &str = "crates/store/src/ticket.rs";
const WATCH: &str = "crates/store/src/watch.rs";
const DESK: &str = "crates/store/src/workers/desk.rs";

/// The turn after a flight, with those who wait woken before it is published, and behind it.
const WOKEN_FIRST: &str = "        self.landed(group).notify_all();
        if turn.waiting > 0 {
            self.landed(group + 1).notify_one();
        }
        let landed = log(&mut turn)?.land(flight, outcome);
        if landed.is_ok() {
            let before = std::mem::replace(&mut turn.written, reach);
            if sync {
                turn.durable = reach;
                turn.landmark = place;
                self.ask_for_checkpoint(&mut turn)?;
            }
            self.publish(&turn);
            let queue_bytes = turn.appended.bytes - turn.durable.bytes;
            self.note_landed(&mut turn, &Landed { before, reach, is_synced: sync, took, queue_bytes });
        }
";
const WOKEN_LAST: &str = "        let landed = log(&mut turn)?.land(flight, outcome);
        if landed.is_ok() {
            let before = std::mem::replace(&mut turn.written, reach);
            if sync {
                turn.durable = reach;
                turn.landmark = place;
                self.ask_for_checkpoint(&mut turn)?;
            }
            self.publish(&turn);
            let queue_bytes = turn.appended.bytes - turn.durable.bytes;
            self.note_landed(&mut turn, &Landed { before, reach, is_synced: sync, took, queue_bytes });
        }
        self.landed(group).notify_all();
        if turn.waiting > 0 {
            self.landed(group + 1).notify_one();
        }
";

/// All of them.
pub(super) const BITES: &[Bite] = &[
    // A flight takes along what was staged when it departed, and no more.
    Bite {
        model: "nobody_returns_too_early",
        path: GROUP,
        line: "turn.durable = reach;\n                turn.landmark = place;",
        instead: "turn.durable = turn.appended;\n                turn.landmark = place;",
    },
    // Who waits for a flight is woken by it.
    Bite {
        model: "nobody_returns_too_early",
        path: GROUP,
        line: "        self.landed(group).notify_all();",
        instead: "",
    },
    // Somebody of the group that formed meanwhile writes for it.
    Bite {
        model: "nobody_returns_too_early",
        path: GROUP,
        line: "            self.landed(group + 1).notify_one();",
        instead: "",
    },
    Bite {
        model: "visible_is_durable_and_grows",
        path: GROUP,
        line: "let visible = if is_durable { turn.durable } else { turn.written };",
        instead: "let visible = turn.appended; let _ = is_durable;",
    },
    // The worker that looked and is about to wait is not missed.
    Bite {
        model: "what_is_queued_becomes_durable",
        path: BACKGROUND,
        line: "            drop(lock(&self.needs));",
        instead: "",
    },
    // What is queued during the sync is due again.
    Bite {
        model: "what_is_queued_becomes_durable",
        path: BACKGROUND,
        line: "        if writer.worker.is_sync_due.swap(false, Ordering::AcqRel) {\n            self.sync()?;",
        instead: "        if writer.worker.is_sync_due.load(Ordering::Acquire) {\n            self.sync()?;\n\
                  writer.worker.is_sync_due.store(false, Ordering::Release);",
    },
    // The one that was woken to lead tells the others that nobody will.
    Bite {
        model: "a_failed_sync_is_told_to_everybody",
        path: GROUP,
        line: "                self.landed(turn.group).notify_all();",
        instead: "",
    },
    Bite {
        model: "a_panic_under_a_flight_is_told_to_everybody",
        path: GROUP,
        line: "catch_unwind(AssertUnwindSafe(|| flight.fly())).unwrap_or_else(|_| {",
        instead: "Ok(flight.fly()).unwrap_or_else(|_: Error| {",
    },
    Bite {
        model: "a_panic_in_a_turn_is_told_to_everybody",
        path: APPEND,
        line: "        if self.writer()?.turn.is_poisoned() {",
        instead: "        if false {",
    },
    Bite {
        model: "a_panic_in_a_turn_is_told_to_everybody",
        path: GROUP,
        line: "                self.landed(turn.group).notify_all();",
        instead: "",
    },
    // Who waits is woken before anything is called that may panic.
    Bite {
        model: "a_panic_at_the_frontier_is_told_to_everybody",
        path: GROUP,
        line: WOKEN_FIRST,
        instead: WOKEN_LAST,
    },
    // What is staged goes with a flight that is published, and not with the rotation.
    Bite {
        model: "a_rotation_leaves_no_gap",
        path: GROUP,
        line: "        if turn.durable.bytes < turn.appended.bytes {",
        instead: "        if false {",
    },
    // What was looked up before the turn is looked up again when a segment was begun meanwhile.
    Bite {
        model: "one_of_many_meets_an_expectation",
        path: APPEND,
        line: "            if !Arc::ptr_eq(&cold.view, &self.view()) {",
        instead: "            if false {",
    },
    Bite {
        model: "a_repeat_is_no_earlier_than_the_first",
        path: REPEAT,
        line: "self.settle_sequence(turn, last, durability.max(Durability::Written))?",
        instead: "{ let _ = durability; self.settle_sequence(turn, last, Durability::Written)? }",
    },
    // What is staged and not published is in no answer.
    Bite {
        model: "readers_see_each_event_once",
        path: PART,
        line: "        let shown = (visible.0 + 1).saturating_sub(self.first_sequence.0);",
        instead: "        let shown = (visible.0 + 9).saturating_sub(self.first_sequence.0);",
    },
    // A part goes and its replacement comes in one step.
    Bite {
        model: "readers_see_each_event_once",
        path: SEAL,
        line: "        self.change_view(|view| {\n            let first = view.parts.partition_point(",
        instead: "        self.change_view(|view| view.parts.retain(|part| part.frames.segment() != id));\n        \
                  self.change_view(|view| {\n            let first = view.parts.partition_point(",
    },
    // The view is read and replaced under one lock.
    Bite {
        model: "a_mended_index_hides_nothing",
        path: STORE,
        line: "        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);\n        \
               let mut changed = (**view).clone();",
        instead: "        let mut changed = (*self.view()).clone();\n        \
                  let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);",
    },
    // A part that sealing replaced meanwhile is not replaced again by what was mended.
    Bite {
        model: "a_mended_index_hides_nothing",
        path: SEAL,
        line: "matches!(&part.index, PartIndex::Lazy(found) if Arc::ptr_eq(found, index));",
        instead: "part.frames.segment() == segment && part.first_sequence == first;",
    },
    // Segments that were sealed since the landmark are not a checkpoint's.
    Bite {
        model: "a_checkpoint_covers_what_is_durable",
        path: CHECKPOINT,
        line: "        let covered = sealed.filter(|(place, _)| place.id < landmark.segment && seen.insert(place.id));",
        instead: "        let covered = sealed.filter(|(place, _)| seen.insert(place.id));",
    },
    // What came while a close wrote its checkpoint is waited for.
    Bite {
        model: "a_close_takes_an_append_or_refuses_it",
        path: BACKGROUND,
        line: "        while turn.is_led || turn.durable.bytes < turn.appended.bytes {",
        instead: "        while turn.is_led {",
    },
    Bite {
        model: "the_last_clone_leaves_nothing_behind",
        path: BACKGROUND,
        line: "            drop(thread.join());",
        instead: "            drop(thread);",
    },
    // Who waits for a ticket waits for the disk and not for its place.
    Bite {
        model: "a_ticket_is_durable_when_it_says_so",
        path: TICKET,
        line: "        if sequence <= turn.durable.sequence {",
        instead: "        if sequence <= turn.appended.sequence {",
    },
    // A condition is asked of what others staged since it was looked at.
    Bite {
        model: "a_condition_has_one_winner",
        path: APPEND,
        line: "None => self.ask(|_| condition.find_in_last(&cold.view))?,",
        instead: "None => None,",
    },
    // Who publishes stores before it looks whether anybody waits.
    Bite {
        model: "a_subscriber_that_waits_is_told_of_each_event",
        path: WATCH,
        line: "        self.visible.store(visible.0, Ordering::SeqCst);\n        \
               if self.waiting.load(Ordering::SeqCst) > 0 {",
        instead: "        let is_awaited = self.waiting.load(Ordering::SeqCst) > 0;\n        \
                  self.visible.store(visible.0, Ordering::SeqCst);\n        if is_awaited {",
    },
    // The end is told to who waits.
    Bite {
        model: "a_subscriber_that_waits_is_told_of_the_end",
        path: WATCH,
        line: "            *phase = Phase::Closed;\n        }\n        drop(phase);\n        self.changed.notify_all();",
        instead: "            *phase = Phase::Closed;\n        }",
    },
    Bite {
        model: "a_subscriber_that_waits_is_told_of_the_end",
        path: SUBSCRIPTION,
        line: "        self.is_ending.store(true, Ordering::SeqCst);\n        self.watch.wake();",
        instead: "        self.is_ending.store(true, Ordering::SeqCst);",
    },
    // Who waits at the store is called when a stream is free.
    Bite {
        model: "whoever_can_work_is_called",
        path: DESK,
        line: "        } else if core.is_watched && has_ready {",
        instead: "        } else if false {",
    },
    // Who leaves lets another one watch.
    Bite {
        model: "whoever_leaves_lets_another_watch",
        path: DESK,
        line: "                self.rouse(&core);\n                drop(core);",
        instead: "                drop(core);",
    },
    // Who finds that it is over tells the others.
    Bite {
        model: "every_worker_is_told_that_it_is_over",
        path: DESK,
        line: "                self.freed.notify_all();\n                return Ok(Handed::Ended(end));",
        instead: "                return Ok(Handed::Ended(end));",
    },
    Bite {
        model: "who_waits_for_room_goes_on_when_there_is_some",
        path: DESK,
        line: "        if core.is_blind && core.dispatch.room() > 0 {",
        instead: "        if false {",
    },
    Bite {
        model: "who_waits_for_room_is_told_of_the_end",
        path: DESK,
        line: "if !core.is_watched && (has_room || core.subscription.end().is_none()) {",
        instead: "if !core.is_watched && has_room {",
    },
];

impl Bite {
    /// Makes sure that the line stands in `text`, its file, exactly once.
    pub(super) fn check(&self, text: &str) -> Result<(), Failure> {
        match text.matches(self.line).count() {
            1 => Ok(()),
            count => {
                let what = format!("this is {count} times in {}, not once: {}", self.path, self.line);
                Err(Failure::Bite { what })
            }
        }
    }

    /// Its file with the line changed.
    pub(super) fn applied(&self, text: &str) -> String {
        text.replace(self.line, self.instead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::root, copy};

    #[test]
    fn every_line_stands_in_its_file_once() {
        for bite in BITES {
            let text = copy::text(bite.path).unwrap();
            bite.check(&text).unwrap_or_else(|failure| panic!("{failure}"));
            assert_ne!(bite.applied(&text), text);
            assert!(bite.check("").is_err() && bite.check(&text.repeat(2)).is_err());
        }
    }

    #[test]
    fn every_model_has_a_bite_and_every_bite_a_model() {
        let directory = root().join("crates/store/tests/schedules");
        let sources = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let text: String = sources.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let models = text.split("Model::new(").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
        let models: std::collections::BTreeSet<_> = models.collect();
        assert_eq!(models, BITES.iter().map(|bite| bite.model).collect());
    }
}
