//! A folder of YAML without a cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokenweir_crds::file::KeyStore;
use tokenweir_gateway::source::Update;
use tokenweir_gateway::source::files::Folder;
use tokenweir_sim::{Sim, SimConfig, SimHandle};

use super::http::{DEADLINE, chat, exchange, get, wait_for};
use super::process::{Gateway, command};

/// A gateway, a provider, a route to it and a tenant. `model` is what the provider is asked for.
pub fn yaml(provider: &str, model: &str) -> String {
    format!(
        "apiVersion: tokenweir.dev/v1alpha1
kind: LLMGateway
metadata: {{name: edge, namespace: llm}}
spec: {{}}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelProvider
metadata: {{name: sim, namespace: llm}}
spec:
  type: OpenAICompatible
  {provider}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {{name: assistant, namespace: llm}}
spec:
  model: assistant
  gatewayRefs: [{{name: edge}}]
  backends:
    - providerRef: {{name: sim}}
      model: {model}
---
apiVersion: tokenweir.dev/v1alpha1
kind: Tenant
metadata: {{name: acme, namespace: llm}}
spec:
  auth: {{apiKeys: [{{name: ci}}]}}
"
    )
}

pub struct Bench {
    pub folder: TempDir,
    pub state: TempDir,
    pub sim: SimHandle,
}

impl Bench {
    pub fn new() -> Self {
        let sim = Sim::start(SimConfig::default()).unwrap();
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            sim,
        };
        bench.write("one");
        bench
    }

    /// The address of the simulated provider.
    pub fn provider(&self) -> String {
        format!("endpoint: {}/v1", self.sim.url())
    }

    pub fn write(&self, model: &str) {
        self.write_text(&yaml(&self.provider(), model));
    }

    pub fn write_text(&self, text: &str) {
        fs::write(self.folder.path().join("all.yaml"), text).unwrap();
    }

    pub fn start(&self) -> Gateway {
        Gateway::serve_folder(self.folder.path(), self.state.path(), &[])
    }
}

async fn status(gateway: &Gateway) -> Value {
    get(&gateway.status().await).await.json()
}

