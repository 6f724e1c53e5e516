//! Buffers for what is read and not mapped, used again and again.
//!
//! Invariant: a buffer comes back only when nobody has its bytes any more.

use std::sync::{Arc, Mutex, PoisonError};

/// How many buffers are kept, and how long one may be.
const KEPT_COUNT: usize = 64;
const KEPT_LEN_MAX: usize = 64 << 10;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Arc<Vec<u8>>>>);

/// Bytes in a buffer that goes back when the last of them goes.
#[derive(Debug, Clone)]
pub(crate) struct Buffered {
    bytes: Option<Arc<Vec<u8>>>,
    buffers: Arc<Buffers>,
}

impl Buffers {
    /// A buffer filled by `fill`, which finds it empty.
    pub(crate) fn fill<E>(
        self: &Arc<Self>,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Buffered, E> {
        let mut bytes = self.kept().pop().unwrap_or_default();
        let buffer = Arc::get_mut(&mut bytes).expect("only what nobody else has is kept");
        buffer.clear();
        fill(buffer)?;
        Ok(Buffered { bytes: Some(bytes), buffers: Arc::clone(self) })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffered {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| bytes.as_slice())
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        let Some(mut bytes) = self.bytes.take() else { return };
        // Of two who let go at once neither may be the last: then it is freed.
        if Arc::get_mut(&mut bytes).is_some_and(|bytes| bytes.capacity() <= KEPT_LEN_MAX) {
            let mut kept = self.buffers.kept();
            if kept.len() < KEPT_COUNT {
                kept.push(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Arc<Buffers>, len: usize) -> Buffered {
        let fill = |buffer: &mut Vec<u8>| {
            assert!(buffer.is_empty());
            buffer.resize(len, 7);
            Ok::<_, ()>(())
        };
        buffers.fill(fill).unwrap()
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_has_its_bytes() {
        let buffers = Arc::new(Buffers::default());
        let (one, other) = (filled(&buffers, 100), filled(&buffers, 200));
        let place = one.as_bytes().as_ptr();
        let clone = one.clone();
        drop(one);
        assert!(buffers.kept().is_empty(), "a clone has it");
        assert_eq!(clone.as_bytes(), [7; 100]);
        drop(clone);
        let again = filled(&buffers, 50);
        assert_eq!((again.as_bytes().as_ptr(), again.as_bytes().len()), (place, 50));
        assert_ne!(other.as_bytes().as_ptr(), place);
    }

    #[test]
    fn few_buffers_are_kept_and_no_long_ones() {
        let buffers = Arc::new(Buffers::default());
        drop(filled(&buffers, KEPT_LEN_MAX + 1));
        assert!(buffers.kept().is_empty());
        drop((0..2 * KEPT_COUNT).map(|_| filled(&buffers, 10)).collect::<Vec<_>>());
        assert_eq!(buffers.kept().len(), KEPT_COUNT);
    }
}
