//! Connections through an HTTP proxy.

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use tokenweir_config as config;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::connect::ConnectError;
use super::place::Address;

/// A proxy that opens tunnels with `CONNECT`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.uri)
    }
}

impl Proxy {
    /// Prepares a proxy; `None` if its name or its password cannot be sent.
    pub fn new(source: &config::Proxy) -> Option<Self> {
        let mut authorization = None;
        if let Some(value) = &source.authorization {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            authorization = Some(value);
        }
        Some(Self {
            uri: uri(&source.host, source.port)?,
            authorization,
        })
    }

    /// Opens a tunnel to an address. The caller bounds the time.
    pub(super) async fn open(&self, to: &Address) -> Result<TcpStream, ConnectError> {
        let to = match to {
            Address::Name { host, port } => uri(host, *port),
            Address::Socket(address) => uri(&address.ip().to_string(), address.port()),
        };
        let to = to.ok_or(ConnectError::NoAddress)?;
        let tunnel = Tunnel::new(self.uri.clone(), HttpConnector::new());
        let tunnel = match &self.authorization {
            Some(value) => tunnel.with_auth(value.clone()),
            None => tunnel,
        };
        let stream = tunnel
            .oneshot(to)
            .await
            .map_err(|error| ConnectError::Proxy(Box::new(error)))?;
        Ok(stream.into_inner())
    }
}

fn uri(host: &str, port: u16) -> Option<Uri> {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    format!("http://{host}:{port}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_proxy_is_in_no_debug_output() {
        let source = config::Proxy {
            host: "fd00::1".into(),
            port: 3128,
            authorization: Some("Basic c2VjcmV0".into()),
        };
        let shown = format!("{:?}", Proxy::new(&source).unwrap());
        assert_eq!(shown, "Proxy(http://[fd00::1]:3128/)");
    }
}
