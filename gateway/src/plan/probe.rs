//! The probe of a provider, ready to be sent.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Uri, Version, header};
use tokenweir_config as config;
use tokenweir_llm::Pieces;

use crate::upstream::UpstreamBody;

/// A GET that says whether a provider is well.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The path below the provider's base, as it was configured.
    pub path: Box<str>,
    /// Between two probes.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    uri: Uri,
    host: HeaderValue,
}

impl Probe {
    /// `None` if base and path do not make a URL.
    pub(super) fn new(upstream: &config::Upstream, source: &config::ActiveProbe) -> Option<Self> {
        let path = &source.path;
        let url = match upstream {
            config::Upstream::Endpoint { url } => format!("{}{path}", url.trim_end_matches('/')),
            config::Upstream::Service(service) => {
                let config::ServiceRef {
                    name,
                    namespace,
                    port,
                    path: prefix,
                } = service;
                format!("http://{name}.{namespace}:{port}{prefix}{path}")
            }
        };
        let uri: Uri = url.parse().ok()?;
        Some(Self {
            host: HeaderValue::from_str(uri.authority()?.as_str()).ok()?,
            uri,
            path: path.as_str().into(),
            interval: Duration::from_millis(source.interval_ms),
            timeout: Duration::from_millis(source.timeout_ms),
        })
    }

    /// The request, with what the provider wants to see on each.
    pub(crate) fn request(&self, http2: bool, introduce: impl FnOnce(&mut HeaderMap)) -> Request<UpstreamBody> {
        let mut request = Request::new(UpstreamBody::from(Pieces::default()));
        if http2 {
            *request.version_mut() = Version::HTTP_2;
            *request.uri_mut() = self.uri.clone();
        } else {
            let path = self.uri.path_and_query().cloned();
            *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
            request.headers_mut().insert(header::HOST, self.host.clone());
        }
        introduce(request.headers_mut());
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(upstream: &config::Upstream) -> Probe {
        let source = config::ActiveProbe {
            path: "/models".into(),
            interval_ms: 10_000,
            timeout_ms: 2_000,
        };
        Probe::new(upstream, &source).unwrap()
    }

    #[test]
    fn a_probe_asks_below_the_base_of_its_provider() {
        let endpoint = probe(&config::Upstream::Endpoint {
            url: "https://api.example.com:8443/openai/v1".into(),
        });
        let request = endpoint.request(false, |headers| {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer k"));
        });
        assert_eq!(request.uri(), "/openai/v1/models");
        assert_eq!(request.headers()[header::HOST], "api.example.com:8443");
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer k");
        let service = probe(&config::Upstream::Service(config::ServiceRef {
            namespace: "llm".into(),
            name: "vllm".into(),
            port: 8000,
            path: "/v1".into(),
        }));
        assert_eq!(service.request(true, |_| {}).uri(), "http://vllm.llm:8000/v1/models");
    }
}
