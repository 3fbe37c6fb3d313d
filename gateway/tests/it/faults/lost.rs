//! What the loss of connections says about a provider, and what streams say that began long before they broke off.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokenweir_config::status::HealthState;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::data::harness::{Gateway, chat, streamed, until};
use crate::edge::pki::Authority;

/// A provider whose streams begin and do not end, and which never answers those who ask for the model `never`. It breaks
/// with all connections when it is told to.
struct Holding {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    /// Requests that wait in vain.
    waiting: Arc<AtomicUsize>,
    /// Connections that are open.
    open: Arc<Mutex<Vec<AbortHandle>>>,
    task: JoinHandle<()>,
}

impl Holding {
    async fn start(alpn: &'static [u8]) -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(authority.issue(&["localhost"]).server(None, &[alpn]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = Arc::new(AtomicUsize::new(0));
        let open: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let task = tokio::spawn({
            let (waiting, open) = (Arc::clone(&waiting), Arc::clone(&open));
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (acceptor, waiting) = (acceptor.clone(), Arc::clone(&waiting));
                    let connection = tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let service = service_fn(|request| answer(request, Arc::clone(&waiting)));
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    });
                    open.lock().push(connection.abort_handle());
                }
            }
        });
        Self {
            address,
            tls: authority.client(&[b"h2", b"http/1.1"]),
            waiting,
            open,
            task,
        }
    }

    /// A gateway before it that takes it out for a minute after so many failures.
    fn gateway(&self, errors: u32) -> Gateway {
        let url = format!("https://localhost:{}/v1", self.address.port());
        Gateway::with_tls(&url, Arc::clone(&self.tls), |v| {
            v["providers"]["sim"]["health"] = outlier(errors, 60_000);
        })
    }

    /// Breaks with all connections, and says how many there were.
    fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.open.lock());
        open.iter().for_each(AbortHandle::abort);
        open.len()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

fn outlier(errors: u32, millis: u64) -> Value {
    json!({"outlier": {"consecutiveErrors": errors, "ejectForMs": millis}})
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, waiting: Arc<AtomicUsize>) -> Result<Response<Body>, Infallible> {
    // A request that breaks off in its middle is none.
    let asked = request.into_body().collect().await.map(Collected::to_bytes);
    let asked: Value = serde_json::from_slice(&asked.unwrap_or_default()).unwrap_or_default();
    let respond = |kind: &str, status, body: Body| {
        let response = Response::builder().status(status).header("content-type", kind);
        Ok(response.body(body).unwrap())
    };
    if asked["model"] == "never" {
        waiting.fetch_add(1, Ordering::SeqCst);
        return std::future::pending().await;
    }
    if asked["stream"] == true {
        let event = Bytes::from_static(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n");
        let first = stream::iter([Ok(Frame::data(event))]);
        return respond(
            "text/event-stream",
            200,
            BodyExt::boxed(StreamBody::new(first.chain(stream::pending()))),
        );
    }
    let status = if asked["model"] == "fails" { 500 } else { 200 };
    respond("application/json", status, Full::from("{\"choices\":[]}").boxed())
}

/// Streams that have begun.
async fn begin(gateway: &Gateway, count: usize) -> Vec<Response<Incoming>> {
    let one = || gateway.begin(gateway.request("/v1/chat/completions", &streamed("any")));
    let begun = join_all((0..count).map(|_| one())).await;
    assert!(begun.iter().all(|response| response.status() == 200));
    begun
}

/// Reads streams to their ends, which are all broken.
async fn broken(streams: Vec<Response<Incoming>>) {
    for stream in streams {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.into_body().collect());
        let body = read.await.expect("an end in time").unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("broke off"), "{body:?}");
    }
}

fn state(gateway: &Gateway) -> HealthState {
    gateway.reports()[0].state
}

