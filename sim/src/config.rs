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
    /// Amazon's keys with which requests to Bedrock must be signed. Absent: a signature must only look like one.
    pub aws: Option<AwsKeys>,
    /// The service account that gets tokens, which requests to Vertex AI must then bring.
    pub google: Option<GoogleAccount>,
    /// TLS, with HTTP/2 by ALPN. Absent: plain text.
    pub tls: Option<TlsFiles>,
    /// How long open requests may go on after a stop, in milliseconds.
    pub grace_ms: u64,
    /// How requests are answered.
    pub behaviour: Behaviour,
}

/// What requests to Bedrock are signed with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsKeys {
    /// The key's name.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// The token of a session, where the key is for a while only.
    #[serde(default)]
    pub session_token: Option<String>,
}

impl std::fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsKeys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// A service account of Google's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GoogleAccount {
    /// Its key file, read at the start. Assertions must be meant for the token URI in it.
    pub key_file: PathBuf,
    /// How many seconds a token is valid.
    #[serde(default = "an_hour")]
    pub token_seconds: u64,
}

const fn an_hour() -> u64 {
    3600
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
            aws: None,
            google: None,
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
