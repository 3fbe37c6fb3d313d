//! The command line of `tokenweir-sim`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tokenweir_process::{LogArgs, LogSetupError};
use tokio::net::TcpListener;

use crate::behaviour::{FaultChain, Latency, OutputTokens};
use crate::config::{ConfigError, SimConfig, TlsFiles};
use crate::net::{Sim, StartError};
use crate::proxy::{ConnectTo, Proxy, ProxyConfig};

/// A simulated LLM provider: the wires of OpenAI, Azure, Anthropic, Google and Bedrock, latency models, faults, recording.
///
/// Settings come from flags, then environment variables, then the file, then defaults.
#[derive(Debug, Parser)]
#[command(name = "tokenweir-sim", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where to listen [default: 0.0.0.0:8000]
    #[arg(long, env = "TOKENWEIR_SIM_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Threads, each with its own socket on the port [default: 1]
    #[arg(long, env = "TOKENWEIR_SIM_THREADS", value_name = "COUNT")]
    threads: Option<usize>,

    /// A YAML or JSON file with the fields of docs/sim.md
    #[arg(long, env = "TOKENWEIR_SIM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Seed of answers and drawn latencies [default: 0]
    #[arg(long, env = "TOKENWEIR_SIM_SEED")]
    seed: Option<u64>,

    /// A model that exists; may be given again. Without any, every name is served
    #[arg(
        long = "model",
        env = "TOKENWEIR_SIM_MODELS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    models: Vec<String>,

    /// fixed;first=MS;token=MS, log-normal;… or loaded;… [default: fixed, without delay]
    #[arg(long, env = "TOKENWEIR_SIM_LATENCY", value_name = "SPEC")]
    latency: Option<Latency>,

    /// Tokens of an answer unless the request asks for fewer: 24 or 16..48 [default: 16..48]
    #[arg(long, env = "TOKENWEIR_SIM_OUTPUT_TOKENS", value_name = "COUNT")]
    output_tokens: Option<OutputTokens>,

    /// Faults of every request: 500, 429;retry-after=2, reset;after=3, or a chain such as 500,500,ok
    #[arg(long, env = "TOKENWEIR_SIM_FAULT", value_name = "CHAIN")]
    fault: Option<FaultChain>,

    /// How many requests are kept for GET /sim/requests [default: 1000]
    #[arg(long, env = "TOKENWEIR_SIM_RECORD", value_name = "COUNT")]
    record: Option<usize>,

    /// A key of which requests must bring one; may be given again
    #[arg(
        long = "api-key",
        env = "TOKENWEIR_SIM_API_KEYS",
        value_delimiter = ',',
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_keys: Vec<String>,

    /// A file with one key a line, read again whenever it changes
    #[arg(long, env = "TOKENWEIR_SIM_API_KEY_FILE", value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// A certificate in PEM; with it, the simulator speaks TLS
    #[arg(long, env = "TOKENWEIR_SIM_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's key in PEM
    #[arg(long, env = "TOKENWEIR_SIM_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Authorities in PEM of which clients must show a certificate
    #[arg(
        long,
        env = "TOKENWEIR_SIM_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_client_ca: Option<PathBuf>,

    #[command(flatten)]
    logs: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a proxy instead, which opens tunnels with CONNECT and says which at GET /sim/tunnels
    Proxy(ProxyArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
struct ProxyArgs {
    /// Where to listen
    #[arg(
        long,
        env = "TOKENWEIR_SIM_PROXY_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:3128"
    )]
    listen: SocketAddr,

    /// What clients must bring; without it everybody gets in
    #[arg(
        long,
        env = "TOKENWEIR_SIM_PROXY_CREDENTIALS",
        hide_env_values = true,
        value_name = "USER:PASSWORD"
    )]
    credentials: Option<String>,

    /// A tunnel that leads elsewhere than it says; may be given again
    #[arg(long = "connect-to", value_name = "HOST:PORT=HOST:PORT")]
    connect_to: Vec<ConnectTo>,

    #[command(flatten)]
    logs: LogArgs,
}

const AFTER_HELP: &str = "\
Faults per request come from the header x-sim-fault, or from the model's name behind an exclamation mark:
  curl -s localhost:8000/v1/chat/completions -H 'x-sim-fault: 429;retry-after=2' \\
    -d '{\"model\":\"sim\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}'
  … \"model\":\"sim!reset;after=3\" …
