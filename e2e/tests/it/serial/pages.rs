//! The commands of the documentation, against the quickstart as `make up` leaves it.

use std::path::Path;

use tokio::process::Command;

use super::api_server::api_server_answers;
use crate::support::pages::{blocks, output};
use crate::support::{TestResult, World};

/// Runs every block for the cluster, and the lines that `make up` proposes at its end.
pub async fn run(world: &World, printed: &str) -> TestResult {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let proposed = proposed(printed);
    let exports: Vec<&str> = proposed
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with("export "))
        .collect();
    assert_eq!(exports.len(), 2, "{printed}");
    bash(world, "what `make up` proposes", &proposed).await;
    let blocks = blocks(&world.folders.source, "cluster");
    assert!(blocks.len() >= 6, "{blocks:?}");
    for block in blocks {
        // Parts of another cluster are not ours to look at.
        if block.place.starts_with("docs/local-cluster.md") && !world.cluster.has_loopback_node_ports() {
            continue;
        }
        let lines = exports.iter().copied().chain(block.commands.iter().map(String::as_str));
        let script: Vec<String> = lines.filter_map(|line| runnable(world, folder.path(), line)).collect();
        bash(world, &block.place, &script).await;
        api_server_answers(world).await?;
    }
    Ok(())
}

/// The commands below "Try next".
fn proposed(printed: &str) -> Vec<String> {
    let rest = printed.split_once("Try next").expect("`make up` proposes commands").1;
    let lines = rest
        .lines()
        .map(|line| line.split("    #").next().unwrap_or(line).trim());
    let commands = lines.filter(|line| {
        ["eval ", "export ", "curl ", "kubectl "]
            .iter()
            .any(|start| line.starts_with(start))
    });
    let commands: Vec<String> = commands.map(str::to_owned).collect();
    assert!(commands.len() >= 5, "{printed}");
    commands
}

/// A line as it can be run here: with the values that a reader would put in.
fn runnable(world: &World, folder: &Path, line: &str) -> Option<String> {
    // The reader takes these values from what `make up` printed; here they come from there, too.
    if line.contains('…') {
        return None;
    }
    if line.ends_with(" -w") {
        return Some(format!("timeout 2 {line} || [ $? = 124 ]"));
    }
    // The harness's own run keeps its record elsewhere; `make status` by itself is part of the test around this one.
    if let Some(target) = line.strip_prefix("make ") {
        return Some(format!("make -n {target}"));
    }
    let pid = "$(ctr --address $S/containerd/containerd.sock -n k8s.io tasks list | awk '$3 == \"RUNNING\" {print $2; exit}')";
    let state = world.folders.cluster();
    let line = line
        .replace("~/.local/state/tokenweir/cluster", &state.display().to_string())
        .replace("/proc/PID/", &format!("/proc/{pid}/"))
        .replace("chain.pem", &folder.join("chain.pem").display().to_string())
        .replace("key.pem", &folder.join("key.pem").display().to_string());
    Some(line)
}

fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["edge.example.com".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("chain.pem"), made.cert.pem()).expect("a file");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
}

async fn bash(world: &World, place: &str, lines: &[String]) {
    let programs = [
        Path::new(env!("CARGO_BIN_EXE_tokenweir-dev")),
        world.cluster.kubectl(),
        world.cluster.helm(),
    ];
    let path = programs.iter().filter_map(|program| program.parent());
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(path.map(Path::to_owned).chain(std::env::split_paths(&inherited))).expect("a path");
    let mut shell = Command::new("bash");
    shell
        .args(["-euc", &lines.join("\n")])
        .env("PATH", path)
        .env("KUBECONFIG", world.cluster.kubeconfig());
    output(place, &world.folders.source, shell).await;
}
