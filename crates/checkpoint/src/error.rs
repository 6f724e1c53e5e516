//! Why a store cannot be opened, or a state not be published or recovered.

use annals_wire::Sequence;

use crate::Rejected;

/// Why loading, publishing or recovering failed. What is only derived never fails an open; it is rejected and built again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log itself failed or is damaged.
    #[error(transparent)]
    Log(#[from] annals_segment::Error),
    /// A state could not be encoded.
    #[error("the state cannot be encoded: {source}")]
    Encode {
        /// Why.
        source: rmp_serde::encode::Error,
    },
    /// What follows a record could not be applied to the state.
    #[error("record {sequence} cannot be applied to the state: {source}")]
    Apply {
        /// The record.
        sequence: Sequence,
        /// What the program that owns the state said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log begins behind its first record, and no published state that can be used reaches that far.
    #[error(
        "the log holds records from {first} on, and no published state reaches that far{}; restore one from a backup",
        rejections(rejected)
    )]
    NoState {
        /// The first record that the log holds.
        first: Sequence,
        /// The states that are there, and why they cannot be used.
        rejected: Vec<Rejected>,
    },
}

fn rejections(rejected: &[Rejected]) -> String {
    rejected.iter().map(|Rejected { file, why }| format!("; {file}: {why}")).collect()
}

impl Error {
    /// Whether the bytes are wrong, rather than the environment or the call.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_damage(),
            Self::NoState { .. } => true,
            Self::Encode { .. } | Self::Apply { .. } => false,
        }
    }
}
