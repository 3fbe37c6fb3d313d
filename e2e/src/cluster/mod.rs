//! A Kubernetes to develop and test on: the one the user names, one in containers, or one made from parts on this
//! machine. See `docs/local-cluster.md`.

mod addons;
mod choice;
pub(crate) mod command;
mod error;
mod folders;
pub(crate) mod hash;
pub mod images;
mod kind;
mod kubeconfig;
pub mod local;
mod lock;
mod modules;
mod parts;
mod process;
mod progress;
pub mod release;
mod wait;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

pub use choice::{Choice, Engine, Facts, choose};
pub use error::{ClusterError, Result};
pub use folders::Folders;
pub use modules::{Module, ensure as ensure_module};
pub use parts::Part;
pub use progress::Progress;
pub use wait::until;

use images::ImageRef;
use kind::KindCluster;
use local::layout::Layout;

/// The HPA's period where none is asked for. Kubernetes' own default of 15 s makes tests slow.
pub const DEFAULT_HPA_SYNC: Duration = Duration::from_secs(5);

/// How a cluster is found or started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kube context to use instead of any other cluster.
    pub context: Option<String>,
    /// Where images for that context are pushed to.
    pub registry: Option<String>,
    /// How often the HPA controller of a cluster that is started looks, in whole seconds, at least one.
    pub hpa_sync: Duration,
    /// Whether `hpa_sync` was asked for: then a local cluster that runs with another period takes it over.
    pub hpa_sync_given: bool,
    /// Whether a local cluster gets metrics-server.
    pub metrics_server: bool,
    /// Where things are kept.
    pub folders: Folders,
    /// Where progress goes.
    pub progress: Progress,
}

impl Options {
    /// Options from the environment: `KUBE_CONTEXT`, `IMAGE_REGISTRY`, and those of [`Folders::from_env`].
    pub fn from_env(progress: Progress) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            context: set("KUBE_CONTEXT"),
            registry: set("IMAGE_REGISTRY"),
            hpa_sync: DEFAULT_HPA_SYNC,
            hpa_sync_given: false,
            metrics_server: true,
            folders: Folders::from_env(),
            progress,
        }
    }
}

/// Which kind of cluster it is.
#[derive(Debug, Clone)]
enum Backend {
    Context { name: String, registry: Option<String> },
    Local(Layout),
    Kind(KindCluster),
}

/// A cluster that answers.
#[derive(Debug, Clone)]
pub struct Cluster {
    backend: Backend,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
    hpa_sync: Option<Duration>,
    started: bool,
    progress: Progress,
}

impl Cluster {
    /// The kubeconfig whose current context is this cluster. Only its owner can read it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A `kubectl` of the version that was tested.
    pub fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    /// A `helm` of the version that was tested.
    pub fn helm(&self) -> &Path {
        &self.helm
    }

    /// How often the HPA controller looks, where it is known.
    pub fn hpa_sync(&self) -> Option<Duration> {
        self.hpa_sync
    }

    /// Whether the call that returned this value started the cluster.
    pub fn was_started(&self) -> bool {
        self.started
    }

    /// Whether NodePorts answer on 127.0.0.1. Elsewhere a port-forward is needed.
    pub fn has_loopback_node_ports(&self) -> bool {
        matches!(self.backend, Backend::Local(_))
    }

    /// What the cluster is, for a person.
    pub fn description(&self) -> String {
        match &self.backend {
            Backend::Context { name, .. } => format!("the context {name:?}"),
            Backend::Local(_) => "the local cluster".to_owned(),
            Backend::Kind(_) => "a kind cluster".to_owned(),
        }
    }

    /// A client with the administrator's rights, or with those of the user's context.
    pub async fn client(&self) -> Result<kube::Client> {
        kubeconfig::client(&self.kubeconfig).await
    }

    /// Makes images available to the cluster's pods and returns them under the names that pods use.
    pub async fn load_images(&self, images: &[ImageRef]) -> Result<Vec<ImageRef>> {
        match &self.backend {
            Backend::Local(layout) => local::import(images, layout).await?,
            Backend::Kind(kind) => kind.load(images).await?,
            Backend::Context { registry, .. } => {
                let registry = registry.as_deref().ok_or(ClusterError::NoRegistry)?;
                return images::push(images, registry, &self.progress).await;
            }
        }
        Ok(images.to_vec())
    }

    /// Stops one part of the local cluster and returns when its process has ended.
    pub async fn stop_part(&self, part: Part) -> Result<()> {
        local::stop_part(self.layout("stopping a part")?, part).await
    }

    /// Starts one part of the local cluster again. It returns as soon as the process runs; wait with [`until`] for
    /// what it does.
    pub fn start_part(&self, part: Part) -> Result<()> {
        local::start_part(self.layout("starting a part")?, part)
    }

    /// The log file of one part of the local cluster.
    pub fn part_log(&self, part: Part) -> Result<PathBuf> {
        Ok(self.layout("the log of a part")?.log(part))
    }

    fn layout(&self, operation: &'static str) -> Result<&Layout> {
        match &self.backend {
            Backend::Local(layout) => Ok(layout),
            _ => Err(ClusterError::NotLocal {
                operation,
                kind: self.description(),
            }),
        }
    }
}

