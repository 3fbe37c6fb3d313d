//! A gateway's data path in this process, in front of simulated or scripted providers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokenweir_config::keys::KeyHasher;
use tokenweir_config::status::{Phase, ProviderReport};
use tokenweir_config::{ServiceRef, Snapshot};
use tokenweir_gateway::clock::SystemClock;
use tokenweir_gateway::drain::Drain;
use tokenweir_gateway::endpoints::EndpointTable;
use tokenweir_gateway::health::{Prober, report};
use tokenweir_gateway::meter::{MeterHub, Scopes, SeriesTotals};
use tokenweir_gateway::plan::{Plan, PlanCell, PlanError};
use tokenweir_gateway::server::{Connections, Patience, Running, ServeParts, start};
use tokenweir_gateway::traces::Traces;
use tokenweir_gateway::upstream::{HedgeCounts, Resolve, SystemResolver, client_config};
use tokenweir_sim::{Behaviour, Sim, SimConfig, SimHandle};

const HASH_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// The key of the tenant `acme`.
pub const KEY: &str = "twk_acme";
/// The key of the tenant `globex`.
pub const OTHER_KEY: &str = "twk_globex";
/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that serves until it is dropped.
pub struct Gateway {
    pub address: SocketAddr,
    pub drain: Drain,
    pub meter: Arc<MeterHub>,
    pub endpoints: Arc<EndpointTable>,
    pub connections: Arc<Connections>,
    plan: Arc<PlanCell>,
    running: Option<Running>,
    config: Value,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message of an error object, after having checked that it is one.
    pub fn error(&self) -> String {
        let json = self.json();
        let error = json["error"]
            .as_object()
            .unwrap_or_else(|| panic!("no error object: {json}"));
        for field in ["message", "type", "param", "code"] {
            assert!(error.contains_key(field), "{field} is missing in {json}");
        }
        error["message"].as_str().unwrap().to_owned()
    }
}

/// A provider entry for an endpoint.
pub fn provider(url: &str) -> Value {
    json!({
        "kind": "OpenAICompatible",
        "upstream": {"endpoint": {"url": format!("{}/v1", url.trim_end_matches("/v1"))}},
        "credential": {"bearer": "provider-secret"},
        "timeouts": {"connectMs": 1000, "firstTokenMs": 5000, "idleMs": 5000, "totalMs": 15_000},
    })
}

/// A route to one provider that tries nothing again.
pub fn route(model: &str, provider: &str) -> Value {
    json!({
        "model": model,
        "backends": [{"provider": provider, "weight": 1}],
        "retry": {"attempts": 0, "baseMs": 1, "maxMs": 20, "on": []},
    })
}

/// Retries everything that can be retried.
pub fn retries(attempts: u32) -> Value {
    json!({"attempts": attempts, "baseMs": 1, "maxMs": 20, "on": ["429", "5xx", "connect", "firstTokenTimeout"]})
}

/// A simulator that answers at once.
pub fn sim() -> SimHandle {
    sim_with(|_| {})
}

pub fn sim_with(change: impl FnOnce(&mut Behaviour)) -> SimHandle {
    let mut behaviour = Behaviour {
        latency: "fixed;first=0;token=0".parse().unwrap(),
        ..Behaviour::default()
    };
    change(&mut behaviour);
    Sim::start(SimConfig {
        behaviour,
        ..SimConfig::default()
    })
    .unwrap()
}

/// A chat request as most tests send it.
pub fn chat(model: &str) -> Value {
    json!({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]})
}

/// The same as a stream.
pub fn streamed(model: &str) -> Value {
    let mut request = chat(model);
    request["stream"] = json!(true);
    request
}

impl Gateway {
    /// A gateway with the provider `sim` at `url`, the route `chat` for every model, and two tenants.
    pub fn start(url: &str) -> Self {
        Self::with(url, |_| {})
    }

