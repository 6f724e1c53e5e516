//! Ids that the store makes: UUIDs of version 7 (RFC 9562), which need no look-up.

use annals_segment::Entropy;
use annals_wire::EventId;

use crate::sync::{Arc, Mutex, PoisonError};

const RANDOM_LEN: usize = 10;
const POOL_LEN: usize = 64 * RANDOM_LEN;

/// Makes ids.
#[derive(Debug)]
pub(crate) struct IdSource {
    entropy: Arc<dyn Entropy>,
    pool: Mutex<Pool>,
}

/// Random bytes drawn ahead, so that one id does not cost a system call.
#[derive(Debug)]
struct Pool {
    bytes: [u8; POOL_LEN],
    used: usize,
}

impl IdSource {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, pool: Mutex::new(Pool { bytes: [0; POOL_LEN], used: POOL_LEN }) }
    }

    pub(crate) fn next(&self, now_millis: u64) -> EventId {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.used + RANDOM_LEN > POOL_LEN {
            self.entropy.fill(&mut pool.bytes);
            pool.used = 0;
        }
        let start = pool.used;
        pool.used += RANDOM_LEN;
        let random = pool.bytes.get(start..).and_then(|rest| rest.first_chunk::<RANDOM_LEN>());
        let random = random.expect("the pool holds a multiple of what one id takes");
        EventId(uuid::Builder::from_unix_timestamp_millis(now_millis, random).into_uuid().into_bytes())
    }
}
