//! What can go wrong while a cluster is looked for, started, used or stopped.

use std::path::PathBuf;

use super::parts::Part;

/// A failure of the cluster layer. Each message says what was tried and, where there is one, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or folder could not be read, written or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// A verb, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A program that is needed could not be executed at all.
    #[error("cannot run {program}: run tools/setup, which installs what is missing")]
    Spawn {
        /// The program.
        program: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A program ran and reported failure.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line, shortened.
        command: String,
        /// Its exit status as text.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The local cluster needs root and the caller has not got it.
    #[error(
        "the local cluster needs root: run this as root, or name a cluster with KUBE_CONTEXT=, or start a container \
         engine (docker or podman) so that kind can be used"
    )]
    NeedsRoot,
    /// An operation that only the local cluster has was asked of another kind of cluster.
    #[error("{operation} works on the local cluster only, and this one is {kind}")]
    NotLocal {
        /// What was asked for.
        operation: &'static str,
        /// What the cluster is.
        kind: String,
    },
    /// The local cluster is not running.
    #[error("the local cluster is not running: start it with `make cluster`")]
    NotRunning,
    /// Something on the machine that is not ours stands in the way.
    #[error("cannot start a cluster here: {0}")]
    Foreign(String),
    /// A part ended although it was meant to run.
    #[error("{part} ended unexpectedly; the end of {}:\n{tail}", log.display())]
    PartDied {
        /// The part.
        part: Part,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A condition did not come true in time.
    #[error("waited {seconds} s for {what}; last seen: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// The last observation.
        last: String,
    },
    /// A named context has no registry to push images to.
    #[error(
        "a cluster named by KUBE_CONTEXT gets its images from a registry: set IMAGE_REGISTRY= to one that you can push \
         to and the cluster can pull from"
    )]
    NoRegistry,
    /// No part has the name that was given.
    #[error("no part is called {given:?}; the parts are {known}")]
    UnknownPart {
        /// The name given.
        given: String,
        /// The names that exist.
        known: String,
    },
    /// A path is too long for the Unix sockets that stand below it.
    #[error("the state folder's path {} is too long for a Unix socket below it: set TOKENWEIR_STATE to a shorter one", .0.display())]
    PathTooLong(PathBuf),
    /// A wrapper module's `go.mod` does not name the version of what it wraps.
    #[error("{} does not require {module}", path.display())]
    NoVersion {
        /// The `go.mod`.
        path: PathBuf,
        /// The module looked for.
        module: &'static str,
    },
    /// Certificates could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<kube::config::KubeconfigError>,
    },
    /// A request to the API server failed.
    #[error("a request to the API server failed")]
    Api(#[from] Box<kube::Error>),
    /// A file of the state folder is not what was written there.
    #[error("{} is not what this program wrote", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Cargo's own messages could not be read, or lacked what was asked for.
    #[error("cargo did not report an executable for {0}")]
    NoExecutable(String),
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// The result of anything in the cluster layer.
pub type Result<T, E = ClusterError> = std::result::Result<T, E>;

/// Attaches the action and the path to an I/O error.
pub(crate) fn file<'a>(
    action: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> ClusterError + 'a {
    move |source| ClusterError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
