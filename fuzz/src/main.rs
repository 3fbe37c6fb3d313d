//! What the fuzzer needs beside itself: see [`tokenweir_fuzz::command`].

fn main() -> std::process::ExitCode {
    tokenweir_fuzz::command::run(std::env::args().skip(1), &mut std::io::stdout())
}
