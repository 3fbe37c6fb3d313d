//! A provider that sends exactly the bytes that a test wants, in exactly the pieces.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the provider does next on a connection.
pub enum Do {
    /// Sends these bytes, as a piece of their own.
    Send(Vec<u8>),
    /// Closes the connection.
    Close,
}

/// A scripted provider: each connection gets one request and then what the test says.
pub struct Script {
    pub address: SocketAddr,
    /// Requests that came.
    pub requests: Arc<AtomicUsize>,
    /// Connections that the gateway has closed.
    pub closed: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    steps: mpsc::UnboundedSender<Do>,
    task: tokio::task::JoinHandle<()>,
}

impl Script {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (steps, mut receiver) = mpsc::unbounded_channel();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let task = tokio::spawn({
            let (requests, closed) = (Arc::clone(&requests), Arc::clone(&closed));
            let heads = Arc::clone(&heads);
            async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let head = read_request(&mut stream).await;
                    heads.lock().unwrap().push(head);
                    requests.fetch_add(1, Ordering::SeqCst);
                    follow(&mut stream, &mut receiver, &closed).await;
                }
            }
        });
        Self {
            address,
            requests,
            closed,
            heads,
            steps,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The heads of the requests that came, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn send(&self, bytes: impl Into<Vec<u8>>) {
        self.steps.send(Do::Send(bytes.into())).unwrap();
    }

    /// The head of a stream whose length is unknown, closed at its end.
    pub fn begin_stream(&self) {
        self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    }

    /// A piece of a chunked body.
    pub fn chunk(&self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut piece = format!("{:x}\r\n", bytes.len()).into_bytes();
        piece.extend_from_slice(bytes);
        piece.extend_from_slice(b"\r\n");
        self.send(piece);
    }

    pub fn end_chunks(&self) {
        self.send("0\r\n\r\n");
    }

    pub fn close(&self) {
        self.steps.send(Do::Close).unwrap();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(stream: &mut TcpStream, steps: &mut mpsc::UnboundedReceiver<Do>, closed: &AtomicUsize) {
    let mut nothing = [0];
    loop {
        tokio::select! {
            // What the test has said for this connection is done on it, even if the gateway has closed it by now; else the
            // next connection would begin with it.
            biased;
            step = steps.recv() => match step {
                Some(Do::Send(bytes)) => {
                    if stream.write_all(&bytes).await.is_err() {
                        closed.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    // Lets the other side read this before the next piece.
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
                Some(Do::Close) | None => return,
            },
            read = stream.read(&mut nothing) => {
                if matches!(read, Ok(0) | Err(_)) {
                    closed.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the gateway closed before it sent a request");
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next());
        // A GET has no body and says no length.
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return head;
        }
    }
}
