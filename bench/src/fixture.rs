//! The simulator, the minimal upstream, the bare proxy and the gateway, started for a measurement.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::load::{Connection, Shape};
use crate::peers::Installed;
use crate::process::{Running, free_addresses, wait_for_port};

/// How long a program may take until it answers. Far beyond what is measured; it ends a run that cannot succeed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The API key of the measured gateways.
pub const KEY: &str = "twk-bench-0123456789abcdef0123456789abcdef";
/// The model that clients ask the gateway for.
pub const MODEL: &str = "bench";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `tokenweir-sim`.
    pub sim: PathBuf,
    /// `tokenweir-gateway`.
    pub gateway: PathBuf,
    /// This program, for the proxy and the load.
    pub bench: PathBuf,
    /// Other gateways, where they are installed.
    pub peers: Installed,
}

impl Programs {
    /// The programs beside this one, unless others are named.
    pub fn find(sim: Option<PathBuf>, gateway: Option<PathBuf>, peers: Installed) -> Result<Self, BenchError> {
        let bench = std::env::current_exe()?;
        let beside = |name: &str| bench.with_file_name(name);
        Ok(Self {
            sim: sim.unwrap_or_else(|| beside("tokenweir-sim")),
            gateway: gateway.unwrap_or_else(|| beside("tokenweir-gateway")),
            bench,
            peers,
        })
    }
}

/// A program that serves requests.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The process.
    pub running: Running,
}

/// The simulator without recording. `latency` is what its option of that name takes; empty: none.
pub async fn sim(programs: &Programs, cpus: &str, latency: &str) -> Result<Server, BenchError> {
    let [address] = free_addresses()?;
    let latency = if latency.is_empty() {
        "fixed;first=0;token=0"
    } else {
        latency
    };
    let arguments = [
        format!("--listen={address}"),
        format!("--latency={latency}"),
        "--record=0".into(),
        "--log-level=error".into(),
    ];
    let running = Running::start(&programs.sim, &arguments, cpus)?;
    ready(Server { address, running }).await
}

/// The minimal upstream.
pub async fn upstream(programs: &Programs, cpus: &str, tokens: u64, chunks: u64) -> Result<Server, BenchError> {
    let [address] = free_addresses()?;
    let arguments = [
        "upstream".into(),
        format!("--listen={address}"),
        format!("--tokens={tokens}"),
        format!("--chunks={chunks}"),
    ];
    let running = Running::start(&programs.bench, &arguments, cpus)?;
    ready(Server { address, running }).await
}

/// The bare proxy.
pub async fn proxy(
    programs: &Programs,
    cpus: &str,
    threads: usize,
    upstream: SocketAddr,
) -> Result<Server, BenchError> {
    let [address] = free_addresses()?;
    let arguments = [
        "proxy".into(),
        format!("--listen={address}"),
        format!("--upstream={upstream}"),
        format!("--threads={threads}"),
    ];
    let running = Running::start(&programs.bench, &arguments, cpus)?;
    ready(Server { address, running }).await
}

async fn ready(mut server: Server) -> Result<Server, BenchError> {
    let waited = wait_for_port(server.address, PATIENCE).await;
    server.running.check()?;
    waited.map(|()| server)
}

/// A folder of configuration for gateways: one route to one provider, one tenant with one key.
#[derive(Debug)]
pub struct Configuration {
    folder: tempfile::TempDir,
}

impl Configuration {
    /// Writes the folder.
    pub fn write(upstream: SocketAddr) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir()?;
        let configuration = Self { folder };
        let text = format!(
            "apiVersion: tokenweir.dev/v1alpha1\nkind: LLMGateway\nmetadata: {{name: bench, namespace: bench}}\n\
             spec: {{listeners: [{{port: 8080}}], admission: {{maxInFlight: 20000}}}}\n---\n\
             apiVersion: tokenweir.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: sim, namespace: bench}}\n\
             spec: {{type: OpenAICompatible, endpoint: \"http://{upstream}/v1\"}}\n---\n\
             apiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: bench, namespace: bench}}\n\
             spec: {{auth: {{apiKeys: [{{name: load, secretRef: {{name: load, key: apiKey}}}}]}}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: load, namespace: bench}}\nstringData: {{apiKey: {KEY}}}\n"
        );
        configuration.put("gateway.yaml", &text)?;
        configuration.set_route("sim")?;
        Ok(configuration)
    }

    /// Has the route ask the provider for this model. The file is replaced at once, as editors and GitOps tools do.
    pub fn set_route(&self, model: &str) -> Result<(), BenchError> {
        let text = format!(
            "apiVersion: tokenweir.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: bench, namespace: bench}}\n\
             spec: {{model: {MODEL}, gatewayRefs: [{{name: bench}}], backends: [{{providerRef: {{name: sim}}, model: {model}}}]}}\n"
        );
        self.put("route.yaml", &text)
    }

    fn put(&self, name: &str, text: &str) -> Result<(), BenchError> {
        let path = self.folder.path().join(name);
        let new = self.folder.path().join(format!(".{name}.new"));
        let failed = |source| BenchError::File {
            path: path.clone(),
            source,
        };
        std::fs::write(&new, text).map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A gateway, and how long it took from its start to its first answer.
#[derive(Debug)]
pub struct Gateway {
    /// The program.
    pub server: Server,
    /// From exec to the last byte of the first answer.
    pub first_answer: Duration,
    /// Its state, which goes with it.
    _state: tempfile::TempDir,
}

/// Starts a gateway on a folder, and asks it until it answers.
pub async fn gateway(
    programs: &Programs,
    cpus: &str,
    workers: usize,
    configuration: &Configuration,
) -> Result<Gateway, BenchError> {
    let [address, admin, telemetry] = free_addresses()?;
    let state = tempfile::tempdir()?;
    let arguments = [
        format!("--config={}", configuration.path().display()),
        format!("--state-dir={}", state.path().display()),
        format!("--listen={address}"),
        format!("--admin-listen={admin}"),
        format!("--telemetry-listen={telemetry}"),
        format!("--workers={workers}"),
        "--log-level=error".into(),
    ];
    let shape = Shape::chat(MODEL, 256, false, 1).with_key(Some(KEY));
    let began = Instant::now();
    let mut running = Running::start(&programs.gateway, &arguments, cpus)?;
    loop {
        let last = match Connection::open(address).await {
            Ok(mut connection) => connection.request(&shape).await,
            Err(error) => Err(error),
        };
        match last {
            Ok(answer) => {
                return Ok(Gateway {
                    server: Server { address, running },
                    first_answer: answer.done - began,
                    _state: state,
                });
            }
            Err(error) if began.elapsed() >= PATIENCE => return Err(error),
            Err(_) => {
                running.check()?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
