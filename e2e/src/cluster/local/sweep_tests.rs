use super::*;

const SAVED: &str = "\
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:CNI-old - [0:0]
:CNI-new - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A POSTROUTING -s 10.244.0.2/32 -m comment --comment \"name: \\\"tokenweir\\\" id: \\\"x\\\"\" -j CNI-new
-A POSTROUTING -s 10.88.0.2/32 -j CNI-old
-A KUBE-SERVICES -j KUBE-SERVICES
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
";

#[test]
fn only_chains_made_since_the_baseline_are_removed_with_the_rules_that_jump_to_them() {
    let before = BTreeSet::from(["iptables nat CNI-old".to_owned()]);
    assert_eq!(
        firewall_removal("iptables", SAVED, &before),
        "*nat\n\
         -D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
         -D POSTROUTING -s 10.244.0.2/32 -m comment --comment \"name: \\\"tokenweir\\\" id: \\\"x\\\"\" -j CNI-new\n\
         -F CNI-new\n-F KUBE-SERVICES\n-X CNI-new\n-X KUBE-SERVICES\nCOMMIT\n"
    );
}

#[test]
fn a_firewall_without_our_chains_is_left_alone() {
    let before = chains(SAVED)
        .iter()
        .map(|(table, chain)| format!("iptables {table} {chain}"))
        .collect();
    assert_eq!(firewall_removal("iptables", SAVED, &before), "");
}

#[test]
fn mounts_are_listed_innermost_first_and_only_below_the_folder() {
    let table = "\
1 0 8:1 / / rw - ext4 /dev/sda rw
2 1 0:5 / /state/cluster rw - tmpfs t rw
3 1 0:5 / /state/cluster/a rw - tmpfs t rw
4 1 0:5 / /state/cluster/a/b\\040c rw - tmpfs t rw
5 1 0:5 / /state/cluster-other rw - tmpfs t rw
";
    let found = mounts_below(table, Path::new("/state/cluster"));
    assert_eq!(
        found,
        [Path::new("/state/cluster/a/b c"), Path::new("/state/cluster/a")]
    );
}

#[test]
fn a_shim_is_ours_only_with_our_socket() {
    let line = |socket: &str| {
        format!("/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0{socket}\0").into_bytes()
    };
    assert!(is_shim(&line("/s/containerd.sock"), "/s/containerd.sock"));
    assert!(!is_shim(&line("/run/containerd/containerd.sock"), "/s/containerd.sock"));
    assert!(!is_shim(b"/usr/bin/grep\0/s/containerd.sock\0", "/s/containerd.sock"));
}

#[test]
fn folders_are_listed_children_first() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
    let found = descend(folder.path());
    assert_eq!(
        found,
        [
            folder.path().join("a/b"),
            folder.path().join("a"),
            folder.path().to_owned()
        ]
    );
}
