//! `tokenweir-dev up`, `down`, `status`, `load` and `env`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::print;
use crate::cluster::{self, ClusterError, Options, Progress};
use crate::up::{self, LONGEST, LoadOptions, Terminal, UpError, UpOptions, WhenLoad};

/// The exit code of `status` where something is missing or does not work.
const NOT_READY: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct UpArguments {
    /// Do not drive load.
    #[arg(long, conflicts_with = "load")]
    no_load: bool,
    /// Drive load even if nothing was changed.
    #[arg(long)]
    load: bool,
    #[command(flatten)]
    shape: LoadArguments,
}

#[derive(Debug, Args)]
pub(super) struct LoadArguments {
    /// Clients that each ask one chat after the other.
    #[arg(long, default_value_t = LoadOptions::default().clients, value_name = "N", value_parser = clients)]
    clients: usize,
    /// The longest time of the load, in seconds; it ends earlier once pods were added and the queue is calm.
    #[arg(long, default_value_t = LONGEST.as_secs(), value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=LONGEST.as_secs()))]
    seconds: u64,
}

fn clients(given: &str) -> Result<usize, String> {
    match given.parse() {
        Ok(clients @ 1..=500) => Ok(clients),
        _ => Err("give a number from 1 to 500".to_owned()),
    }
}

impl LoadArguments {
    fn options(&self) -> LoadOptions {
        LoadOptions {
            clients: self.clients,
            limit: Duration::from_secs(self.seconds),
        }
    }
}

pub(super) async fn up(arguments: &UpArguments, progress: Progress) -> Result<ExitCode, UpError> {
    let mut options = UpOptions::from_env(progress);
    options.load = arguments.shape.options();
    options.when_load = match (arguments.no_load, arguments.load) {
        (true, _) => WhenLoad::Never,
        (false, true) => WhenLoad::Always,
        (false, false) => WhenLoad::Changed,
    };
    up::up(&options, &mut Terminal::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn load(arguments: &LoadArguments, progress: Progress) -> Result<ExitCode, UpError> {
    let options = UpOptions {
        load: arguments.options(),
        ..UpOptions::from_env(progress)
    };
    up::load(&options, &mut Terminal::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn down(progress: Progress) -> Result<ExitCode, UpError> {
    up::down(&UpOptions::from_env(progress), &mut Terminal::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn status(progress: Progress) -> Result<ExitCode, UpError> {
    let works = up::status(&UpOptions::from_env(progress), &mut Terminal::stdout()).await?;
    Ok(if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_READY)
    })
}

/// Prints what a shell needs to use the cluster.
pub(super) async fn env(progress: Progress) -> Result<ExitCode, ClusterError> {
    let cluster = cluster::find(&Options::from_env(progress))
        .await?
        .ok_or(ClusterError::NotRunning)?;
    let folders =
        [cluster.kubectl(), cluster.helm()].map(|program| program.parent().unwrap_or(program).display().to_string());
    print(&format!(
        "export KUBECONFIG='{}'\nexport PATH='{}':\"$PATH\"\n",
        cluster.kubeconfig().display(),
        folders.join(":")
    ))?;
    Ok(ExitCode::SUCCESS)
}
