//! Why a command failed.

use std::process::ExitCode;

use crate::chat::ChatError;
use crate::cluster::{ClusterError, PodError};
use crate::reach::ReachError;

/// Exit code of a command that did not do what it was asked for.
const FAILED: u8 = 1;
/// Exit code of a command line that cannot be followed, as clap has it.
const USAGE: u8 = 2;

/// Exit code of a program that Ctrl-C has ended.
const CANCELLED: u8 = 130;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// The command line cannot be followed.
    #[error("{0}")]
    Usage(String),
    /// The cluster, or the way to it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The way to a gateway.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A gateway pod.
    #[error("{pod}: {source}")]
    Pod {
        /// Its name, or its address.
        pod: String,
        /// Why it did not answer.
        source: PodError,
    },
    /// A chat.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The person has cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Whoever read the answer has left before its end; nobody is there to be told.
    #[error("nobody reads the answer any more")]
    Unread,
    /// Everything was told already; only the exit code is left to say.
    #[error("not everything is right")]
    Told,
    /// A file, a folder or a stream.
    #[error("{what}: {source}")]
    Io {
        /// What was read or written.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The keys that a check makes cannot be kept.
    #[error(transparent)]
    Keys(#[from] tokenweir_crds::file::KeyStoreError),
    /// Something cannot be written as JSON.
    #[error("the answer cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Something cannot be written as YAML.
    #[error("the answer cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

impl CtlError {
    /// An error of a file, a folder or a stream.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The exit code: 2 for a wrong command line, 130 after Ctrl-C, 0 if the reader wanted no more, else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unread => ExitCode::SUCCESS,
            Self::Usage(_) => ExitCode::from(USAGE),
            Self::Cancelled => ExitCode::from(CANCELLED),
            _ => ExitCode::from(FAILED),
        }
    }
}
