//! An adapter with everything around it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokenweir_adapter::app::Adapter;
use tokenweir_adapter::cli::Options;
use tokenweir_adapter::clock::SystemClock;
use tokenweir_signals::{Scope, Values};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api_server::ApiServer;
use crate::client::{Answer, Connection, Identity};
use crate::gateway::Gateway;
use crate::pki::Authority;

pub const ROOT_KEY: [u8; 32] = [7; 32];
pub const PODS: &str = "/api/v1/pods";
pub const SECRETS: &str = "/api/v1/namespaces/tokenweir-system/secrets";
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/kube-system/configmaps";
pub const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/llm";
pub const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/llm";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// Everything.
pub struct World {
    pub api: ApiServer,
    pub front_proxy: Authority,
    pub serving: Authority,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
    proxy_identity: Identity,
    pub port: u16,
    first: Option<Gateway>,
}

impl World {
    /// An adapter that is ready to serve, with further options.
    pub async fn with(options: &[&str]) -> Self {
        tokenweir_process::install_crypto_provider();
        let api = ApiServer::start().await;
        let (front_proxy, serving) = (Authority::new("front-proxy-ca"), Authority::new("serving-ca"));
        api.put(CONFIG_MAPS, front_proxy_config(&front_proxy));
        api.put(SECRETS, root_key_secret(&ROOT_KEY));
        api.put(SECRETS, serving_secret(&serving));
        let first = Gateway::start(&ROOT_KEY, "llm", "edge", 0).await;
        let port = first.address.port();
        let port_text = port.to_string();
        let mut line = vec!["adapter", "--listen", "127.0.0.1:0", "--gateway-admin-port", &port_text];
        line.extend(options);
        if !options.contains(&"--shutdown-delay") {
            line.extend(["--shutdown-delay", "1ms"]);
        }
        let options = Cli::parse_from(line).options;
        let config = Config::new(format!("http://{}", api.address).parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let adapter = Adapter::start(client, "tokenweir-system", &options, SystemClock::shared())
            .await
            .unwrap();
        let address = adapter.address().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(adapter.run(stop.clone()));
        let proxy_identity = front_proxy.client("front-proxy-client");
        let world = Self {
            api,
            front_proxy,
            serving,
            address,
            stop,
            running,
            proxy_identity,
            port,
            first: Some(first),
        };
        until("the adapter is ready", async || {
            let mut connection = world.connect(None).await.ok()?;
            (connection.get("/readyz", &[]).await.code == 200).then_some(())
        })
        .await;
        world
    }

    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A gateway pod that is ready and says these values.
    pub async fn pod(&mut self, name: &str, scopes: Vec<(Scope, Values)>) -> Gateway {
        let gateway = match self.first.take() {
            Some(first) => first,
            None => Gateway::start(&ROOT_KEY, "llm", "edge", self.port).await,
        };
        gateway.say(scopes);
        self.api.put(PODS, pod(name, &gateway));
        gateway
    }

    pub async fn connect(&self, identity: Option<&Identity>) -> std::io::Result<Connection> {
        Connection::open(self.address, &self.serving.pem(), identity).await
    }

    /// A connection of the aggregator.
    pub async fn aggregator(&self) -> Connection {
        self.connect(Some(&self.proxy_identity)).await.unwrap()
    }

    /// Asks as the aggregator does for a user who may do everything.
    pub async fn ask(&self, path: &str) -> Answer {
        self.aggregator()
            .await
            .get(
                path,
                &[("x-remote-user", "admin"), ("x-remote-group", "system:masters")],
            )
            .await
    }

    /// Asks until the answer is good.
    pub async fn ask_until(&self, path: &str, what: &str, good: impl Fn(&Answer) -> bool) -> Answer {
        until(what, async || {
            let answer = self.ask(path).await;
            good(&answer).then_some(answer)
        })
        .await
    }

    /// Asks until the answer is this value.
    pub async fn value_until(&self, path: &str, value: &str) -> Answer {
        self.ask_until(path, &format!("{path} is {value}"), |answer| {
            answer.code == 200 && answer.json()["items"][0]["value"] == value
        })
        .await
    }
}

/// Waits for a condition, for at most 20 seconds.
pub async fn until<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn depth(queue_depth: u64) -> Values {
    Values {
        queue_depth,
        ..Values::default()
    }
}

pub fn pod(name: &str, gateway: &Gateway) -> Value {
    json!({
        "metadata": {
            "namespace": "llm", "name": name, "uid": gateway.address.ip().to_string(),
            "labels": {"tokenweir.dev/gateway": "edge", "app": "edge", "pod": name},
        },
        "status": {
            "phase": "Running",
            "podIP": gateway.address.ip().to_string(),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

pub fn front_proxy_config(authority: &Authority) -> Value {
    json!({
        "metadata": {"namespace": "kube-system", "name": "extension-apiserver-authentication"},
        "data": {
            "requestheader-client-ca-file": authority.pem(),
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        },
    })
}

pub fn serving_secret(authority: &Authority) -> Value {
    let (certificate, key) = authority.server("localhost");
    secret(
        "tokenweir-adapter-tls",
        &[("tls.crt", certificate.as_bytes()), ("tls.key", key.as_bytes())],
    )
}

pub fn root_key_secret(key: &[u8; 32]) -> Value {
    secret("tokenweir-root-key", &[("rootKey", STANDARD.encode(key).as_bytes())])
}

pub fn secret(name: &str, fields: &[(&str, &[u8])]) -> Value {
    let data: serde_json::Map<String, Value> = fields
        .iter()
        .map(|(field, value)| ((*field).to_owned(), STANDARD.encode(value).into()))
        .collect();
    json!({"metadata": {"namespace": "tokenweir-system", "name": name}, "data": data})
}
