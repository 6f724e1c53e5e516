//! The schedules: the store as it is, over the simulated disk, under a scheduler that decides at every lock, wait,
//! atomic and operation of the disk which thread goes on.
//!
//! A model is a function that makes a store, lets two to four threads work on it and asserts one promise. Each is
//! run under many schedules, random ones and those of PCT, all from a seed. `cargo xtask schedules` builds and runs
//! this with `--cfg shuttle`; built without, it is an empty program.
//!
//! Invariant: a model waits for nothing but other threads of its own, so who waits for ever is a deadlock that the
//! scheduler finds; and nothing in it depends on time or chance but by the scheduler.

#![cfg(test)]

#[cfg(shuttle)]
mod disk;
#[cfg(shuttle)]
mod scene;

#[cfg(shuttle)]
mod closing;
#[cfg(shuttle)]
mod groups;
#[cfg(shuttle)]
mod replacing;
#[cfg(shuttle)]
mod rotating;
#[cfg(shuttle)]
mod stopping;
#[cfg(shuttle)]
mod subscribing;
#[cfg(shuttle)]
mod tickets;
#[cfg(shuttle)]
mod workers;

#[cfg(shuttle)]
mod explore;

#[cfg(shuttle)]
fn main() -> std::process::ExitCode {
    explore::main()
}

#[cfg(not(shuttle))]
fn main() {}
