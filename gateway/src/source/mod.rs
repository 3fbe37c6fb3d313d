//! Where configurations come from: a Secret in the cluster, a copy on disk, a folder of files.
//!
//! Each source is a task that sends [`Update`]s; the keeper takes them in, one after the other.

pub mod disk;
pub mod files;
pub mod keeper;
pub mod secret;

use tokenweir_config::Snapshot;
use tokenweir_config::status::Source;

/// What a source has to say.
#[derive(Debug)]
pub enum Update {
    /// A configuration that parses and is complete.
    Offer(Box<Offer>),
    /// A configuration that does not.
    Refused(Refused),
}

/// A configuration to be served.
#[derive(Debug)]
pub struct Offer {
    /// Where it came from.
    pub source: Source,
    /// The configuration.
    pub snapshot: Snapshot,
    /// SHA-256 of `json`, lower-case hex.
    pub digest: String,
    /// The bytes that it was read from.
    pub json: Vec<u8>,
}

/// A configuration that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its generation, if that could be read.
    pub generation: Option<u64>,
    /// Why, in a sentence for a person.
    pub reason: String,
}
