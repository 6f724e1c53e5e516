//! Any bytes as a CHECKPOINT: the head, then the tables block by block.
//!
//! Must hold: no panic; a head that is accepted encodes to the bytes that it was decoded from; no look-up in the
//! tables leaves the bytes. All is tried twice, with the checksums as they are and with the right ones.

#![no_main]

use annals_wire::CheckpointHead;
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/encoded_again.rs"]
mod encoded_again;
#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/reading.rs"]
mod reading;
#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/resealed.rs"]
mod resealed;

fuzz_target!(|data: &[u8]| {
    decode(data);
    let mut bytes = data.to_vec();
    resealed::reseal_checkpoint(&mut bytes);
    decode(&bytes);
});

fn decode(bytes: &[u8]) {
    let _ = reading::read_checkpoint(bytes);
    if let Ok(head) = CheckpointHead::decode(bytes) {
        encoded_again::assert_checkpoint(&head, bytes);
    }
}
