//! Places that connections lead to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use http::Uri;
use http::uri::Scheme;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::proxy::Proxy;

/// Distinguishes places in this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Where a connection leads to. Connections are pooled by its number, so a place that is kept keeps its connections.
#[derive(Debug)]
pub struct Place {
    pub(super) id: u64,
    pub(super) address: Address,
    /// `None`: no TLS.
    pub(super) tls: Option<Tls>,
    /// The proxy on the way.
    pub(super) proxy: Option<Proxy>,
}

/// TLS towards a place.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The name that must be in the certificate.
    pub name: ServerName<'static>,
    /// Whom to trust and how to prove oneself, where it is not as for all others.
    pub config: Option<Arc<ClientConfig>>,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        let config = |tls: &Self| tls.config.as_ref().map(Arc::as_ptr);
        self.name == other.name && config(self) == config(other)
    }
}

/// What a provider says about the way to it, beyond its URL.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// The name that must be in the certificate, where it is not the host.
    pub server_name: Option<ServerName<'static>>,
    /// Whom to trust and how to prove oneself, where it is not as for all others.
    pub config: Option<Arc<ClientConfig>>,
    /// The proxy.
    pub proxy: Option<Proxy>,
}

/// How a place is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// By name, looked up for each connection.
    Name { host: Box<str>, port: u16 },
    /// As it is.
    Socket(SocketAddr),
}

/// The place of a provider with an endpoint of its own.
pub type Origin = Place;

impl Place {
    /// The place that a URI leads to; `None` without host or with a scheme that is neither `http` nor `https`.
    pub fn of(uri: &Uri, way: Way) -> Option<Self> {
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let tls = match uri.scheme()? {
            scheme if *scheme == Scheme::HTTPS => true,
            scheme if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let address = match host.parse::<IpAddr>() {
            Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
            Err(_) => Address::Name {
                host: host.into(),
                port,
            },
        };
        let tls = if tls {
            let name = match way.server_name {
                Some(name) => name,
                None => ServerName::try_from(host.to_owned()).ok()?,
            };
            let config = way.config;
            Some(Tls { name, config })
        } else {
            None
        };
        Some(Self::new(address, tls, way.proxy))
    }

    /// An endpoint of a Service.
    pub(super) fn socket(address: SocketAddr, tls: Option<Tls>) -> Self {
        Self::new(Address::Socket(address), tls, None)
    }

    fn new(address: Address, tls: Option<Tls>, proxy: Option<Proxy>) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            address,
            tls,
            proxy,
        }
    }

    /// Whether connections to the one are good for the other.
    pub fn same_place(&self, other: &Self) -> bool {
        self.address == other.address && self.tls == other.tls && self.proxy == other.proxy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<Place> {
        Place::of(&uri.parse().unwrap(), Way::default())
    }

    #[test]
    fn a_uri_leads_to_host_and_port_with_the_default_of_its_scheme() {
        let https = of("https://api.example.com/v1").unwrap();
        assert_eq!(
            https.address,
            Address::Name {
                host: "api.example.com".into(),
                port: 443
            }
        );
        assert!(https.tls.is_some());
        let plain = of("http://[::1]:8000/v1").unwrap();
        assert_eq!(plain.address, Address::Socket("[::1]:8000".parse().unwrap()));
        assert!(plain.tls.is_none());
    }

    #[test]
    fn places_are_the_same_by_address_and_name_and_differ_by_scheme() {
        assert!(of("http://h/a").unwrap().same_place(&of("http://h:80/b").unwrap()));
        assert!(!of("http://h:443").unwrap().same_place(&of("https://h").unwrap()));
        assert!(of("ws://h").is_none());
    }

    #[test]
    fn another_name_proxy_or_trust_is_another_place() {
        let uri = "https://h".parse().unwrap();
        let place = |way| Place::of(&uri, way).unwrap();
        let plain = place(Way::default());
        let named = place(Way {
            server_name: Some("other".try_into().unwrap()),
            ..Way::default()
        });
        let through = place(Way {
            proxy: Proxy::new(&tokenweir_config::Proxy {
                host: "proxy".into(),
                port: 3128,
                authorization: None,
            }),
            ..Way::default()
        });
        assert!(!plain.same_place(&named) && !plain.same_place(&through));
        assert!(plain.same_place(&place(Way::default())));
    }
}
