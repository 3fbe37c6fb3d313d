//! A bare reverse proxy: what a gateway on the same libraries costs when it does nothing else.
//!
//! A thread and a single-threaded runtime per core with `SO_REUSEPORT`, as in the gateway. Per thread a pool of upstream
//! connections. Bodies pass as they come. No authentication, no parsing, no limits, no metrics, no timeouts.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Serves until the process ends.
pub fn run(listen: SocketAddr, upstream: SocketAddr, threads: usize) -> std::io::Result<()> {
    let mut handles = Vec::new();
    for _ in 0..threads.max(1) {
        let listener = bind(listen)?;
        handles.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(accept(listener, upstream))
        }));
    }
    for handle in handles {
        handle
            .join()
            .map_err(|_| std::io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept(listener: std::net::TcpListener, upstream: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let pool = Arc::new(Pool {
        upstream,
        idle: Mutex::default(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            let service = service_fn(move |request| forward(Arc::clone(&pool), request));
            let served = hyper::server::conn::http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
}

/// Idle connections to the upstream, last used first. Only its own thread takes the lock.
struct Pool {
    upstream: SocketAddr,
    idle: Mutex<Vec<SendRequest<Incoming>>>,
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Connect(#[from] std::io::Error),
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Incoming>, ForwardError> {
        loop {
            let idle = self.idle.lock().pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection broke off");
            }
        });
        Ok(sender)
    }
}

type ProxyBody = Either<Relay, Empty<Bytes>>;

async fn forward(pool: Arc<Pool>, request: Request<Incoming>) -> Result<Response<ProxyBody>, hyper::Error> {
    match try_forward(&pool, request).await {
        Ok(response) => Ok(response),
        Err(error) => {
            tracing::debug!(%error, "the upstream failed");
            let mut response = Response::new(Either::Right(Empty::new()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            Ok(response)
        }
    }
}

async fn try_forward(pool: &Arc<Pool>, mut request: Request<Incoming>) -> Result<Response<ProxyBody>, ForwardError> {
    // A connection below HTTP/2 wants the path alone, which is what clients send.
    *request.version_mut() = http::Version::HTTP_11;
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| {
        Either::Left(Relay {
            body,
            sender: Some(sender),
            pool: Arc::clone(pool),
        })
    }))
}

/// A body on its way through; gives the connection back at its end.
struct Relay {
    body: Incoming,
    sender: Option<SendRequest<Incoming>>,
    pool: Arc<Pool>,
}

impl Relay {
    fn give_back(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.pool.idle.lock().push(sender);
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
