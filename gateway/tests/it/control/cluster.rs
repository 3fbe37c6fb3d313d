//! A gateway that watches its Secret, in front of a fake API server.

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokenweir_config::admin_token::Scope;
use tokenweir_config::shards::Set;
use tokenweir_config::{ServiceRef, TenantKey, Upstream};
use tokenweir_sim::{Sim, SimConfig, SimHandle};

use super::fake_api::FakeApi;
use super::http::{chat, exchange, get, get_with_token, wait_for};
use super::process::{Gateway, command};
use super::snapshots::{API_KEY, secrets, snapshot, token};

pub struct Cluster {
    pub api: FakeApi,
    pub sim: SimHandle,
    pub state: TempDir,
    /// Addresses of the admin and the telemetry port, the same over restarts.
    admin: String,
    telemetry: String,
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

impl Cluster {
    pub async fn new() -> Self {
        Self {
            api: FakeApi::start().await,
            sim: Sim::start(SimConfig::default()).unwrap(),
            state: tempfile::tempdir().unwrap(),
            admin: free_address(),
            telemetry: free_address(),
        }
    }

    pub fn start(&self) -> Gateway {
        let mut command = command(&["--namespace", "llm", "--gateway", "edge", "--pod", "edge-0"]);
        command.args(["--admin-listen", &self.admin, "--telemetry-listen", &self.telemetry]);
        command
            .args(["--listen", "127.0.0.1", "--lame-duck", "1s"])
            .arg("--state-dir")
            .arg(self.state.path());
        command.env("KUBECONFIG", self.api.kubeconfig());
        Gateway::start(command)
    }

    pub fn endpoint(&self) -> Upstream {
        Upstream::Endpoint {
            url: format!("{}/v1", self.sim.url()),
        }
    }

    fn service(&self) -> (ServiceRef, u16) {
        let port = self.sim.url().rsplit_once(':').unwrap().1.parse().unwrap();
        (
            ServiceRef {
                namespace: "llm".into(),
                name: "vllm".into(),
                port: 80,
                path: "/v1".into(),
            },
            port,
        )
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    pub fn telemetry_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.telemetry)
    }

    async fn ready(&self) -> Option<Value> {
        let request = http::Request::get(self.telemetry_url("/readyz"))
            .body(http_body_util::Full::default())
            .unwrap();
        exchange(request).await.map(|answer| answer.json())
    }

    pub async fn wait_ready(&self) {
        wait_for("readiness", || async {
            self.ready().await.filter(|ready| ready["ready"] == true)
        })
        .await;
    }

    async fn status(&self) -> Option<Value> {
        let request = http::Request::get(self.admin_url("/status"))
            .header("authorization", format!("Bearer {}", token(Scope::Status)))
            .body(http_body_util::Full::default())
            .unwrap();
        exchange(request)
            .await
            .filter(|answer| answer.status == StatusCode::OK)
            .map(|answer| answer.json())
    }

    async fn wait_status(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || async { self.status().await.filter(&fits) }).await
    }
}

/// Where the gateway takes requests.
pub async fn data(gateway: &Gateway) -> String {
    let found = wait_for("a listener", || async { gateway.log.after("listening address=") }).await;
    format!("http://{}", found.split_whitespace().next().unwrap())
}

