//! The gateway's program.

use std::process::ExitCode;

/// Requests make many small pieces that live as long as they do. The system's allocator takes several times as long for
/// them, and keeps what other threads have freed apart.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tokenweir_gateway::cli::main()
}
