//! Sockets and threads.

mod io;
mod tls;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::behaviour::Behaviour;
use crate::config::{GoogleAccount, SimConfig};
use crate::state::{Access, RecordedRequest, ServiceAccount, State, Stats, read_key_file};

/// Connections that may wait to be accepted: a burst of clients must not meet a full line.
const BACKLOG: i32 = 4096;
/// How often the key file is looked at. A mounted Secret changes by a swapped symbolic link, which plain reading sees.
const KEY_FILE_INTERVAL: Duration = Duration::from_millis(200);

/// Why the simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread or its runtime did not start.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The key file cannot be read.
    #[error("cannot read the key file {path}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key file of the service account cannot be used.
    #[error("cannot use {path} as the key file of a service account")]
    ServiceAccount {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate, its key or the certificates of clients' authorities cannot be used.
    #[error("cannot use {path} for TLS")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The simulator.
#[derive(Debug)]
pub struct Sim;

impl Sim {
    /// Starts to serve on threads of its own. It accepts connections when this returns.
    ///
    /// May be called inside and outside of a runtime; it does not block for longer than it takes to open sockets.
    pub fn start(config: SimConfig) -> Result<SimHandle, StartError> {
        let required = !config.api_keys.is_empty() || config.api_key_file.is_some();
        let mut keys = config.api_keys.clone();
        if let Some(path) = &config.api_key_file {
            keys.extend(read_key_file(path).map_err(|source| StartError::KeyFile {
                path: path.clone(),
                source,
            })?);
        }
        let account = config.google.as_ref().map(service_account).transpose()?;
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let mut address = config.listen;
        check_free(address).map_err(|source| StartError::Listen { address, source })?;
        let mut listeners = Vec::new();
        for _ in 0..config.threads.max(1) {
            let listener = listen(address).map_err(|source| StartError::Listen { address, source })?;
            // The other threads share the port that the first one was given.
            address = listener
                .local_addr()
                .map_err(|source| StartError::Listen { address, source })?;
            listeners.push(listener);
        }
        let control = Owned::new().map_err(StartError::Thread)?;
        let access = Access {
            keys,
            keys_required: required,
            aws: config.aws,
            account,
        };
        let state = Arc::new(State::new(config.behaviour, access, control.handle()));
        if let Some(path) = config.api_key_file {
            control
                .handle()
                .spawn(follow_keys(path, config.api_keys, Arc::clone(&state)));
        }
        let stop = CancellationToken::new();
        let workers = TaskTracker::new();
        let mut threads = Vec::new();
        for listener in listeners {
            let worker = worker::Worker {
                state: Arc::clone(&state),
                tls: tls.clone(),
                stop: stop.clone(),
                grace: Duration::from_millis(config.grace_ms),
            };
            let runtime = Owned::new().map_err(StartError::Thread)?;
            let here = workers.token();
            threads.push(spawn("sim", move || {
                runtime.block_on(worker.run(listener));
                drop(here);
            })?);
        }
        workers.close();
        // Engines and the key file outlive the workers, so that streams keep their rhythm to their end.
        threads.push(spawn("sim-control", move || control.block_on(workers.wait()))?);
        Ok(SimHandle {
            address,
            scheme: if tls.is_some() { "https" } else { "http" },
            state,
            stop,
            threads,
        })
    }
}

/// A running simulator. Dropping it stops it without waiting: open requests are cut off after the grace period.
pub struct SimHandle {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl SimHandle {
    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://HOST:PORT`, or `https://…` with TLS, without a path.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The recorded requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.recorder.requests()
    }

    /// Forgets the recorded requests, and starts fault chains, rate limits and the prompt cache anew. Counters go on.
    pub fn clear_requests(&self) {
        self.state.recorder.clear();
        self.state.reset();
    }

    /// Counters, active requests and the engine's load.
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// The behaviour now.
    pub fn behaviour(&self) -> Behaviour {
        self.state.current().behaviour.clone()
    }

    /// Changes the behaviour for requests to come; those in flight go on as they began.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.state.set_behaviour(behaviour);
    }

    /// Changes parts of the behaviour.
    pub fn update(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = self.behaviour();
        change(&mut behaviour);
        self.state.set_behaviour(behaviour);
    }

    /// Replaces the valid API keys, where keys are required.
    pub fn set_api_keys(&self, keys: Vec<String>) {
        self.state.keys.set(keys);
    }

    /// Stops: no new connections, open requests may go on for the grace period. Returns when all threads have ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for thread in std::mem::take(&mut self.threads) {
            // Joined off the caller's runtime, since the caller's own streams may be what is being waited for.
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("a thread of the simulator panicked");
            }
        }
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for SimHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimHandle")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(StartError::Thread)
}

/// A runtime that may be dropped inside another one, as it is when a start fails half-way in an asynchronous caller.
struct Owned(Option<Runtime>, Handle);

impl Owned {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    fn handle(&self) -> Handle {
        self.1.clone()
    }

    fn block_on(&self, work: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(work);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Refuses a port on which another program listens. The kernel would let two programs of one user share it, and give
/// each a part of the connections.
fn check_free(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// A socket that shares its port with others of this process, so that each thread accepts for itself.
fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn service_account(config: &GoogleAccount) -> Result<ServiceAccount, StartError> {
    ServiceAccount::read(&config.key_file, Duration::from_secs(config.token_seconds)).map_err(|error| {
        StartError::ServiceAccount {
            path: config.key_file.clone(),
            source: error.into(),
        }
    })
}

async fn follow_keys(path: PathBuf, fixed: Vec<String>, state: Arc<State>) {
    let mut last = None;
    let mut failed = false;
    loop {
        match read_key_file(&path) {
            Ok(found) if last.as_ref() != Some(&found) => {
                state.keys.set(fixed.iter().chain(&found).cloned().collect());
                last = Some(found);
                failed = false;
            }
            Ok(_) => failed = false,
            // The keys that were read last stay valid: a file that is being replaced may be away for a moment.
            Err(error) if !failed => {
                tracing::warn!(path = %path.display(), %error, "cannot read the key file");
                failed = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(KEY_FILE_INTERVAL).await;
    }
}
