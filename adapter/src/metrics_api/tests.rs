//! Whole answers of the service, compared with files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokenweir_signals::{Frame, Rates, Scope, Values};

use super::answer::CustomVersion;
use super::objects::{ObjectKind, Objects};
use super::service::{Answer, CustomQuery, ExternalQuery};
use super::{MetricsService, QueryError};
use crate::clock::Now;
use crate::fixtures::{PodFixture, at, seconds};
use crate::signals::Store;
use crate::signals::store::Session;

/// Values that differ by `n` in every field.
fn values(n: u32) -> Values {
    let mut values = Values {
        queue_depth: u64::from(n),
        in_flight: u64::from(n) * 10,
        token_rate: Rates {
            s1: f64::from(n) * 1_000.0,
            s10: f64::from(n) * 500.5,
            s60: 0.0,
        },
        request_rate: Rates {
            s1: f64::from(n),
            s10: f64::from(n) / 3.0,
            s60: f64::from(n) / 4.0,
        },
        ..Values::default()
    };
    for ms in 1..=100 {
        values.ttft.record(f64::from(ms * n) / 1_000.0);
        values.queue_wait.record(f64::from(ms * n) / 10_000.0);
    }
    values
}

/// Two pods of `edge` that spoke a second and half a second ago, and one of `other` that never did.
fn service() -> (MetricsService, Now) {
    let store = Arc::new(Store::default());
    for (name, n, measured_ms) in [("edge-1", 1, 99_000), ("edge-2", 2, 99_500)] {
        let fixture = PodFixture::new(name).labelled("app", "edge").view();
        let mut session = Session::new(store.upsert((*fixture.info).clone()));
        let scopes = vec![
            (Scope::pod(), values(n)),
            (Scope::route("chat"), values(n)),
            (Scope::tenant("acme"), values(n)),
            (Scope::tenant("idle"), Values::default()),
        ];
        let frame = Frame {
            seq: 0,
            measured_unix_ms: 7,
            generation: 1,
            draining: false,
            full: true,
            scopes,
        };
        session
            .apply(frame, std::time::Duration::from_millis(measured_ms))
            .unwrap();
    }
    store.upsert((*PodFixture::new("other-1").of("other").view().info).clone());
    store.set_listed();
    let objects = Objects::default();
    let tenant = |name: &str| ("llm".to_owned(), name.to_owned(), BTreeMap::new());
    objects.replace(ObjectKind::Tenant, [tenant("acme"), tenant("idle"), tenant("unknown")]);
    (MetricsService::new(store, Arc::new(objects), seconds(5)), at(100))
}

fn custom(path: &str, version: CustomVersion) -> Result<Answer, QueryError> {
    let (path, selectors) = path.split_once('?').unwrap_or((path, ""));
    let (label_selector, metric_selector) = selectors.split_once(';').unwrap_or((selectors, ""));
    let mut parts = path.split('/');
    let mut part = || parts.next().unwrap();
    let (resource, name, metric) = (part(), part(), part());
    let (service, now) = service();
    let query = CustomQuery {
        version,
        namespace: "llm",
        resource,
        name,
        metric,
        label_selector,
        metric_selector,
    };
    service.custom(&query, now)
}

