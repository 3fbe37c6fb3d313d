//! The metrics adapter's program: options, logs, shutdown, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_process::install_crypto_provider();
    match tokenweir_adapter::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tokenweir_process::report_failure("tokenweir-adapter", &error),
    }
}
