//! What a transcript says was sent and promised.
//!
//! Invariant: the writer and whoever reads its transcript come to the same: both apply the same lines.

use super::line::{Level, Line};
use crate::{
    flaw::{Flaw, ensure},
    sent::{Closed, Found, Sent},
};

/// What is known of a run so far.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) sent: Sent,
    /// How much had been sent before what was sent last.
    before: Found,
    /// How many promises that outlive the power there were.
    acks: u64,
    options: Option<(u64, u64)>,
}

impl State {
    /// How many promises that outlive the power there were.
    #[must_use]
    pub fn acks(&self) -> u64 {
        self.acks
    }

    /// The bytes of a segment, and those after which a checkpoint is due, of the process that began last.
    pub(crate) fn options(&self) -> Option<(u64, u64)> {
        self.options
    }

    /// Adds what `line` says, where promises count as `level` says.
    ///
    /// # Errors
    /// A [`Flaw`] where the line contradicts those before it.
    pub fn apply(&mut self, line: &Line, level: Level) -> Result<(), Flaw> {
        self.acks += u64::from(line.is_acknowledgement());
        match line {
            Line::Begun { segment_bytes, checkpoint_bytes, .. } => {
                self.options = Some((*segment_bytes, *checkpoint_bytes));
            }
            Line::Opened { events, names } => {
                self.open(Found { events: *events, names: *names }, level)?;
            }
            Line::Sending { count, len } => {
                self.before = self.sent.all();
                self.sent.send(*count, *len);
                self.sent.closed = Closed::Unknown;
            }
            Line::Naming => {
                self.before = self.sent.all();
                self.sent.send_name();
                self.sent.closed = Closed::Unknown;
            }
            Line::Appended(durability) => {
                self.sent.closed = Closed::No;
                let is_promised = match level {
                    Level::Kill => *durability >= annals::Durability::Written,
                    Level::Power => *durability >= annals::Durability::Durable,
                };
                if is_promised {
                    self.sent.promise_events(self.sent.events.len());
                }
            }
            Line::Named(kind) => {
                if let Some(last) = self.sent.names.last_mut() {
                    last.kind = Some(*kind);
                }
                self.sent.closed = Closed::No;
                self.sent.durable.names = self.sent.names.len();
            }
            Line::Refused => {
                self.sent.events.truncate(self.before.events);
                self.sent.names.truncate(self.before.names);
            }
            Line::Synced => self.sent.promise_all(),
            Line::Checkpointed => {
                self.sent.promise_all();
                self.sent.has_checkpoint = true;
            }
            Line::Closing if self.sent.closed == Closed::No => self.sent.closed = Closed::Unknown,
            Line::Closed => {
                self.sent.promise_all();
                self.sent.closed = Closed::Yes;
            }
            Line::Failed { kept, .. } => {
                self.sent.promise_events((*kept).min(self.sent.events.len()));
                if self.sent.closed == Closed::No {
                    self.sent.closed = Closed::Unknown;
                }
            }
            Line::Opening
            | Line::Reads { .. }
            | Line::Pumped
            | Line::Closing
            | Line::Dropping
            | Line::Told(_)
            | Line::Done => {}
        }
        Ok(())
    }

    fn open(&mut self, found: Found, level: Level) -> Result<(), Flaw> {
        let (promised, sent) = (self.sent.durable, self.sent.all());
        let has_promised = found.events >= promised.events && found.names >= promised.names;
        ensure(has_promised || level == Level::Power, || {
            format!("{found:?} where {promised:?} are promised")
        })?;
        ensure(found.events <= sent.events && found.names <= sent.names, || {
            format!("{found:?} where {sent:?} were sent")
        })?;
        self.sent.settle(found);
        self.sent.is_made = true;
        Ok(())
    }

    /// Adds what a line says that may have come to be or not: what was sent may be there, and no more is promised.
    fn apply_uncertain(&mut self, line: &Line, level: Level) -> Result<(), Flaw> {
        match line {
            Line::Begun { .. } | Line::Sending { .. } | Line::Naming | Line::Closing => {
                self.apply(line, level)
            }
            _ => Ok(()),
        }
    }
}

/// What the transcript `text` says up to its promise `until`, or to its end. What was sent behind that promise and
/// before the next may be there.
///
/// A last line without its end was being written when its process ended, and says nothing.
///
/// # Errors
/// A [`Flaw`] where a line makes no sense.
pub fn read_transcript(text: &str, level: Level, until: Option<u64>) -> Result<State, Flaw> {
    let mut state = State::default();
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    for (number, text) in (1..).zip(whole) {
        let place = |flaw: Flaw| flaw.within(format_args!("line {number} of the transcript, `{text}`"));
        let (line, ack) = Line::decode(text).ok_or_else(|| place(Flaw::new("no line of a transcript")))?;
        if until.is_some_and(|until| state.acks >= until) {
            if line.is_acknowledgement() {
                break;
            }
            state.apply_uncertain(&line, level).map_err(place)?;
            continue;
        }
        state.apply(&line, level).map_err(place)?;
        ensure(ack.is_none_or(|ack| ack == state.acks), || {
            format!("promise {} has another number", state.acks)
        })
        .map_err(place)?;
    }
    let is_there = until.is_none_or(|until| state.acks >= until);
    ensure(is_there, || format!("the transcript ends at promise {}", state.acks))?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "begun 4096 6000 x\nopening\nopened 0 0 ack 1\nsending 2 40\nappended durable ack 2\n\
        sending 1 40\nappended written\nsending 3 40\nappended queued\nsynced ack 3\nsending 1 4";

    fn counts(level: Level, until: Option<u64>) -> (usize, usize) {
        let state = read_transcript(TEXT, level, until).unwrap();
        (state.sent.durable.events, state.sent.events.len())
    }

    #[test]
    fn a_promise_counts_by_what_it_is_to_outlive() {
        assert_eq!(counts(Level::Kill, None), (6, 6));
        assert_eq!(counts(Level::Power, Some(2)), (2, 6));
        let text = TEXT.rsplit_once("sending 3").unwrap().0;
        let promised = |level| read_transcript(text, level, None).unwrap().sent.durable.events;
        assert_eq!((promised(Level::Kill), promised(Level::Power)), (3, 2));
    }

    #[test]
    fn what_was_sent_behind_a_promise_may_be_there_and_a_later_promise_does_not_count() {
        assert_eq!(counts(Level::Power, Some(1)), (0, 2));
        assert_eq!(counts(Level::Power, Some(3)), (6, 6));
        assert!(read_transcript(TEXT, Level::Power, Some(4)).is_err());
    }

    #[test]
    fn a_line_that_contradicts_those_before_it_is_a_flaw() {
        let opened = |line: &str| read_transcript(&format!("{TEXT}0\n{line}\n"), Level::Kill, None);
        assert!(opened("opened 7 0 ack 4").is_ok());
        assert!(opened("opened 5 0 ack 4").is_err(), "fewer than are promised");
        assert!(opened("opened 8 0 ack 4").is_err(), "more than were sent");
        assert!(opened("opened 7 0 ack 5").is_err(), "a promise is missing");
        assert!(opened("opned").is_err());
    }

    #[test]
    fn what_was_refused_was_not_sent() {
        let text = "opening\nopened 0 0 ack 1\nsending 2 40\nappended durable ack 2\nsending 3 40\nrefused\n";
        let state = read_transcript(text, Level::Kill, None).unwrap();
        assert_eq!((state.sent.durable.events, state.sent.events.len()), (2, 2));
    }
}
