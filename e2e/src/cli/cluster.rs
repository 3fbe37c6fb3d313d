//! `tokenweir-dev cluster`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::print;
use crate::cluster::local::{self, layout::Layout};
use crate::cluster::{Cluster, ClusterError, Options, Part, find_or_start, stop};

/// The exit code of `status` where no cluster runs.
const NOT_RUNNING: u8 = 3;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Find a cluster, or start one: KUBE_CONTEXT, else the local one, else kind.
    Up(UpArguments),
    /// Stop the local cluster, or delete the kind cluster, and remove all that it made.
    Down,
    /// Say which parts of the local cluster run. Exits with 3 if none does.
    Status,
    /// Stop one part of the local cluster and wait until it has ended.
    StopPart(PartArguments),
    /// Start one part of the local cluster.
    StartPart(PartArguments),
    /// Print the path of the kubeconfig of the local cluster.
    Kubeconfig,
}

#[derive(Debug, Args)]
pub(super) struct UpArguments {
    /// How often the HPA controller looks, in seconds. A local cluster that runs takes it over.
    #[arg(long, value_name = "SECONDS", env = "TOKENWEIR_HPA_SYNC", value_parser = clap::value_parser!(u64).range(1..=60))]
    hpa_sync: Option<u64>,
    /// Start without metrics-server.
    #[arg(long)]
    no_metrics_server: bool,
    /// A file that is created if this call starts the cluster, so that a script knows whether to stop it again.
    #[arg(long, value_name = "FILE")]
    started_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PartArguments {
    /// containerd, etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy or kubelet.
    part: Part,
}

pub(super) async fn run(command: ClusterCommand, mut options: Options) -> Result<ExitCode, ClusterError> {
    match command {
        ClusterCommand::Up(arguments) => {
            options.hpa_sync_given = arguments.hpa_sync.is_some();
            options.hpa_sync = arguments.hpa_sync.map_or(options.hpa_sync, Duration::from_secs);
            options.metrics_server = !arguments.no_metrics_server;
            let cluster = up(options, arguments.started_file.as_deref()).await?;
            print(&summary(&cluster))?;
        }
        ClusterCommand::Down => {
            let stopped = stop(&options).await?;
            print(if stopped {
                "stopped\n"
            } else {
                "no cluster was running\n"
            })?;
        }
        ClusterCommand::Status => return status(&layout(&options)?),
        ClusterCommand::StopPart(PartArguments { part }) => local_stop(&options, part).await?,
        ClusterCommand::StartPart(PartArguments { part }) => {
            local::start_part(&layout(&options)?, part)?;
        }
        ClusterCommand::Kubeconfig => {
            let path = layout(&options)?.kubeconfig();
            if !path.exists() {
                return Err(ClusterError::NotRunning);
            }
            print(&format!("{}\n", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds or starts a cluster, and leaves the mark if this call started something, were it only a part of a cluster.
async fn up(options: Options, mark: Option<&Path>) -> Result<Cluster, ClusterError> {
    let layout = layout(&options)?;
    let ran_before = local::is_running(&layout)?;
    let result = find_or_start(options).await;
    let started = match &result {
        Ok(cluster) => cluster.was_started(),
        Err(_) => !ran_before && local::is_running(&layout)?,
    };
    if let (true, Some(path)) = (started, mark) {
        std::fs::write(path, "").map_err(|source| ClusterError::File {
            action: "write",
            path: path.to_owned(),
            source,
        })?;
    }
    result
}

async fn local_stop(options: &Options, part: Part) -> Result<(), ClusterError> {
    let layout = layout(options)?;
    if !layout.root().exists() {
        return Err(ClusterError::NotRunning);
    }
    local::stop_part(&layout, part).await
}

fn layout(options: &Options) -> Result<Layout, ClusterError> {
    Layout::new(options.folders.cluster())
}

fn summary(cluster: &Cluster) -> String {
    let state = if cluster.was_started() { "started" } else { "found" };
    format!(
        "{} ({state})\n\n  export KUBECONFIG={}\n  kubectl: {}\n  helm:    {}\n",
        cluster.description(),
        cluster.kubeconfig().display(),
        cluster.kubectl().display(),
        cluster.helm().display()
    )
}

fn status(layout: &Layout) -> Result<ExitCode, ClusterError> {
    let parts = local::parts(layout)?;
    let lines: String = parts
        .iter()
        .map(|state| match state.pid {
            Some(pid) => format!("{:<26}runs (pid {pid})\n", state.part.name()),
            None => format!("{:<26}stopped\n", state.part.name()),
        })
        .collect();
    print(&lines)?;
    let running = parts.iter().any(|state| state.pid.is_some());
    Ok(if running {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_RUNNING)
    })
}