async fn served_model(base: &str) -> Result<String, String> {
    let answer = exchange(chat(base, API_KEY, false)).await.ok_or("no answer")?;
    if answer.status != StatusCode::OK {
        return Err(format!("{} {}", answer.status, answer.body));
    }
    Ok(answer.json()["model"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_gateway_without_a_configuration_lives_is_not_ready_and_says_why_until_one_comes() {
    let cluster = Cluster::new().await;
    let gateway = cluster.start();
    let ready = wait_for("the port", || cluster.ready()).await;
    assert_eq!(ready["ready"], false);
    assert_eq!(ready["checks"][0]["name"], "configuration");
    assert!(
        ready["checks"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("no configuration")
    );
    assert_eq!(get(&cluster.telemetry_url("/livez")).await.status, StatusCode::OK);
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, cluster.endpoint(), "one"), Set::A));
    cluster.wait_ready().await;
    assert_eq!(served_model(&data(&gateway).await).await.as_deref(), Ok("one"));
    let status = cluster.status().await.unwrap();
    assert_eq!(
        (&status["serving"]["generation"], &status["serving"]["source"]),
        (&1.into(), &"api".into())
    );
    assert_eq!(
        (&status["pod"], &status["phase"]),
        (&"edge-0".into(), &"serving".into())
    );
}

#[tokio::test]
async fn a_change_is_served_at_once_and_what_is_not_understood_is_refused_by_name() {
    let cluster = Cluster::new().await;
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, cluster.endpoint(), "one"), Set::A));
    let gateway = cluster.start();
    let base = data(&gateway).await;
    cluster
        .api
        .put_secrets(&secrets(&snapshot(2, cluster.endpoint(), "two"), Set::B));
    cluster
        .wait_status("generation 2", |status| status["serving"]["generation"] == 2)
        .await;
    assert_eq!(served_model(&base).await.as_deref(), Ok("two"));

    let mut newer = snapshot(3, cluster.endpoint(), "three");
    newer.format = 999;
    let mut damaged = secrets(&snapshot(4, cluster.endpoint(), "four"), Set::A);
    damaged
        .last_mut()
        .unwrap()
        .1
        .insert("digest".into(), "00".repeat(32).into_bytes());
    let mut foreign = snapshot(5, cluster.endpoint(), "five");
    foreign.gateway.name = "other".into();
    for (secrets, generation, reason) in [
        (secrets(&newer, Set::A), 3, "format 999"),
        (damaged, 4, "digest"),
        (secrets(&foreign, Set::A), 5, "llm/other"),
    ] {
        cluster.api.put_secrets(&secrets);
        let status = cluster
            .wait_status(reason, |status| status["rejected"]["generation"] == generation)
            .await;
        assert!(
            status["rejected"]["reason"].as_str().unwrap().contains(reason),
            "{status}"
        );
        assert_eq!(status["serving"]["generation"], 2);
        assert_eq!(served_model(&base).await.as_deref(), Ok("two"));
        // The log comes through a pipe, and may be behind what the admin port says.
        wait_for("the reason in the log", || async {
            gateway.log.text().contains(reason).then_some(())
        })
        .await;
    }
    cluster
        .api
        .put_secrets(&secrets(&snapshot(6, cluster.endpoint(), "six"), Set::A));
    let status = cluster
        .wait_status("generation 6", |status| status["serving"]["generation"] == 6)
        .await;
    assert!(status["rejected"].is_null(), "{status}");
}

#[tokio::test]
async fn a_large_configuration_comes_in_shards_and_waits_for_one_that_is_late() {
    let cluster = Cluster::new().await;
    let mut large = snapshot(1, cluster.endpoint(), "one");
    let tenant = large.tenants.get_mut("acme").unwrap();
    tenant.keys.extend((0..40_000).map(|n| TenantKey {
        name: format!("key-{n}"),
        hash: tokenweir_config::keys::generate_secret().unwrap(),
        expires_unix: None,
        scopes: vec![],
    }));
    let mut secrets = secrets(&large, Set::A);
    assert!(secrets.len() > 2, "only {} Secrets", secrets.len());
    let late = secrets.remove(0);
    cluster.api.put_secrets(&secrets);
    let gateway = cluster.start();
    wait_for("the complaint", || async {
        gateway.log.after("a shard of the snapshot is missing")
    })
    .await;
    cluster.api.put_secret(&late.0, &late.1);
    assert_eq!(served_model(&data(&gateway).await).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn a_restart_without_the_api_server_serves_the_copy_and_reaches_the_same_pods() {
    let cluster = Cluster::new().await;
    let (service, port) = cluster.service();
    cluster.api.put_endpoints("vllm", port, &["127.0.0.1"]);
    cluster.api.put_secrets(&secrets(
        &snapshot(7, Upstream::Service(service.clone()), "one"),
        Set::A,
    ));
    let first = cluster.start();
    assert_eq!(served_model(&data(&first).await).await.as_deref(), Ok("one"));
    let saved = cluster.state.path().join("endpoints");
    wait_for("saved endpoints", || async {
        std::fs::read_to_string(&saved)
            .ok()
            .filter(|text| text.contains("127.0.0.1"))
    })
    .await;
    wait_for("the copy", || async {
        std::fs::metadata(cluster.state.path().join("snapshot")).ok()
    })
    .await;
    first.kill().await;

    cluster.api.away();
    let second = cluster.start();
    cluster.wait_ready().await;
    assert_eq!(served_model(&data(&second).await).await.as_deref(), Ok("one"));
    assert_eq!(cluster.status().await.unwrap()["serving"]["source"], "disk");

    cluster.api.back();
    let status = cluster
        .wait_status("the API server", |status| status["serving"]["source"] == "api")
        .await;
    assert_eq!(status["serving"]["generation"], 7);
    cluster
        .api
        .put_secrets(&secrets(&snapshot(8, Upstream::Service(service), "two"), Set::B));
    cluster
        .wait_status("generation 8", |status| status["serving"]["generation"] == 8)
        .await;
    assert_eq!(served_model(&data(&second).await).await.as_deref(), Ok("two"));
}

#[tokio::test]
async fn an_outage_of_the_api_server_changes_nothing_that_is_served() {
    let cluster = Cluster::new().await;
    let (service, port) = cluster.service();
    cluster.api.put_endpoints("vllm", port, &["127.0.0.1"]);
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, Upstream::Service(service), "one"), Set::A));
    let gateway = cluster.start();
    let base = data(&gateway).await;
    cluster.api.away();
    wait_for("the outage", || async {
        gateway.log.after("the configuration cannot be watched")
    })
    .await;
    wait_for("the outage", || async {
        gateway.log.after("endpoints cannot be watched")
    })
    .await;
    assert_eq!(served_model(&base).await.as_deref(), Ok("one"));
    assert_eq!(cluster.ready().await.unwrap()["ready"], true);
    assert_eq!(cluster.status().await.unwrap()["serving"]["source"], "api");
}

