//! The primitives of threads, for all of this crate: those of the standard library.
//!
//! Built with `--cfg shuttle` they are shuttle's, which runs one thread at a time and decides at each of these
//! operations which one goes on: so `cargo xtask schedules` runs this crate as it is under thousands of
//! schedules. `tidy` sees to it that nothing else here names `std::sync` or `std::thread`.
//!
//! Invariant: below this crate no thread waits for another, and nothing there is held while a directory is called;
//! the primitives of the layers below are therefore the standard library's in either build.

#[cfg(shuttle)]
mod scheduled;

pub(crate) use std::sync::{Arc, PoisonError, Weak, atomic::Ordering};
#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{
        Condvar, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};

#[cfg(shuttle)]
pub(crate) use scheduled::{Condvar, Mutex, MutexGuard};
#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};
