//! The program `tokenweir-bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_bench::cli::main()
}
