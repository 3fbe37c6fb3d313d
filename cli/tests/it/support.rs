//! Running the program, and an API server that knows a few answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// How long anything in these tests may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The status of an answer that never comes.
pub const SILENT: u16 = 0;

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its answer as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program with nothing of this machine's environment that it would read.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenweirctl"));
    for name in [
        "KUBECONFIG",
        "TOKENWEIR_API_KEY",
        "TOKENWEIR_INSTALL_NAMESPACE",
        "NO_COLOR",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
    ] {
        command.env_remove(name);
    }
    // No kubeconfig of whoever runs the test.
    command.env("HOME", env!("CARGO_TARGET_TMPDIR"));
    command.args(args).kill_on_drop(true);
    command
}

/// Runs it with an input.
pub async fn run_with(mut command: Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read its input may be gone already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = output.expect("the program ends in time").unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Presses Ctrl-C.
pub fn interrupt(child: &Child) {
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(sent.unwrap().success());
}

pub async fn run(args: &[&str]) -> Ran {
    run_with(command(args), "").await
}

/// An API server that knows what it was told.
pub struct Api {
    folder: TempDir,
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

type Answers = Arc<BTreeMap<String, (u16, Value)>>;
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

impl Api {
    /// Answers by path; all other paths do not exist.
    pub async fn start(answers: &[(&str, u16, Value)]) -> Self {
        let answers: BTreeMap<String, (u16, Value)> = answers
            .iter()
            .map(|(path, status, body)| ((*path).to_owned(), (*status, body.clone())))
            .collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let state = (Arc::new(answers), seen.clone());
        let router = axum::Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let config = kubeconfig(&json!({"server": format!("http://{address}")}));
        std::fs::write(folder.path().join("config"), config.to_string()).unwrap();
        Self { folder, address, seen }
    }

    /// The kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The headers of all requests so far.
    pub fn seen(&self) -> Vec<HeaderMap> {
        self.seen.lock().unwrap().clone()
    }

    /// Runs the program against it.
    pub async fn run(&self, args: &[&str]) -> Ran {
        let mut command = command(args);
        command.env("KUBECONFIG", self.kubeconfig());
        run_with(command, "").await
    }
}

/// A kubeconfig with one context for a cluster.
pub fn kubeconfig(cluster: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": cluster}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "llm"}}],
    })
}

async fn answer(State((answers, seen)): State<(Answers, Seen)>, uri: Uri, headers: HeaderMap) -> Response {
    seen.lock().unwrap().push(headers);
    match answers.get(uri.path()) {
        Some((SILENT, _)) => std::future::pending().await,
        Some((status, body)) => (StatusCode::from_u16(*status).unwrap(), Json(body.clone())).into_response(),
        None => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

/// A list as the API server gives it.
pub fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
}

/// A refusal as the API server gives it.
pub fn refusal(code: u16, reason: &str, name: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("{reason} said the API server"), "details": {"name": name},
    })
}
