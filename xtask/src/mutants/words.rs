//! What is looked for in the libraries: the calls, assignments and comparisons that a promise rests on.
//!
//! Invariant: `tidy` looks for the same words among the tokens, so a word that stands here is either a site that
//! is switched off and must be missed, or has its reason in `exempt.rs`.

use std::fmt;

/// Where the sites are.
const PLACES: &[&str] = &["crates/segment/src/", "crates/checkpoint/src/", "crates/store/src/"];

/// What is below the log, and what only says what an error is: nothing there decides whether to write or to refuse.
const PASSED_OVER: &[&str] = &[
    "crates/segment/src/directory",
    "crates/segment/src/platform.rs",
    "crates/segment/src/map.rs",
    "crates/segment/src/error.rs",
    "crates/checkpoint/src/error.rs",
    "crates/store/src/error.rs",
];

/// Whether sites of the file at `path` are looked for: none are in what only tests.
pub(crate) fn is_searched(path: &str) -> bool {
    let is_below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    path.ends_with(".rs") && !path.ends_with("/tests.rs") && is_below(PLACES) && !is_below(PASSED_OVER)
}

/// What a site does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Write,
    Sync,
    DirectorySync,
    Rename,
    Length,
    Remove,
    Lock,
    Poison,
    Evidence,
}

impl Kind {
    /// All of them, in the order of the summary.
    pub(crate) const ALL: [Self; 9] = [
        Self::Write,
        Self::Sync,
        Self::DirectorySync,
        Self::Rename,
        Self::Length,
        Self::Remove,
        Self::Lock,
        Self::Poison,
        Self::Evidence,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync => "sync",
            Self::DirectorySync => "directory sync",
            Self::Rename => "rename",
            Self::Length => "length",
            Self::Remove => "remove",
            Self::Lock => "lock",
            Self::Poison => "poison",
            Self::Evidence => "evidence",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a call gives that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// `Ok` of the default.
    Success,
    /// The default.
    Nothing,
    /// Its first argument, as it was.
    First,
    /// `Ok` of its first argument.
    FirstInOk,
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `receiver.name(..)`, where the receiver's last name is one of these, or any where there is none.
    Method(&'static [&'static str]),
    /// `name(..)`
    Function,
}

/// A call that can be left out.
pub(super) struct Call {
    pub(super) name: &'static str,
    form: Form,
    /// How many arguments it has, the receiver not counted.
    arguments: usize,
    pub(super) kind: Kind,
    pub(super) instead: Instead,
}

/// Any count: no other function has the name.
const ANY: usize = usize::MAX;

const fn method(name: &'static str, count: usize, kind: Kind) -> Call {
    Call { name, form: Form::Method(&[]), arguments: count, kind, instead: Instead::Success }
}

const fn method_of(receivers: &'static [&'static str], name: &'static str, count: usize, kind: Kind) -> Call {
    Call { name, form: Form::Method(receivers), arguments: count, kind, instead: Instead::Success }
}

const fn function(name: &'static str, count: usize, kind: Kind) -> Call {
    Call { name, form: Form::Function, arguments: count, kind, instead: Instead::Success }
}

const fn but(mut call: Call, instead: Instead) -> Call {
    call.instead = instead;
    call
}

