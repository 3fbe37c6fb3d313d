//! The command lines and configuration files of the parts: pure functions of the settings and the layout.

use serde_json::{Value, json};

use super::layout::{
    API_PORT, DNS_ADDRESS, DOMAIN, ETCD_PEER_PORT, ETCD_PORT, Layout, NODE_ADDRESS, NODE_NAME, POD_RANGE, SERVICE_RANGE,
};
use super::settings::Settings;
use crate::cluster::parts::Part;

/// The command line that starts a part.
pub(crate) fn command_line(part: Part, settings: &Settings, layout: &Layout) -> Vec<String> {
    let program = |name: &str| settings.kubernetes.join(name).display().to_string();
    let config = |name: &str| layout.config(name).display().to_string();
    let (program, flags) = match part {
        Part::Containerd => (
            "containerd".to_owned(),
            vec![format!("--config={}", config("containerd.toml"))],
        ),
        Part::Etcd => (settings.etcd.join("server").display().to_string(), etcd(layout)),
        Part::ApiServer => (program("kube-apiserver"), api_server(layout)),
        Part::ControllerManager => (program("kube-controller-manager"), controller_manager(settings, layout)),
        Part::Scheduler => (
            program("kube-scheduler"),
            vec![
                format!("--kubeconfig={}", config("scheduler.kubeconfig")),
                format!("--authentication-kubeconfig={}", config("scheduler.kubeconfig")),
                format!("--authorization-kubeconfig={}", config("scheduler.kubeconfig")),
                format!("--bind-address={NODE_ADDRESS}"),
                "--leader-elect=false".to_owned(),
            ],
        ),
        Part::Proxy => (
            program("kube-proxy"),
            vec![format!("--config={}", config("kube-proxy.json"))],
        ),
        Part::Kubelet => (
            program("kubelet"),
            vec![
                format!("--config={}", config("kubelet.json")),
                format!("--kubeconfig={}", config("node.kubeconfig")),
                format!("--root-dir={}", layout.data("kubelet").display()),
                format!("--cert-dir={}", layout.data("kubelet").join("pki").display()),
                format!("--hostname-override={NODE_NAME}"),
                format!("--node-ip={NODE_ADDRESS}"),
            ],
        ),
    };
    std::iter::once(program).chain(flags).collect()
}

