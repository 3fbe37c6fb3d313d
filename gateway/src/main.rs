//! The gateway's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_gateway::cli::main()
}
