//! Any bytes as the footer of a sealed segment, used in place.
//!
//! Must hold: no panic in opening it nor in any look-up afterwards; no look-up leaves the bytes; a footer whose
//! checksums hold but whose tables disagree is an error and not a wrong answer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // annals_wire and annals_index: open the footer, then look up every kind of row.
    let _ = data;
});
