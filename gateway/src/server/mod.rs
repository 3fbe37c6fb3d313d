//! The data plane as threads and sockets: one worker for each core, each with a runtime, listeners, connections and
//! counters of its own, so that requests share nothing but what they must.

mod activity;
mod connection;

mod listener;
mod observed;
mod patience;
mod places;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ClientConfig;
use tokenweir_config::status::Phase;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::endpoints::EndpointTable;
use crate::meter::MeterHub;
use crate::plan::PlanCell;
use crate::upstream::{Pools, Resolve, Upstreams};
use connection::Closing;
use listener::{Listeners, bind, check_free};
pub use patience::Patience;
pub use places::{Connections, Cut};
pub use worker::{Active, Worker};

/// A port that could not be opened is tried again after this time.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// Once nothing runs any more, connections have this long to end in peace.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the data plane is made of.
pub struct ServeParts {
    /// The plan in service.
    pub plan: Arc<PlanCell>,
    /// The addresses behind Services.
    pub endpoints: Arc<EndpointTable>,
    /// Where requests are counted.
    pub meter: Arc<MeterHub>,
    /// The phase of the process.
    pub drain: Drain,
    /// What time it is, for keys that end.
    pub clock: Arc<dyn Clock>,
    /// TLS towards providers; see [`crate::upstream::client_config`].
    pub tls: Arc<ClientConfig>,
    /// Counts the connections of clients.
    pub connections: Arc<Connections>,
    /// How long to wait for clients.
    pub patience: Patience,
    /// Where the names of providers lead.
    pub resolver: Arc<dyn Resolve>,
    /// Threads. At least one.
    pub workers: usize,
    /// Address on which the plan's ports are opened.
    pub bind: IpAddr,
}

/// Why the data plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or may not be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a worker thread")]
    Thread(#[source] io::Error),
}

/// The data plane at work.
pub struct Running {
    addresses: Vec<SocketAddr>,
    workers: Vec<Arc<Worker>>,
    runtimes: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the data plane. It serves when this returns, and ends as the phase moves on: from
/// [`Phase::Draining`] a worker ends when nothing runs on it, at [`Phase::Stopped`] in any case.
pub fn start(parts: ServeParts) -> Result<Running, StartError> {
    let ServeParts {
        plan,
        endpoints,
        meter,
        drain,
        clock,
        tls,
        resolver,
        connections,
        patience,
        workers,
        bind: ip,
    } = parts;
    let count = workers.max(1);
    let mut addresses = Vec::new();
    // By worker, then by the port that the plan names.
    let mut sockets: Vec<BTreeMap<u16, TcpListener>> = (0..count).map(|_| BTreeMap::new()).collect();
    for port in plan.load().ports() {
        let mut address = SocketAddr::new(ip, port);
        let failed = |source| StartError::Listen { address, source };
        check_free(address).map_err(failed)?;
        for (n, worker) in sockets.iter_mut().enumerate() {
            let listener = bind(address).map_err(|source| StartError::Listen { address, source })?;
            if n == 0 {
                // Port 0 becomes a real one, which all workers share.
                address = listener
                    .local_addr()
                    .map_err(|source| StartError::Listen { address, source })?;
                addresses.push(address);
            }
            worker.insert(port, listener);
        }
    }
    let mut running = Running {
        addresses,
        workers: Vec::new(),
        runtimes: Vec::new(),
        threads: Vec::new(),
    };
    for (n, listeners) in sockets.into_iter().enumerate() {
        let worker = Arc::new(Worker {
            plan: Arc::clone(&plan),
            upstreams: Upstreams {
                pools: Pools::new(Arc::clone(&tls), Arc::clone(&resolver)),
                clock: Arc::clone(&clock),
                endpoints: Arc::clone(&endpoints),
            },
            meter: meter.shard(),
            drain: drain.clone(),
            connections: Arc::clone(&connections),
            patience,
            clock: Arc::clone(&clock),
            running: AtomicUsize::new(0),
            idle: Notify::new(),
        });
        running.workers.push(Arc::clone(&worker));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        running.runtimes.push(runtime.handle().clone());
        let thread = std::thread::Builder::new()
            .name(format!("worker-{n}"))
            .spawn(move || runtime.block_on(run(worker, ip, listeners)))
            .map_err(StartError::Thread)?;
        running.threads.push(thread);
    }
    Ok(running)
}

impl Running {
    /// Where the data plane listened when it started, one address for each port of the plan.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Requests whose answers have not gone entirely.
    pub fn running(&self) -> usize {
        self.workers.iter().map(|worker| worker.running.load(Relaxed)).sum()
    }

    /// Tasks of all workers: one or more for each connection, and a few that last.
    pub fn tasks(&self) -> usize {
        let alive = self.runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks());
        alive.sum()
    }

    /// Waits for all workers to end. Blocks the calling thread.
    pub fn join(self) {
        for thread in self.threads {
            // A worker that panicked has ended too; the panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// The life of a worker.
async fn run(worker: Arc<Worker>, address: IpAddr, sockets: BTreeMap<u16, TcpListener>) {
    let connections = TaskTracker::new();
    let closing = Closing::default();
    let mut listeners = Listeners::new(Arc::clone(&worker), address, connections.clone(), closing.clone());
    for (port, socket) in sockets {
        if let Err(error) = listeners.add(port, socket) {
            tracing::error!(port, %error, "a listener cannot be used");
        }
    }
    let sweeper = tokio::spawn(worker::sweep_pools(Arc::clone(&worker)));
    let mut changes = worker.plan.subscribe();
    // A plan that came between the opening of the sockets and now would not be told as a change.
    changes.mark_changed();
    let drain = worker.drain.clone();
    let mut lame = std::pin::pin!(drain.reached(Phase::LameDuck));
    let mut draining = std::pin::pin!(drain.reached(Phase::Draining));
    let mut all_open = true;
    loop {
        tokio::select! {
            () = &mut draining => break,
            () = &mut lame, if !closing.soon.is_cancelled() => closing.soon.cancel(),
            told = changes.changed() => if told.is_ok() {
                all_open = listeners.follow(&worker.plan.load_full());
            } else {
                // The cell lives as long as the worker, so this is for completeness only.
                draining.as_mut().await;
                break;
            },
            () = tokio::time::sleep(LISTEN_AGAIN), if !all_open => {
                all_open = listeners.follow(&worker.plan.load_full());
            }
        }
    }
    closing.soon.cancel();
    listeners.close().await;
    tokio::select! {
        () = worker.idle() => {}
        () = drain.reached(Phase::Stopped) => {}
    }
    closing.now.cancel();
    connections.close();
    let _ = tokio::time::timeout(LAST_WORDS, connections.wait()).await;
    sweeper.abort();
}