/// The model name that the provider is asked for.
async fn served_model(base: &str, key: &str) -> Option<String> {
    let answer = exchange(chat(base, key, false)).await?;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()["model"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn an_edit_is_served_without_a_restart() {
    let bench = Bench::new();
    let gateway = bench.start();
    let (base, key) = (gateway.data().await, gateway.key().await);
    assert_eq!(served_model(&base, &key).await.as_deref(), Some("one"));
    bench.write("two");
    wait_for("the edit", || async {
        served_model(&base, &key).await.filter(|model| model == "two")
    })
    .await;
    let status = status(&gateway).await;
    assert_eq!(status["serving"]["generation"], 2);
    assert_eq!(status["serving"]["source"], "files");
}

#[tokio::test]
async fn a_mistake_keeps_what_is_served_and_is_named_with_its_place_until_it_is_mended() {
    let bench = Bench::new();
    let gateway = bench.start();
    let (base, key) = (gateway.data().await, gateway.key().await);
    let wrong = yaml(&bench.provider(), "two").replace("model: assistant", "modle: assistant");
    bench.write_text(&wrong);
    let rejected = wait_for("the mistake", || async {
        status(&gateway).await["rejected"]["reason"].as_str().map(str::to_owned)
    })
    .await;
    let line = wrong.lines().position(|line| line.contains("modle")).unwrap() + 1;
    let place = format!("{}:{line}:", bench.folder.path().join("all.yaml").display());
    assert!(rejected.contains(&place) && rejected.contains("modle"), "{rejected}");
    // The log comes through a pipe, and may be behind what the admin port says.
    wait_for("the mistake in the log", || async {
        gateway.log.text().contains(&place).then_some(())
    })
    .await;
    assert_eq!(served_model(&base, &key).await.as_deref(), Some("one"));
    let metrics = get(&format!("{}/metrics", gateway.telemetry().await)).await.body;
    assert!(metrics.contains("\ntokenweir_config_rejected 1\n"), "{metrics}");
    bench.write("one");
    wait_for("the report to go", || async {
        status(&gateway).await["rejected"].is_null().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_between_the_first_load_and_the_watch_is_not_missed() {
    let bench = Bench::new();
    let folder = Folder {
        path: bench.folder.path().to_owned(),
        gateway: None,
        keys: KeyStore::open(bench.state.path()).unwrap(),
        port: None,
    };
    let served = folder.load(1).unwrap().snapshot;
    bench.write("two");
    let (updates, mut news) = tokio::sync::mpsc::channel(1);
    let watching = tokio::spawn(folder.watch(served, updates));
    let update = tokio::time::timeout(DEADLINE, news.recv()).await.unwrap();
    let Some(Update::Offer(offer)) = update else {
        panic!("{update:?}");
    };
    assert_eq!(offer.snapshot.generation, 2);
    assert!(
        offer
            .snapshot
            .to_json()
            .unwrap()
            .windows(5)
            .any(|text| text == b"\"two\"")
    );
    watching.abort();
}

#[tokio::test]
async fn minted_keys_are_private_and_survive_a_restart() {
    let bench = Bench::new();
    let first = bench.start();
    let key = first.key().await;
    let path = bench.state.path().join("keys/acme-ci");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(first);
    let second = bench.start();
    assert_eq!(second.key().await, key);
    assert!(served_model(&second.data().await, &key).await.is_some());
    let unauthorized = exchange(chat(&second.data().await, "twk_wrong", false)).await.unwrap();
    assert_eq!(unauthorized.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_service_is_where_the_command_line_says() {
    let bench = Bench::new();
    bench.write_text(&yaml("backendRef: {name: vllm, port: 1}", "one"));
    let address = bench.sim.url().trim_start_matches("http://").to_owned();
    let service = format!("vllm={address}");
    let gateway = Gateway::serve_folder(bench.folder.path(), bench.state.path(), &["--service", &service]);
    assert!(
        served_model(&gateway.data().await, &gateway.key().await)
            .await
            .is_some()
    );
}

async fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = command(args).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_check_says_yes_or_where_the_mistake_is_and_leaves_no_trace() {
    let bench = Bench::new();
    let folder = bench.folder.path().to_str().unwrap();
    let state = bench.state.path().join("never");
    let args = ["--check", "--config", folder, "--state-dir", state.to_str().unwrap()];
    let (code, out, _) = run(&args).await;
    assert_eq!(code, Some(0));
    assert!(
        out.contains("llm/edge is right: 1 routes, 1 providers, 1 tenants"),
        "{out}"
    );
    bench.write_text(&yaml(&bench.provider(), "two").replace("name: sim}\n      model", "name: sin}\n      model"));
    let (code, _, err) = run(&args).await;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("all.yaml:") && err.contains("spec.backends[0].providerRef"),
        "{err}"
    );
    assert!(!Path::new(&state).exists());
}

#[tokio::test]
async fn wrong_use_and_a_wrong_start_exit_with_2_and_a_taken_port_with_1() {
    let (code, _, err) = run(&[]).await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--config"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let (folder, state) = (empty.path().to_str().unwrap(), empty.path().join("state"));
    let free = ["--admin-listen", "127.0.0.1:0", "--telemetry-listen", "127.0.0.1:0"];
    let args = |more: &[&'static str]| {
        let mut args = vec!["--config", folder, "--state-dir", state.to_str().unwrap()];
        args.extend(more);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let start = async |args: Vec<String>| run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (code, _, err) = start(args(&free)).await;
    assert_eq!(code, Some(2), "{err}");
    let (code, _, err) = start(args(&[
        "--admin-listen",
        "0.0.0.0:0",
        "--telemetry-listen",
        "127.0.0.1:0",
    ]))
    .await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("loopback"), "{err}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(&["--config", folder, "--telemetry-listen", &address]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&address) && err.contains("--telemetry-listen"), "{err}");
}
