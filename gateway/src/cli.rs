//! The command line: options, and what each command does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use tokenweir_config::names::{ADMIN_PORT, TELEMETRY_PORT};
use tokenweir_process::LogArgs;

use crate::app::{self, AppError};
use crate::endpoints::Override;
use crate::preflight;

/// Exit code for a wrong command line, and for a configuration with mistakes.
const EXIT_USAGE: u8 = 2;

/// Serves LLM traffic: OpenAI's wire in front, any number of providers behind.
///
/// In a cluster it watches the configuration that the operator writes for its LLMGateway (--namespace, --gateway). With
/// --config it serves a folder of the same YAML without a cluster.
#[derive(Debug, Parser)]
#[command(name = "tokenweir-gateway", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the gateway on this machine to end soon, and wait until load balancers have had the time to turn away
    ///
    /// Meant for the preStop hook of its own pod. The gateway then still takes requests, and tells readiness probes that
    /// it is about to end; SIGTERM ends it.
    Drain {
        /// Telemetry address of the gateway
        #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, TELEMETRY_PORT)), value_name = "IP:PORT")]
        telemetry: SocketAddr,
    },
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What to serve, and how.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Folder of YAML files, or one file, to serve without a cluster; an edit is served at once
    #[arg(long, value_name = "DIR", help_heading = "Without a cluster")]
    pub config: Option<PathBuf>,

    /// Say whether the configuration is right, and exit: 0 if it is, 2 if not
    #[arg(long, requires = "config", help_heading = "Without a cluster")]
    pub check: bool,

    /// Where a Service is that the configuration names; without this it is 127.0.0.1 at the Service's port. May be
    /// repeated
    #[arg(
        long = "service",
        value_name = "NAME=HOST:PORT",
        requires = "config",
        help_heading = "Without a cluster"
    )]
    pub services: Vec<Override>,

    /// Namespace of the LLMGateway
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", help_heading = "In a cluster")]
    pub namespace: Option<String>,

    /// Name of the LLMGateway; with --config needed only where the folder has more than one
    #[arg(long, env = "TOKENWEIR_GATEWAY", value_name = "NAME", help_heading = "In a cluster")]
    pub gateway: Option<String>,

    /// Name of this pod, for /status and traces [default: the host's name]
    #[arg(long, env = "POD_NAME", value_name = "NAME", help_heading = "In a cluster")]
    pub pod: Option<String>,

    /// Folder for the last good configuration, and with --config for minted API keys [default: /var/lib/tokenweir, with
    /// --config a folder of its own below ~/.local/state/tokenweir]
    #[arg(long, env = "TOKENWEIR_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Address for requests; with a port, this one in place of those in the configuration [default: 0.0.0.0, with
    /// --config 127.0.0.1]
    #[arg(long, value_name = "IP[:PORT]")]
    pub listen: Option<Listen>,

    /// Address of the admin port [default: 0.0.0.0:9901, with --config 127.0.0.1:9901]
    #[arg(long, value_name = "IP:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// Address of the telemetry port: probes and metrics [default: 0.0.0.0:9090, with --config 127.0.0.1:9090]
    #[arg(long, value_name = "IP:PORT")]
    pub telemetry_listen: Option<SocketAddr>,

    /// Threads that serve requests [default: one for each CPU that the process may use]
    #[arg(long, env = "TOKENWEIR_WORKERS", value_name = "N")]
    pub workers: Option<NonZeroUsize>,

    /// How long requests are still taken after the first sign of the end, so that load balancers can turn away
    /// [default: 5s, with --config 0]
    #[arg(long, env = "TOKENWEIR_LAME_DUCK", value_name = "DURATION")]
    pub lame_duck: Option<tokenweir_crds::Duration>,

    /// How long requests in flight may then go on
    #[arg(long, env = "TOKENWEIR_GRACE", value_name = "DURATION", default_value = "50s")]
    pub grace: tokenweir_crds::Duration,

    /// Log lines.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// An address for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub ip: IpAddr,
    /// The port; absent: those of the configuration.
    pub port: Option<u16>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                ip: address.ip(),
                port: Some(address.port()),
            });
        }
        text.parse()
            .map(|ip| Self { ip, port: None })
            .map_err(|_| format!("{text:?} is not of the form IP or IP:PORT, such as 127.0.0.1 or 127.0.0.1:8080"))
    }
}

