//! The sockets of a worker, which follow the plan.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Accepted, Closing};
use super::worker::Worker;
use crate::plan::Plan;

/// Connections that the kernel may have ready for a worker.
const BACKLOG: i32 = 1024;
/// A worker that cannot accept, such as for want of file descriptors, tries again after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens a socket that shares its port with those of other workers.
pub(super) fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Says whether another program has the port. Sharing it with that one, which the kernel would allow among programs of
/// one user, would give each a part of the connections.
pub(super) fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// The listeners of one worker by the port that the plan names.
pub(super) struct Listeners {
    worker: Arc<Worker>,
    bind: IpAddr,
    connections: TaskTracker,
    closing: Closing,
    open: HashMap<u16, CancellationToken>,
    accepting: TaskTracker,
}

impl Listeners {
    pub(super) fn new(worker: Arc<Worker>, bind: IpAddr, connections: TaskTracker, closing: Closing) -> Self {
        Self {
            worker,
            bind,
            connections,
            closing,
            open: HashMap::new(),
            accepting: TaskTracker::new(),
        }
    }

    /// Takes connections from a socket.
    pub(super) fn add(&mut self, port: u16, listener: StdListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let stop = CancellationToken::new();
        let taker = Taker {
            worker: self.worker.clone(),
            port,
            connections: self.connections.clone(),
            closing: self.closing.clone(),
            tls: None,
        };
        self.accepting.spawn(taker.run(listener, stop.clone()));
        self.open.insert(port, stop);
        Ok(())
    }

    /// Opens and closes listeners as the plan has them. What was accepted is served on. False if a port cannot be opened.
    pub(super) fn follow(&mut self, plan: &Plan) -> bool {
        let ports: Vec<u16> = plan.ports().collect();
        self.open.retain(|port, stop| {
            let wanted = ports.contains(port);
            if !wanted {
                stop.cancel();
                tracing::info!(port, "listener closed");
            }
            wanted
        });
        let mut complete = true;
        for port in ports {
            if self.open.contains_key(&port) {
                continue;
            }
            match bind(SocketAddr::new(self.bind, port)).and_then(|listener| self.add(port, listener)) {
                Ok(()) => tracing::info!(port, "listener opened"),
                Err(error) => {
                    complete = false;
                    tracing::error!(port, %error, "a listener cannot be opened");
                }
            }
        }
        complete
    }

    /// Closes all listeners, after having taken what the kernel has ready: closing a socket resets those.
    pub(super) async fn close(&mut self) {
        for (_, stop) in self.open.drain() {
            stop.cancel();
        }
        self.accepting.close();
        self.accepting.wait().await;
    }
}

/// Takes the connections of one socket.
struct Taker {
    worker: Arc<Worker>,
    port: u16,
    connections: TaskTracker,
    closing: Closing,
    /// TLS as the plan last had it for this port; what the kernel still holds when the port goes is served with it.
    tls: Option<Arc<ServerConfig>>,
}

impl Taker {
    async fn run(mut self, listener: TcpListener, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.take(stream),
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, _)) = listener.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.take(stream);
            }
        }
    }

    fn take(&mut self, stream: tokio::net::TcpStream) {
        let plan = self.worker.plan.load();
        if let Some(listener) = plan.listener(self.port) {
            self.tls.clone_from(&listener.tls);
        }
        let Some(place) = self.worker.connections.take(plan.limits.max_connections) else {
            return;
        };
        let accepted = Accepted {
            worker: Arc::clone(&self.worker),
            stream,
            closing: self.closing.clone(),
            place,
        };
        match &self.tls {
            None => self.connections.spawn(accepted.serve_plain()),
            Some(tls) => self.connections.spawn(accepted.serve_tls(Arc::clone(tls))),
        };
    }
}

/// Whether an error of `accept` concerns only the connection that was to be accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
