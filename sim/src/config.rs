//! What the simulator is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;

/// What the simulator is started with. The default listens on a free loopback port with one thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SimConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads, each with its own socket on the port; at least 1.
    pub threads: usize,
    /// Keys of which a request must bring one. Empty, and no file: every request is served.
    pub api_keys: Vec<String>,
    /// A file with one key a line, read again whenever it changes.
    pub api_key_file: Option<PathBuf>,
    /// TLS, with HTTP/2 by ALPN. Absent: plain text.
    pub tls: Option<TlsFiles>,
    /// How long open requests may go on after a stop, in milliseconds.
    pub grace_ms: u64,
    /// How requests are answered.
    pub behaviour: Behaviour,
}

/// Files in PEM, read at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, with those between it and its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of which clients must show a certificate. Absent: clients need none.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            threads: 1,
            api_keys: Vec::new(),
            api_key_file: None,
            tls: None,
            grace_ms: 10_000,
            behaviour: Behaviour::default(),
        }
    }
}

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{path} is not a configuration: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column, field and what is wrong.
        reason: String,
    },
}

impl SimConfig {
    /// Reads YAML or JSON (which is YAML too).
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        serde_saphyr::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.into(),
            reason: error.to_string(),
        })
    }
}
