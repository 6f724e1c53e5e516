//! Any bytes as a CHECKPOINT: the head, then block by block.
//!
//! Must hold: no panic; the MessagePack head allocates no more than the file bears out; a block that is not what
//! the head says is rejected, and nothing before it is believed more for it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // annals_wire: the checkpoint decoder.
    let _ = data;
});
