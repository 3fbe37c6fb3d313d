//! Why a scaling policy could not be reconciled.

use crate::kubernetes::ApplyError;
use crate::runtime::{Class, ReconcileError};

/// Why a scaling policy could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ScalingError {
    /// The object has no name, namespace or uid, so it does not come from an API server.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// The autoscaler could not be applied or deleted.
    #[error(transparent)]
    Apply(ApplyError),
    /// Status could not be written.
    #[error("the status could not be written: {0}")]
    Status(#[source] kube::Error),
}

impl ReconcileError for ScalingError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "Incomplete",
            Self::Apply(ApplyError::NotOwned { .. }) => "NotOwned",
            Self::Apply(_) => "ApplyFailed",
            Self::Status(_) => "StatusFailed",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Apply(ApplyError::Ending { .. }) => Class::Expected,
            Self::Incomplete(_) => Class::Invalid,
            Self::Apply(_) | Self::Status(_) => Class::Transient,
        }
    }
}
