//! From the command line to running controllers, and back.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokenweir_process::{LogSetupError, shutdown_on_signals};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::board::Board;
use crate::certificates::{self, CertificateReconciler};
use crate::cli::{Cli, RunArgs};
use crate::clock::Clock;
use crate::context::Context;
use crate::gateway::{GatewayReconciler, GatewayStatusReconciler};
use crate::kubernetes::{ConfigMaps, Events, Secrets};
use crate::leader::{Election, ElectionError, LEASE, Outcome};
use crate::parts::{ProviderReconciler, RouteReconciler};
use crate::probe::{Prober, StatusClient};
use crate::rootkey::RootKey;
use crate::runtime::{Reconciler, run as run_controller};
use crate::scaling::ScalingReconciler;
use crate::telemetry::{Health, Metrics, ServeError, serve};
use crate::tenant::TenantReconciler;
use crate::watch::{Caches, Inbox, Inboxes, Queues, Router, start};

/// How long reconciliations that have begun may take after the process was told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long a request may be silent.
const REQUEST_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two tries to get at the root key.
const ROOT_KEY_RETRY: Duration = Duration::from_secs(2);

/// Why the operator ended in another way than asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Logs could not be set up.
    #[error(transparent)]
    Logs(#[from] LogSetupError),
    /// The runtime or its signal handlers could not be set up.
    #[error("the process cannot be set up: {0}")]
    Process(#[from] std::io::Error),
    /// No cluster is configured.
    #[error("no cluster is configured: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("the client cannot be made: {0}")]
    Client(#[source] kube::Error),
    /// Probes and metrics cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Leader election cannot begin.
    #[error(transparent)]
    Election(#[from] ElectionError),
    /// Another replica leads, or may.
    #[error("the lease was lost; ending so that two leaders never act at once")]
    LeaseLost,
}

/// Runs the operator until SIGTERM or SIGINT.
pub fn run(cli: &Cli) -> Result<(), AppError> {
    cli.logs.init()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(operate(&cli.run))
}

async fn operate(args: &RunArgs) -> Result<(), AppError> {
    let shutdown = shutdown_on_signals()?;
    let (metrics, health) = (Metrics::default(), Health::default());
    // Probes and metrics outlive the controllers, so that the end can be watched.
    let telemetry = CancellationToken::new();
    let _ends_telemetry = telemetry.clone().drop_guard();
    let bound = serve(args.listen, metrics.clone(), health.clone(), telemetry).await?;
    tracing::info!(address = %bound, version = env!("CARGO_PKG_VERSION"), "probes and metrics are served");
    let config = kube::Config::infer().await?;
    let watch_client = Client::try_from(config.clone()).map_err(AppError::Client)?;
    let client = Client::try_from(impatient(config)).map_err(AppError::Client)?;
    let identity = args.identity.clone().unwrap_or_else(random_identity);
    let operator = Operator {
        client: client.clone(),
        watch_client,
        metrics: metrics.clone(),
        health: health.clone(),
        identity: identity.clone(),
    };
    if args.no_leader_election {
        health.leading();
        metrics.leader(true);
        operator.run(args, &shutdown).await;
        return Ok(());
    }
    let mut election = Election::new(client, &args.install_namespace, LEASE, identity, args.timing())?;
    if election.acquire(&shutdown).await == Some(Outcome::Shutdown) {
        return Ok(());
    }
    health.leading();
    metrics.leader(true);
    let work = shutdown.child_token();
    let working = operator.run(args, &work);
    let mut working = std::pin::pin!(working);
    let outcome = tokio::select! {
        outcome = election.hold(&shutdown) => outcome,
        () = &mut working => Outcome::Shutdown,
    };
    if outcome == Outcome::Lost {
        // At once: what is still under way may already be somebody else's.
        return Err(AppError::LeaseLost);
    }
    health.stopping();
    // The lease stays ours until nothing of ours runs any more.
    if timeout(STOP_WITHIN, working).await.is_err() {
        tracing::warn!("some reconciliations did not end in time");
    }
    election.release().await;
    Ok(())
}

/// An API server that hangs must not hold a reconciliation for minutes, as the patience that watches need would.
fn impatient(mut config: kube::Config) -> kube::Config {
    config.connect_timeout = Some(REQUEST_PATIENCE);
    config.read_timeout = Some(REQUEST_PATIENCE);
    config.write_timeout = Some(REQUEST_PATIENCE);
    config
}

/// Unique to this process, so that two processes of one host are never taken for one.
fn random_identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "operator".into());
    let nanos = Timestamp::now().as_nanosecond();
    format!("{host}-{}-{nanos:x}", std::process::id())
}

struct Operator {
    client: Client,
    watch_client: Client,
    metrics: Metrics,
    health: Health,
    identity: String,
}

impl Operator {
    /// Runs all controllers until `shutdown`, and until what they have begun is done.
    async fn run(&self, args: &RunArgs, shutdown: &CancellationToken) {
        let (client, clock) = (self.client.clone(), Clock::system());
        let (queues, inboxes) = Queues::new(&self.metrics);
        let (caches, writers) = Caches::new();
        let news = queues.clone();
        let board = Arc::new(Board::new(move |item| news.on_news(item)));
        let secrets = Arc::new(Secrets::new(client.clone(), caches.secrets.clone()));
        let config_maps = Arc::new(ConfigMaps::new(client.clone(), caches.config_maps.clone()));
        let prober = Arc::new(Prober::new(
            board.clone(),
            caches.pods.clone(),
            StatusClient::default(),
            clock,
            shutdown.clone(),
        ));
        let context = Context {
            client: client.clone(),
            watch_client: self.watch_client.clone(),
            caches: caches.clone(),
            secrets: secrets.clone(),
            config_maps: config_maps.clone(),
            board: board.clone(),
            prober: prober.clone(),
            root_key: RootKey::default(),
            events: Events::new(client.clone(), self.identity.clone()),
            clock,
            settings: Arc::new(args.settings()),
        };
        let router = Arc::new(Router::new(caches.clone(), queues, board, prober, secrets, config_maps));
        start(&self.watch_client, &args.scope(), writers, &router, shutdown);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = root_key(&context) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            synced = caches.synced() => if synced.is_err() { return },
        }
        self.health.synced();
        tracing::info!("all objects are read; reconciling");

        let tasks = TaskTracker::new();
        let namespace = context.settings.install_namespace.clone();
        let keeper = (context.root_key.clone(), router.clone(), shutdown.clone());
        let watch_client = self.watch_client.clone();
        tasks.spawn(async move {
            let (key, router, shutdown) = keeper;
            key.keep(watch_client, namespace, || router.all_gateways(), shutdown)
                .await;
        });
        if args.manage_certificates {
            let reconciler = CertificateReconciler::new(context.clone(), self.metrics.clone());
            tasks.spawn(certificates::run(reconciler, self.metrics.clone(), shutdown.clone()));
        }
        self.controllers(&tasks, &context, inboxes, shutdown);
        tasks.close();
        tasks.wait().await;
    }

    fn controllers(&self, tasks: &TaskTracker, context: &Context, inboxes: Inboxes, shutdown: &CancellationToken) {
        let caches = &context.caches;
        // No `..`: a queue that is added wants a controller.
        let Inboxes {
            gateways,
            gateway_statuses,
            providers,
            routes,
            tenants,
            policies,
        } = inboxes;
        let spawner = Spawner {
            tasks,
            metrics: &self.metrics,
            shutdown,
        };
        spawner.spawn(GatewayReconciler::new(context.clone()), &caches.gateways, gateways);
        spawner.spawn(
            GatewayStatusReconciler::new(context.clone()),
            &caches.gateways,
            gateway_statuses,
        );
        spawner.spawn(ProviderReconciler::new(context.clone()), &caches.providers, providers);
        spawner.spawn(RouteReconciler::new(context.clone()), &caches.routes, routes);
        spawner.spawn(TenantReconciler::new(context.clone()), &caches.tenants, tenants);
        spawner.spawn(ScalingReconciler::new(context.clone()), &caches.policies, policies);
    }
}

struct Spawner<'a> {
    tasks: &'a TaskTracker,
    metrics: &'a Metrics,
    shutdown: &'a CancellationToken,
}

impl Spawner<'_> {
    fn spawn<R: Reconciler>(
        &self,
        reconciler: R,
        store: &kube::runtime::reflector::Store<crate::runtime::Guarded<R::Object>>,
        inbox: Inbox<crate::runtime::Guarded<R::Object>>,
    ) {
        self.tasks.spawn(run_controller(
            Arc::new(reconciler),
            store.clone(),
            inbox.stream,
            inbox.waiting,
            self.metrics.clone(),
            self.shutdown.clone(),
        ));
    }
}

/// Waits until there is a root key.
async fn root_key(context: &Context) {
    while let Err(error) = context
        .root_key
        .ensure(&context.client, &context.settings.install_namespace)
        .await
    {
        tracing::error!(%error, "no root key yet");
        sleep(ROOT_KEY_RETRY).await;
    }
}
