//! The command line of `tokenweir-dev`. Each group of commands has a module of its own.

mod cluster;
mod images;
mod up;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cluster::{ClusterError, Options, Progress};

/// The name of the program, before its failures.
const NAME: &str = "tokenweir-dev";

/// Runs a Kubernetes to develop on, and what is developed on it.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Do not show progress.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The cluster itself: start it, stop it, look at it.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Build the project's programs as images and hand them to the cluster.
    Images(images::ImagesArguments),
    /// From nothing to a gateway that serves and scales: cluster, images, charts, the quickstart example, a chat, load.
    Up(up::UpArguments),
    /// Drive load through the quickstart example and watch it scale.
    Load(up::LoadArguments),
    /// Tell what `up` made and whether it works. Exits with 3 if something is missing.
    Status,
    /// Remove what `up` made and stop what it started.
    Down,
    /// Print the variables with which a shell uses the cluster: eval "$(tokenweir-dev env)".
    Env,
}

/// Parses the command line, runs the command and returns the program's exit code: 0 for success, 1 for a failure,
/// 2 for a wrong command line, 3 where `status` or `cluster status` finds something missing.
pub fn run() -> ExitCode {
    tokenweir_process::install_crypto_provider();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tokenweir_process::report_failure(NAME, &error),
    };
    let progress = if arguments.quiet {
        Progress::quiet()
    } else {
        Progress::shown()
    };
    runtime.block_on(async {
        match arguments.command {
            Command::Cluster(command) => exit(cluster::run(command, Options::from_env(progress)).await),
            Command::Images(arguments) => exit(images::run(&arguments, Options::from_env(progress)).await),
            Command::Up(arguments) => exit(up::up(&arguments, progress).await),
            Command::Load(arguments) => exit(up::load(&arguments, progress).await),
            Command::Status => exit(up::status(progress).await),
            Command::Down => exit(up::down(progress).await),
            Command::Env => exit(up::env(progress).await),
        }
    })
}

/// The exit code of a command; a failure is told first.
fn exit<E: std::error::Error>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| tokenweir_process::report_failure(NAME, &error))
}

/// Writes a command's result to standard output.
fn print(text: &str) -> Result<(), ClusterError> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // The reader of a pipe may stop early.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|source| ClusterError::File {
            action: "write to",
            path: "standard output".into(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
