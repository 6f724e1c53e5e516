//! Why a store cannot be opened.

/// Why loading failed. What is only derived never fails an open; it is rejected and built again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log itself failed or is damaged.
    #[error(transparent)]
    Log(#[from] annals_segment::Error),
}

impl Error {
    /// Whether the bytes are wrong, rather than the environment or the call.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_damage(),
        }
    }
}