/// The calls. The first that fits counts; a call of one of these names that fits none is another function.
pub(super) const CALLS: &[Call] = &[
    method("write_all_at", ANY, Kind::Write),
    method("write_at", ANY, Kind::Write),
    method("write", 1, Kind::Write),
    method("write", 2, Kind::Write),
    method("write_slot", ANY, Kind::Write),
    method("write_footer", ANY, Kind::Write),
    method("write_checkpoint", 0, Kind::Write),
    function("write_checkpoint", ANY, Kind::Write),
    function("write_state", ANY, Kind::Write),
    function("write_manifest", ANY, Kind::Write),
    method("append_mark", ANY, Kind::Write),
    function("copy", ANY, Kind::Write),
    method("prove", ANY, Kind::Write),
    method("mend", ANY, Kind::Write),
    method("set_aside", ANY, Kind::Write),
    method("fly", ANY, Kind::Write),
    method("close", 1, Kind::Write),
    method_of(&["segment", "self"], "prepare", 2, Kind::Write),
    method("sync_data", ANY, Kind::Sync),
    method_of(&["directory"], "sync", 0, Kind::DirectorySync),
    method("sync", 0, Kind::Sync),
    method("flush", ANY, Kind::Sync),
    method("abandon", ANY, Kind::Sync),
    method("settle", 0, Kind::Sync),
    but(method("settle", 1, Kind::Sync), Instead::FirstInOk),
    but(method("settle", 3, Kind::Sync), Instead::FirstInOk),
    but(method("settle_sequence", ANY, Kind::Sync), Instead::FirstInOk),
    method("rename", ANY, Kind::Rename),
    method("set_len", ANY, Kind::Length),
    method("trim", 1, Kind::Length),
    method_of(&["directory"], "remove", 1, Kind::Remove),
    function("remove", 2, Kind::Remove),
    method_of(&["self"], "remove", 2, Kind::Remove),
    method("drop_prefix", ANY, Kind::Remove),
    method("truncate_prefix", ANY, Kind::Remove),
    method_of(&["lock"], "bind", 1, Kind::Lock),
    method("check", 0, Kind::Poison),
    method("check_writing", ANY, Kind::Poison),
    but(method("is_poisoned", ANY, Kind::Poison), Instead::Nothing),
    but(method("stop_on_error", ANY, Kind::Poison), Instead::First),
    method_of(&["self"], "check", 2, Kind::Evidence),
    function("check", 3, Kind::Evidence),
    function("check_clean", ANY, Kind::Evidence),
    method("check_end", ANY, Kind::Evidence),
    method("check_mark", ANY, Kind::Evidence),
    method("check_next_sequence", ANY, Kind::Evidence),
    function("check_checkpoint", ANY, Kind::Evidence),
    method("check_position", ANY, Kind::Evidence),
    method("check_held", ANY, Kind::Evidence),
    method("check_same", ANY, Kind::Evidence),
    function("compare", ANY, Kind::Evidence),
    method("compare_checkpoint", ANY, Kind::Evidence),
    but(method("compare_head", ANY, Kind::Evidence), Instead::Nothing),
    but(method("check_chain", ANY, Kind::Evidence), Instead::Nothing),
    but(method("damaged", ANY, Kind::Evidence), Instead::Nothing),
    but(method("damaged_once", ANY, Kind::Evidence), Instead::Nothing),
    but(method("broken", ANY, Kind::Evidence), Instead::Nothing),
    but(method("damaged_derived", ANY, Kind::Evidence), Instead::Nothing),
];

impl Call {
    fn fits(&self, name: &str, receiver: Option<&str>, count: usize) -> bool {
        let has_form = match (self.form, receiver) {
            (Form::Method(receivers), Some(receiver)) => {
                receivers.is_empty() || receivers.contains(&receiver)
            }
            (Form::Function, None) => true,
            _ => false,
        };
        self.name == name && has_form && (self.arguments == ANY || self.arguments == count)
    }
}

/// The entry for a call; `receiver` is the last name of a method's receiver, `None` for a function.
pub(super) fn call(name: &str, receiver: Option<&str>, count: usize) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.fits(name, receiver, count))
}

/// Methods that have the name of another's, with the count of their arguments, and what they are.
const OTHERS: &[(&str, usize, &str)] = &[
    ("write", 0, "takes a lock in memory"),
    ("trim", 0, "takes space off a text"),
    ("bind", 2, "gives a kind its name in memory"),
    ("close", 0, "hands on to the one with an argument"),
    ("remove", 1, "takes something out of a map in memory: the directory's is a site by its receiver"),
    ("prepare", 4, "an event's, takes closures: the segment's is a site by its receiver"),
    ("check", 1, "looks at the arguments of an append"),
    ("check", 2, "looks for space"),
    ("check", 4, "sums up the checks of a frame, each of which is a site"),
];