fn external(metric: &str, label_selector: &str) -> Result<Answer, QueryError> {
    let (service, now) = service();
    service.external(
        &ExternalQuery {
            namespace: "llm",
            metric,
            label_selector,
        },
        now,
    )
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// The text itself, in the order of its fields.
fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

#[test]
fn both_versions_write_pods_as_kubernetes_does() {
    let path = "pods/*/token_rate?app=edge;window=1s";
    insta::assert_snapshot!("pods_v1beta1", text(&custom(path, CustomVersion::V1Beta1).unwrap()));
    insta::assert_snapshot!("pods_v1beta2", text(&custom(path, CustomVersion::V1Beta2).unwrap()));
    let answer = custom(path, CustomVersion::V1Beta2).unwrap();
    assert_eq!(answer.ages, [seconds(1), std::time::Duration::from_millis(500)]);
}

#[test]
fn external_metrics_are_written_as_kubernetes_does() {
    let answer = external("queue_wait", "gateway=edge,quantile=0.5,tenant in (acme)").unwrap();
    insta::assert_snapshot!("external", text(&answer));
}

#[test]
fn every_metric_has_its_value() {
    let mut found = BTreeMap::new();
    for (metric, _) in super::metric::NAMES {
        let path = format!("llmgateways.tokenweir.dev/edge/{metric}");
        found.insert(
            metric,
            json(&custom(&path, CustomVersion::V1Beta2).unwrap())["items"][0].clone(),
        );
    }
    insta::assert_json_snapshot!("every_metric", found);
}

#[test]
fn every_kind_of_object_has_a_value() {
    for (path, value) in [
        ("llmgateways.tokenweir.dev/edge/in_flight", "30"),
        ("llmgateways.tokenweir.dev/edge/in_flight?;pod=edge-2", "20"),
        ("llmgateways.tokenweir.dev/edge/in_flight?;tenant=idle", "0"),
        ("modelroutes.tokenweir.dev/chat/in_flight?;gateway=edge", "30"),
        ("tenants.tokenweir.dev/acme/in_flight?;gateway=edge", "30"),
        ("pods/edge-1/in_flight?;route=chat", "10"),
    ] {
        let answer = json(&custom(path, CustomVersion::V1Beta2).unwrap());
        assert_eq!(answer["items"][0]["value"], value, "{path}");
    }
}

#[test]
fn a_pod_without_values_makes_every_sum_over_it_an_error() {
    for path in [
        "llmgateways.tokenweir.dev/other/in_flight",
        "tenants.tokenweir.dev/acme/in_flight",
    ] {
        let error = custom(path, CustomVersion::V1Beta2).unwrap_err();
        assert_eq!(
            error,
            QueryError::Unavailable("no values younger than 5s from other-1".into()),
            "{path}"
        );
    }
    assert!(matches!(external("in_flight", ""), Err(QueryError::Unavailable(_))));
    assert!(matches!(
        custom("pods/other-1/in_flight", CustomVersion::V1Beta2),
        Err(QueryError::Unavailable(_))
    ));
}

#[test]
fn a_wildcard_over_objects_leaves_out_what_nobody_knows() {
    let answer = json(
        &custom(
            "tenants.tokenweir.dev/*/in_flight?;gateway=edge",
            CustomVersion::V1Beta2,
        )
        .unwrap(),
    );
    let names: Vec<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["describedObject"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["acme", "idle"]);
    assert!(matches!(
        custom("modelroutes.tokenweir.dev/*/in_flight", CustomVersion::V1Beta2),
        Err(QueryError::Unavailable(_))
    ));
}

#[test]
fn before_pods_are_listed_there_is_no_answer() {
    let service = MetricsService::new(Arc::default(), Arc::default(), seconds(5));
    let query = ExternalQuery {
        namespace: "llm",
        metric: "in_flight",
        label_selector: "",
    };
    assert!(matches!(
        service.external(&query, at(0)),
        Err(QueryError::Unavailable(_))
    ));
}

#[test]
fn an_older_limit_in_the_question_holds() {
    let limited = |age: &str| custom(&format!("pods/edge-1/in_flight?;max-age={age}"), CustomVersion::V1Beta2);
    assert!(limited("1s").is_ok());
    assert!(matches!(limited("999ms"), Err(QueryError::Unavailable(_))));
}

#[test]
fn a_value_that_is_no_number_is_refused() {
    let store = Arc::new(Store::default());
    let mut session = Session::new(store.upsert((*PodFixture::new("edge-1").view().info).clone()));
    let broken = Values {
        token_rate: Rates {
            s1: 0.0,
            s10: -1.0,
            s60: 0.0,
        },
        ..Values::default()
    };
    let scopes = vec![(Scope::pod(), broken)];
    let frame = Frame {
        seq: 0,
        measured_unix_ms: 7,
        generation: 1,
        draining: false,
        full: true,
        scopes,
    };
    session.apply(frame, seconds(100)).unwrap();
    store.set_listed();
    let service = MetricsService::new(store, Arc::default(), seconds(5));
    let query = ExternalQuery {
        namespace: "llm",
        metric: "token_rate",
        label_selector: "",
    };
    assert!(matches!(
        service.external(&query, at(100)),
        Err(QueryError::Unavailable(_))
    ));
}
