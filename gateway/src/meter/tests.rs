use tokenweir_signals::{Scope, Values};

use super::*;
use crate::clock::ManualClock;
use crate::testing::snapshot;

struct Bench {
    hub: Arc<MeterHub>,
    meter: Meter,
    clock: Arc<ManualClock>,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let shared: Arc<dyn Clock> = clock.clone();
    let hub = MeterHub::new(shared, Traces::new());
    hub.set_scopes(Scopes::of(&snapshot(1)));
    let meter = hub.shard();
    Bench { hub, meter, clock }
}

impl Bench {
    fn start(&self, route: &str) -> RequestMeter {
        let labels = RequestLabels {
            tenant: "acme".into(),
            route: route.into(),
            operation: Operation::Chat,
            stream: true,
        };
        self.meter.start(labels, self.meter.now())
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    fn values(&self, scope: &Scope) -> Values {
        self.hub.tick().values[scope].clone()
    }

    /// The rate of tokens over 10 s after the slot that is filling is complete.
    fn tokens_in_10s(&self) -> f64 {
        self.hub.tick();
        self.pass(250);
        self.values(&Scope::pod()).token_rate.s10 * 10.0
    }

    fn only_series(&self) -> SeriesTotals {
        let mut series = self.hub.totals().series;
        assert_eq!(series.len(), 1);
        series.remove(0)
    }
}

#[test]
fn a_request_is_waiting_then_running_then_gone_in_all_its_scopes() {
    let bench = bench();
    let request = bench.start("chat");
    request.queued();
    let scopes = [Scope::pod(), Scope::route("chat"), Scope::tenant("acme")];
    for scope in &scopes {
        let values = bench.values(scope);
        assert_eq!((values.queue_depth, values.in_flight), (1, 0), "{scope:?}");
    }
    bench.pass(300);
    request.admitted(Duration::from_millis(300));
    for scope in &scopes {
        let values = bench.values(scope);
        assert_eq!((values.queue_depth, values.in_flight), (0, 1), "{scope:?}");
        assert!((values.queue_wait.quantile(1.0).unwrap() - 0.3).abs() < 0.01);
    }
    request.finish(200, None);
    let load = bench.hub.load();
    assert_eq!((load.queue_depth, load.in_flight), (0, 0));
}

#[test]
fn a_request_that_leaves_the_queue_counts_its_wait_and_frees_its_place() {
    let bench = bench();
    let request = bench.start("chat");
    request.queued();
    bench.pass(2_000);
    request.finish(429, Some("queue_timeout"));
    let pod = bench.values(&Scope::pod());
    assert_eq!(pod.queue_depth, 0);
    assert!((pod.queue_wait.quantile(1.0).unwrap() - 2.0).abs() < 0.05);
    let series = bench.only_series();
    assert_eq!(
        (series.outcomes[0].status, series.outcomes[0].error_type),
        (429, Some("queue_timeout"))
    );
}

#[test]
fn a_request_that_is_dropped_is_a_client_that_went_away() {
    let bench = bench();
    let request = bench.start("chat");
    request.admitted(Duration::ZERO);
    drop(request);
    let series = bench.only_series();
    assert_eq!(series.in_flight, 0);
    assert_eq!(
        (series.outcomes[0].status, series.outcomes[0].error_type),
        (CLIENT_CLOSED, Some("cancelled"))
    );
    assert_eq!(series.outcomes[0].duration.count(), 1);
}

#[test]
fn a_finished_request_is_counted_once() {
    let bench = bench();
    let request = bench.start("chat");
    request.admitted(Duration::ZERO);
    request.finish(200, None);
    let series = bench.only_series();
    assert_eq!(series.outcomes.len(), 1);
    assert_eq!(series.outcomes[0].duration.count(), 1);
}

#[test]
fn tokens_show_while_they_stream_and_the_providers_numbers_settle_them() {
    let bench = bench();
    let request = bench.start("chat");
    request.admitted(Duration::ZERO);
    request.forwarded(&"sim".into(), "m");
    request.first_byte();
    request.stream_tokens(40);
    assert!((bench.tokens_in_10s() - 40.0).abs() < 1e-9);
    request.usage(Some(100), Some(50));
    assert!((bench.tokens_in_10s() - 150.0).abs() < 1e-9);
    // The same numbers again, as some providers repeat them in every chunk, count once.
    request.usage(Some(100), Some(50));
    assert!((bench.tokens_in_10s() - 150.0).abs() < 1e-9);
    bench.pass(250);
    request.finish(200, None);
    let series = bench.only_series();
    assert_eq!((series.input_tokens, series.output_tokens), (100, 50));
    assert_eq!(series.usage[0].input.count(), 1);
    // 50 tokens from the first byte to the end, which is 1 s.
    assert!((series.per_token.sum() - 1.0 / 49.0).abs() < 1e-9);
}

#[test]
fn tokens_counted_too_high_are_taken_from_those_that_follow() {
    let bench = bench();
    let first = bench.start("chat");
    first.stream_tokens(100);
    assert!((bench.tokens_in_10s() - 100.0).abs() < 1e-9);
    first.usage(None, Some(60));
    assert!((bench.tokens_in_10s() - 100.0).abs() < 1e-9);
    let second = bench.start("chat");
    second.stream_tokens(50);
    assert!((bench.tokens_in_10s() - 110.0).abs() < 1e-9);
}

#[test]
fn tokens_that_nobody_reported_are_those_counted_and_none_is_not_zero() {
    let bench = bench();
    let request = bench.start("chat");
    request.forwarded(&"sim".into(), "m");
    request.stream_tokens(7);
    request.finish(200, None);
    let silent = bench.start("chat");
    silent.forwarded(&"sim".into(), "m");
    silent.finish(200, None);
    let series = bench.only_series();
    assert_eq!((series.input_tokens, series.output_tokens), (0, 7));
    assert_eq!((series.usage[0].input.count(), series.usage[0].output.count()), (0, 1));
}

#[test]
fn the_time_to_the_first_byte_runs_from_the_head_of_the_request() {
    let bench = bench();
    let request = bench.start("chat");
    request.queued();
    bench.pass(400);
    request.admitted(Duration::from_millis(400));
    bench.pass(100);
    request.first_byte();
    bench.pass(900);
    request.first_byte();
    let ttft = bench.values(&Scope::pod()).ttft;
    assert_eq!(ttft.count(), 1);
    assert!((ttft.quantile(1.0).unwrap() - 0.5).abs() < 0.01);
}

#[test]
fn what_the_configuration_no_longer_has_falls_out_once_its_last_request_has_ended() {
    let bench = bench();
    let running = bench.start("chat");
    running.admitted(Duration::ZERO);
    let mut next = snapshot(2);
    let route = next.routes.remove("chat").unwrap();
    next.routes.insert("other".into(), route);
    bench.hub.set_scopes(Scopes::of(&next));
    let measured = bench.hub.tick();
    assert!(!measured.values.contains_key(&Scope::route("chat")));
    assert!(measured.values.contains_key(&Scope::route("other")));
    // It still counts for the pod, which it still burdens.
    assert_eq!(measured.values[&Scope::pod()].in_flight, 1);
    assert!(bench.hub.totals().series.is_empty());
    assert_eq!(bench.hub.totals().in_flight, 1);
    running.stream_tokens(10);
    running.finish(200, None);
    assert!((bench.tokens_in_10s() - 10.0).abs() < 1e-9);
    assert_eq!(bench.hub.load().in_flight, 0);
    assert!(bench.meter.shard.series.lock().is_empty());
}

#[test]
fn all_workers_are_added_up() {
    let bench = bench();
    let other = bench.hub.shard();
    let here = bench.start("chat");
    here.admitted(Duration::ZERO);
    let there = other.start(here_labels(), other.now());
    there.admitted(Duration::ZERO);
    there.upstream_error(&"sim".into(), UpstreamErrorKind::Connect);
    bench.meter.refused(None, Refusal::Unauthenticated);
    other.refused(None, Refusal::Unauthenticated);
    let totals = bench.hub.totals();
    assert_eq!(totals.in_flight, 2);
    assert_eq!(totals.series.len(), 1);
    assert_eq!(totals.refusals[&(None, Refusal::Unauthenticated)], 2);
    assert_eq!(totals.upstream_errors[&("sim".into(), UpstreamErrorKind::Connect)], 1);
    assert_eq!(bench.values(&Scope::pod()).in_flight, 2);
}

fn here_labels() -> RequestLabels {
    RequestLabels {
        tenant: "acme".into(),
        route: "chat".into(),
        operation: Operation::Chat,
        stream: false,
    }
}
