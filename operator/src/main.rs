//! The Tokenweir operator.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenweir_operator::main()
}
