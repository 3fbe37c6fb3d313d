//! Writes what is generated from the kinds: the chart of the definitions and the reference.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_crds::generate::cli::run()
}
