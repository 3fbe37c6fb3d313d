//! The way to a gateway: an address that was given, or a port of a pod behind the API server.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::cluster::{Access, ClusterError, forward};
use crate::http::{Stream, TlsError, tls};

/// An address that does not take a connection within this time is taken to be wrong; a person waits for it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address.
    #[error("{place} cannot be reached: {why}")]
    Address {
        /// Host and port.
        place: String,
        /// What the system said.
        why: String,
    },
}

/// A URL without anything behind its host but a path that is cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub secure: bool,
    pub host: String,
    pub port: u16,
}

impl FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a URL such as http://127.0.0.1:8080");
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        // Whoever gives the base URL of a client gives its path, too; paths are ours.
        if !matches!(uri.path(), "" | "/" | "/v1" | "/v1/") || uri.query().is_some() {
            return Err(format!("{text:?} has a path; give scheme, host and port alone"));
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err("a URL has no place for credentials; give the key by itself".to_owned());
        }
        Ok(Self {
            secure,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
        })
    }
}

/// Where a gateway's port is.
#[derive(Clone)]
pub enum Place {
    /// At an address.
    Address(Base),
    /// In a pod.
    Pod {
        access: Access,
        namespace: String,
        pod: String,
        port: u16,
        /// The name that its certificate has, if it speaks TLS.
        secure: Option<String>,
    },
}

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// PEM file of authorities; absent: those of this machine.
    pub ca_file: Option<PathBuf>,
    /// The name to expect; absent: that of the place.
    pub server_name: Option<String>,
}

impl Place {
    /// The value of the header `host`.
    pub fn host(&self) -> String {
        match self {
            Self::Address(base) if base.host.contains(':') => format!("[{}]:{}", base.host, base.port),
            Self::Address(base) => format!("{}:{}", base.host, base.port),
            Self::Pod { pod, port, .. } => format!("{pod}:{port}"),
        }
    }

    /// A new connection.
    pub async fn open(&self, trust: &Trust) -> Result<Stream, ReachError> {
        let (stream, name) = match self {
            Self::Address(base) => (self.connect(base).await?, base.secure.then(|| base.host.clone())),
            Self::Pod {
                access,
                namespace,
                pod,
                port,
                secure,
            } => (forward(access, namespace, pod, *port).await?, secure.clone()),
        };
        let Some(name) = name else { return Ok(stream) };
        let name = trust.server_name.as_deref().unwrap_or(&name);
        Ok(tls::wrap(stream, name, trust.ca_file.as_deref()).await?)
    }

    async fn connect(&self, base: &Base) -> Result<Stream, ReachError> {
        let failed = |why: String| ReachError::Address {
            place: self.host(),
            why,
        };
        let connecting = TcpStream::connect((base.host.as_str(), base.port));
        let stream = tokio::time::timeout(CONNECT_LIMIT, connecting)
            .await
            .map_err(|_| failed(format!("no connection within {} s", CONNECT_LIMIT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_host_and_port_and_the_path_that_clients_know() {
        let base = |secure, host: &str, port| {
            Ok(Base {
                secure,
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!("http://127.0.0.1:8080/v1".parse(), base(false, "127.0.0.1", 8080));
        assert_eq!("https://llm.example.com".parse(), base(true, "llm.example.com", 443));
        assert_eq!("http://[::1]:9901/".parse(), base(false, "::1", 9901));
        assert_eq!(
            Place::Address("http://[::1]:9901".parse().unwrap()).host(),
            "[::1]:9901"
        );
        for wrong in ["127.0.0.1:8080", "ftp://a", "http://a/v2", "http://a?b", "http://u:p@a"] {
            assert!(wrong.parse::<Base>().is_err(), "{wrong}");
        }
    }
}
