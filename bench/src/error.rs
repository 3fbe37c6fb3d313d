//! Why a measurement could not be made.

use std::path::PathBuf;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A program could not be started.
    #[error("cannot start {program}; build it with cargo build --release")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program ended, or did not answer in time.
    #[error("{what} did not answer: {reason}")]
    Silent {
        /// The program and what it was asked.
        what: String,
        /// What happened instead.
        reason: String,
    },
    /// A file of the measurement, or of `/proc`, cannot be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document has no place for figures.
    #[error("{path} has no markers for the figures '{name}'")]
    Markers {
        /// The document.
        path: PathBuf,
        /// The figures.
        name: &'static str,
    },
    /// A socket or runtime cannot be made.
    #[error("cannot open a socket or a runtime")]
    Io(#[from] std::io::Error),
    /// The load generator printed something else than its report.
    #[error("the load generator gave no report")]
    Report(#[from] serde_json::Error),
    /// Requests failed, so that their figures would mean nothing.
    #[error("{failed} of {all} requests failed; the first one: {first}")]
    Failed {
        /// How many.
        failed: u64,
        /// Of how many.
        all: u64,
        /// What happened to the first one.
        first: String,
    },
}
