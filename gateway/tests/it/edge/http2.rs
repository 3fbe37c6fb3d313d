//! HTTP/2 towards providers: how many streams a connection carries, and what happens when a provider refuses one or goes
//! away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::pki::Authority;
use crate::data::harness::{Gateway, chat, read, streamed, until};

/// What a provider counts and waits for.
struct Desk {
    connections: AtomicUsize,
    /// Requests that have come and are not answered.
    waiting: AtomicUsize,
    /// The most that one connection had at a time.
    most: AtomicUsize,
    /// Refuses this many streams.
    refusals: AtomicUsize,
    /// Each permit lets one request be answered.
    open: Semaphore,
    /// The first connection says that it goes away.
    go_away: Notify,
}

/// A provider that speaks nothing but HTTP/2, with so many streams on a connection.
struct Provider {
    address: SocketAddr,
    desk: Arc<Desk>,
    authority: Authority,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    async fn start(streams: u32) -> Self {
        let authority = Authority::new();
        let tls = authority.issue(&["localhost"]).server(None, &[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Desk {
            connections: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            open: Semaphore::new(0),
            go_away: Notify::new(),
        });
        let acceptor = TlsAcceptor::from(tls);
        let shared = Arc::clone(&desk);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, desk) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    let first = desk.connections.fetch_add(1, Ordering::SeqCst) == 0;
                    let mut builder = h2::server::Builder::new();
                    builder.max_concurrent_streams(streams);
                    let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
                    let here = Arc::new(AtomicUsize::new(0));
                    loop {
                        tokio::select! {
                            request = connection.accept() => {
                                let Some(Ok((request, respond))) = request else { return };
                                tokio::spawn(answer(request, respond, Arc::clone(&desk), Arc::clone(&here)));
                            }
                            () = desk.go_away.notified(), if first => connection.graceful_shutdown(),
                        }
                    }
                });
            }
        });
        Self {
            address,
            desk,
            authority,
            task,
        }
    }

    fn gateway(&self) -> Gateway {
        Gateway::with(&format!("https://localhost:{}/v1", self.address.port()), |v| {
            v["providers"]["sim"]["tls"] = json!({"ca": self.authority.pem()});
        })
    }

    fn waiting(&self) -> usize {
        self.desk.waiting.load(Ordering::SeqCst)
    }

    fn connections(&self) -> usize {
        self.desk.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    desk: Arc<Desk>,
    here: Arc<AtomicUsize>,
) {
    let refuse = |left: usize| left.checked_sub(1);
    if desk
        .refusals
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse)
        .is_ok()
    {
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    let mut body = request.into_body();
    let mut stream = false;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        stream |= piece.windows(13).any(|window| window == b"\"stream\":true");
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    let now = here.fetch_add(1, Ordering::SeqCst) + 1;
    desk.most.fetch_max(now, Ordering::SeqCst);
    desk.waiting.fetch_add(1, Ordering::SeqCst);
    let (kind, beginning, end) = if stream {
        ("text/event-stream", "data: {\"n\":1}\n\n", "data: [DONE]\n\n")
    } else {
        ("application/json", "{\"n\":", "1}")
    };
    let head = Response::builder().header("content-type", kind).body(()).unwrap();
    let mut send = respond.send_response(head, false).unwrap();
    send.send_data(beginning.into(), false).unwrap();
    desk.open.acquire().await.unwrap().forget();
    here.fetch_sub(1, Ordering::SeqCst);
    desk.waiting.fetch_sub(1, Ordering::SeqCst);
    send.send_data(end.into(), true).unwrap();
}

#[tokio::test]
async fn a_provider_that_allows_few_streams_gets_more_connections_and_never_more_streams() {
    let provider = Provider::start(2).await;
    let gateway = provider.gateway();
    let mut begun = Vec::new();
    for n in 1..=7 {
        begun.push(
            gateway
                .begin(gateway.request("/v1/chat/completions", &streamed("any")))
                .await,
        );
        until("the request is there", || provider.waiting() == n).await;
    }
    assert_eq!(provider.desk.most.load(Ordering::SeqCst), 2);
    // Two workers, each with the last of its connections half full at worst.
    assert!((4..=5).contains(&provider.connections()), "{}", provider.connections());
    provider.desk.open.add_permits(7);
    for response in begun {
        assert!(read(response).await.text().ends_with("data: [DONE]\n\n"));
    }
    // What is open is used again.
    let before = provider.connections();
    provider.desk.open.add_permits(7);
    for _ in 0..7 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    assert_eq!(provider.connections(), before);
}

#[tokio::test]
async fn a_provider_that_goes_away_finishes_what_runs_and_gets_no_more_on_that_connection() {
    let provider = Provider::start(100).await;
    let gateway = provider.gateway();
    let running = gateway
        .begin(gateway.request("/v1/chat/completions", &streamed("any")))
        .await;
    until("it is there", || provider.waiting() == 1).await;
    provider.desk.go_away.notify_one();
    // All of them, on whichever worker, while the first still runs.
    for n in 0..6 {
        let next = gateway
            .begin(gateway.request("/v1/chat/completions", &streamed("any")))
            .await;
        assert_eq!(next.status(), 200, "request {n} after the provider said that it goes");
        drop(next);
    }
    assert!(provider.connections() >= 2);
    provider.desk.open.add_permits(100);
    assert!(
        read(running).await.text().ends_with("data: [DONE]\n\n"),
        "what ran was cut"
    );
    until("nothing is left", || gateway.running() == 0).await;
}

#[tokio::test]
async fn a_stream_that_the_provider_refuses_is_sent_again_once_and_not_for_ever() {
    let provider = Provider::start(100).await;
    let gateway = provider.gateway();
    provider.desk.open.add_permits(100);
    provider.desk.refusals.store(1, Ordering::SeqCst);
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "{\"n\":1}"));
    assert_eq!(
        gateway.upstream_errors().len(),
        0,
        "it was never begun, so it did not fail"
    );
    provider.desk.refusals.store(usize::MAX, Ordering::SeqCst);
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(gateway.upstream_errors()["sim reset"], 1);
}
