//! Removes what a cluster leaves on a machine when its parts end: container processes, mounts, cgroups, links,
//! firewall chains. Everything here finds its objects by what only this cluster has, and may run any number of times.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::Instant;

use super::baseline::Baseline;
use super::layout::{Layout, NODE_LINK};
use crate::cluster::command;
use crate::cluster::error::Result;

/// The firewall commands whose chains are looked at.
pub(super) const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];

/// Removes everything that is left of the cluster.
pub(super) async fn sweep(layout: &Layout, baseline: Option<&Baseline>) -> Result<()> {
    kill_containers(layout).await;
    unmount(layout).await?;
    remove_cgroups();
    // Fails where the link is gone already.
    let _ = command::output(Command::new("ip").args(["link", "delete", NODE_LINK])).await;
    for family in FAMILIES {
        clean_firewall(family, baseline.map(|baseline| &baseline.chains)).await?;
    }
    remove_traces(layout);
    Ok(())
}

/// The folders of the kubelet's cgroups: one, or one for each controller of cgroup v1.
pub(super) fn pod_cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let controllers = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    std::iter::once(root.to_owned())
        .chain(controllers)
        .map(|folder| folder.join("kubepods"))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Folders below and including `folder`, children before their parents.
fn descend(folder: &Path) -> Vec<PathBuf> {
    let children = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        entry.file_type().ok()?.is_dir().then(|| entry.path())
    });
    let mut found: Vec<_> = children.flat_map(|child| descend(&child)).collect();
    found.push(folder.to_owned());
    found
}

/// The processes in the kubelet's cgroups.
pub(super) fn pod_processes() -> BTreeSet<i32> {
    let folders = pod_cgroups().into_iter().flat_map(|folder| descend(&folder));
    let texts = folders.filter_map(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).ok());
    texts
        .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The shims of our containerd: they carry its socket in their command line.
fn shims(layout: &Layout) -> BTreeSet<i32> {
    let socket = layout.containerd_socket().display().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| {
            is_shim(
                &std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
                &socket,
            )
        })
        .collect()
}

fn is_shim(command_line: &[u8], socket: &str) -> bool {
    let mut words = command_line.split(|byte| *byte == 0);
    words
        .next()
        .is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"))
        && words.any(|word| word == socket.as_bytes())
}

async fn kill_containers(layout: &Layout) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left: BTreeSet<_> = shims(layout).into_iter().chain(pod_processes()).collect();
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // It may have ended since it was listed.
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn unmount(layout: &Layout) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for point in mounts_below(&table, layout.root()) {
        command::output(Command::new("umount").arg("--lazy").arg(&point)).await?;
    }
    Ok(())
}

/// The mount points below a folder, the latest first.
fn mounts_below(table: &str, folder: &Path) -> Vec<PathBuf> {
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .map(PathBuf::from);
    let mut found: Vec<_> = points
        .filter(|point| point.starts_with(folder) && point != folder)
        .collect();
    found.reverse();
    found
}

/// The kernel writes blanks in paths as octal numbers.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

fn remove_cgroups() {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    for folder in pod_cgroups().iter().flat_map(|folder| descend(folder)) {
        // A cgroup stays busy for an instant after its last process was killed.
        while std::fs::remove_dir(&folder).is_err() && folder.exists() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The chains in the output of `iptables-save`, each with its table.
pub(super) fn chains(saved: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            found.push((table.clone(), chain.to_owned()));
        }
    }
    found
}

/// The input for `iptables-restore --noflush` that removes the chains which Kubernetes and CNI made since the baseline,
/// and the rules elsewhere that jump to them. Empty if there is nothing to remove.
pub(super) fn firewall_removal(family: &str, saved: &str, before: &BTreeSet<String>) -> String {
    let ours: BTreeSet<_> = chains(saved)
        .into_iter()
        .filter(|(_, chain)| chain.starts_with("KUBE-") || chain.starts_with("CNI-"))
        .filter(|(table, chain)| !before.contains(&format!("{family} {table} {chain}")))
        .collect();
    let tables: BTreeSet<_> = ours.iter().map(|(table, _)| table.clone()).collect();
    let mut script = Vec::new();
    for wanted in tables {
        script.push(format!("*{wanted}\n"));
        let own = |chain: &str| ours.contains(&(wanted.clone(), chain.to_owned()));
        let mut table = "";
        for line in saved.lines() {
            table = line.strip_prefix('*').unwrap_or(table);
            let Some(rule) = line.strip_prefix("-A ") else { continue };
            let mut words = rule.split(' ');
            let chain = words.next().unwrap_or_default();
            let target = words
                .skip_while(|word| *word != "-j" && *word != "-g")
                .nth(1)
                .unwrap_or_default();
            if table == wanted && !own(chain) && own(target) {
                script.push(format!("-D {rule}\n"));
            }
        }
        let own_chains: Vec<_> = ours
            .iter()
            .filter(|(table, _)| *table == wanted)
            .map(|(_, chain)| chain)
            .collect();
        for chain in &own_chains {
            script.push(format!("-F {chain}\n"));
        }
        for chain in &own_chains {
            script.push(format!("-X {chain}\n"));
        }
        script.push("COMMIT\n".to_owned());
    }
    script.concat()
}

async fn clean_firewall(family: &str, before: Option<&BTreeSet<String>>) -> Result<()> {
    // Without a baseline nothing was started, so that no chain can be ours.
    let Some(before) = before else { return Ok(()) };
    let saved = command::output(&mut Command::new(format!("{family}-save"))).await?;
    let script = firewall_removal(family, &saved, before);
    if !script.is_empty() {
        let mut restore = Command::new(format!("{family}-restore"));
        command::output_with_input(restore.args(["--wait", "--noflush"]), &script).await?;
    }
    Ok(())
}

/// Removes files outside the state folder that belong to the cluster.
fn remove_traces(layout: &Layout) {
    let entries = |folder: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let logs = layout.data("pod-logs");
    let links = entries("/var/log/containers").into_iter();
    let links = links.filter(|path| std::fs::read_link(path).is_ok_and(|target| target.starts_with(&logs)));
    // What CNI remembers of a pod holds the path of the pod's network namespace.
    let root = layout.root().display().to_string();
    let results = entries("/var/lib/cni/results").into_iter();
    let results = results.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&root)));
    // A shim that was killed leaves its socket, and a kubelet always does; one that nobody listens on is of no use to anybody.
    let listening = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let sockets = entries("/run/containerd/s")
        .into_iter()
        .chain(entries("/var/lib/kubelet/device-plugins"));
    let sockets = sockets.filter(|path| !listening.contains(&path.display().to_string()));
    for path in links.chain(results).chain(sockets) {
        // It may be gone already.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
