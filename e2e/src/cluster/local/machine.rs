//! What the machine offers, and what on it stands in the way of a cluster.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::sweep;
use crate::cluster::error::{ClusterError, Result, file};

/// How containerd keeps the layers of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Snapshotter {
    /// Layers are stacked by the kernel.
    #[default]
    Overlayfs,
    /// Layers are copied: slower, and the one way on a file system that is an overlay itself, as in a container.
    Native,
}

impl Snapshotter {
    /// The name by which containerd calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overlayfs => "overlayfs",
            Self::Native => "native",
        }
    }

    /// The one that works in a folder of this machine.
    pub(crate) fn find(folder: &Path) -> Self {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        match file_system(&table, folder) {
            Some("overlay" | "fuse-overlayfs") => Self::Native,
            _ => Self::Overlayfs,
        }
    }
}

/// The type of the file system that a folder is in, from `/proc/self/mountinfo`.
fn file_system<'a>(table: &'a str, folder: &Path) -> Option<&'a str> {
    let mounts = table.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = Path::new(before.split(' ').nth(4)?);
        folder.starts_with(point).then_some(())?;
        Some((point.components().count(), after.split(' ').next()?))
    });
    // Of two mounts on one point the later one counts, and `max_by_key` returns the last of equals.
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// An error if something on the machine would make the cluster fail, or fail because of it.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    // Another kubelet's pods share the names of cgroups and firewall chains with ours.
    if !super::is_running(layout)? && !sweep::pod_processes().is_empty() {
        return Err(ClusterError::Foreign(
            "another kubelet runs pods on this machine; name its cluster with KUBE_CONTEXT= instead".to_owned(),
        ));
    }
    cgroup_problem(Path::new("/sys/fs/cgroup")).map_or(Ok(()), |problem| Err(ClusterError::Foreign(problem)))
}

/// What is wrong with the cgroups, if anything is.
///
/// In cgroup v2 a group other than the machine's own root cannot hold processes and hand controllers on at once, so
/// that in a container everything must have been moved into a group below first.
fn cgroup_problem(root: &Path) -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    // These files tell version 2, and a group that is not the machine's root.
    read("cgroup.controllers")?;
    read("cgroup.type")?;
    let handed_on = read("cgroup.subtree_control").unwrap_or_default();
    let handed_on: Vec<_> = handed_on.split_ascii_whitespace().collect();
    let missing: Vec<_> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|name| !handed_on.contains(name))
        .collect();
    let occupied = read("cgroup.procs").is_some_and(|pids| !pids.trim().is_empty());
    (occupied && !missing.is_empty()).then(|| {
        format!(
            "the cgroup of this container holds processes, so that it cannot hand on {}; move them into a group below \
             it first: mkdir {root}/init && xargs -n1 < {root}/cgroup.procs > {root}/init/cgroup.procs",
            missing.join(", "),
            root = root.display()
        )
    })
}

/// The id of this boot of the machine.
pub(crate) fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(std::fs::read_to_string(path)
        .map_err(file("read", path))?
        .trim()
        .to_owned())
}

/// Where Debian, Ubuntu and others put the CNI plugins.
pub(crate) fn find_cni_plugins() -> Result<PathBuf> {
    ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]
        .map(PathBuf::from)
        .into_iter()
        .find(|folder| folder.join("ptp").is_file() && folder.join("host-local").is_file())
        .ok_or_else(|| {
            ClusterError::Foreign("the CNI plugins are not installed: run tools/setup, which installs them".to_owned())
        })
}

/// The resolver file to hand to pods, and the nameservers in it that a pod can reach.
pub(crate) fn find_resolver() -> (PathBuf, Vec<String>) {
    // systemd-resolved's stub listens on the machine's loopback, which a pod cannot reach; its upstream file lists the
    // real servers.
    let candidates = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"].map(PathBuf::from);
    for path in candidates {
        let nameservers = nameservers(&std::fs::read_to_string(&path).unwrap_or_default());
        if !nameservers.is_empty() {
            return (path, nameservers);
        }
    }
    (PathBuf::from("/etc/resolv.conf"), Vec::new())
}

fn nameservers(resolver: &str) -> Vec<String> {
    resolver
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<std::net::IpAddr>().ok())
        .filter(|address| !address.is_loopback())
        .map(|address| address.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_on_the_loopback_are_left_out() {
        let text = "# comment\nsearch a.b\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n nameserver ::1\nnameserver nonsense\n";
        assert_eq!(nameservers(text), ["192.0.2.53"]);
    }

    #[test]
    fn the_file_system_is_that_of_the_innermost_mount() {
        let table = "\
1 0 0:30 / / rw,relatime - overlay overlay rw
2 1 8:1 / /state rw - ext4 /dev/sda rw
3 1 8:1 / /statement rw - xfs /dev/sdb rw
";
        assert_eq!(file_system(table, Path::new("/state/cluster")), Some("ext4"));
        assert_eq!(file_system(table, Path::new("/root/.local")), Some("overlay"));
        assert_eq!(file_system("", Path::new("/root")), None);
    }

    fn cgroups(files: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        cgroup_problem(folder.path())
    }

    #[test]
    fn cgroups_of_version_1_and_of_a_whole_machine_are_fine() {
        assert_eq!(cgroups(&[]), None);
        let machine = [
            ("cgroup.controllers", "cpu memory pids"),
            ("cgroup.subtree_control", ""),
            ("cgroup.procs", "1\n"),
        ];
        assert_eq!(cgroups(&machine), None);
    }

    #[test]
    fn a_container_whose_group_holds_processes_is_refused_until_its_controllers_are_handed_on() {
        let container = |handed_on, processes| {
            cgroups(&[
                ("cgroup.controllers", "cpu memory pids"),
                ("cgroup.type", "domain\n"),
                ("cgroup.subtree_control", handed_on),
                ("cgroup.procs", processes),
            ])
        };
        let problem = container("cpu\n", "1\n7\n").unwrap();
        assert!(
            problem.contains("hand on memory, pids;") && problem.contains("mkdir"),
            "{problem}"
        );
        assert_eq!(container("cpu memory pids\n", "1\n"), None);
        assert_eq!(container("", ""), None);
    }
}
