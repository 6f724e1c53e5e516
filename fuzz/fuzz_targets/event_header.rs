//! Any bytes as an event: header, coordinate, tags, extensions and payload.
//!
//! Must hold: no panic; every length is checked against what is there; what is accepted encodes to the same
//! bytes, and so hashes to the same hash. No checksum stands before this decoder here: that is the point.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // annals_wire: the event decoder.
    let _ = data;
});
