//! The developer's command: clusters, images, and later everything behind the Makefile.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_e2e::cli::run()
}
