//! The process: which tasks run, how they hang together, and how they end.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenweir_config::GatewayRef;
use tokenweir_config::status::Phase;
use tokenweir_crds::file::{FileError, KeyStore, KeyStoreError};
use tokenweir_process::{LogSetupError, shutdown_on_signals};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::{Access, Admin, Signals};
use crate::banner::Banner;
use crate::cli::ServeArgs;
use crate::clock::{Clock, SystemClock};
use crate::dataplane::{DataPlane, Parts, Services, Workers};
use crate::drain::Drain;
use crate::endpoints::{EndpointTable, Follow, LocalServices, SavedEndpoints, follow};
use crate::meter::MeterHub;
use crate::metrics::{Metrics, Sources};
use crate::net;
use crate::preflight::DrainError;
use crate::server::Connections;
use crate::source::disk::DiskCopy;
use crate::source::files::{self, Folder, sentence};
use crate::source::keeper::Keeper;
use crate::source::{Update, secret};
use crate::state::State;
use crate::statedir;
use crate::telemetry::Telemetry;
use crate::traces::Traces;

/// State folder in a cluster: an `emptyDir` of the pod.
const STATE_DIR: &str = "/var/lib/tokenweir";
/// Updates that may wait for the keeper. Sources wait when it is busy; nothing is lost.
const UPDATES: usize = 4;

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Neither a folder nor a gateway was named.
    #[error("nothing to serve: give --config DIR, or in a cluster --namespace and --gateway")]
    NothingToServe,
    /// The files have mistakes.
    #[error("{}", sentence(.0))]
    Files(Vec<FileError>),
    /// The configuration cannot be served.
    #[error("{0}")]
    Configuration(String),
    /// Minted keys cannot be kept.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// Logs.
    #[error(transparent)]
    Logs(#[from] LogSetupError),
    /// There is no room for a check.
    #[error("a temporary folder cannot be made: {0}")]
    Scratch(#[source] std::io::Error),
    /// The state folder cannot be used.
    #[error("the state folder {path} cannot be used: {source}")]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A control port cannot be opened.
    #[error("the {port} port {address} cannot be opened: {source}; {flag} names another")]
    Bind {
        /// Which.
        port: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The flag that moves it.
        flag: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Without a cluster the admin port asks for no token.
    #[error("without a cluster the admin port is for this machine alone, and {0} is not a loopback address")]
    OpenAdmin(SocketAddr),
    /// The runtime or signal handling.
    #[error("the process cannot be set up: {0}")]
    System(#[from] std::io::Error),
    /// Access to the cluster.
    #[error("there is no access to a cluster: {0}")]
    Kube(#[source] Box<kube::Error>),
    /// As above.
    #[error("there is no access to a cluster: {0}")]
    KubeConfig(#[from] kube::config::InferConfigError),
    /// A task that must not end has ended.
    #[error("the task {0} ended by itself")]
    Task(&'static str),
    /// The gateway on this machine.
    #[error(transparent)]
    Drain(#[from] DrainError),
}

impl AppError {
    /// Whether the command line or the configuration is at fault.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NothingToServe | Self::Files(_) | Self::Configuration(_) | Self::OpenAdmin(_)
        )
    }
}

/// Runs a task on the control thread: one runtime, apart from those of the workers.
pub fn block_on(task: impl Future<Output = Result<(), AppError>>) -> Result<(), AppError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(task);
    // Blocking tasks that are left, such as a last write, must not hold the exit.
    runtime.shutdown_background();
    done
}

/// Serves until a signal ends the process and everything has drained.
pub async fn serve(args: ServeArgs) -> Result<(), AppError> {
    let shutdown = shutdown_on_signals()?;
    if let Err(error) = tokenweir_process::raise_file_limit() {
        tracing::warn!(%error, "the limit on open files stays as it is; it bounds the connections");
    }
    let (lost, mut losses) = mpsc::channel(1);
    if let Err(error) = tokenweir_tokens::load() {
        tracing::warn!(%error, "encodings cannot be read; tokens are counted by estimate");
    }
    let control = Control::new(args, lost);
    let telemetry = control.open_telemetry().await?;
    let admin = control.open_admin().await?;
    let signals = Arc::clone(&control.signals).run(Arc::clone(&control.meter), control.drain.clone());
    control.spawn_vital("live signals", signals);
    let workers = match control.args.config.clone() {
        Some(path) => control.serve_files(&path, admin, telemetry).await?,
        None => control.serve_cluster().await?,
    };
    let lost = tokio::select! {
        () = shutdown.cancelled() => None,
        lost = losses.recv() => lost,
    };
    if let Some(task) = lost {
        tracing::error!(task, "a task that must not end has ended; the gateway drains and ends");
    }
    control.end(workers).await;
    lost.map_or(Ok(()), |task| Err(AppError::Task(task)))
}

/// Everything that the control tasks share.
struct Control {
    args: ServeArgs,
    clock: Arc<dyn Clock>,
    state: Arc<State>,
    drain: Drain,
    meter: Arc<MeterHub>,
    connections: Arc<Connections>,
    signals: Arc<Signals>,
    traces: Arc<Traces>,
    endpoints: Arc<EndpointTable>,
    stop: CancellationToken,
    /// Told the name of a vital task that has ended.
    lost: mpsc::Sender<&'static str>,
}

impl Control {
    fn new(args: ServeArgs, lost: mpsc::Sender<&'static str>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let traces = Traces::new();
        Self {
            state: State::new(pod_name(&args), clock.unix_ms()),
            drain: Drain::new(),
            meter: MeterHub::new(Arc::clone(&clock), Arc::clone(&traces)),
            connections: Arc::default(),
            signals: Signals::new(),
            traces,
            endpoints: Arc::new(EndpointTable::new()),
            stop: CancellationToken::new(),
            lost,
            clock,
            args,
        }
    }

    /// Runs a task without which the process would seem to live and would not follow its configuration: a panic in it
    /// ends the process, in order, so that it is started anew.
    fn spawn_vital(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let lost = self.lost.clone();
        tokio::spawn(async move {
            // How it ended, the log has said; here it counts that it did.
            let _ = tokio::spawn(task).await;
            let _ = lost.send(name).await;
        });
    }

    async fn open_telemetry(&self) -> Result<SocketAddr, AppError> {
        let (listener, address) = bind("telemetry", self.args.telemetry_address(), "--telemetry-listen").await?;
        let (drain, signals) = (self.drain.clone(), Arc::clone(&self.signals));
        let telemetry = Telemetry {
            state: Arc::clone(&self.state),
            drain: self.drain.clone(),
            lame_duck: self.args.lame_duck(),
            metrics: Metrics::new(Sources {
                meter: Arc::clone(&self.meter),
                connections: Arc::clone(&self.connections),
                state: Arc::clone(&self.state),
                endpoints: Arc::clone(&self.endpoints),
                phase: Box::new(move || drain.phase()),
                subscribers: Box::new(move || signals.subscribers()),
            }),
        };
        self.spawn_vital(
            "telemetry port",
            net::serve(listener, Arc::new(telemetry), self.stop.clone()),
        );
        Ok(address)
    }

    async fn open_admin(&self) -> Result<SocketAddr, AppError> {
        let (listener, address) = bind("admin", self.args.admin_address(), "--admin-listen").await?;
        let files = self.args.config.is_some();
        if files && !address.ip().is_loopback() {
            // Without a cluster there is no root key that tokens could be minted with.
            return Err(AppError::OpenAdmin(address));
        }
        let admin = Admin {
            access: if files { Access::Open } else { Access::Token },
            state: Arc::clone(&self.state),
            drain: self.drain.clone(),
            meter: Arc::clone(&self.meter),
            endpoints: Arc::clone(&self.endpoints),
            signals: Arc::clone(&self.signals),
            clock: Arc::clone(&self.clock),
        };
        self.spawn_vital("admin port", net::serve(listener, Arc::new(admin), self.stop.clone()));
        Ok(address)
    }

    fn data_plane(&self, services: Services) -> DataPlane {
        DataPlane::new(Parts {
            endpoints: Arc::clone(&self.endpoints),
            services,
            meter: Arc::clone(&self.meter),
            connections: Arc::clone(&self.connections),
            traces: Arc::clone(&self.traces),
            drain: self.drain.clone(),
            clock: Arc::clone(&self.clock),
            state: Arc::clone(&self.state),
            workers: self.args.workers(),
            bind: self.args.data_ip(),
            runtime: Handle::current(),
        })
    }

    fn keeper(&self, plane: DataPlane, disk: Option<DiskCopy>) -> Keeper<DataPlane> {
        Keeper::new(plane, Arc::clone(&self.state), Arc::clone(&self.clock), disk)
    }

    async fn serve_files(
        &self,
        path: &Path,
        admin: SocketAddr,
        telemetry: SocketAddr,
    ) -> Result<Arc<Workers>, AppError> {
        let state_dir = self
            .args
            .state_dir
            .clone()
            .unwrap_or_else(|| statedir::for_folder(path));
        let folder = Folder {
            path: path.to_owned(),
            gateway: self.args.gateway.clone(),
            keys: KeyStore::open(&state_dir)?,
            port: self.args.listen.and_then(|listen| listen.port),
        };
        let loaded = folder.load(1).map_err(AppError::Files)?;
        for note in &loaded.notes {
            tracing::info!("{note}");
        }
        let plane = self.data_plane(Services::Local(LocalServices::new(self.args.services.clone())));
        let workers = plane.workers();
        let mut keeper = self.keeper(plane, None);
        keeper.take(files::offer(loaded.snapshot.clone())).await;
        if self.state.serving().is_none() {
            let reason = self.state.rejected().map(|rejected| rejected.reason.clone());
            return Err(AppError::Configuration(reason.unwrap_or_default()));
        }
        let banner = Banner {
            path,
            snapshot: &loaded.snapshot,
            keys: &loaded.minted,
            data: &workers.local_addrs(),
            admin,
            telemetry,
        };
        // Whoever closed standard output does not want to read it.
        let _ = std::io::stdout().write_all(banner.text().as_bytes());
        let (updates, receiver) = mpsc::channel(UPDATES);
        tokio::spawn(keeper.run(receiver));
        tokio::spawn(async move {
            if let Err(error) = folder.watch(loaded.snapshot, updates).await {
                tracing::error!(%error, "edits are not noticed");
            }
        });
        Ok(workers)
    }

    async fn serve_cluster(&self) -> Result<Arc<Workers>, AppError> {
        let (Some(namespace), Some(name)) = (self.args.namespace.clone(), self.args.gateway.clone()) else {
            return Err(AppError::NothingToServe);
        };
        let gateway = GatewayRef { namespace, name };
        let state_dir = self.args.state_dir.clone().unwrap_or_else(|| PathBuf::from(STATE_DIR));
        std::fs::create_dir_all(&state_dir).map_err(|source| AppError::StateDir {
            path: state_dir.clone(),
            source,
        })?;
        let saved = SavedEndpoints::new(&state_dir);
        saved.load(&self.endpoints);
        let client = client(&gateway).await?;
        let (wanted, wants) = watch::channel(Vec::new());
        let (learnt, news) = watch::channel(());
        let endpoints = Follow {
            client: client.clone(),
            namespace: gateway.namespace.clone(),
            table: Arc::clone(&self.endpoints),
            saved,
            learnt,
        };
        self.spawn_vital("endpoints", follow(endpoints, wants));
        let plane = self.data_plane(Services::Cluster { wanted, learnt: news });
        let workers = plane.workers();
        let disk = DiskCopy::new(&state_dir);
        let mut keeper = self.keeper(plane, Some(disk.clone()));
        match disk.load() {
            Ok(Some(offer)) if offer.snapshot.gateway == gateway => keeper.take(Update::Offer(Box::new(offer))).await,
            Ok(Some(offer)) => tracing::warn!(of = ?offer.snapshot.gateway, "the copy on disk is of another gateway"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the copy on disk cannot be used"),
        }
        let (updates, receiver) = mpsc::channel(UPDATES);
        self.spawn_vital("configuration keeper", keeper.run(receiver));
        self.spawn_vital("configuration watch", secret::watch(client, gateway, updates));
        Ok(workers)
    }

    /// From the first sign of the end to the last byte.
    async fn end(self, workers: Arc<Workers>) {
        self.drain.lame_duck(self.args.lame_duck()).await;
        self.drain.advance(Phase::Draining);
        let grace = self.args.grace.to_std();
        let mut ended = tokio::task::spawn_blocking(move || workers.join());
        if tokio::time::timeout(grace, &mut ended).await.is_err() {
            let load = self.meter.load();
            tracing::warn!(in_flight = load.in_flight, "the grace period is over");
        }
        self.drain.advance(Phase::Stopped);
        let traces = Arc::clone(&self.traces);
        // A collector that is away has its own, short timeout; a panic there must not hold the exit.
        let _ = tokio::task::spawn_blocking(move || traces.close()).await;
        self.stop.cancel();
        tracing::info!("stopped");
    }
}

/// Access to the cluster. Nothing is asked yet: the API server may be away.
async fn client(gateway: &GatewayRef) -> Result<kube::Client, AppError> {
    let mut config = kube::Config::infer().await?;
    config.default_namespace.clone_from(&gateway.namespace);
    // The watches wait and try again by themselves, and say so; hidden retries below them would delay both.
    config.default_retry = false;
    kube::Client::try_from(config).map_err(|error| AppError::Kube(Box::new(error)))
}

async fn bind(
    port: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), AppError> {
    let failed = |source| AppError::Bind {
        port,
        address,
        flag,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn pod_name(args: &ServeArgs) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    args.pod
        .clone()
        .or_else(|| host().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}
