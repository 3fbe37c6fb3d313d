//! A provider, ready to be called: addresses, credential, timeouts and names prepared once for all requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokenweir_config as config;
use tokenweir_config::ProviderKind;
use tokenweir_llm::Operation;
use tokenweir_llm::dialect::ChatFlavor;
use tokenweir_llm::dialect::gemini::retry_delay;
use tokenweir_llm::embeddings::EmbeddingsWire;
use tokio::time::Instant;

use super::PlanError;
use super::cloud::Cloud;
use super::credential::Credential;
use super::passage::Passage;
use super::probe::Probe;
use super::uris::Uris;
use crate::health::{Live, Rule};
use crate::http::headers::{ANTHROPIC_VERSION, DEFAULT_ANTHROPIC_VERSION};
use crate::upstream::{Balancer, Origin, Proxy, Tls, Way, special_config};

/// Distinguishes terms of providers in this process.
static NEXT_TERM: AtomicU64 = AtomicU64::new(1);

/// One `ModelProvider`.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: Arc<str>,
    /// The name as a response header.
    pub name_header: HeaderValue,
    /// Where requests go.
    pub target: Target,
    /// What it speaks.
    pub kind: ProviderKind,
    /// What proves the gateway to the provider; `None`: nothing.
    pub credential: Option<Credential>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Its limits and its health.
    pub live: Arc<Live>,
    /// When it, or one of its endpoints, is taken out; `None`: never because of requests that fail.
    pub outlier: Option<Rule>,
    /// Tells apart where it was, in whose name it was asked, and by which rule it was judged: what happened in another term
    /// says nothing.
    pub term: u64,
    /// How it is probed; `None`: not at all.
    pub probe: Option<Probe>,
    models: Models,
    /// Whom to trust and how to prove oneself, where it is not as for all others.
    client_config: Option<Arc<ClientConfig>>,
    /// What this was made from, to see whether a new configuration changes it.
    pub(super) source: config::Provider,
}

/// Where a provider's requests go.
#[derive(Debug)]
pub enum Target {
    /// To one origin.
    Endpoint {
        /// Scheme, host and port.
        origin: Arc<Origin>,
        /// Request lines.
        uris: Uris,
    },
    /// To the ready endpoints of a Service.
    Service {
        /// Which one.
        service: config::ServiceRef,
        /// Its endpoints with what runs at each.
        balancer: Arc<Balancer>,
        /// Request lines.
        uris: Uris,
    },
}

impl Target {
    /// The request lines of this target.
    pub fn uris(&self) -> &Uris {
        match self {
            Self::Endpoint { uris, .. } | Self::Service { uris, .. } => uris,
        }
    }
}

/// How long to wait for what. See [`config::Timeouts`].
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP and TLS handshake.
    pub connect: Duration,
    /// To the first byte of a stream.
    pub first_token: Duration,
    /// Between two chunks of a body.
    pub idle: Duration,
    /// The whole request.
    pub total: Duration,
}

/// A provider's own names of its models.
#[derive(Debug)]
enum Models {
    /// Any name is passed on.
    Any,
    /// These, by name and alias.
    Known(HashMap<Box<str>, Arc<str>>),
}

