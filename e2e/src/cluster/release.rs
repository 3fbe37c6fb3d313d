//! Builds the project's own programs as they are published: optimised and static.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::command;
use super::error::{ClusterError, Result};
use super::folders::Folders;
use super::progress::Progress;

/// The part of cargo's messages that is read.
#[derive(Debug, Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

/// Builds the programs of these packages and returns the path of each by its name.
///
/// They are static (glibc included), so that they run in an empty image. Cargo's progress goes to standard error.
pub async fn build(packages: &[&str], folders: &Folders, progress: &Progress) -> Result<BTreeMap<String, PathBuf>> {
    let host = host_triple().await?;
    progress.step(format!("building {} for {host}", packages.join(", ")));
    let mut cargo = Command::new("cargo");
    // With an explicit target the flags reach the programs only, not build scripts and macros.
    cargo.args(["build", "--release", "--bins", "--locked", "--target", &host]);
    cargo.arg("--message-format=json-render-diagnostics");
    for package in packages {
        cargo.args(["--package", package]);
    }
    cargo
        .current_dir(&folders.source)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    // A cargo that runs this program (`cargo run`, `cargo test`) sets variables that would make the inner one rebuild.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_ENCODED_RUSTFLAGS" {
            cargo.env_remove(&name);
        }
    }
    if !progress.is_shown() {
        cargo.arg("--quiet");
    }
    cargo.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let spawn_error = |source| ClusterError::Spawn {
        program: "cargo".to_owned(),
        source,
    };
    let mut child = cargo.spawn().map_err(spawn_error)?;
    let mut found = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(spawn_error)? {
            if let Some((name, path)) = executable(&line) {
                found.insert(name, path);
            }
        }
    }
    let status = child.wait().await.map_err(spawn_error)?;
    if !status.success() {
        return Err(ClusterError::Command {
            command: "cargo build --release".to_owned(),
            status: status.to_string(),
            output: "its output stands above".to_owned(),
        });
    }
    Ok(found)
}

/// The path of one program among those that [`build`] found.
pub fn program(found: &BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf> {
    found
        .get(name)
        .cloned()
        .ok_or_else(|| ClusterError::NoExecutable(name.to_owned()))
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(line).ok()?;
    Some((message.target?.name, message.executable?))
}

async fn host_triple() -> Result<String> {
    let text = command::output(Command::new("rustc").arg("-vV")).await?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| ClusterError::NoExecutable("the host that rustc builds for".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_with_an_executable_count() {
        let artifact = r#"{"reason":"compiler-artifact","target":{"name":"tokenweir-sim","kind":["bin"]},"executable":"/t/tokenweir-sim"}"#;
        assert_eq!(
            executable(artifact),
            Some(("tokenweir-sim".to_owned(), PathBuf::from("/t/tokenweir-sim")))
        );
        for line in [
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "warning: text",
        ] {
            assert_eq!(executable(line), None, "{line}");
        }
    }
}
