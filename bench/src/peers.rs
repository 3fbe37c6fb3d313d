//! Other gateways, where they are installed, under the same load as this one.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::fixture::Programs;
use crate::gateway::Options;
use crate::load::{Connection, Report, Shape};
use crate::process::{Running, free_addresses, resident_kib};
use crate::runner::{Scenario, Target, median, millis};
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
/// As its documentation advises for production, and with the prices that it brings along, as nothing here asks other hosts.
const LITELLM_ENVIRONMENT: [(&str, &str); 4] = [
    ("LITELLM_MODE", "PRODUCTION"),
    ("LITELLM_LOG", "ERROR"),
    ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
    ("NO_DOCS", "True"),
];
/// Without it Node's libraries do more to help those who develop.
const PORTKEY_ENVIRONMENT: [(&str, &str); 1] = [("NODE_ENV", "production")];

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
    version: String,
    running: Running,
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
    let mut row = |name: String, report: &Report, kib: u64, ours: Option<&Report>| {
        let cpu = report.cpu_ms.unwrap_or_default();
        rows.push(vec![
            name,
            format!("{:.0}", report.per_second),
            format!("{:.3}", millis(report.p50)),
            format!("{:.3}", millis(report.p99)),
            format!("{cpu:.4}"),
            format!("{:.0}", kib as f64 / 1024.0),
            ours.map_or_else(String::new, |ours| {
                format!("{:.0}", ours.per_second / report.per_second)
            }),
        ]);
    };
    let load = |target: &Target| target.load(&programs.bench, &options.other_cpus, options.seconds, &SCENARIO);
    for start in [start_litellm, start_portkey] {
        let Some(mut peer) = start(&programs.peers, &options.target_cpus, sim)? else {
            continue;
        };
        wait_for(&mut peer).await?;
        let (mut theirs, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds.max(1) {
            theirs.push(load(&peer.target)?);
            beside.push(load(ours)?);
        }
        let (theirs, beside) = (median(&theirs), median(&beside));
        let name = format!("{} {}", peer.target.name, peer.version);
        row(name, &theirs, resident_kib(peer.target.process)?, Some(&beside));
        row(ours.name.to_owned(), &beside, resident_kib(ours.process)?, None);
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
        "Closed loop, {} connections, {} B bodies, median of {} alternating runs of {} s; one worker process each on CPUs {}.\n",
        SCENARIO.connections,
        SCENARIO.size,
        options.rounds,
        options.seconds,
        if options.target_cpus.is_empty() {
            "all"
        } else {
            &options.target_cpus
        }
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
         general_settings: {{master_key: {KEY}}}\nlitellm_settings: {{set_verbose: false, json_logs: true}}\n"
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
    let running = Running::start_with(program, &arguments, cpus, &LITELLM_ENVIRONMENT)?;
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
        version: said(Command::new(program).arg("--version").envs(LITELLM_ENVIRONMENT)),
        running,
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
    let running = Running::start_with(Path::new("node"), &arguments, cpus, &PORTKEY_ENVIRONMENT)?;
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
        version: version_of_package(script),
        running,
        _folder: tempfile::tempdir()?,
    }))
}

/// The version at the end of what a program says; "unknown" if it says none.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    last_version(&String::from_utf8_lossy(&output)).unwrap_or_else(|| "unknown".to_owned())
}

fn last_version(text: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit());
    text.split_ascii_whitespace().rfind(is_version).map(ToOwned::to_owned)
}

/// The version in the `package.json` above `build/start-server.js`; "unknown" if there is none.
fn version_of_package(script: &Path) -> String {
    let package = script
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("package.json"));
    let text = package
        .and_then(|file| std::fs::read_to_string(file).ok())
        .unwrap_or_default();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    parsed["version"].as_str().unwrap_or("unknown").to_owned()
}

async fn wait_for(peer: &mut Peer) -> Result<(), BenchError> {
    let target = &peer.target;
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
            Err(_) => {
                peer.running.check()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_where_programs_and_packages_say_it() {
        let said = "\nLiteLLM: Current Version = 1.106.2\n\n";
        assert_eq!(last_version(said).as_deref(), Some("1.106.2"));
        assert_eq!(last_version("no version at all."), None);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.15.2"}"#).unwrap();
        assert_eq!(
            version_of_package(&folder.path().join("build/start-server.js")),
            "1.15.2"
        );
        assert_eq!(version_of_package(Path::new("start-server.js")), "unknown");
    }
}
