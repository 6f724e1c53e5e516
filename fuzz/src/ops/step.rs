//! The steps, each as one word.

use annals::Durability;
use annals_segment::{CrashProfile, Errno, Fault, Span};

use super::{Word, check::KINDS, choose};

/// What an append says of its stream, before it is known where that is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expectation {
    Any,
    None,
    Exists,
    /// Just where it is.
    Right,
    /// One event further than it is.
    Wrong,
}

/// What the events of an append are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    pub(super) count: usize,
    pub(super) entity: usize,
    pub(super) scope: usize,
    pub(super) kind: u16,
    pub(super) tags: u8,
    pub(super) len: usize,
}

/// What is wrong with a batch that is sent again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flaw {
    None,
    /// One event has another payload.
    Content,
    /// One event is new.
    New,
    /// One event is there twice.
    Twice,
}

/// What happens to a disk while the store on it is opened: the power goes before that operation, and then that
/// much is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trouble {
    pub(super) at: u64,
    pub(super) profile: CrashProfile,
    pub(super) seed: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Append {
        pattern: Pattern,
        expectation: Expectation,
        durability: Durability,
    },
    /// Events that were sent before, from that place on, once more.
    Repeat {
        place: usize,
        count: usize,
        flaw: Flaw,
        durability: Durability,
    },
    Name,
    /// An earlier name once more.
    NameAgain {
        place: usize,
    },
    Sync,
    Pump,
    Checkpoint,
    /// The store is closed and opened again.
    Close {
        trouble: Option<Trouble>,
    },
    /// The store is let go of and opened again.
    Drop {
        trouble: Option<Trouble>,
    },
    /// The process ends, and the next one opens the store.
    Kill {
        trouble: Option<Trouble>,
    },
    /// The power goes, and that much is left.
    PowerLoss {
        profile: CrashProfile,
        seed: u64,
        trouble: Option<Trouble>,
    },
    /// An operation of the disk has a fault, so many from now.
    Fault {
        after: u64,
        fault: Fault,
        span: Span,
    },
    ReadFault {
        after: u64,
        errno: Errno,
    },
    /// All is compared, also by a reader beside the writer.
    Check,
}

impl Step {
    pub(super) fn of(word: Word) -> Self {
        let Word { what, which, place, value } = word;
        let durability = choose(
            [Durability::Durable, Durability::Durable, Durability::Written, Durability::Queued],
            value >> 12 & 3,
        );
        let expectation = expectation(value >> 8 & 7);
        let trouble = (which & 1 == 1).then(|| Trouble {
            at: u64::from(which >> 1) % 24,
            profile: choose(CrashProfile::ALL, value >> 16),
            seed: u64::from(value >> 20),
        });
        let len = usize::from(place);
        let pattern = |count, len| pattern(word, count, len);
        match what & 15 {
            0 => Self::Append { pattern: pattern(1, len % 300), expectation, durability },
            1 => Self::Append {
                pattern: pattern(1 + usize::from(which % 5), len % 300),
                expectation,
                durability,
            },
            2 => Self::Append { pattern: pattern(1, 1000 + len % 5000), expectation, durability },
            3 => Self::Repeat {
                place: len,
                count: 1 + usize::from(which % 5),
                flaw: choose([Flaw::None, Flaw::Content, Flaw::New, Flaw::Twice], value & 3),
                durability,
            },
            4 => Self::Name,
            5 => Self::NameAgain { place: len },
            6 => Self::Sync,
            7 => Self::Pump,
            8 => Self::Checkpoint,
            9 => Self::Close { trouble },
            10 => Self::Drop { trouble },
            11 => Self::Kill { trouble },
            12 => Self::PowerLoss {
                profile: choose(CrashProfile::ALL, value & 7),
                seed: u64::from(place),
                trouble,
            },
            13 => fault(word),
            14 => Self::ReadFault { after: u64::from(place % 16), errno: choose(Errno::ALL, value) },
            _ => Self::Check,
        }
    }
}

fn expectation(number: u32) -> Expectation {
    use Expectation::{Any, Exists, None, Right, Wrong};
    choose([Any, Any, Any, None, Exists, Right, Right, Wrong], number)
}

fn pattern(word: Word, count: usize, len: usize) -> Pattern {
    let [bits, ..] = word.value.to_le_bytes();
    Pattern {
        count,
        entity: usize::from(bits & 3) % 3,
        scope: usize::from(bits >> 2 & 1),
        kind: choose(KINDS, bits >> 3 & 3),
        tags: bits >> 5,
        len,
    }
}

/// A fault, once or for ever. A device that lies about a sync is none: no store outlives it.
fn fault(word: Word) -> Step {
    let errno = choose(Errno::ALL, word.value);
    let is_short = word.value >> 8 & 3 == 3;
    let fault = if is_short { Fault::ShortWrite(usize::from(word.which)) } else { Fault::Fail(errno) };
    let may_last = is_short || errno != Errno::Interrupted;
    let span = if may_last && word.value >> 10 & 1 == 1 { Span::Forever } else { Span::Once };
    Step::Fault { after: u64::from(word.place % 16), fault, span }
}
