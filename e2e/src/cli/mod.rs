//! The command line of `tokenweir-dev`. Each group of commands has a module of its own.

mod cluster;
mod images;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cluster::{ClusterError, Options, Progress};

/// Runs a Kubernetes to develop on, and what is developed on it.
#[derive(Debug, Parser)]
#[command(name = "tokenweir-dev", version, max_term_width = 100)]
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
}

/// Parses the command line, runs the command and returns the program's exit code: 0 for success, 1 for a failure,
/// 2 for a wrong command line, 3 where `cluster status` finds no cluster.
pub fn run() -> ExitCode {
    tokenweir_process::install_crypto_provider();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tokenweir_process::report_failure("tokenweir-dev", &error),
    };
    let progress = if arguments.quiet {
        Progress::quiet()
    } else {
        Progress::shown()
    };
    let options = Options::from_env(progress);
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Cluster(command) => cluster::run(command, options).await,
            Command::Images(arguments) => images::run(&arguments, options).await,
        }
    });
    result.unwrap_or_else(|error| tokenweir_process::report_failure("tokenweir-dev", &error))
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
