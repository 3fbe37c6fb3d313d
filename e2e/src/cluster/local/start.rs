//! Brings the local cluster up: from nothing, from a half-made start, or from a crash.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use tokio::process::Command;

use super::baseline::Baseline;
use super::layout::{API_PORT, ETCD_PORT, Layout, NODE_ADDRESS, NODE_LINK, NODE_NAME};
use super::machine::{self, boot_id, find_cni_plugins, find_resolver};
use super::settings::Settings;
use super::{check_alive, launch, parts, pki, render, stop_part};
use crate::cluster::error::{ClusterError, Result, file};
use crate::cluster::images::{self, Image, ImageRef};
use crate::cluster::lock::FileLock;
use crate::cluster::modules::{self, Module};
use crate::cluster::parts::Part;
use crate::cluster::process::{log_tail, write_atomic};
use crate::cluster::wait::until;
use crate::cluster::{Options, addons, command, kubeconfig};

/// Brings the cluster up and returns whether nothing of it ran before.
pub(crate) async fn up(options: &Options, layout: &Layout) -> Result<bool> {
    let progress = &options.progress;
    let lock = layout.lock();
    if let Some(parent) = lock.parent() {
        std::fs::create_dir_all(parent).map_err(file("create", parent))?;
    }
    let _lock = FileLock::acquire(&lock, || {
        progress.step("waiting for another start or stop of the cluster");
    })
    .await?;
    let found = super::is_running(layout)?;
    let settings = match Settings::load(layout)? {
        Some(found) if found.boot == boot_id()? => found,
        Some(_) => {
            progress.step("the machine has been restarted since the cluster ran: starting a new one");
            super::stop::clean(layout).await?;
            prepare(options, layout).await?
        }
        None => {
            machine::check(layout)?;
            prepare(options, layout).await?
        }
    };
    let settings = apply_hpa_sync(settings, options, layout).await?;
    if parts(layout)?.iter().all(|state| state.pid.is_some()) {
        wait_ready(layout).await?;
        return Ok(false);
    }
    progress.step(if found {
        "starting the missing parts of the local cluster"
    } else {
        "starting the local cluster"
    });
    match start(options, layout, &settings).await {
        // A part that was found running may have been about to end, and be gone now: the second attempt starts it.
        Err(ClusterError::PartDied { part, .. }) => {
            progress.step(format!("{part} ended during the start, starting it again"));
            start(options, layout, &settings).await?;
        }
        other => other?,
    }
    progress.step("the local cluster is ready");
    Ok(!found)
}

/// Makes everything that the parts need before the first of them starts, and records the settings last.
async fn prepare(options: &Options, layout: &Layout) -> Result<Settings> {
    let (folders, progress) = (&options.folders, &options.progress);
    for folder in layout.folders() {
        std::fs::create_dir_all(&folder).map_err(file("create", &folder))?;
    }
    if Baseline::load(layout)?.is_none() {
        Baseline::take().await?.store(layout)?;
    }
    let kubernetes = modules::ensure(Module::Kubernetes, folders, progress).await?;
    let etcd = modules::ensure(Module::Etcd, folders, progress).await?;
    let pause = images::pause(&options.folders, &options.progress).await?;
    let (resolver, nameservers) = find_resolver();
    let settings = Settings {
        boot: boot_id()?,
        hpa_sync_seconds: options.hpa_sync.as_secs().max(1),
        metrics_server: options.metrics_server,
        kubernetes,
        etcd,
        cni_plugins: find_cni_plugins()?,
        pause_image: pause.reference(),
        resolver,
        snapshotter: machine::Snapshotter::find(layout.root()),
        nameservers,
    };
    pki::create(layout)?;
    write_configuration(&settings, layout).await?;
    settings.store(layout)?;
    Ok(settings)
}

/// Takes over an HPA period that differs from the one the cluster runs with.
async fn apply_hpa_sync(mut settings: Settings, options: &Options, layout: &Layout) -> Result<Settings> {
    let wanted = options.hpa_sync.as_secs().max(1);
    if options.hpa_sync_given && wanted != settings.hpa_sync_seconds {
        options.progress.step(format!(
            "changing the HPA's period from {} s to {wanted} s",
            settings.hpa_sync_seconds
        ));
        settings.hpa_sync_seconds = wanted;
        settings.store(layout)?;
        stop_part(layout, Part::ControllerManager).await?;
    }
    Ok(settings)
}

