//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use tokenweir_process::LogArgs;

use crate::check::CheckArgs;
use crate::leader::Timing;
use crate::settings::{PullPolicy, Settings};
use crate::watch::Scope;

/// The Tokenweir operator: compiles LLMGateways, ModelProviders, ModelRoutes and Tenants into what gateway pods serve, and
/// owns the objects that they need.
///
/// It finds its cluster as kubectl does: inside a pod through its ServiceAccount, else through KUBECONFIG. Run as many
/// replicas as you like; one leads, the others wait.
#[derive(Debug, Parser)]
#[command(name = "tokenweir-operator", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Something else than running the operator.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,

    /// Logs.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Something else than running the operator.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a shell completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Look whether the installation in the cluster is whole; exit code 1 if not
    Check(CheckArgs),
}

/// How to run the operator.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Namespace of the operator and the adapter, with their Secrets and the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "tokenweir-system")]
    pub install_namespace: String,

    /// Name of this replica in the lease and in events [default: a random one]
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// Look after this namespace only [default: all]
    #[arg(long, env = "TOKENWEIR_WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// Image of gateway pods
    #[arg(
        long,
        env = "TOKENWEIR_GATEWAY_IMAGE",
        default_value = concat!("tokenweir/gateway:", env!("CARGO_PKG_VERSION"))
    )]
    pub gateway_image: String,

    /// When kubelets pull that image
    #[arg(
        long,
        env = "TOKENWEIR_GATEWAY_PULL_POLICY",
        value_enum,
        default_value = "IfNotPresent",
        ignore_case = true
    )]
    pub gateway_pull_policy: PullPolicy,

    /// Secret with which kubelets pull that image, in the namespace of each gateway; may be given several times
    #[arg(long = "gateway-pull-secret", value_name = "NAME")]
    pub gateway_pull_secrets: Vec<String>,

    /// Priority class of gateway pods
    #[arg(long, value_name = "NAME")]
    pub gateway_priority_class: Option<String>,

    /// Domain under which Services of the cluster have names
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,

    /// Where probes and metrics are served: /livez, /readyz, /healthz, /metrics
    #[arg(long, default_value = "0.0.0.0:9090")]
    pub listen: SocketAddr,

    /// Issue and rotate the adapter's serving certificate; `false` where something else does, such as cert-manager
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub manage_certificates: bool,

    /// Act without a lease: for a single process beside the cluster, never for two
    #[arg(long)]
    pub no_leader_election: bool,

    /// How long a lease holds without renewal, in seconds
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    pub lease_duration: u32,

    /// The leader ends when it could not renew for this long, in seconds
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub renew_deadline: u32,

    /// Pause between two tries to acquire or renew the lease, in seconds
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    pub retry_period: u32,
}

impl RunArgs {
    /// Settings of the objects that are made.
    pub fn settings(&self) -> Settings {
        Settings {
            install_namespace: self.install_namespace.clone(),
            gateway_image: self.gateway_image.clone(),
            pull_policy: self.gateway_pull_policy,
            pull_secrets: self.gateway_pull_secrets.clone(),
            priority_class: self.gateway_priority_class.clone(),
            cluster_domain: self.cluster_domain.clone(),
        }
    }

    /// Times of leader election.
    pub fn timing(&self) -> Timing {
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        Timing {
            lease_duration: seconds(self.lease_duration),
            renew_deadline: seconds(self.renew_deadline),
            retry_period: seconds(self.retry_period),
        }
    }

    /// Namespaces that are looked after.
    pub fn scope(&self) -> Scope {
        self.watch_namespace
            .clone()
            .filter(|namespace| !namespace.is_empty())
            .map_or(Scope::Cluster, Scope::Namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_has_working_defaults() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["tokenweir-operator"]).unwrap();
        assert!(cli.run.timing().checked().is_ok());
        assert_eq!(cli.run.scope(), Scope::Cluster);
        assert!(cli.run.manage_certificates);
    }

    #[test]
    fn pull_policies_are_taken_in_the_words_of_kubernetes() {
        for (word, policy) in [
            ("IfNotPresent", PullPolicy::IfNotPresent),
            ("Never", PullPolicy::Never),
            ("always", PullPolicy::Always),
        ] {
            let cli = Cli::try_parse_from(["tokenweir-operator", "--gateway-pull-policy", word]).unwrap();
            assert_eq!(cli.run.gateway_pull_policy, policy);
            assert_eq!(policy.as_str().to_lowercase(), word.to_lowercase());
        }
    }
}