Change the behaviour while it runs:
  curl -X PATCH localhost:8000/sim/config -d '{\"latency\":\"loaded;max-batch=8\"}'";

/// Why the program ends with a failure.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Logs(#[from] LogSetupError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// Runs the program: exit code 0 after an orderly stop, 1 after a failure, 2 for bad usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Completions { shell }) => {
            tokenweir_process::print_completion(*shell, &mut Cli::command());
            Ok(())
        }
        Some(Command::Proxy(args)) => run_proxy(args),
        None => run(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tokenweir_process::report_failure("tokenweir-sim", &error),
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    cli.logs.init()?;
    let config = cli.config()?;
    if let Err(error) = tokenweir_process::raise_file_limit() {
        tracing::warn!(%error, "the limit on open files stays as it is; it bounds the connections");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    runtime.block_on(async {
        let stop = tokenweir_process::shutdown_on_signals().map_err(CliError::Runtime)?;
        let sim = Sim::start(config)?;
        tracing::info!(url = %sim.url(), "serving");
        stop.cancelled().await;
        sim.stop().await;
        Ok(())
    })
}

fn run_proxy(args: &ProxyArgs) -> Result<(), CliError> {
    args.logs.init()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    runtime.block_on(async {
        let stop = tokenweir_process::shutdown_on_signals().map_err(CliError::Runtime)?;
        let address = args.listen;
        let failed = |source| CliError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(url = format!("http://{address}"), "opening tunnels");
        let proxy = Proxy::new(ProxyConfig {
            credentials: args.credentials.clone(),
            connect_to: args.connect_to.clone(),
        });
        proxy.serve(listener, stop).await;
        Ok(())
    })
}

impl Cli {
    fn config(&self) -> Result<SimConfig, CliError> {
        let mut config = match &self.config {
            Some(path) => SimConfig::read(path)?,
            None => SimConfig {
                // A provider in a pod is called from other pods.
                listen: SocketAddr::from(([0, 0, 0, 0], 8000)),
                ..SimConfig::default()
            },
        };
        let behaviour = &mut config.behaviour;
        set(&mut behaviour.seed, self.seed);
        set(&mut behaviour.latency, self.latency);
        set(&mut behaviour.output_tokens, self.output_tokens);
        set(&mut behaviour.record, self.record);
        if !self.models.is_empty() {
            behaviour.models.clone_from(&self.models);
        }
        if let Some(fault) = &self.fault {
            behaviour.faults.insert("*".into(), fault.clone());
        }
        set(&mut config.listen, self.listen);
        set(&mut config.threads, self.threads);
        if !self.api_keys.is_empty() {
            config.api_keys.clone_from(&self.api_keys);
        }
        if self.api_key_file.is_some() {
            config.api_key_file.clone_from(&self.api_key_file);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            config.tls = Some(TlsFiles {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: self.tls_client_ca.clone(),
            });
        }
        Ok(config)
    }
}

fn set<T>(to: &mut T, from: Option<T>) {
    if let Some(from) = from {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sim.yaml");
        std::fs::write(
            &file,
            "listen: 127.0.0.1:0\nthreads: 2\nbehaviour:\n  seed: 4\n  latency: fixed;first=5\n  faults: {slow: hang}\n",
        )
        .unwrap();
        let cli = Cli::parse_from([
            "tokenweir-sim",
            "--config",
            file.to_str().unwrap(),
            "--seed",
            "9",
            "--fault",
            "500,ok",
        ]);
        let config = cli.config().unwrap();
        assert_eq!((config.threads, config.behaviour.seed), (2, 9));
        assert_eq!(config.behaviour.latency.to_string(), "fixed;first=5;token=0");
        let faults: Vec<String> = config
            .behaviour
            .faults
            .iter()
            .map(|(model, chain)| format!("{model}={chain}"))
            .collect();
        assert_eq!(faults, ["*=500,ok", "slow=hang"]);
    }

    #[test]
    fn a_mistake_in_the_file_names_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sim.yaml");
        std::fs::write(&file, "threads: 1\nbehaviour:\n  latency: quick\n").unwrap();
        let error = SimConfig::read(&file).unwrap_err().to_string();
        assert!(
            error.contains("not a latency model") && error.contains("line 3"),
            "{error}"
        );
    }
}
