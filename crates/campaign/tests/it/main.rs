//! The campaign's tests: it finds nothing in a store on a disk that keeps its word, and something where a layer
//! between them does not.

#![cfg(test)]

mod bite;
mod broken;
mod processes;
mod quick;
mod relay;
mod subject;
