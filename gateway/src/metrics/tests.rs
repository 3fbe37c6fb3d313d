use std::time::Duration;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::endpoints::EndpointTable;
use crate::meter::{Operation, Refusal, RequestLabels, Scopes, UpstreamErrorKind};
use crate::plan::{Plan, PlanCell};
use crate::testing::snapshot;
use crate::traces::Traces;

#[test]
fn a_scrape_shows_everything_under_bounded_labels() {
    let clock = ManualClock::new();
    let shared: Arc<dyn Clock> = clock.clone();
    let meter = MeterHub::new(shared, Traces::new());
    meter.set_scopes(Scopes::of(&snapshot(7)));
    let worker = meter.shard();
    let labels = || RequestLabels {
        tenant: "acme".into(),
        route: "chat".into(),
        operation: Operation::Chat,
        stream: true,
    };
    let request = worker.start(labels(), worker.now());
    request.admitted(Duration::ZERO);
    request.forwarded(&"sim".into(), "tiny");
    clock.advance(Duration::from_millis(30));
    request.first_byte();
    clock.advance(Duration::from_millis(90));
    request.usage(Some(12), Some(4));
    request.finish(200, None);
    let failed = worker.start(labels(), worker.now());
    failed.upstream_error(&"sim".into(), UpstreamErrorKind::ServerStatus);
    failed.finish(502, Some("server_status"));
    let waiting = worker.start(labels(), worker.now());
    waiting.queued();
    worker.refused(Some(Operation::Chat), Refusal::ModelNotFound);
    let state = State::new("edge-0".into(), 0);
    state.set_plan(&PlanCell::new(Plan::build(&snapshot(7), None).unwrap()));
    state.accept(
        tokenweir_config::status::Serving {
            generation: 7,
            digest: "ab".into(),
            source: tokenweir_config::status::Source::Api,
            since_unix_ms: 1_700_000_000_000,
        },
        None,
    );
    let metrics = Metrics::new(Sources {
        meter,
        connections: Arc::default(),
        state,
        endpoints: Arc::new(EndpointTable::new()),
        phase: Box::new(|| Phase::LameDuck),
        subscribers: Box::new(|| 2),
    });
    insta::assert_snapshot!(metrics.text().unwrap());
}

#[test]
fn a_process_without_a_configuration_shows_no_generation_and_no_zero_in_its_place() {
    let meter = MeterHub::new(ManualClock::new(), Traces::new());
    let metrics = Metrics::new(Sources {
        meter,
        connections: Arc::default(),
        state: State::new("edge-0".into(), 0),
        endpoints: Arc::new(EndpointTable::new()),
        phase: Box::new(|| Phase::Serving),
        subscribers: Box::new(|| 0),
    });
    let text = metrics.text().unwrap();
    assert!(!text.contains("tokenweir_config_generation "), "{text}");
    assert!(text.contains("\ntask_queue_depth 0\n"), "{text}");
}