impl Provider {
    /// Prepares a provider. What is live (limit, connections, what runs at each endpoint) is taken over from `previous`
    /// where it is still the same thing.
    pub(super) fn new(name: &str, source: &config::Provider, previous: Option<&Self>) -> Result<Self, PlanError> {
        let wrong = |what: &'static str| PlanError::Provider {
            provider: name.to_owned(),
            what,
        };
        // Connections stay open over changes that do not concern them.
        let same_tls = previous.filter(|previous| previous.source.tls == source.tls);
        let client_config = match (same_tls, &source.tls) {
            (Some(previous), _) => previous.client_config.clone(),
            (None, None) => None,
            (None, Some(tls)) => special_config(tls).map_err(|_| wrong("its certificates cannot be used"))?,
        };
        let way = way(source, client_config.clone()).map_err(wrong)?;
        let proxy = way.proxy.clone();
        let target = match &source.upstream {
            config::Upstream::Endpoint { url } => {
                endpoint(url, way, source, previous).ok_or(wrong("its endpoint is not a URL"))?
            }
            config::Upstream::Service(service) => {
                let tls = source.tls.is_some();
                service_target(service, tls, way, previous).ok_or(wrong("its Service does not make a URL"))?
            }
        };
        let credential = match (&source.credential, previous) {
            (None, _) => None,
            // Tokens that were fetched stay good.
            (Some(given), Some(old))
                if (Some(given), &source.proxy) == (old.source.credential.as_ref(), &old.source.proxy) =>
            {
                old.credential.clone()
            }
            (Some(given), _) => {
                let credential = Credential::new(given, proxy.as_ref());
                Some(credential.ok_or(wrong("its credential cannot be used"))?)
            }
        };
        let models = if source.models.is_empty() {
            Models::Any
        } else {
            let names = source.models.iter().flat_map(|model| {
                let name: Arc<str> = model.name.as_str().into();
                std::iter::once(&model.name)
                    .chain(&model.aliases)
                    .map(move |alias| (alias.as_str().into(), name.clone()))
            });
            Models::Known(names.collect())
        };
        let live = previous.map_or_else(
            || Arc::new(Live::new(source.limits.max_in_flight)),
            |p| Arc::clone(&p.live),
        );
        let outlier = source.health.outlier.as_ref().and_then(rule);
        let same_term = previous.filter(|p| {
            let same_account = (&p.source.upstream, &p.source.credential) == (&source.upstream, &source.credential);
            same_account && p.outlier == outlier
        });
        Ok(Self {
            name: previous.map_or_else(|| name.into(), |p| Arc::clone(&p.name)),
            name_header: HeaderValue::from_str(name).map_err(|_| wrong("its name does not fit into a header"))?,
            target,
            kind: source.kind,
            credential,
            timeouts: Timeouts {
                connect: Duration::from_millis(source.timeouts.connect_ms),
                first_token: Duration::from_millis(source.timeouts.first_token_ms),
                idle: Duration::from_millis(source.timeouts.idle_ms),
                total: Duration::from_millis(source.timeouts.total_ms),
            },
            live,
            outlier,
            term: same_term.map_or_else(|| NEXT_TERM.fetch_add(1, Relaxed), |p| p.term),
            probe: match &source.health.active_probe {
                None => None,
                Some(probe) => Some(Probe::new(&source.upstream, probe).ok_or(wrong("its probe does not make a URL"))?),
            },
            models,
            client_config,
            source: source.clone(),
        })
    }

    /// The region in which it answers, as far as that is known.
    pub fn region(&self) -> Option<&str> {
        self.source.region.as_deref()
    }

    /// Puts on a request what the provider wants to see on each: proof of who asks, and which version of its API is meant,
    /// unless the client has said that.
    pub fn introduce(&self, headers: &mut HeaderMap) {
        if self.kind == ProviderKind::Anthropic && !headers.contains_key(ANTHROPIC_VERSION) {
            headers.insert(ANTHROPIC_VERSION, DEFAULT_ANTHROPIC_VERSION);
        }
        if let Some(credential) = &self.credential {
            credential.apply(headers);
        }
    }

    /// Puts `retry-after` on an error whose body says when to come back: Google says it there and not in a header.
    pub fn say_when(&self, headers: &mut HeaderMap, body: &[u8]) {
        if !matches!(self.kind, ProviderKind::Gemini | ProviderKind::Vertex) || headers.contains_key(RETRY_AFTER) {
            return;
        }
        if let Some(delay) = retry_delay(body) {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.into());
        }
    }

    /// What embeddings of a model are asked for in, where they have words of their own.
    pub fn embeddings(&self, model: &str) -> Option<EmbeddingsWire> {
        Cloud::of(self.kind)?.embeddings(model)
    }

    /// Whether it is one of a cloud, whose headers mean more there than elsewhere.
    pub const fn is_in_cloud(&self) -> bool {
        Cloud::of(self.kind).is_some()
    }

    /// How a request of an operation reaches it.
    pub const fn passage(&self, operation: Operation) -> Passage {
        Passage::of(self.kind, operation)
    }

    /// Whose Chat Completions it speaks, if it does.
    pub const fn chat_flavor(&self) -> ChatFlavor {
        match self.kind {
            ProviderKind::OpenAICompatible => ChatFlavor::Compatible,
            _ => ChatFlavor::OpenAi,
        }
    }

    /// The provider's own name for a model that is asked for by name or alias; `None` if it does not have it.
    pub fn model<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        match &self.models {
            Models::Any => Some(asked),
            Models::Known(names) => names.get(asked).map(|name| &**name),
        }
    }

    /// Forgets what failed before.
    pub(super) fn reset_health(&self, now: Instant) {
        self.live.breaker.reset(now);
        if let Target::Service { balancer, .. } = &self.target {
            balancer.reset(now);
        }
    }

    /// Whether both ask the same place in the same name, so that what that said about its limits holds for both.
    pub(super) fn is_same_account(&self, other: &Self) -> bool {
        self.source.upstream == other.source.upstream && self.source.credential == other.source.credential
    }

    /// From now on it is judged by another rule, or is asked in another name.
    pub(super) fn judge_anew(&self) {
        self.live.breaker.judge_anew();
        if let Target::Service { balancer, .. } = &self.target {
            balancer.judge_anew();
        }
    }

    /// The names and aliases that the provider is known to have, in no order.
    pub fn known_models(&self) -> impl Iterator<Item = &str> {
        match &self.models {
            Models::Any => None,
            Models::Known(names) => Some(names.keys().map(|name| &**name)),
        }
        .into_iter()
        .flatten()
    }
}

fn rule(outlier: &config::Outlier) -> Option<Rule> {
    (outlier.consecutive_errors > 0).then(|| Rule {
        consecutive_errors: outlier.consecutive_errors,
        eject_for: Duration::from_millis(outlier.eject_for_ms),
    })
}

