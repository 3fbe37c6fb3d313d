//! The commands of the page on performance are those that the bench understands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows tests by #[test]; the helpers here are part of tests too"
)]

use std::path::Path;
use std::process::Command;

#[test]
fn every_command_of_the_page_is_understood() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut seen = 0;
    for line in page.lines() {
        let Some(command) = line.strip_prefix("target/release/tokenweir-bench ") else {
            continue;
        };
        let arguments = command.split('#').next().unwrap_or(command).split_whitespace();
        // `--help` comes last: what stands before it is parsed first.
        let mut bench = Command::new(env!("CARGO_BIN_EXE_tokenweir-bench"));
        let output = bench.args(arguments).arg("--help").output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        seen += 1;
    }
    assert!(seen > 0, "the page names no command");
}
