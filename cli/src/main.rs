//! The program `tokenweirctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_cli::cli::main()
}
