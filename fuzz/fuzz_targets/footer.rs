//! Any bytes as the footer of a sealed segment, used in place.
//!
//! Must hold: no panic in decoding it nor in any look-up afterwards; no look-up leaves the bytes. All is tried
//! twice, with the checksums as they are and with the right ones, so that look-ups meet tables that disagree.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/reading.rs"]
mod reading;
#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/resealed.rs"]
mod resealed;

fuzz_target!(|data: &[u8]| {
    let _ = reading::read_footer(data);
    let mut bytes = data.to_vec();
    resealed::reseal_footer(&mut bytes);
    let _ = reading::read_footer(&bytes);
});
