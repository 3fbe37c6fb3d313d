//! How long an answer takes with a thousand gateway pods of one gateway: `cargo bench -p tokenweir-adapter`.
//!
//! Each pod has 20 routes and 50 tenants; quantiles merge the digests of all pods.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use tokenweir_adapter::clock::{Now, SystemClock};
use tokenweir_adapter::metrics_api::MetricsService;
use tokenweir_adapter::metrics_api::answer::CustomVersion;
use tokenweir_adapter::metrics_api::objects::Objects;
use tokenweir_adapter::metrics_api::service::{Answer, CustomQuery, ExternalQuery};
use tokenweir_adapter::signals::store::Session;
use tokenweir_adapter::signals::{PodInfo, Store};
use tokenweir_signals::{Frame, Rates, Scope, Values};

const PODS: u16 = 1_000;
const ROUTES: u16 = 20;
const TENANTS: u16 = 50;
const METRICS: [&str; 6] = [
    "queue_depth",
    "in_flight",
    "token_rate",
    "request_rate",
    "queue_wait",
    "ttft",
];

fn main() {
    divan::main();
}

fn values(n: u16) -> Values {
    let rates = Rates {
        s1: f64::from(n),
        s10: f64::from(n) * 1.1,
        s60: f64::from(n) * 1.2,
    };
    let mut values = Values {
        queue_depth: n.into(),
        in_flight: n.into(),
        token_rate: rates,
        request_rate: rates,
        ..Values::default()
    };
    for step in 1..=40 {
        values.ttft.record(f64::from(step * n) / 100.0);
        values.queue_wait.record(f64::from(step * n) / 1_000.0);
    }
    values
}

fn frame(pod: u16) -> Frame {
    let mut scopes = vec![(Scope::pod(), values(pod))];
    scopes.extend((0..ROUTES).map(|n| (Scope::route(format!("route-{n}")), values(n))));
    scopes.extend((0..TENANTS).map(|n| (Scope::tenant(format!("tenant-{n}")), values(n))));
    Frame {
        seq: 0,
        measured_unix_ms: 1,
        generation: 1,
        draining: false,
        full: true,
        scopes,
    }
}

struct Thousand {
    service: MetricsService,
    now: Now,
}

impl Thousand {
    fn new() -> Self {
        let now = SystemClock::shared().now();
        let store = Arc::new(Store::default());
        for n in 0..PODS {
            let info = PodInfo {
                namespace: "llm".into(),
                name: format!("edge-{n:04}"),
                uid: n.to_string(),
                gateway: "edge".into(),
                labels: BTreeMap::from([("app".to_owned(), "edge".to_owned())]),
                ip: None,
                ready: true,
                terminating: false,
            };
            let mut session = Session::new(store.upsert(info));
            assert!(session.apply(frame(n), now.mono).is_ok());
        }
        store.set_listed();
        Self {
            service: MetricsService::new(store, Arc::new(Objects::default()), Duration::from_secs(5)),
            now,
        }
    }

    fn custom(&self, resource: &str, name: &str, metric: &str) -> Answer {
        let query = CustomQuery {
            version: CustomVersion::V1Beta2,
            namespace: "llm",
            resource,
            name,
            metric,
            label_selector: "app=edge",
            metric_selector: "",
        };
        answered(self.service.custom(&query, self.now))
    }

    fn external(&self, metric: &str) -> Answer {
        let query = ExternalQuery {
            namespace: "llm",
            metric,
            label_selector: "gateway=edge,tenant=tenant-7",
        };
        answered(self.service.external(&query, self.now))
    }
}

/// A failure would be measured as a fast answer.
#[allow(clippy::panic)] // a benchmark of errors is worthless
fn answered<E: std::fmt::Display>(answer: Result<Answer, E>) -> Answer {
    answer.unwrap_or_else(|error| panic!("{error}"))
}

#[divan::bench(args = METRICS)]
fn pods(bencher: Bencher<'_, '_>, metric: &str) {
    let thousand = Thousand::new();
    bencher.bench(|| thousand.custom("pods", "*", metric));
}

#[divan::bench(args = METRICS)]
fn object(bencher: Bencher<'_, '_>, metric: &str) {
    let thousand = Thousand::new();
    bencher.bench(|| thousand.custom("llmgateways.tokenweir.dev", "edge", metric));
}

#[divan::bench(args = METRICS)]
fn external(bencher: Bencher<'_, '_>, metric: &str) {
    let thousand = Thousand::new();
    bencher.bench(|| thousand.external(metric));
}

/// Reading one frame off the wire that changes the pod, a route and a tenant; four a second come from each pod.
#[divan::bench]
fn read_a_frame(bencher: Bencher<'_, '_>) {
    let mut frame = frame(7);
    frame.scopes.truncate(3);
    let line = serde_json::to_vec(&frame).unwrap_or_default();
    bencher.bench(|| serde_json::from_slice::<Frame>(&line));
}