fn etcd(layout: &Layout) -> Vec<String> {
    let pki = |name: &str| layout.pki(name).display().to_string();
    let client = format!("https://{NODE_ADDRESS}:{ETCD_PORT}");
    let peer = format!("https://{NODE_ADDRESS}:{ETCD_PEER_PORT}");
    vec![
        "--name=tokenweir".to_owned(),
        format!("--data-dir={}", layout.data("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=tokenweir={peer}"),
        format!("--cert-file={}", pki("etcd.crt")),
        format!("--key-file={}", pki("etcd.key")),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", pki("etcd-ca.crt")),
        format!("--peer-cert-file={}", pki("etcd.crt")),
        format!("--peer-key-file={}", pki("etcd.key")),
        "--peer-client-cert-auth".to_owned(),
        format!("--peer-trusted-ca-file={}", pki("etcd-ca.crt")),
        // The data lives no longer than the cluster: waiting for the disk on every write buys nothing.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server(layout: &Layout) -> Vec<String> {
    let pki = |name: &str| layout.pki(name).display().to_string();
    vec![
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--bind-address={NODE_ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--cert-dir={}", layout.data("pki").display()),
        format!("--client-ca-file={}", pki("ca.crt")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--etcd-servers=https://{NODE_ADDRESS}:{ETCD_PORT}"),
        format!("--etcd-cafile={}", pki("etcd-ca.crt")),
        format!("--etcd-certfile={}", pki("etcd-client.crt")),
        format!("--etcd-keyfile={}", pki("etcd-client.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}"),
        format!("--service-account-key-file={}", pki("service-account.pub")),
        format!("--service-account-signing-key-file={}", pki("service-account.key")),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
    ]
}

fn controller_manager(settings: &Settings, layout: &Layout) -> Vec<String> {
    let pki = |name: &str| layout.pki(name).display().to_string();
    let kubeconfig = layout.config("controller-manager.kubeconfig").display().to_string();
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--bind-address={NODE_ADDRESS}"),
        "--leader-elect=false".to_owned(),
        "--allocate-node-cidrs=true".to_owned(),
        format!("--cluster-cidr={POD_RANGE}"),
        "--node-cidr-mask-size=24".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--service-account-private-key-file={}", pki("service-account.key")),
        "--use-service-account-credentials=true".to_owned(),
        // Each controller fetches a token of its own when it starts; the default of 20 a second makes that take 5 s.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        format!("--horizontal-pod-autoscaler-sync-period={}s", settings.hpa_sync_seconds),
    ]
}

/// The kubelet's configuration file.
pub(crate) fn kubelet(settings: &Settings, layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "healthzBindAddress": NODE_ADDRESS,
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": DOMAIN,
        "resolvConf": settings.resolver,
        // A nearly full disk of a developer's machine is no reason to evict; a full one is.
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        // Images come from an archive, not a registry: one that is collected cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 200,
        // Lowering a score takes a capability that containers of CI services lack.
        "oomScoreAdj": 0,
        "podLogsDir": layout.data("pod-logs"),
        "volumePluginDir": layout.data("kubelet").join("volume-plugins"),
        "rotateCertificates": false,
    })
}

/// The configuration file of kube-proxy.
pub(crate) fn proxy(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": format!("{NODE_ADDRESS}:10256"),
        "metricsBindAddress": format!("{NODE_ADDRESS}:10249"),
        "hostnameOverride": NODE_NAME,
        "clientConnection": { "kubeconfig": layout.config("proxy.kubeconfig") },
        "clusterCIDR": POD_RANGE,
        // NodePorts answer to this machine only.
        "nodePortAddresses": ["127.0.0.0/8"],
        "iptables": { "localhostNodePorts": true, "minSyncPeriod": "100ms", "syncPeriod": "30s" },
        // The machine's connection tracking is left as it is.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "oomScoreAdj": 0,
    })
}

/// The CNI configuration: a pair of interfaces per pod, routed by the machine, which unlike a bridge needs no
/// bridge-netfilter in the kernel for Services to work between pods.
pub(crate) fn cni(layout: &Layout) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "tokenweir",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": layout.data("cni"),
                    "ranges": [[{ "subnet": POD_RANGE }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// The configuration file of containerd.
pub(crate) fn containerd(settings: &Settings, layout: &Layout) -> String {
    let quoted = |text: String| format!("{text:?}");
    let path = |name: &str| quoted(layout.data(name).display().to_string());
    format!(
        r#"version = 2
root = {root}
state = {state}
oom_score = 0

[grpc]
  address = {socket}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {pause}
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = {snapshotter}
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = {runc}

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {cni_plugins}
    conf_dir = {cni_config}
"#,
        root = path("containerd/root"),
        state = path("containerd/state"),
        snapshotter = quoted(settings.snapshotter.name().to_owned()),
        opt = path("containerd/opt"),
        runc = path("containerd/runc"),
        socket = quoted(layout.containerd_socket().display().to_string()),
        pause = quoted(settings.pause_image.clone()),
        cni_plugins = quoted(settings.cni_plugins.display().to_string()),
        cni_config = quoted(layout.config("cni").display().to_string()),
    )
}

/// A kubeconfig for one client certificate.
pub(crate) fn kubeconfig(layout: &Layout, certificate: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "tokenweir",
            "cluster": {
                "server": format!("https://{NODE_ADDRESS}:{API_PORT}"),
                "certificate-authority": layout.pki("ca.crt"),
            },
        }],
        "users": [{
            "name": certificate,
            "user": {
                "client-certificate": layout.pki(&format!("{certificate}.crt")),
                "client-key": layout.pki(&format!("{certificate}.key")),
            },
        }],
        "contexts": [{ "name": "tokenweir", "context": { "cluster": "tokenweir", "user": certificate } }],
        "current-context": "tokenweir",
    })
}