    /// The same with changes to the snapshot's JSON.
    pub fn with(url: &str, change: impl FnOnce(&mut Value)) -> Self {
        tokenweir_process::install_crypto_provider();
        Self::with_tls(url, client_config(), change)
    }

    pub fn with_tls(url: &str, tls: Arc<rustls::ClientConfig>, change: impl FnOnce(&mut Value)) -> Self {
        Self::with_patience(url, tls, Patience::default(), change)
    }

    /// The same with names that lead where `resolver` says.
    pub fn with_resolver(url: &str, resolver: Arc<dyn Resolve>, change: impl FnOnce(&mut Value)) -> Self {
        tokenweir_process::install_crypto_provider();
        Self::with_parts(url, client_config(), Patience::default(), resolver, change)
    }

    pub fn with_patience(
        url: &str,
        tls: Arc<rustls::ClientConfig>,
        patience: Patience,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        Self::with_parts(url, tls, patience, Arc::new(SystemResolver), change)
    }

    fn with_parts(
        url: &str,
        tls: Arc<rustls::ClientConfig>,
        patience: Patience,
        resolver: Arc<dyn Resolve>,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let hash = |key: &str| KeyHasher::new(HASH_KEY).unwrap().hash_base64(key.as_bytes());
        let mut config = json!({
            "format": 1,
            "generation": 1,
            "gateway": {"namespace": "llm", "name": "edge"},
            "listeners": [{"port": 0}],
            "admission": {"maxInFlight": 100, "queue": {"maxDepth": 100, "maxWaitMs": 10_000, "order": "PriorityFair"}},
            "providers": {"sim": provider(url)},
            "routes": {"chat": route("*", "sim")},
            "tenants": {
                "acme": {"keys": [{"name": "ci", "hash": hash(KEY)}], "allowModels": ["*"]},
                "globex": {"keys": [{"name": "ci", "hash": hash(OTHER_KEY)}], "allowModels": ["allowed-*"]},
            },
            "keyHashKey": HASH_KEY,
        });
        change(&mut config);
        let snapshot: Snapshot = serde_json::from_value(config.clone()).unwrap();
        let clock = Arc::new(SystemClock::new());
        let meter = MeterHub::new(clock.clone(), Traces::new());
        meter.set_scopes(Scopes::of(&snapshot));
        let plan = PlanCell::new(Plan::build(&snapshot, None).unwrap());
        let endpoints = Arc::new(EndpointTable::new());
        let drain = Drain::new();
        let connections = Arc::new(Connections::default());
        let running = start(ServeParts {
            plan: Arc::clone(&plan),
            endpoints: Arc::clone(&endpoints),
            meter: Arc::clone(&meter),
            drain: drain.clone(),
            clock,
            tls,
            resolver,
            connections: Arc::clone(&connections),
            patience,
            workers: 2,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        })
        .unwrap();
        let address = running.local_addrs()[0];
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            address,
            drain,
            meter,
            endpoints,
            connections,
            plan,
            running: Some(running),
            config,
            client,
        }
    }

    /// Puts a changed configuration into service.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Value)) {
        self.try_reconfigure(change).unwrap();
    }

    /// Puts a changed configuration into service, unless it is refused.
    pub fn try_reconfigure(&mut self, change: impl FnOnce(&mut Value)) -> Result<(), PlanError> {
        change(&mut self.config);
        self.config["generation"] = json!(self.config["generation"].as_u64().unwrap() + 1);
        let snapshot: Snapshot = serde_json::from_value(self.config.clone()).unwrap();
        let plan = Plan::build(&snapshot, Some(&self.plan.load_full()))?;
        self.meter.set_scopes(Scopes::of(&snapshot));
        self.plan.store(plan);
        Ok(())
    }

    pub fn set_endpoints(&self, service: &str, ready: &[SocketAddr]) {
        let service = ServiceRef {
            namespace: "llm".into(),
            name: service.into(),
            port: 8000,
            path: "/v1".into(),
        };
        self.endpoints.set(&service, ready.to_vec());
    }

    pub fn request(&self, path: &str, body: &Value) -> Request<Full<Bytes>> {
        self.raw_request(path, serde_json::to_vec(body).unwrap())
    }

    pub fn raw_request(&self, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::post(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// Sends a request and returns with the head of the answer.
    pub async fn begin(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        tokio::time::timeout(PATIENCE, self.client.request(request))
            .await
            .expect("an answer in time")
            .unwrap()
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        read(self.begin(request).await).await
    }

    pub async fn chat(&self, body: &Value) -> Answer {
        self.send(self.request("/v1/chat/completions", body)).await
    }

    pub async fn get(&self, path: &str, key: &str) -> Answer {
        let request = Request::get(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {key}"))
            .body(Full::default())
            .unwrap();
        self.send(request).await
    }

    /// What was counted for the tenant `acme` and the operation `chat`, by route.
    pub fn counted(&self, route: &str) -> Option<SeriesTotals> {
        self.meter
            .totals()
            .series
            .into_iter()
            .find(|s| &*s.tenant == "acme" && &*s.route == route)
    }

    /// How many requests ended with this status, over all series.
    pub fn ended(&self, status: u16) -> u64 {
        let totals = self.meter.totals();
        let outcomes = totals.series.iter().flat_map(|series| &series.outcomes);
        outcomes
            .filter(|outcome| outcome.status == status)
            .map(|outcome| outcome.duration.count())
            .sum()
    }

    /// What came of second tries.
    pub fn hedges(&self, route: &str) -> Arc<HedgeCounts> {
        let plan = self.plan.load_full();
        let found = plan.routes().find(|r| &*r.name == route);
        Arc::clone(&found.unwrap().hedges)
    }

    /// How many answers there were to requests of which fields were left out.
    pub fn lossy(&self, route: &str) -> u64 {
        let plan = self.plan.load_full();
        let found = plan.routes().find(|r| &*r.name == route);
        found.unwrap().lossy.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Requests at all providers.
    pub fn in_flight(&self) -> u32 {
        self.plan
            .load_full()
            .providers()
            .map(|provider| provider.live.limit.used())
            .sum()
    }

    /// Whether a provider takes nothing more for now, by its own word.
    pub fn exhausted(&self, provider: &str) -> bool {
        let plan = self.plan.load_full();
        let found = plan.providers().find(|p| &*p.name == provider);
        !found.unwrap().live.rates.is_unlimited()
    }

    /// How the providers are.
    pub fn reports(&self) -> Vec<ProviderReport> {
        report(
            &self.plan.load_full(),
            &self.endpoints,
            tokio::time::Instant::now(),
            1_000_000,
        )
    }

    /// Probes as the control thread does, until the test ends.
    pub fn probe(&self) {
        let prober = Prober::new(Arc::clone(&self.plan), Arc::clone(&self.endpoints), client_config());
        tokio::spawn(prober.run());
    }

    pub fn upstream_errors(&self) -> BTreeMap<String, u64> {
        let totals = self.meter.totals();
        totals
            .upstream_errors
            .iter()
            .map(|((p, kind), n)| (format!("{p} {}", kind.as_str()), *n))
            .collect()
    }

    /// Requests whose answers have not gone entirely.
    pub fn running(&self) -> usize {
        self.running.as_ref().map_or(0, Running::running)
    }

    /// Tasks of the workers: at least one for each connection.
    pub fn tasks(&self) -> usize {
        self.running.as_ref().map_or(0, Running::tasks)
    }

    /// Waits for the workers to end by themselves.
    pub async fn join(&mut self) {
        let running = self.running.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || running.join());
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("the workers end")
            .unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain.advance(Phase::Stopped);
    }
}

/// Reads an answer to its end.
pub async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect())
        .await
        .expect("a body in time")
        .unwrap()
        .to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The `data` of the events of a stream.
pub fn events(text: &str) -> Vec<String> {
    text.split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(str::to_owned)
        .collect()
}
