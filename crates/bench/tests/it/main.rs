//! The program as it is run: small stores, all figures.

#![cfg(test)]

mod verbs;