/// Whether a call that fits none of `CALLS` is one of those.
pub(super) fn is_other(name: &str, count: usize) -> bool {
    OTHERS.iter().any(|(other, arguments, _)| (*other, *arguments) == (name, count))
        || REFUSING.contains(&name)
}

/// Whether calls of this name are looked for.
pub(super) fn is_called(name: &str) -> bool {
    CALLS.iter().any(|call| call.name == name) || REFUSING.contains(&name)
}

/// Whether a function of this name checks evidence, so that its calls are the sites.
pub(super) fn is_check(name: &str) -> bool {
    CALLS.iter().any(|call| call.name == name && call.kind == Kind::Evidence)
}

/// Fields and variables whose assignment stops the log, or adds a witness.
pub(super) const ASSIGNED: &[(&str, Kind)] =
    &[("stopped", Kind::Poison), ("synced_len", Kind::Evidence), ("nonzero_end", Kind::Evidence)];

/// A field of a new frame that is evidence for later.
pub(super) const WITNESS_FIELD: &str = "synced_len";

/// What refuses, as the end of a path: what stands around it decides whether it comes to that.
pub(super) const REFUSALS: &[&[&str]] = &[
    &["Lost"],
    &["Mismatch"],
    &["Misplaced"],
    &["MissingSegment"],
    &["ManifestLost"],
    &["Newer"],
    &["NotHeld"],
    &["FoundFooter", "Unusable"],
    &["annals_wire", "Error", "Invalid"],
    &["annals_wire", "Error", "Truncated"],
];

/// What hands an error on, or a reason, and refuses only where something around it decides.
pub(super) const CONVERSIONS: &[&[&str]] = &[&["Rejected", "new"]];

/// Functions that refuse in any case: a call of one is a refusal where it stands.
pub(super) const REFUSING: &[&str] = &["mismatch", "lost", "frames_behind"];

/// Functions that decide by comparing and say so in their value. In them every comparison is a site: `==`, `<=` and
/// `>=` hold where all is well, `!=`, `<` and `>` where it is not.
const DECIDING: &[(&str, &str)] = &[
    ("crates/segment/src/layout.rs", "continues"),
    ("crates/segment/src/layout.rs", "sealed"),
    ("crates/segment/src/manifest.rs", "decode_slot"),
    ("crates/segment/src/frontier.rs", "read_frontier"),
    ("crates/checkpoint/src/plan.rs", "decide"),
    ("crates/checkpoint/src/lazy.rs", "checked"),
    ("crates/checkpoint/src/load.rs", "checkpoint_end"),
    ("crates/checkpoint/src/file.rs", "find_checkpoint"),
    ("crates/store/src/open/beside.rs", "note_unproven"),
    ("crates/store/src/verify/segments.rs", "newest"),
];

/// Whether comparisons of the function decide.
pub(super) fn is_deciding(path: &str, function: &str) -> bool {
    DECIDING.contains(&(path, function))
}

/// The rows of the tables above that name a function which `sources` do not have.
pub(crate) fn stale(has_function: impl Fn(&str, &str) -> bool) -> Vec<(&'static str, &'static str)> {
    DECIDING.iter().copied().filter(|(path, function)| !has_function(path, function)).collect()
}

/// A word as it stands among the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A name that is called, or named as a function.
    Called(&'static str),
    /// A name that something is assigned to.
    Assigned(&'static str),
    /// The end of a path.
    Path(&'static [&'static str]),
}

/// All words, for a look that does not go by the syntax.
pub(crate) fn words() -> Vec<Word> {
    let mut called: Vec<_> = CALLS.iter().map(|call| call.name).chain(REFUSING.iter().copied()).collect();
    called.sort_unstable();
    called.dedup();
    let called = called.into_iter().map(Word::Called);
    let assigned = ASSIGNED.iter().map(|(name, _)| Word::Assigned(name));
    called.chain(assigned).chain(REFUSALS.iter().map(|path| Word::Path(path))).collect()
}
