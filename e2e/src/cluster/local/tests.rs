use std::path::PathBuf;

use super::*;

fn settings() -> Settings {
    Settings {
        boot: "b".to_owned(),
        hpa_sync_seconds: 5,
        metrics_server: true,
        kubernetes: PathBuf::from("/parts/kubernetes"),
        etcd: PathBuf::from("/parts/etcd"),
        cni_plugins: PathBuf::from("/usr/lib/cni"),
        pause_image: "localhost/tokenweir/pause:1".to_owned(),
        resolver: PathBuf::from("/etc/resolv.conf"),
        snapshotter: machine::Snapshotter::Overlayfs,
        nameservers: vec!["192.0.2.53".to_owned()],
    }
}

fn layout() -> Layout {
    Layout::new(PathBuf::from("/state/cluster")).unwrap()
}

#[test]
fn the_command_line_of_every_part_is_as_recorded() {
    let lines: Vec<_> = Part::ALL
        .into_iter()
        .map(|part| render::command_line(part, &settings(), &layout()).join("\n  "))
        .collect();
    insta::assert_snapshot!("command_lines", lines.join("\n\n"));
}

#[test]
fn the_configuration_files_are_as_recorded() {
    insta::assert_json_snapshot!("kubelet", render::kubelet(&settings(), &layout()));
    insta::assert_json_snapshot!("kube_proxy", render::proxy(&layout()));
    insta::assert_json_snapshot!("cni", render::cni(&layout()));
    insta::assert_json_snapshot!("kubeconfig", render::kubeconfig(&layout(), "scheduler"));
    insta::assert_snapshot!("containerd", render::containerd(&settings(), &layout()));
}

#[test]
fn a_cluster_that_was_never_started_has_no_running_part_and_none_can_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("cluster")).unwrap();
    assert!(!is_running(&layout).unwrap());
    assert!(matches!(
        start_part(&layout, Part::Kubelet),
        Err(ClusterError::NotRunning)
    ));
}

#[test]
fn settings_are_read_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().to_owned()).unwrap();
    assert_eq!(Settings::load(&layout).unwrap(), None);
    settings().store(&layout).unwrap();
    assert_eq!(Settings::load(&layout).unwrap(), Some(settings()));
}

#[test]
fn a_record_whose_pid_belongs_to_another_process_now_counts_as_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().to_owned()).unwrap();
    std::fs::create_dir_all(folder.path().join("run")).unwrap();
    let stale = Record {
        pid: std::process::id(),
        start_ticks: 1,
        argv: Vec::new(),
    };
    std::fs::write(layout.record(Part::Etcd), serde_json::to_vec(&stale).unwrap()).unwrap();
    assert!(!is_running(&layout).unwrap());
    assert!(matches!(
        check_alive(&layout, Part::Etcd),
        Err(ClusterError::PartDied { part: Part::Etcd, .. })
    ));
}
