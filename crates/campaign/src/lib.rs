//! The campaign: a store on the simulated disk loses power, is killed and meets faults at every moment, and an
//! oracle says whether it kept its promises.
//!
//! **Owns** the workloads, the oracle that knows what was sent and what was promised, the choice of moments and
//! images, the count of what was tried, and the program that runs it all for a time. A second program,
//! `annals-subject`, runs the same workloads on real directories and checks those with the same oracle.
//!
//! **Does not** know how the store works: it goes by what the store returns and by the bytes of files. What is
//! done to real processes, system calls and file systems is not here; `cargo xtask torture` does it.
//!
//! **Next:** `oracle.rs` for what must hold, `trial.rs` for what an image goes through, `round.rs` for what is
//! tried when; [`Campaign`] runs it.

#![forbid(unsafe_code)]

mod flaw;
mod random;

mod script;
mod sent;

mod oracle;
mod workload;

mod images;
mod tally;

mod faults;
mod trial;

mod campaign;
mod round;

mod summary;

mod subject;

mod relay;

pub use campaign::{Campaign, Found};
pub use flaw::Flaw;
pub use relay::Relay;
pub use subject::{
    Check, End, Expect, Level, Line, State, Subject, Verdict, Voice, Workload, check, follow, read_transcript,
};
pub use summary::Summary;
pub use tally::{Sort, Tally};
pub use workload::{Opening, open_on};
