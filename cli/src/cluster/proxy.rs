//! Which proxy stands between this machine and the API server, by the rules of kubectl.
//!
//! The kubeconfig's `proxy-url` wins. Else the environment counts as Go's `net/http` reads it, in `golang.org/x/net/http/httpproxy`:
//! `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of the server, and `NO_PROXY` for what is exempt; the lower-case names count
//! where the others are empty or missing.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ipnet::IpNet;

/// What the environment says about proxies.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    http: String,
    https: String,
    no: String,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Self {
        let first = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(|name| std::env::var(name).ok());
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            no: first(["NO_PROXY", "no_proxy"]),
        }
    }

    /// The proxy for a server; none for this machine itself, and for what is exempt.
    pub fn proxy_to(&self, server: &Uri) -> Option<Intercept> {
        let port = server.port_u16().or_else(|| match server.scheme_str() {
            Some("http") => Some(80),
            _ => Some(443),
        })?;
        if exempt(&self.no, server.host()?, port) {
            return None;
        }
        let matcher = Matcher::builder().http(self.http.as_str()).https(self.https.as_str());
        matcher.build().intercept(server)
    }
}

/// The proxy at a URL of the kubeconfig, which nothing exempts from; `None` for a URL that names none.
pub fn named(url: &str, server: &Uri) -> Option<Intercept> {
    Matcher::builder().all(url).build().intercept(server)
}

fn exempt(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let mut entries = list.split(',').map(|entry| entry.trim().to_ascii_lowercase());
    entries.any(|entry| covers(&entry, &host, ip, port))
}

/// Whether an entry of the list means this host: `*`, a range of addresses, or an address or a name with or without a
/// port. A name means what is below it, too; with a dot or `*.` before it, only that.
fn covers(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(range) = entry.parse::<IpNet>() {
        return ip.is_some_and(|ip| range.contains(&ip));
    }
    let (name, wanted) = split(entry);
    if !wanted.is_empty() && wanted != port.to_string() {
        return false;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address.to_canonical());
    }
    let below = name
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(name);
    if below.starts_with('.') {
        return host.ends_with(below);
    }
    let above = host.strip_suffix(below).unwrap_or_default();
    !below.is_empty() && (host == below || above.ends_with('.'))
}

/// The name, and the port or nothing. An IPv6 address has brackets where a port may stand behind it.
fn split(entry: &str) -> (&str, &str) {
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port),
        Some((name, port)) => match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(name) => (name, port),
            None => (entry, ""),
        },
        None => (entry, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(no: &str, server: &str) -> Option<String> {
        let environment = Environment {
            http: "http://plain:3128".to_owned(),
            https: "secure:3129".to_owned(),
            no: no.to_owned(),
        };
        let proxy = environment.proxy_to(&server.parse().unwrap());
        proxy.map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn the_scheme_of_the_server_chooses_and_a_proxy_without_a_scheme_speaks_http() {
        assert_eq!(
            goes("", "https://api.example.com:6443").as_deref(),
            Some("http://secure:3129/")
        );
        assert_eq!(
            goes("", "http://api.example.com").as_deref(),
            Some("http://plain:3128/")
        );
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        for server in [
            "https://localhost:6443",
            "https://LOCALHOST",
            "https://127.0.0.1:6443",
            "https://127.8.9.1",
            "https://[::1]:6443",
            "https://[::ffff:127.0.0.1]:6443",
        ] {
            assert_eq!(goes("", server), None, "{server}");
        }
    }

    // The cases of `TestUseProxy` in golang.org/x/net/http/httpproxy and of its documentation.
    #[test]
    fn a_list_exempts_what_go_reads_from_it() {
        let list = "foobar.com, .barbaz.net, *.wild.org:443, ported.com:8443,, 10.0.0.0/8, 192.0.2.7, 198.51.100.4:6443, fd00::/16, [fe80::1]:6443,";
        for (server, exempt) in [
            ("https://foobar.com", true),
            ("https://FooBar.com:6443", true),
            ("https://www.foobar.com", true),
            ("https://foofoobar.com", false),
            ("https://baz.com", false),
            ("https://barbaz.net", false),
            ("https://x.barbaz.net", true),
            ("https://a.wild.org", true),
            ("https://a.wild.org:6443", false),
            ("https://wild.org", false),
            ("https://ported.com:8443", true),
            ("https://below.ported.com:8443", true),
            ("https://ported.com", false),
            ("https://10.96.0.1", true),
            ("https://11.96.0.1", false),
            ("https://192.0.2.7:6443", true),
            ("https://192.0.2.8:6443", false),
            ("https://198.51.100.4:6443", true),
            ("https://198.51.100.4", false),
            ("https://[fd00::5]", true),
            ("https://[fd01::5]", false),
            ("https://[fe80::1]:6443", true),
            ("https://[fe80::1]", false),
        ] {
            assert_eq!(goes(list, server).is_none(), exempt, "{server}");
        }
        assert_eq!(goes("example.com, *", "https://10.0.0.1"), None);
        for nothing in ["", ",", ":443", " "] {
            assert!(goes(nothing, "https://example.com").is_some(), "{nothing:?}");
        }
    }

    #[test]
    fn what_the_kubeconfig_names_counts_for_every_server() {
        let server: Uri = "https://127.0.0.1:6443".parse().unwrap();
        let proxy = named("http://user:p%40ss@proxy:3128", &server).unwrap();
        assert_eq!(proxy.uri().to_string(), "http://proxy:3128/");
        assert_eq!(proxy.basic_auth().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(named("socks5://proxy:1080", &server).is_some());
        for wrong in ["ftp://proxy", "http://", "/path"] {
            assert!(named(wrong, &server).is_none(), "{wrong}");
        }
    }
}
