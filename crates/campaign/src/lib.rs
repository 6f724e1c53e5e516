//! The campaign: a store on the simulated disk loses power, is killed and meets faults at every moment, and an
//! oracle says whether it kept its promises.
//!
//! **Owns** the workloads, the oracle that knows what was sent and what was promised, the choice of moments and
//! images, the count of what was tried, and the program that runs it all for a time.
//!
//! **Does not** know how the store works: it goes by what the store returns and by the bytes of files. What
//! real kernels, disks and processes do is not simulated here; `cargo xtask kill` ends real ones.
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

pub use campaign::{Campaign, Found};
pub use flaw::Flaw;
pub use summary::Summary;
pub use tally::{Sort, Tally};
pub use workload::{Opening, open_on};
