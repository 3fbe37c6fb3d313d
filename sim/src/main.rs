//! The program `tokenweir-sim`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_sim::cli::main()
}
