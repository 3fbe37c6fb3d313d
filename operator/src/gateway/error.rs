//! Why a gateway could not be reconciled.

use tokenweir_config::keys::KeyError;
use tokenweir_config::shards::ShardError;

use crate::kubernetes::{ApplyError, ContentError};
use crate::rootkey::RootKeyMissing;
use crate::runtime::{Class, ReconcileError};

/// Why a gateway could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A Secret or ConfigMap could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The operator has no root key yet.
    #[error(transparent)]
    RootKey(#[from] RootKeyMissing),
    /// The keys derived for the gateway are not keys.
    #[error("the keys of the gateway cannot be used: {0}")]
    Keys(#[from] KeyError),
    /// The object has no name, namespace or uid, so it does not come from an API server.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// The configuration cannot be written as JSON.
    #[error("the configuration cannot be serialised: {0}")]
    Serialise(#[from] serde_json::Error),
    /// The configuration does not fit into Secrets.
    #[error("the configuration cannot be stored: {0}")]
    Snapshot(#[from] ShardError),
    /// An owned object could not be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// `replicas` of the Deployment could not be handed over or given back.
    #[error("the number of replicas could not be handed over: {0}")]
    Handover(#[source] kube::Error),
    /// Status could not be written.
    #[error("the status could not be written: {0}")]
    Status(#[source] kube::Error),
}

impl ReconcileError for GatewayError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Content(_) => "ContentUnreadable",
            Self::RootKey(_) => "RootKeyMissing",
            Self::Keys(_) => "KeysInvalid",
            Self::Incomplete(_) => "Incomplete",
            Self::Serialise(_) => "Serialise",
            Self::Snapshot(_) => "TooLarge",
            Self::Apply(ApplyError::NotOwned { .. }) => "NotOwned",
            Self::Apply(_) => "ApplyFailed",
            Self::Handover(_) => "HandoverFailed",
            Self::Status(_) => "StatusFailed",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Apply(ApplyError::Ending { .. }) => Class::Expected,
            Self::Incomplete(_) | Self::Serialise(_) | Self::Snapshot(_) => Class::Invalid,
            Self::Content(_)
            | Self::RootKey(_)
            | Self::Keys(_)
            | Self::Apply(_)
            | Self::Handover(_)
            | Self::Status(_) => Class::Transient,
        }
    }
}