async fn write_configuration(settings: &Settings, layout: &Layout) -> Result<()> {
    let json = |path: &Path, value: &serde_json::Value| write_atomic(path, format!("{value:#}\n").as_bytes());
    json(&layout.config("kubelet.json"), &render::kubelet(settings, layout))?;
    json(&layout.config("kube-proxy.json"), &render::proxy(layout))?;
    json(&layout.config("cni/10-tokenweir.conflist"), &render::cni(layout))?;
    write_atomic(
        &layout.config("containerd.toml"),
        render::containerd(settings, layout).as_bytes(),
    )?;
    for certificate in ["controller-manager", "scheduler", "proxy", "node", "admin"] {
        json(
            &layout.config(&format!("{certificate}.kubeconfig")),
            &render::kubeconfig(layout, certificate),
        )?;
    }
    // The administrator's file holds its certificates, so that a copy of it works from anywhere.
    let mut flatten = Command::new(settings.kubernetes.join("kubectl"));
    flatten.arg("--kubeconfig").arg(layout.config("admin.kubeconfig"));
    let flat = command::output(flatten.args(["config", "view", "--raw", "--flatten"])).await?;
    kubeconfig::write(&layout.kubeconfig(), &flat)
}

async fn start(options: &Options, layout: &Layout, settings: &Settings) -> Result<()> {
    let progress = &options.progress;
    let started = std::time::Instant::now();
    add_node_link().await?;
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    std::fs::write(forward, "1").map_err(file("write", forward))?;
    launch(settings, layout, Part::Containerd)?;
    launch(settings, layout, Part::Etcd)?;
    // The API server waits for etcd by itself, but gives up after a while when the machine is busy.
    wait_listening(layout, Part::Etcd, ETCD_PORT).await?;
    launch(settings, layout, Part::ApiServer)?;
    // Images are made and imported while the API server starts.
    wait_containerd(layout).await?;
    let addons = addon_images(options, settings).await?;
    let pause = images::pause(&options.folders, &options.progress).await?;
    let all: Vec<_> = addons.iter().cloned().chain([pause]).collect();
    import(&all, layout).await?;
    wait_listening(layout, Part::ApiServer, API_PORT).await?;
    let client = kubeconfig::client(&layout.kubeconfig()).await?;
    wait_api(layout, &client).await?;
    progress.step(format!(
        "the API server answers ({:.1} s)",
        started.elapsed().as_secs_f64()
    ));
    for part in [Part::ControllerManager, Part::Scheduler, Part::Proxy, Part::Kubelet] {
        launch(settings, layout, part)?;
    }
    install_addons(&addons, settings, layout).await?;
    wait_node(layout, &client).await?;
    progress.step(format!("the node is ready ({:.1} s)", started.elapsed().as_secs_f64()));
    wait_ready(layout).await
}

async fn add_node_link() -> Result<()> {
    if Path::new("/sys/class/net").join(NODE_LINK).exists() {
        return Ok(());
    }
    let address = format!("{NODE_ADDRESS}/32");
    let steps: [&[&str]; 3] = [
        &["link", "add", NODE_LINK, "type", "bridge"],
        &["address", "add", &address, "dev", NODE_LINK],
        &["link", "set", NODE_LINK, "up"],
    ];
    for step in steps {
        command::output(Command::new("ip").args(step)).await?;
    }
    Ok(())
}

async fn addon_images(options: &Options, settings: &Settings) -> Result<Vec<ImageRef>> {
    let mut wanted = vec![(Module::CoreDns, "coredns")];
    if settings.metrics_server {
        wanted.push((Module::MetricsServer, "metrics-server"));
    }
    let mut images = Vec::new();
    for (module, name) in wanted {
        let folder = modules::ensure(module, &options.folders, &options.progress).await?;
        images.push(Image {
            name: name.to_owned(),
            binary: folder.join(name),
        });
    }
    images::build(&images, &options.folders, &options.progress).await
}

