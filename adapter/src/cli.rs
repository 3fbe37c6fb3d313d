//! Options, and what the program does with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tokenweir_config::names::ADMIN_PORT;
use tokenweir_process::{LogArgs, LogSetupError};

use crate::app::{self, AppError};
use crate::metrics_api::parameters::parse_max_age;

/// Serves what gateways are doing right now as Kubernetes custom and external metrics.
///
/// Run it behind the APIService objects of custom.metrics.k8s.io and external.metrics.k8s.io. It subscribes to every
/// gateway pod of the cluster, so a HorizontalPodAutoscaler reads values that are less than a second old. A value that is
/// too old is an error, never a number. Access to the API server comes from the pod's service account, or from
/// KUBECONFIG outside of a cluster.
#[derive(Debug, Parser)]
#[command(name = "tokenweir-adapter", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: Options,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options of the server.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address and port of the HTTPS server
    #[arg(long, env = "TOKENWEIR_ADAPTER_LISTEN", default_value = "[::]:6443")]
    pub listen: SocketAddr,

    /// Namespace of the root key and of the serving certificate's Secret [default: that of the pod or kube context]
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: Option<String>,

    /// Secret with the serving certificate: tls.crt and tls.key; a change is followed
    #[arg(long, value_name = "NAME", default_value = "tokenweir-adapter-tls", conflicts_with_all = ["tls_cert_file", "tls_key_file"])]
    pub serving_certificate_secret: String,

    /// File with the serving certificate, instead of the Secret; a change is followed
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// File with the serving certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,

    /// A value older than this is an error; the metric label max-age overrides it in each question
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = max_age)]
    pub max_signal_age: Duration,

    /// Port of the gateways' admin interface
    #[arg(long, value_name = "PORT", default_value_t = ADMIN_PORT)]
    pub gateway_admin_port: u16,

    /// How long open requests may take to end after a request to stop
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = max_age)]
    pub shutdown_grace: Duration,

    /// How long to go on serving after a request to stop, until callers have noticed
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = max_age)]
    pub shutdown_delay: Duration,

    /// Options of the log.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Logs.
    #[error(transparent)]
    Logs(#[from] LogSetupError),
    /// The runtime did not start.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// The server failed.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Reads the command line and does what it says.
pub fn run() -> Result<(), CliError> {
    let cli = Cli::parse();
    if let Some(Command::Completions { shell }) = cli.command {
        tokenweir_process::print_completion(shell, &mut Cli::command());
        return Ok(());
    }
    cli.options.logs.init()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    runtime.block_on(app::run(cli.options))?;
    Ok(())
}

fn max_age(text: &str) -> Result<Duration, String> {
    parse_max_age(text).ok_or_else(|| "it must be a duration above zero such as 5s or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_a_pod() {
        let options = Cli::try_parse_from(["tokenweir-adapter"]).unwrap().options;
        assert_eq!(options.listen.port(), 6443);
        assert_eq!(options.max_signal_age, Duration::from_secs(5));
        assert_eq!(options.serving_certificate_secret, "tokenweir-adapter-tls");
        assert_eq!(options.gateway_admin_port, 9901);
    }

    #[test]
    fn bad_options_are_refused() {
        for bad in [
            ["--max-signal-age", "0s"].as_slice(),
            &["--max-signal-age", "soon"],
            &["--tls-cert-file", "a"],
            &[
                "--tls-cert-file",
                "a",
                "--tls-key-file",
                "b",
                "--serving-certificate-secret",
                "c",
            ],
        ] {
            let line = ["tokenweir-adapter"].iter().chain(bad);
            assert!(Cli::try_parse_from(line).is_err(), "{bad:?}");
        }
    }
}
