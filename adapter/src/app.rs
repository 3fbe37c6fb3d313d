//! Puts the parts together and runs them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Config};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::auth::front_proxy::{CONFIG_MAP, NAMESPACE};
use crate::auth::{Auth, FrontProxy};
use crate::cli::Options;
use crate::clock::{SharedClock, SystemClock};
use crate::discovery::Discovery;
use crate::metrics_api::MetricsService;
use crate::metrics_api::objects::{ObjectKind, Objects, watch_objects};
use crate::named::{chain, follow};
use crate::readiness::Readiness;
use crate::server::{Handler, serve};
use crate::signals::Store;
use crate::signals::pods::watch_pods;
use crate::signals::root_key::follow_root_key;
use crate::signals::subscribe::Subscriber;
use crate::telemetry::Telemetry;
use crate::tls::source::{CertificateFiles, follow_secret};
use crate::tls::{NoProvider, ServingCertificate, server_config};

/// A connection to the API server that takes longer is taken for dead.
const API_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the adapter could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No API server is named.
    #[error("cannot find an API server: run in a pod, or set KUBECONFIG")]
    Infer(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("cannot make a client for the API server")]
    Client(#[from] kube::Error),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Signals cannot be handled.
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    /// A fixed document cannot be written.
    #[error("cannot write the discovery documents")]
    Discovery(#[from] serde_json::Error),
    /// No TLS.
    #[error("cannot set up TLS")]
    Tls(#[from] NoProvider),
}

/// Runs the adapter until SIGTERM or SIGINT.
pub async fn run(options: Options) -> Result<(), AppError> {
    let stop = tokenweir_process::shutdown_on_signals().map_err(AppError::Signals)?;
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(API_CONNECT_TIMEOUT);
    let namespace = options
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    Adapter::start(client, &namespace, &options, SystemClock::shared())
        .await?
        .run(stop)
        .await;
    Ok(())
}

/// An adapter that listens.
#[derive(Debug)]
pub struct Adapter {
    listener: TcpListener,
    handler: Arc<Handler>,
    readiness: Arc<Readiness>,
    tls: rustls::ServerConfig,
    tasks: JoinSet<()>,
    /// Stops the tasks; after the server, which needs what they bring.
    stop_tasks: CancellationToken,
    delay: Duration,
    grace: Duration,
}

impl Adapter {
    /// Starts all watches and listens. Serves once [`Self::run`] is called.
    pub async fn start(
        client: Client,
        namespace: &str,
        options: &Options,
        clock: SharedClock,
    ) -> Result<Self, AppError> {
        let listener = bind(options.listen).await.map_err(|source| AppError::Listen {
            address: options.listen,
            source,
        })?;
        let telemetry = Arc::new(Telemetry::default());
        let (store, objects) = (Arc::new(Store::default()), Arc::new(Objects::default()));
        let front_proxy = Arc::new(ArcSwapOption::empty());
        let certificate = Arc::new(ServingCertificate::default());
        let readiness = Arc::new(Readiness::new(
            Arc::clone(&front_proxy),
            Arc::clone(&certificate),
            Arc::clone(&store),
            clock.now().mono,
        ));
        let handler = Arc::new(Handler {
            auth: Auth::new(
                client.clone(),
                Arc::clone(&front_proxy),
                Arc::clone(&clock),
                Arc::clone(&telemetry),
            ),
            discovery: Discovery::new()?,
            metrics: MetricsService::new(Arc::clone(&store), Arc::clone(&objects), options.max_signal_age),
            readiness: Arc::clone(&readiness),
            telemetry: Arc::clone(&telemetry),
            clock: Arc::clone(&clock),
        });
        let (key, root_key) = watch::channel(None);
        let subscriber = Arc::new(Subscriber {
            store,
            root_key,
            port: options.gateway_admin_port,
            clock,
            telemetry,
        });

        let tls = server_config(Arc::clone(&certificate))?;
        let stop_tasks = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (own, stop) = (namespace.to_owned(), stop_tasks.clone());
        tasks.spawn(watch_pods(client.clone(), subscriber, stop.clone()));
        for kind in ObjectKind::ALL {
            let (client, objects, stop) = (client.clone(), Arc::clone(&objects), stop.clone());
            tasks.spawn(async move { watch_objects(client, kind, &objects, stop).await });
        }
        tasks.spawn({
            let (client, own, stop) = (client.clone(), own.clone(), stop.clone());
            async move { follow_root_key(client, &own, key, stop).await }
        });
        tasks.spawn(follow_front_proxy(client.clone(), front_proxy, stop.clone()));
        if let (Some(chain), Some(key)) = (&options.tls_cert_file, &options.tls_key_file) {
            tasks.spawn(CertificateFiles::new(chain.clone(), key.clone()).follow(certificate, stop));
        } else {
            let name = options.serving_certificate_secret.clone();
            tasks.spawn(async move { follow_secret(client, &own, &name, certificate, stop).await });
        }
        let (delay, grace) = (options.shutdown_delay, options.shutdown_grace);
        Ok(Self {
            listener,
            handler,
            readiness,
            tls,
            tasks,
            stop_tasks,
            delay,
            grace,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`. Then it says that it is not ready, goes on serving until callers have noticed, and lets open
    /// requests end.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Ok(address) = self.address() {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
        }
        let (readiness, delay) = (Arc::clone(&self.readiness), self.delay);
        let close = CancellationToken::new();
        let closing = close.clone();
        self.tasks.spawn(async move {
            stop.cancelled().await;
            readiness.drain();
            tokio::time::sleep(delay).await;
            closing.cancel();
        });
        serve(self.listener, self.tls, self.handler, close, self.grace).await;
        self.stop_tasks.cancel();
        while self.tasks.join_next().await.is_some() {}
        tracing::info!("stopped");
    }
}

/// Listens. Where every IPv6 address is asked for on a machine without IPv6, every IPv4 address does as well.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Keeps `front_proxy` equal to the API server's ConfigMap until `stop`. What cannot be used is said and not taken over.
async fn follow_front_proxy(client: Client, front_proxy: Arc<ArcSwapOption<FrontProxy>>, stop: CancellationToken) {
    let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    follow(&api, CONFIG_MAP, &stop, |config_map| {
        let Some(config_map) = config_map else {
            tracing::warn!(
                config_map = CONFIG_MAP,
                "the ConfigMap that names the front proxy's CA is missing"
            );
            return;
        };
        match FrontProxy::from_config_map(&config_map) {
            Ok(read) => front_proxy.store(Some(Arc::new(read))),
            Err(error) => tracing::warn!(config_map = CONFIG_MAP, error = %chain(&error), "the front proxy is unknown"),
        }
    })
    .await;
}
