//! Why an object's status could not be brought up to date.

use crate::kubernetes::{ApplyError, ContentError};
use crate::rootkey::RootKeyMissing;
use crate::runtime::{Class, ReconcileError};

/// Why a provider, route or tenant could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A Secret or ConfigMap could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The operator has no root key yet.
    #[error(transparent)]
    RootKey(#[from] RootKeyMissing),
    /// The object has no name, namespace or uid, so it does not come from an API server.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// A Secret for a minted key could not be made.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The system gave no randomness for a key.
    #[error("no key can be made: {0}")]
    Random(#[from] tokenweir_config::keys::KeyError),
    /// Status could not be written.
    #[error("the status could not be written: {0}")]
    Status(#[source] kube::Error),
}

impl ReconcileError for PartError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Content(_) => "ContentUnreadable",
            Self::RootKey(_) => "RootKeyMissing",
            Self::Incomplete(_) => "Incomplete",
            Self::Apply(ApplyError::NotOwned { .. }) => "NotOwned",
            Self::Apply(_) => "ApplyFailed",
            Self::Random(_) => "NoRandomness",
            Self::Status(_) => "StatusFailed",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Apply(ApplyError::Ending { .. }) => Class::Expected,
            Self::Incomplete(_) => Class::Invalid,
            Self::Content(_) | Self::RootKey(_) | Self::Apply(_) | Self::Random(_) | Self::Status(_) => {
                Class::Transient
            }
        }
    }
}
