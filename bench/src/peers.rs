//! Other gateways, where they are installed, under the same load as this one.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::fixture::Programs;
use crate::gateway::Options;
use crate::load::{Connection, Report, Shape};
use crate::process::{Running, free_addresses, resident_kib};
use crate::runner::{Scenario, Target, millis};
use crate::table;

/// Python and Node programs take their time.
const PATIENCE: Duration = Duration::from_mins(2);
/// The load under which peers are compared.
const SCENARIO: Scenario = Scenario {
    size: 256,
    stream: false,
    tokens: 16,
    connections: 16,
    rate: None,
};
/// The key that LiteLLM is given.
const KEY: &str = "sk-bench-0123456789";

/// Where peers are installed; `None`: not at all.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// The program `litellm` of the package `litellm[proxy]`.
    pub litellm: Option<PathBuf>,
    /// `build/start-server.js` of the package `@portkey-ai/gateway`, run by `node`.
    pub portkey: Option<PathBuf>,
}

impl Installed {
    /// The programs named, else those on the path.
    pub fn find(litellm: Option<PathBuf>, portkey: Option<PathBuf>) -> Self {
        let on_path = |name: &str| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|file| file.is_file())
        };
        Self {
            litellm: litellm.or_else(|| on_path("litellm")),
            portkey,
        }
    }
}

struct Peer {
    target: Target,
    /// Ends with it.
    _running: Running,
    /// Holds its configuration.
    _folder: tempfile::TempDir,
}

/// Loads each peer that is installed, and this gateway beside it; empty without any.
pub async fn compare(
    programs: &Programs,
    options: &Options,
    sim: SocketAddr,
    ours: &Target,
) -> Result<String, BenchError> {
    let mut rows = Vec::new();
    let mut row = |name: &str, report: &Report, kib: u64, ours: Option<&Report>| {
        let cpu = report.cpu_ms.unwrap_or_default();
        rows.push(vec![
            name.to_owned(),
            format!("{:.0}", report.per_second),
            format!("{:.3}", millis(report.p50)),
            format!("{:.3}", millis(report.p99)),
            format!("{cpu:.4}"),
            format!("{:.0}", kib as f64 / 1024.0),
            ours.map_or_else(String::new, |ours| {
                format!("{:.1}", ours.per_second / report.per_second)
            }),
        ]);
    };
    let load = |target: &Target| target.load(&programs.bench, &options.other_cpus, options.seconds, &SCENARIO);
    for start in [start_litellm, start_portkey] {
        let Some(peer) = start(&programs.peers, &options.target_cpus, sim)? else {
            continue;
        };
        wait_for(&peer.target).await?;
        let theirs = load(&peer.target)?;
        let beside = load(ours)?;
        row(
            peer.target.name,
            &theirs,
            resident_kib(peer.target.process)?,
            Some(&beside),
        );
        row(ours.name, &beside, resident_kib(ours.process)?, None);
    }
    if rows.is_empty() {
        return Ok(String::new());
    }
    let head = [
        "target",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU ms/request",
        "MiB",
        "the gateway's requests/s over theirs",
    ];
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\nPeers, one worker each, {} connections, {} B bodies:\n",
        SCENARIO.connections, SCENARIO.size
    );
    out.push_str(&table::format(&head, &rows));
    Ok(out)
}

fn start_litellm(installed: &Installed, cpus: &str, sim: SocketAddr) -> Result<Option<Peer>, BenchError> {
    let Some(program) = &installed.litellm else {
        return Ok(None);
    };
    let [address] = free_addresses()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    let text = format!(
        "model_list:\n- model_name: bench\n  litellm_params: {{model: openai/sim, api_base: \"http://{sim}/v1\", api_key: none}}\n\
         general_settings: {{master_key: {KEY}}}\nlitellm_settings: {{drop_params: true, telemetry: false}}\n"
    );
    std::fs::write(&config, text).map_err(|source| BenchError::File {
        path: config.clone(),
        source,
    })?;
    let arguments = [
        format!("--config={}", config.display()),
        "--host=127.0.0.1".into(),
        format!("--port={}", address.port()),
        "--num_workers=1".into(),
        "--telemetry=False".into(),
    ];
    let running = Running::start(program, &arguments, cpus)?;
    let target = Target {
        name: "LiteLLM",
        address,
        process: running.id(),
        model: "bench".into(),
        key: Some(KEY.into()),
        headers: Vec::new(),
    };
    Ok(Some(Peer {
        target,
        _running: running,
        _folder: folder,
    }))
}

fn start_portkey(installed: &Installed, cpus: &str, sim: SocketAddr) -> Result<Option<Peer>, BenchError> {
    let Some(script) = &installed.portkey else {
        return Ok(None);
    };
    let [address] = free_addresses()?;
    let arguments = [
        script.display().to_string(),
        "--headless".into(),
        format!("--port={}", address.port()),
    ];
    let running = Running::start(Path::new("node"), &arguments, cpus)?;
    let target = Target {
        name: "Portkey",
        address,
        process: running.id(),
        model: "sim".into(),
        key: Some("none".into()),
        headers: vec![
            ("x-portkey-provider", "openai".into()),
            ("x-portkey-custom-host", format!("http://{sim}/v1")),
        ],
    };
    Ok(Some(Peer {
        target,
        _running: running,
        _folder: tempfile::tempdir()?,
    }))
}

async fn wait_for(target: &Target) -> Result<(), BenchError> {
    let mut shape = Shape::chat(&target.model, SCENARIO.size, false, SCENARIO.tokens).with_key(target.key.as_deref());
    for (name, value) in &target.headers {
        shape = shape.with_header(name, value);
    }
    let began = Instant::now();
    loop {
        let last = match Connection::open(target.address).await {
            Ok(mut connection) => connection.request(&shape).await.map(drop),
            Err(error) => Err(error),
        };
        match last {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() >= PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
