//! What the edges of a gateway need: certificates, trust, and the limits on connections.
//!
//! Keys and passwords are secrets; no `Debug` form here shows one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A certificate chain with its private key, both in PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPair {
    /// The chain, the own certificate first.
    pub certificate: String,
    /// The private key of the first certificate.
    pub key: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(<redacted>)")
    }
}

/// TLS towards a provider, where it differs from trusting the public authorities. For a Service it also says that its
/// pods speak TLS at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTls {
    /// The name that the provider's certificate must have; absent: the host of the endpoint, or the Service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The authorities that are trusted instead of the public ones, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// How the gateway proves itself in the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<KeyPair>,
}

/// An HTTP proxy through which connections to a provider are opened with `CONNECT`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The value of `proxy-authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

/// What one client may cost a gateway pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Largest body of a request, before and after it is decompressed.
    pub max_body_bytes: u64,
    /// Connections of clients that one pod holds at a time.
    pub max_connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 * 1024 * 1024,
            max_connections: 20_000,
        }
    }
}