/// The way to a provider, beyond its URL.
fn way(source: &config::Provider, config: Option<Arc<ClientConfig>>) -> Result<Way, &'static str> {
    let tls = source.tls.as_ref();
    let server_name = tls
        .and_then(|tls| tls.server_name.clone())
        .map(ServerName::try_from)
        .transpose()
        .map_err(|_| "its server name is not a name")?;
    let proxy = match &source.proxy {
        Some(proxy) => Some(Proxy::new(proxy).ok_or("its proxy cannot be called")?),
        None => None,
    };
    Ok(Way {
        server_name,
        config,
        proxy,
    })
}

fn endpoint(url: &str, way: Way, source: &config::Provider, previous: Option<&Provider>) -> Option<Target> {
    let uri: Uri = url.parse().ok()?;
    let origin = Origin::of(&uri, way)?;
    let origin = match previous.map(|p| &p.target) {
        Some(Target::Endpoint { origin: old, .. }) if old.same_place(&origin) => Arc::clone(old),
        _ => Arc::new(origin),
    };
    let authority = uri.authority()?;
    // What stands before an at sign would be sent to the provider in clear, as part of `host`.
    if authority.as_str().contains('@') || uri.query().is_some() {
        return None;
    }
    let prefix = uri.path().trim_end_matches('/');
    let uris = Uris::new(uri.scheme()?.clone(), authority.clone(), prefix)?;
    let uris = match (&source.azure_api_version, Cloud::of(source.kind)) {
        (Some(version), _) => uris.with_deployments(prefix, version)?,
        (None, Some(cloud)) => uris.with_models(prefix, cloud),
        (None, None) => uris,
    };
    Some(Target::Endpoint { origin, uris })
}

fn service_target(service: &config::ServiceRef, tls: bool, way: Way, previous: Option<&Provider>) -> Option<Target> {
    let (tls, scheme) = if tls {
        let name = match way.server_name {
            Some(name) => name,
            None => ServerName::try_from(format!("{}.{}.svc", service.name, service.namespace)).ok()?,
        };
        let config = way.config;
        (Some(Tls { name, config }), Scheme::HTTPS)
    } else {
        (None, Scheme::HTTP)
    };
    let balancer = match previous.map(|p| &p.target) {
        Some(Target::Service {
            service: old, balancer, ..
        }) if (&old.namespace, &old.name, old.port) == (&service.namespace, &service.name, service.port)
            && balancer.tls() == tls.as_ref() =>
        {
            Arc::clone(balancer)
        }
        _ => Arc::new(Balancer::new(tls)),
    };
    let authority = format!("{}.{}:{}", service.name, service.namespace, service.port)
        .parse()
        .ok()?;
    let uris = Uris::new(scheme, authority, &service.path)?;
    Some(Target::Service {
        service: service.clone(),
        balancer,
        uris,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str) -> config::Provider {
        serde_json::from_value(serde_json::json!({
            "kind": "OpenAICompatible",
            "upstream": {"endpoint": {"url": url}},
            "credential": {"bearer": "s3cret"},
            "models": [{"name": "gpt-5-2026", "aliases": ["gpt-5"]}],
            "timeouts": {"connectMs": 1, "firstTokenMs": 2, "idleMs": 3, "totalMs": 4},
        }))
        .unwrap()
    }

    #[test]
    fn a_model_is_known_by_name_and_alias_and_no_other() {
        let provider = Provider::new("p", &source("http://h"), None).unwrap();
        assert_eq!(provider.model("gpt-5"), Some("gpt-5-2026"));
        assert_eq!(provider.model("gpt-5-2026"), Some("gpt-5-2026"));
        assert_eq!(provider.model("gpt-6"), None);
    }

    #[test]
    fn the_credential_is_never_in_debug_output() {
        let provider = Provider::new("p", &source("http://h"), None).unwrap();
        assert!(provider.credential.is_some());
        assert!(!format!("{provider:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for url in ["", "/v1", "ftp://h/v1", "http://user:pw@h/v1", "http://h/v1?x=y"] {
            assert!(
                matches!(Provider::new("p", &source(url), None), Err(PlanError::Provider { .. })),
                "{url}"
            );
        }
        let mut with_newline = source("http://h");
        with_newline.credential = Some(config::Credential::Bearer("a\nb".into()));
        assert!(Provider::new("p", &with_newline, None).is_err());
    }

    #[test]
    fn an_unchanged_place_keeps_its_connections_and_its_limit() {
        let before = Provider::new("p", &source("http://h/v1"), None).unwrap();
        let after = Provider::new("p", &source("http://h/v2"), Some(&before)).unwrap();
        let moved = Provider::new("p", &source("http://other/v2"), Some(&before)).unwrap();
        let origin = |p: &Provider| match &p.target {
            Target::Endpoint { origin, .. } => Arc::clone(origin),
            Target::Service { .. } => panic!("an endpoint"),
        };
        assert!(Arc::ptr_eq(&origin(&before), &origin(&after)));
        assert!(!Arc::ptr_eq(&origin(&before), &origin(&moved)));
        assert!(Arc::ptr_eq(&before.live, &moved.live));
    }
}