/// Finds a cluster, or starts one: the named context; else the local cluster if it runs; else kind where a container
/// engine answers; else the local cluster. Calling it again finds the same cluster and changes nothing.
pub async fn find_or_start(options: Options) -> Result<Cluster> {
    let layout = Layout::new(options.folders.cluster())?;
    match decide(&options, &layout).await? {
        Choice::Context(name) => named(options, name).await,
        Choice::Local => started_locally(options, layout).await,
        Choice::Kind(engine) => in_kind(options, engine).await,
    }
}

/// Finds the cluster that [`find_or_start`] would find, and starts none.
pub async fn find(options: &Options) -> Result<Option<Cluster>> {
    let layout = Layout::new(options.folders.cluster())?;
    match decide(options, &layout).await {
        Ok(Choice::Context(name)) => named(options.clone(), name).await.map(Some),
        Ok(Choice::Local) if local::is_running(&layout)? => started_locally(options.clone(), layout).await.map(Some),
        Ok(Choice::Kind(engine)) if kind_cluster(options, engine).await?.exists().await? => {
            in_kind(options.clone(), engine).await.map(Some)
        }
        // Whoever may not start a cluster may still ask whether there is one.
        Ok(_) | Err(ClusterError::NeedsRoot) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn decide(options: &Options, layout: &Layout) -> Result<Choice> {
    let local_running = local::is_running(layout)?;
    let engine = if options.context.is_none() && !local_running {
        kind::find_engine().await
    } else {
        None
    };
    let root = rustix::process::geteuid().is_root();
    choose(&Facts {
        context: options.context.clone(),
        local_running,
        engine,
        root,
    })
}

/// kubectl, which the local cluster has with the rest of Kubernetes, and helm; built if need be.
async fn tools(options: &Options, kubectl: Module) -> Result<(PathBuf, PathBuf)> {
    let kubernetes = ensure_module(kubectl, &options.folders, &options.progress).await?;
    let helm = ensure_module(Module::Helm, &options.folders, &options.progress).await?;
    Ok((kubernetes.join("kubectl"), helm.join("helm")))
}

async fn started_locally(options: Options, layout: Layout) -> Result<Cluster> {
    let started = local::up(&options, &layout).await?;
    let (kubectl, helm) = tools(&options, Module::Kubernetes).await?;
    Ok(Cluster {
        kubeconfig: layout.kubeconfig(),
        hpa_sync: local::hpa_sync_seconds(&layout)?.map(Duration::from_secs),
        backend: Backend::Local(layout),
        kubectl,
        helm,
        started,
        progress: options.progress,
    })
}

async fn in_kind(options: Options, engine: Engine) -> Result<Cluster> {
    let kind = kind_cluster(&options, engine).await?;
    let (kubectl, helm) = tools(&options, Module::Kubectl).await?;
    let kubeconfig = options.folders.state.join("kind.kubeconfig");
    let seconds = options.hpa_sync.as_secs().max(1);
    let started = kind.up(&kubeconfig, seconds, &options.progress).await?;
    Ok(Cluster {
        backend: Backend::Kind(kind),
        kubeconfig,
        kubectl,
        helm,
        // A cluster that was found may have been created with another period.
        hpa_sync: started.then(|| Duration::from_secs(seconds)),
        started,
        progress: options.progress,
    })
}

async fn kind_cluster(options: &Options, engine: Engine) -> Result<KindCluster> {
    let folder = ensure_module(Module::Kind, &options.folders, &options.progress).await?;
    Ok(KindCluster::new(folder.join("kind"), engine))
}

async fn named(options: Options, name: String) -> Result<Cluster> {
    let (kubectl, helm) = tools(&options, Module::Kubectl).await?;
    let mut view = Command::new(&kubectl);
    view.args(["config", "view", "--raw", "--minify", "--flatten", "--context", &name]);
    let kubeconfig = options.folders.state.join("context.kubeconfig");
    kubeconfig::write(&kubeconfig, &command::output(&mut view).await?)?;
    Ok(Cluster {
        backend: Backend::Context {
            name,
            registry: options.registry,
        },
        kubeconfig,
        kubectl,
        helm,
        hpa_sync: None,
        started: false,
        progress: options.progress,
    })
}

/// Stops the local cluster, or else deletes the kind cluster, and returns whether there was one. Where the user names a
/// context nothing is touched: neither that cluster, which is not ours, nor another, which is not meant.
pub async fn stop(options: &Options) -> Result<bool> {
    if options.context.is_some() {
        return Ok(false);
    }
    let layout = Layout::new(options.folders.cluster())?;
    if local::is_running(&layout)? || layout.root().exists() {
        if !rustix::process::geteuid().is_root() {
            return Err(ClusterError::NeedsRoot);
        }
        if local::down(&layout, &options.progress).await? {
            return Ok(true);
        }
    }
    match kind::find_engine().await {
        Some(engine) => kind_cluster(options, engine).await?.down(&options.progress).await,
        None => Ok(false),
    }
}
