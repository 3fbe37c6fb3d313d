//! Spans, as a collector gets them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::files::{Bench, yaml};
use super::http::{chat, exchange, wait_for};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .route("/v1/traces", post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let spans = request
        .resource_spans
        .into_iter()
        .flat_map(|spans| spans.scope_spans)
        .flat_map(|spans| spans.spans);
    collector.0.lock().unwrap().extend(spans);
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn attribute(span: &Span, name: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key == name)?
        .value
        .clone()?
        .value
}

fn bench(endpoint: &str) -> Bench {
    let bench = Bench::new();
    let telemetry = format!("spec: {{telemetry: {{otlp: {{endpoint: \"{endpoint}\"}}}}}}");
    bench.write_text(&yaml(&bench.provider(), "one").replace("spec: {}", &telemetry));
    bench
}

#[tokio::test]
async fn a_sampled_request_is_a_span_below_the_clients_and_above_the_providers() {
    let collector = Collector::default();
    let bench = bench(&collector.start().await);
    let gateway = bench.start();
    let (base, key) = (gateway.data().await, gateway.key().await);
    for (flags, request_id) in [("00", "req-unsampled"), ("01", "req-sampled")] {
        let mut request = chat(&base, &key, true);
        request
            .headers_mut()
            .insert("traceparent", format!("00-{TRACE}-{PARENT}-{flags}").parse().unwrap());
        request
            .headers_mut()
            .insert("x-request-id", request_id.parse().unwrap());
        assert_eq!(exchange(request).await.unwrap().status, StatusCode::OK);
    }
    let spans = wait_for("the span", || async {
        Some(collector.spans()).filter(|spans| !spans.is_empty())
    })
    .await;
    assert_eq!(spans.len(), 1);
    let span = &spans[0];
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    assert_eq!(span.name, "chat assistant");
    let text = |text: &str| Some(Value::StringValue(text.into()));
    for (name, expected) in [
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.request.model", text("one")),
        ("gen_ai.provider.name", text("sim")),
        ("tokenweir.tenant", text("acme")),
        ("tokenweir.request.id", text("req-sampled")),
        ("http.response.status_code", Some(Value::IntValue(200))),
    ] {
        assert_eq!(attribute(span, name), expected, "{name}");
    }
    let Some(Value::IntValue(output)) = attribute(span, "gen_ai.usage.output_tokens") else {
        panic!("{span:?}")
    };
    assert!(output > 0);
    let seen: Vec<String> = bench
        .sim
        .requests()
        .iter()
        .filter_map(|request| request.headers.get("traceparent").cloned())
        .collect();
    let own = hex(&span.span_id);
    assert_eq!(
        seen,
        [format!("00-{TRACE}-{PARENT}-00"), format!("00-{TRACE}-{own}-01")]
    );
}

#[tokio::test]
async fn a_collector_that_never_answers_slows_no_request_and_not_the_end() {
    // It takes connections into its backlog and does not say a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = bench(&format!("http://{}", silent.local_addr().unwrap()));
    let mut gateway = bench.start();
    let (base, key) = (gateway.data().await, gateway.key().await);
    let begin = Instant::now();
    for _ in 0..50 {
        assert_eq!(exchange(chat(&base, &key, false)).await.unwrap().status, StatusCode::OK);
    }
    // The exporter's own timeout is 5 s: one request that waited for it would show.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    silent.set_nonblocking(true).unwrap();
    let _attempt = wait_for("an attempt to export", || async { silent.accept().ok() }).await;
    gateway.signal("TERM");
    let begin = Instant::now();
    assert_eq!(gateway.ended().await, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