#[tokio::test]
async fn a_lost_connection_is_one_event_however_many_streams_it_carried() {
    let provider = Holding::start(b"h2").await;
    let gateway = provider.gateway(2);
    // One connection to the gateway is one worker, which has one connection to the provider.
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let ask = |body: Value| client.request(gateway.request("/v1/chat/completions", &body));
    let hold = async || {
        assert_eq!(ask(chat("any")).await.unwrap().status(), 200);
        let streams = join_all((0..8).map(|_| ask(streamed("any")))).await;
        streams.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let streams = hold().await;
    assert_eq!(provider.cut(), 1);
    broken(streams).await;
    assert_eq!(state(&gateway), HealthState::Healthy, "one event");
    // The next one is the second, as no stream came whole in between.
    let streams = hold().await;
    assert_eq!(provider.cut(), 1);
    broken(streams).await;
    assert_eq!(state(&gateway), HealthState::Unhealthy);
    until("nothing runs", || gateway.running() == 0 && gateway.in_flight() == 0).await;
}

#[tokio::test]
async fn requests_that_wait_on_a_lost_connection_are_one_failure_between_them() {
    let provider = Holding::start(b"h2").await;
    let gateway = provider.gateway(2);
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let ask = |body: Value| client.request(gateway.request("/v1/chat/completions", &body));
    assert_eq!(ask(chat("any")).await.unwrap().status(), 200);
    let waiting = join_all((0..8).map(|_| ask(chat("never"))));
    let cut = async {
        until("all of them wait", || provider.waiting.load(Ordering::SeqCst) == 8).await;
        // Until then a request on a connection that was open before is sent again, as on one that was closed for being idle.
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(provider.cut(), 1);
    };
    let (answers, ()) = tokio::join!(waiting, cut);
    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 502));
    assert_eq!(gateway.upstream_errors().get("sim reset"), Some(&8));
    assert_eq!(state(&gateway), HealthState::Healthy, "one event");
}

#[tokio::test]
async fn connections_that_carry_one_stream_each_are_as_many_events() {
    let provider = Holding::start(b"http/1.1").await;
    let gateway = provider.gateway(3);
    let streams = begin(&gateway, 3).await;
    assert_eq!(provider.cut(), 3);
    broken(streams).await;
    assert_eq!(state(&gateway), HealthState::Unhealthy);
}

#[tokio::test]
async fn streams_that_began_under_another_rule_or_before_an_outage_take_nothing_out() {
    let provider = Holding::start(b"http/1.1").await;
    let mut gateway = provider.gateway(3);
    let set = |gateway: &mut Gateway, health: Value| {
        gateway.reconfigure(|v| v["providers"]["sim"]["health"] = health);
    };
    // Another rule, none at all, and then one again.
    for health in [outlier(2, 200), json!({}), outlier(2, 200)] {
        let streams = begin(&gateway, 5).await;
        set(&mut gateway, health.clone());
        provider.cut();
        broken(streams).await;
        assert_eq!(state(&gateway), HealthState::Healthy, "{health}");
    }
    // Taken out by others and back in while they ran.
    let streams = begin(&gateway, 5).await;
    for _ in 0..2 {
        assert_eq!(gateway.chat(&chat("fails")).await.status, 500);
    }
    assert_eq!(state(&gateway), HealthState::Unhealthy);
    until("it may be tried", || state(&gateway) != HealthState::Unhealthy).await;
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert_eq!(state(&gateway), HealthState::Healthy);
    provider.cut();
    broken(streams).await;
    assert_eq!(state(&gateway), HealthState::Healthy);
    // And those of now do.
    let streams = begin(&gateway, 2).await;
    provider.cut();
    broken(streams).await;
    assert_eq!(state(&gateway), HealthState::Unhealthy);
}

#[tokio::test]
async fn clients_with_too_little_time_for_a_connection_do_not_speak_against_the_provider() {
    // Connections wait to be accepted for ever, so that no handshake comes to an end.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/v1", listener.local_addr().unwrap().port());
    let gateway = Gateway::with_tls(&url, Authority::new().client(&[b"h2"]), |v| {
        v["providers"]["sim"]["health"] = outlier(2, 60_000);
        v["providers"]["sim"]["timeouts"]["connectMs"] = json!(300);
    });
    let hurried = || {
        let mut request = gateway.request("/v1/chat/completions", &chat("any"));
        request
            .headers_mut()
            .insert("x-request-timeout", "0.05".parse().unwrap());
        gateway.send(request)
    };
    for _ in 0..5 {
        assert_eq!(hurried().await.status, 504);
    }
    assert_eq!(gateway.upstream_errors().get("sim connect"), None);
    assert_eq!(state(&gateway), HealthState::Healthy);
    for _ in 0..2 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 502);
    }
    assert_eq!(state(&gateway), HealthState::Unhealthy);
}
