//! What can go wrong while the harness installs, applies, waits, calls and collects.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::ClusterError;

/// A failure of the harness. Each message says what was tried and what was last seen.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// The cluster layer failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A request to the API server failed.
    #[error("cannot {action}")]
    Api {
        /// What was tried, such as `apply Service llm/edge`.
        action: String,
        /// The API server's answer or the transport's failure.
        source: Box<kube::Error>,
    },
    /// A condition did not come true in time.
    #[error("waited {} s for {what}; last seen: {last}", limit.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The last observation.
        last: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// A verb, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A manifest is not YAML of Kubernetes objects.
    #[error("{origin} is not a manifest: {reason}")]
    Manifest {
        /// A file name or a word for where it came from.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// An object has not got what the harness needs of it.
    #[error("{object} has no {missing}")]
    Missing {
        /// The object, such as `Secret llm/acme-default`.
        object: String,
        /// What is missing.
        missing: String,
    },
    /// A connection for an HTTP request could not be made or broke.
    #[error("cannot reach {target}: {reason}")]
    Unreachable {
        /// Address or URL.
        target: String,
        /// The transport's failure.
        reason: String,
    },
    /// An HTTP answer that is not the one wanted.
    #[error("{url} answered {status}: {body}")]
    Answer {
        /// What was asked.
        url: String,
        /// The status code.
        status: u16,
        /// The start of the body.
        body: String,
    },
}

/// The result of anything in the harness.
pub type Result<T, E = HarnessError> = std::result::Result<T, E>;

/// Attaches what was tried to a failed request to the API server.
pub(crate) fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> HarnessError {
    let action = action.into();
    move |source| HarnessError::Api {
        action,
        source: Box::new(source),
    }
}

/// Attaches the action and the path to an I/O error.
pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> HarnessError {
    let path = path.to_owned();
    move |source| HarnessError::File { action, path, source }
}

impl HarnessError {
    /// The HTTP status with which the API server refused, if it did.
    pub fn api_code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}