#[tokio::test]
async fn requests_follow_the_endpoints_of_a_service() {
    let cluster = Cluster::new().await;
    let (service, port) = cluster.service();
    let other = Sim::start(SimConfig {
        listen: format!("127.0.0.2:{port}").parse().unwrap(),
        ..SimConfig::default()
    });
    let other = other.unwrap();
    cluster.api.put_endpoints("vllm", port, &["127.0.0.1"]);
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, Upstream::Service(service), "one"), Set::A));
    let gateway = cluster.start();
    let base = data(&gateway).await;
    served_model(&base).await.unwrap();
    assert!(other.requests().is_empty());
    cluster.api.put_endpoints("vllm", port, &["127.0.0.2"]);
    wait_for("the new endpoint", || async {
        served_model(&base).await.unwrap();
        (!other.requests().is_empty()).then_some(())
    })
    .await;
    let before = cluster.sim.requests().len();
    served_model(&base).await.unwrap();
    assert_eq!(cluster.sim.requests().len(), before);
    cluster.api.put_endpoints("vllm", port, &[]);
    let refused = wait_for("no endpoint", || async { served_model(&base).await.err() }).await;
    assert!(refused.starts_with("50"), "{refused}");
}

#[tokio::test]
async fn of_a_service_with_several_ports_the_one_that_was_named_is_used() {
    let cluster = Cluster::new().await;
    let (service, port) = cluster.service();
    cluster.api.put_service("vllm", &[("metrics", 9090), ("http", 80)]);
    cluster
        .api
        .put_endpoints_with_ports("vllm", &[("metrics", 1), ("http", port)]);
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, Upstream::Service(service), "one"), Set::A));
    let gateway = cluster.start();
    assert_eq!(served_model(&data(&gateway).await).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn the_admin_port_is_closed_without_a_token_and_narrow_with_one() {
    let cluster = Cluster::new().await;
    let _gateway = cluster.start();
    wait_for("the port", || cluster.ready()).await;
    let url = cluster.admin_url("/status");
    // Before there is a configuration there is no key, so that nobody may call.
    assert_eq!(
        get_with_token(&url, &token(Scope::Status)).await.status,
        StatusCode::UNAUTHORIZED
    );
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, cluster.endpoint(), "one"), Set::A));
    cluster.wait_ready().await;
    let anonymous = get(&url).await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
    assert_eq!(anonymous.headers["www-authenticate"], "Bearer");
    for (token, expected) in [
        (token(Scope::Status), StatusCode::OK),
        (token(Scope::Signals), StatusCode::FORBIDDEN),
        (
            token(Scope::Status).replace("status", "signals"),
            StatusCode::UNAUTHORIZED,
        ),
        (String::new(), StatusCode::UNAUTHORIZED),
        (API_KEY.to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(get_with_token(&url, &token).await.status, expected, "{token}");
    }
    let signals = get_with_token(&cluster.admin_url("/signals/v1/stream"), &token(Scope::Status)).await;
    assert_eq!(signals.status, StatusCode::FORBIDDEN);
    assert_eq!(
        get_with_token(&cluster.admin_url("/"), &token(Scope::Status))
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}