impl ServeArgs {
    /// Where the control ports are by default.
    fn control_ip(&self) -> IpAddr {
        if self.config.is_some() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        }
    }

    /// Address of the admin port.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_listen
            .unwrap_or_else(|| SocketAddr::new(self.control_ip(), ADMIN_PORT))
    }

    /// Address of the telemetry port.
    pub fn telemetry_address(&self) -> SocketAddr {
        self.telemetry_listen
            .unwrap_or_else(|| SocketAddr::new(self.control_ip(), TELEMETRY_PORT))
    }

    /// Address for requests.
    pub fn data_ip(&self) -> IpAddr {
        self.listen.map_or_else(|| self.control_ip(), |listen| listen.ip)
    }

    /// How long the lame duck phase takes.
    pub fn lame_duck(&self) -> Duration {
        match self.lame_duck {
            Some(given) => given.to_std(),
            // On a laptop no load balancer is to be waited for.
            None if self.config.is_some() => Duration::ZERO,
            None => Duration::from_secs(5),
        }
    }

    /// How many workers serve.
    pub fn workers(&self) -> usize {
        let workers = self.workers.or_else(|| std::thread::available_parallelism().ok());
        workers.map_or(1, NonZeroUsize::get)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tokenweir_process::install_crypto_provider();
    let done = match cli.command {
        Some(Command::Completions { shell }) => {
            tokenweir_process::print_completion(shell, &mut Cli::command());
            return ExitCode::SUCCESS;
        }
        Some(Command::Drain { telemetry }) => app::block_on(preflight::drain(telemetry)),
        None if cli.serve.check => preflight::check(&cli.serve),
        None => cli
            .serve
            .logs
            .init()
            .map_err(AppError::from)
            .and_then(|()| app::block_on(app::serve(cli.serve))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = tokenweir_process::report_failure("tokenweir-gateway", &error);
            if error.is_usage() {
                ExitCode::from(EXIT_USAGE)
            } else {
                code
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("tokenweir-gateway").chain(args.iter().copied()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_cluster_all_ports_are_on_loopback_and_nothing_waits_for_load_balancers() {
        let args = parse(&["--config", "."]).unwrap().serve;
        for ip in [args.data_ip(), args.admin_address().ip(), args.telemetry_address().ip()] {
            assert!(ip.is_loopback());
        }
        assert_eq!(args.lame_duck(), Duration::ZERO);
        let cluster = parse(&["--namespace", "llm", "--gateway", "edge"]).unwrap().serve;
        assert!(cluster.data_ip().is_unspecified());
        assert_eq!(cluster.admin_address().port(), ADMIN_PORT);
        assert_eq!(cluster.lame_duck(), Duration::from_secs(5));
    }

    #[test]
    fn an_address_may_have_a_port_or_not() {
        assert_eq!(
            "127.0.0.1:81".parse(),
            Ok(Listen {
                ip: Ipv4Addr::LOCALHOST.into(),
                port: Some(81)
            })
        );
        assert_eq!("[::1]:81".parse::<Listen>().unwrap().port, Some(81));
        assert_eq!("0.0.0.0".parse::<Listen>().unwrap().port, None);
        assert!("localhost".parse::<Listen>().unwrap_err().contains("IP:PORT"));
    }

    #[test]
    fn what_belongs_to_files_is_refused_without_files() {
        for wrong in [
            &["--check"][..],
            &["--service", "a=127.0.0.1:1"],
            &["--workers", "0"],
            &["--grace", "5"],
        ] {
            assert_eq!(
                parse(wrong).unwrap_err().exit_code(),
                i32::from(EXIT_USAGE),
                "{wrong:?}"
            );
        }
    }
}
