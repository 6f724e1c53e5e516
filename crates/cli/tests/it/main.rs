//! The program as its users run it: arguments and standard input in, both outputs and the exit code out.

#![cfg(test)]

mod program;

mod append;
mod backup;
mod cursors;
mod demo;
mod export;
mod groups;
mod hide;
mod import;
mod inspect;
mod kill;
mod lanes;
mod read;
mod tail;
mod verify;
