//! What can go wrong with an index: only its bytes. Which file they lie in is added by who opened it.

/// Why an index gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tables are not what was written, or are of a newer version.
    #[error("the index cannot be used: {source}")]
    Damaged {
        /// What is wrong with them.
        source: annals_wire::Error,
    },
}

impl Error {
    pub(crate) fn damaged(source: annals_wire::Error) -> Self {
        Self::Damaged { source }
    }

    /// What is wrong with the bytes.
    #[must_use]
    pub fn into_source(self) -> annals_wire::Error {
        match self {
            Self::Damaged { source } => source,
        }
    }

    /// Tables that passed their checksums and contradict each other.
    #[must_use]
    pub fn invalid(what: &'static str, why: &'static str) -> Self {
        Self::damaged(annals_wire::Error::Invalid { what, why })
    }
}
