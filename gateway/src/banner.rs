//! What a person sees when the gateway has started without a cluster.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use tokenweir_config::{Route, Snapshot, Tenant};
use tokenweir_crds::file::MintedKey;

use crate::plan::Glob;

/// Where everything is.
pub struct Banner<'a> {
    /// The folder that is served.
    pub path: &'a Path,
    /// What is served.
    pub snapshot: &'a Snapshot,
    /// Keys that can be used.
    pub keys: &'a [MintedKey],
    /// Data ports.
    pub data: &'a [SocketAddr],
    /// Admin port.
    pub admin: SocketAddr,
    /// Telemetry port.
    pub telemetry: SocketAddr,
}

impl Banner<'_> {
    /// The text, with a line to try at its end where one would work.
    pub fn text(&self) -> String {
        let mut text = format!("Serving {}\n\n", self.path.display());
        for (n, address) in self.data.iter().enumerate() {
            let _ = writeln!(text, "  URL      {}", self.url(n, *address));
        }
        for key in self.keys {
            let _ = writeln!(
                text,
                "  API key  {} (tenant {}, key {})",
                key.path.display(),
                key.tenant,
                key.key
            );
        }
        let _ = writeln!(text, "  Status   http://{}/status", self.admin);
        let _ = writeln!(text, "  Metrics  http://{}/metrics", self.telemetry);
        if let Some((n, address, key, model)) = self.example() {
            let _ = write!(
                text,
                "\nTry:\n\n  curl -N {}/chat/completions \\\n    -H \"authorization: Bearer $(cat '{}')\" \\\n    \
                 -H 'content-type: application/json' \\\n    \
                 -d '{{\"model\": \"{model}\", \"stream\": true, \"messages\": [{{\"role\": \"user\", \"content\": \
                 \"Hello\"}}]}}'\n\n",
                self.url(n, address),
                key.path.display(),
            );
        }
        text
    }

    /// Where a listener is reached; addresses come in the order of the listeners.
    fn url(&self, n: usize, address: SocketAddr) -> String {
        let scheme = if self.has_tls(n) { "https" } else { "http" };
        format!("{scheme}://{address}/v1")
    }

    fn has_tls(&self, n: usize) -> bool {
        self.snapshot
            .listeners
            .get(n)
            .is_some_and(|listener| listener.tls.is_some())
    }

    /// A key and a model that it may use, at a listener without TLS, whose certificate curl would have to be told of.
    fn example(&self) -> Option<(usize, SocketAddr, &MintedKey, &str)> {
        let (n, address) = self.data.iter().copied().enumerate().find(|(n, _)| !self.has_tls(*n))?;
        self.keys.iter().find_map(|key| {
            let tenant = self.snapshot.tenants.get(&key.tenant)?;
            let model = self
                .snapshot
                .routes
                .values()
                .find_map(|route| model_for(tenant, route))?;
            Some((n, address, key, model))
        })
    }
}

/// The model of a route, if it is a plain name that can stand in the quotes of a shell, and the tenant may use it.
fn model_for<'a>(tenant: &Tenant, route: &'a Route) -> Option<&'a str> {
    let model = route.model.as_str();
    let plain = model.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@".contains(c));
    let allowed = || {
        tenant
            .allow_models
            .iter()
            .any(|pattern| Glob::new(pattern).matches(model))
    };
    (plain && allowed()).then_some(model)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::testing::snapshot;

    fn banner(snapshot: &Snapshot) -> String {
        let keys = [MintedKey {
            tenant: "acme".into(),
            key: "ci".into(),
            path: PathBuf::from("/s/keys/acme-ci"),
        }];
        Banner {
            path: Path::new("examples/quickstart"),
            snapshot,
            keys: &keys,
            data: &["127.0.0.1:8080".parse().unwrap()],
            admin: "127.0.0.1:9901".parse().unwrap(),
            telemetry: "127.0.0.1:9090".parse().unwrap(),
        }
        .text()
    }

    #[test]
    fn the_banner_names_every_address_and_a_line_to_try() {
        insta::assert_snapshot!(banner(&snapshot(1)));
    }

    #[test]
    fn no_line_is_offered_that_would_not_work() {
        let mut forbidden = snapshot(1);
        forbidden.tenants.get_mut("acme").unwrap().allow_models = vec!["other".into()];
        assert!(!banner(&forbidden).contains("curl"));
        let mut glob = snapshot(1);
        glob.routes.get_mut("chat").unwrap().model = "assistant-*".into();
        assert!(!banner(&glob).contains("curl"));
    }

    #[test]
    fn a_listener_with_tls_has_an_https_url_and_no_line_that_curl_would_not_trust() {
        let mut secured = snapshot(1);
        secured.listeners[0].tls = Some(tokenweir_config::KeyPair {
            certificate: String::new(),
            key: String::new(),
        });
        let text = banner(&secured);
        assert!(text.contains("  URL      https://127.0.0.1:8080/v1\n"), "{text}");
        assert!(!text.contains("curl"), "{text}");
    }
}
