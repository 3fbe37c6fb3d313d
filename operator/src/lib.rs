//! The Tokenweir operator: the only writer of status and of the objects that gateways need.
//!
//! Each controller works in the same steps: *dereference* reads what an object depends on, *validate* judges it, *build*
//! makes every owned object, *apply* writes them, *status* says what came of it. Only dereference, apply and status talk to
//! the API server; validate and build are pure.

mod app;
mod board;
mod certificates;
mod check;
mod cli;
mod clock;
mod context;
mod gateway;
mod kubernetes;
mod leader;
mod parts;
mod probe;
pub mod rbac;
mod rootkey;
mod runtime;
mod scaling;
mod settings;
mod telemetry;
mod tenant;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command};

/// The program: parses the command line and runs until it is told to stop.
///
/// Exit codes: 0 after an orderly end, 1 after a failure or the loss of the lease, 2 for a wrong command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tokenweir_process::install_crypto_provider();
    match &cli.command {
        Some(Command::Completions { shell }) => {
            tokenweir_process::print_completion(*shell, &mut Cli::command());
            ExitCode::SUCCESS
        }
        Some(Command::Check(args)) => exit_code(check::run(args)),
        None => exit_code(app::run(&cli)),
    }
}

fn exit_code<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tokenweir_process::report_failure("tokenweir-operator", &error),
    }
}
