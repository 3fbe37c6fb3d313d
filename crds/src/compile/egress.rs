//! The proxy on the way to providers.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use tokenweir_config::Proxy;

use super::{Inputs, Problem};
use crate::api::{EgressProxy, SecretKeyRef};
use crate::conditions::Reason;

/// The proxy of a gateway, and the hosts that are reached without it.
pub(super) struct Egress<'a> {
    proxy: Proxy,
    no_proxy: &'a [String],
}

/// Reads the proxy of a gateway.
pub(super) fn egress<'a>(inputs: &Inputs<'_>, spec: Option<&'a EgressProxy>) -> Result<Option<Egress<'a>>, Problem> {
    const DEFAULT_PORT: u16 = 80;
    let Some(spec) = spec else { return Ok(None) };
    let malformed = || {
        let message = format!(
            "{:?} is not the URL of a proxy; write http://, a host and a port",
            spec.url
        );
        Problem::invalid(Reason::Invalid, "spec.proxy.url", message)
    };
    let authority = spec
        .url
        .strip_prefix("http://")
        .ok_or_else(malformed)?
        .trim_end_matches('/');
    let (host, port) = split(authority, DEFAULT_PORT).ok_or_else(malformed)?;
    let authorization = match &spec.secret_ref {
        None => None,
        Some(secret) => {
            let field = |key: &str| {
                let reference = SecretKeyRef {
                    name: secret.name.clone(),
                    key: key.to_owned(),
                };
                inputs.secrets.credential(&reference).map_err(|error| {
                    let message = format!("Secret {}, key {key}: {error}", secret.name);
                    Problem::unresolved(error.reason(), "spec.proxy.secretRef.name", message)
                })
            };
            let pair = format!("{}:{}", field("username")?, field("password")?);
            Some(format!("Basic {}", STANDARD.encode(pair)))
        }
    };
    let proxy = Proxy {
        host: host.to_owned(),
        port,
        authorization,
    };
    Ok(Some(Egress {
        proxy,
        no_proxy: &spec.no_proxy,
    }))
}

impl Egress<'_> {
    /// The proxy for an endpoint; `None`: it is reached directly.
    pub(super) fn for_url(&self, url: &str) -> Option<Proxy> {
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = after_scheme.split('/').next().unwrap_or_default();
        let (host, _) = split(authority, 0)?;
        let direct = is_loopback(host) || self.no_proxy.iter().any(|entry| covers(entry, host));
        (!direct).then(|| self.proxy.clone())
    }
}

/// Host and port of an authority; brackets around an IPv6 address are taken off.
fn split(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(default_port), |port| port.parse().ok())?;
    (!host.is_empty()).then_some((host, port))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an entry of `noProxy` covers a host. Names are not resolved: only a host that is written as an address is in a
/// network.
fn covers(entry: &str, host: &str) -> bool {
    if let Ok(ip) = host.parse::<IpAddr>() {
        let network = entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
        return network.is_ok_and(|network| network.contains(&ip));
    }
    let host = host.trim_end_matches('.');
    match entry.strip_prefix('.') {
        Some(domain) => {
            let split = host.len().checked_sub(domain.len());
            let end = split.and_then(|at| host.get(at..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(domain))
                && split.is_some_and(|at| at == 0 || host.as_bytes()[at - 1] == b'.')
        }
        None => host.eq_ignore_ascii_case(entry.trim_end_matches('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_proxy_are_names_domains_addresses_and_networks() {
        for (entry, host) in [
            ("api.example.com", "API.example.com"),
            (".example.com", "example.com"),
            (".example.com", "a.b.example.com"),
            ("10.0.0.0/8", "10.9.8.7"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::/8", "fd12::1"),
            ("0.0.0.0/0", "192.0.2.1"),
            ("::/0", "2001:db8::1"),
        ] {
            assert!(covers(entry, host), "{entry} {host}");
        }
        for (entry, host) in [
            ("example.com", "a.example.com"),
            (".example.com", "badexample.com"),
            (".example.com", "com"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "10.example.com"),
            ("fd00::/8", "10.0.0.1"),
            ("10.0.0.0/x", "10.0.0.1"),
        ] {
            assert!(!covers(entry, host), "{entry} {host}");
        }
    }

    #[test]
    fn an_authority_is_a_host_with_or_without_a_port() {
        assert_eq!(split("proxy:3128", 80), Some(("proxy", 3128)));
        assert_eq!(split("proxy", 80), Some(("proxy", 80)));
        assert_eq!(split("[::1]:3128", 80), Some(("::1", 3128)));
        for wrong in ["", ":3128", "proxy:x", "[::1"] {
            assert_eq!(split(wrong, 80), None, "{wrong}");
        }
    }
}
