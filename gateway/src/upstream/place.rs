//! Places that connections lead to.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use http::Uri;
use http::uri::Scheme;
use rustls_pki_types::ServerName;

/// Distinguishes places in this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Where a connection leads to. Connections are pooled by its number, so a place that is kept keeps its connections.
#[derive(Debug)]
pub struct Place {
    pub(super) id: u64,
    pub(super) address: Address,
    /// The name in the certificate; `None`: no TLS.
    pub(super) tls: Option<ServerName<'static>>,
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
    pub fn of(uri: &Uri) -> Option<Self> {
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
        let name = if tls {
            Some(ServerName::try_from(host.to_owned()).ok()?)
        } else {
            None
        };
        Some(Self::new(address, name))
    }

    /// A socket without TLS.
    pub(super) fn socket(address: SocketAddr) -> Self {
        Self::new(Address::Socket(address), None)
    }

    fn new(address: Address, tls: Option<ServerName<'static>>) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            address,
            tls,
        }
    }

    /// Whether connections to the one are good for the other.
    pub fn same_place(&self, other: &Self) -> bool {
        self.address == other.address && self.tls == other.tls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<Place> {
        Place::of(&uri.parse().unwrap())
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
}