/// Imports images into the cluster's containerd. One that is there already is left alone.
pub(crate) async fn import(images: &[ImageRef], layout: &Layout) -> Result<()> {
    let ctr = || {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(layout.containerd_socket())
            .args(["--namespace", "k8s.io", "images"]);
        command
    };
    let settings = Settings::load(layout)?.ok_or(ClusterError::NotRunning)?;
    let snapshotter = settings.snapshotter.name();
    let present = command::output(ctr().args(["list", "--quiet"])).await?;
    for image in images {
        let reference = image.reference();
        if !present.lines().any(|line| line == reference) {
            command::output(ctr().args(["import", "--snapshotter", snapshotter]).arg(&image.archive)).await?;
        }
    }
    Ok(())
}

async fn install_addons(images: &[ImageRef], settings: &Settings, layout: &Layout) -> Result<()> {
    let mut objects = Vec::new();
    for image in images {
        objects.extend(match image.name.as_str() {
            "coredns" => addons::dns(&image.reference(), &settings.nameservers),
            _ => addons::metrics_server(&image.reference()),
        });
    }
    let mut apply = Command::new(settings.kubernetes.join("kubectl"));
    apply.arg("--kubeconfig").arg(layout.kubeconfig());
    apply.args([
        "apply",
        "--server-side",
        "--field-manager=tokenweir-cluster",
        "--force-conflicts",
        "-f",
        "-",
    ]);
    command::output_with_input(&mut apply, &addons::list(&objects).to_string())
        .await
        .map(drop)
}

async fn wait_listening(layout: &Layout, part: Part, number: u16) -> Result<()> {
    until(
        &format!("{part} to listen on {NODE_ADDRESS}:{number}"),
        Duration::from_mins(1),
        async || {
            check_alive(layout, part)?;
            let connected = tokio::net::TcpStream::connect((NODE_ADDRESS, number)).await;
            Ok(connected.map(drop).map_err(|error| error.to_string()))
        },
    )
    .await
}

async fn wait_containerd(layout: &Layout) -> Result<()> {
    until("containerd to answer", Duration::from_mins(1), async || {
        check_alive(layout, Part::Containerd)?;
        let mut version = Command::new("ctr");
        let answer = command::output(version.arg("--address").arg(layout.containerd_socket()).arg("version")).await;
        Ok(answer.map(drop).map_err(|error| error.to_string()))
    })
    .await
}

async fn wait_api(layout: &Layout, client: &Client) -> Result<()> {
    until("the API server to be ready", Duration::from_mins(2), async || {
        check_alive(layout, Part::ApiServer)?;
        let request = http::Request::get("/readyz")
            .body(Vec::new())
            .map_err(kube::Error::HttpError)?;
        Ok(client
            .request_text(request)
            .await
            .map(drop)
            .map_err(|error| error.to_string()))
    })
    .await
}

async fn wait_node(layout: &Layout, client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let waited = until("the node to be ready", Duration::from_mins(2), async || {
        for part in Part::ALL {
            check_alive(layout, part)?;
        }
        Ok(match nodes.get_opt(NODE_NAME).await {
            Ok(Some(node)) => node_ready(&node),
            Ok(None) => Err("the kubelet has not registered the node yet".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    });
    waited.await.map_err(|error| with_log(error, layout, Part::Kubelet))
}

fn node_ready(node: &Node) -> Result<(), String> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    match conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready")
    {
        Some(condition) if condition.status == "True" => Ok(()),
        Some(condition) => Err(condition.message.clone().unwrap_or_default()),
        None => Err("the node has no condition yet".to_owned()),
    }
}

/// Waits until the node is ready and Service names resolve.
async fn wait_ready(layout: &Layout) -> Result<()> {
    let client = kubeconfig::client(&layout.kubeconfig()).await?;
    wait_api(layout, &client).await?;
    wait_node(layout, &client).await?;
    let deployments: Api<Deployment> = Api::namespaced(client, "kube-system");
    until("CoreDNS to be ready", Duration::from_mins(2), async || {
        Ok(match deployments.get_opt("coredns").await {
            Ok(Some(found)) if found.status.as_ref().and_then(|status| status.ready_replicas) >= Some(1) => Ok(()),
            Ok(_) => Err("no pod of CoreDNS is ready".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    })
    .await
}

fn with_log(error: ClusterError, layout: &Layout, part: Part) -> ClusterError {
    match error {
        ClusterError::Timeout { what, seconds, last } => {
            let last = format!("{last}; the end of {part}'s log:\n{}", log_tail(&layout.log(part)));
            ClusterError::Timeout { what, seconds, last }
        }
        other => other,
    }
}
