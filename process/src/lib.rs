//! What every Tokenweir program does when it starts and stops: choose the crypto provider, set up logs, raise the limit on
//! open files, and turn SIGTERM and SIGINT into one cancellation that all its tasks share.
//!
//! The crate knows nothing of Kubernetes, HTTP or the data plane, so that each program can depend on it.

mod files;
mod logs;
mod shutdown;

pub use files::raise_file_limit;
pub use logs::{LogArgs, LogFormat, LogSetupError};
pub use shutdown::shutdown_on_signals;

use std::io::Write;
use std::process::ExitCode;

/// Installs ring as the process-wide rustls crypto provider.
///
/// Call it first in every `main` and in tests that use TLS. A second call has no effect.
pub fn install_crypto_provider() {
    // The only error is "already installed", which is what the caller wants.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Prints a failure with all its causes to standard error and returns the exit code 1.
///
/// The causes stand in one line, each after a colon, as `kubectl` and `cargo` print them.
pub fn report_failure(program: &str, error: &dyn std::error::Error) -> ExitCode {
    let mut line = format!("{program}: {error}");
    let mut source = error.source();
    let mut last = error.to_string();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Transparent errors repeat their source's text; once is enough for the reader.
        if !last.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        last = text;
        source = cause.source();
    }
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::FAILURE
}

/// Writes the shell completion script of a command to standard output.
pub fn print_completion(shell: clap_complete::Shell, command: &mut clap::Command) {
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, command, name, &mut std::io::stdout());
}
