//! One metric family after another.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use tokenweir_config::status::{Phase, Source};

use crate::meter::{Histogram, Operation, SeriesTotals, Totals};
use crate::state::State;

pub(super) type Result = std::result::Result<(), Error>;
type Label<'a> = (&'a str, &'a str);

/// The labels of everything that belongs to one tenant, route and operation.
fn labels(series: &SeriesTotals) -> [Label<'_>; 4] {
    [
        ("tenant", &series.tenant),
        ("route", &series.route),
        ("gen_ai_request_model", &series.model),
        ("gen_ai_operation_name", series.operation.name()),
    ]
}

/// One family that is being written.
pub(super) struct Family<'a> {
    encoder: MetricEncoder<'a>,
}

impl<'a> Family<'a> {
    pub(super) fn new(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &'a str,
        kind: MetricType,
    ) -> std::result::Result<Self, Error> {
        encoder
            .encode_descriptor(name, help, None, kind)
            .map(|encoder| Self { encoder })
    }

    pub(super) fn counter(&mut self, labels: &impl EncodeLabelSet, value: u64) -> Result {
        self.encoder
            .encode_family(labels)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    pub(super) fn gauge(&mut self, labels: &impl EncodeLabelSet, value: i64) -> Result {
        self.encoder.encode_family(labels)?.encode_gauge(&value)
    }

    /// For what there is once.
    fn plain_counter(&mut self, value: u64) -> Result {
        self.encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// For what there is once.
    pub(super) fn plain_gauge(&mut self, value: i64) -> Result {
        self.encoder.encode_gauge(&value)
    }

    fn histogram(&mut self, labels: &impl EncodeLabelSet, histogram: &Histogram) -> Result {
        let buckets: Vec<(f64, u64)> = histogram.buckets().collect();
        self.encoder.encode_family(labels)?.encode_histogram::<NoLabelSet>(
            histogram.sum(),
            histogram.count(),
            &buckets,
            None,
        )
    }
}

pub(super) fn requests(encoder: &mut DescriptorEncoder<'_>, totals: &Totals) -> Result {
    durations(encoder, totals)?;
    tokens(encoder, totals)?;
    queue(encoder, totals)?;
    upstream(encoder, totals)?;
    let mut family = Family::new(
        encoder,
        "tokenweir_requests_refused",
        "Requests turned away before their tenant and route were known",
        MetricType::Counter,
    )?;
    for ((operation, reason), n) in &totals.refusals {
        let operation = operation.map_or("none", Operation::name);
        family.counter(&[("gen_ai_operation_name", operation), ("reason", reason.as_str())], *n)?;
    }
    Ok(())
}

fn durations(encoder: &mut DescriptorEncoder<'_>, totals: &Totals) -> Result {
    let mut family = Family::new(
        encoder,
        "tokenweir_requests",
        "Requests that have ended",
        MetricType::Counter,
    )?;
    for series in &totals.series {
        for outcome in &series.outcomes {
            let status = outcome.status.to_string();
            let ending = [
                ("http_response_status_code", status.as_str()),
                ("error_type", outcome.error_type.unwrap_or("")),
            ];
            family.counter(&(&labels(series)[..], &ending[..]), outcome.duration.count())?;
        }
    }
    let mut family = Family::new(
        encoder,
        "gen_ai_server_request_duration_seconds",
        "From the head of a request to the end of its answer",
        MetricType::Histogram,
    )?;
    for series in &totals.series {
        // The status is left to the counter: one histogram for each kind of failure is enough.
        let mut by_error: Vec<(&str, Histogram)> = Vec::new();
        for outcome in &series.outcomes {
            let error = outcome.error_type.unwrap_or("");
            match by_error.iter_mut().find(|(known, _)| *known == error) {
                Some((_, sum)) => sum.merge(&outcome.duration),
                None => by_error.push((error, outcome.duration.clone())),
            }
        }
        for (error, duration) in &by_error {
            family.histogram(&(&labels(series)[..], &[("error_type", *error)][..]), duration)?;
        }
    }
    for (name, help, of) in [
        (
            "gen_ai_server_time_to_first_token_seconds",
            "From the head of a request to the first byte of its answer's body",
            (|s| &s.first_token) as fn(&SeriesTotals) -> &Histogram,
        ),
        (
            "gen_ai_server_time_per_output_token_seconds",
            "Between the tokens of a stream, averaged over the stream",
            |s| &s.per_token,
        ),
        (
            "tokenweir_queue_wait_seconds",
            "Wait for admission; requests that did not wait count as 0",
            |s| &s.queue_wait,
        ),
    ] {
        let mut family = Family::new(encoder, name, help, MetricType::Histogram)?;
        for series in &totals.series {
            family.histogram(&&labels(series)[..], of(series))?;
        }
    }
    Ok(())
}

fn tokens(encoder: &mut DescriptorEncoder<'_>, totals: &Totals) -> Result {
    let mut family = Family::new(
        encoder,
        "gen_ai_client_token_usage",
        "Tokens of a request, as the provider reported them",
        MetricType::Histogram,
    )?;
    for series in &totals.series {
        for usage in &series.usage {
            for (kind, histogram) in [("input", &usage.input), ("output", &usage.output)] {
                let more = [("gen_ai_provider_name", &*usage.provider), ("gen_ai_token_type", kind)];
                family.histogram(&(&labels(series)[..], &more[..]), histogram)?;
            }
        }
    }
    let mut family = Family::new(
        encoder,
        "llm_tokens",
        "Tokens by direction, as providers reported them, else as counted in streams",
        MetricType::Counter,
    )?;
    for series in &totals.series {
        for (direction, n) in [("input", series.input_tokens), ("output", series.output_tokens)] {
            family.counter(&(&labels(series)[..], &[("direction", direction)][..]), n)?;
        }
    }
    Ok(())
}

fn queue(encoder: &mut DescriptorEncoder<'_>, totals: &Totals) -> Result {
    let mut family = Family::new(
        encoder,
        "tokenweir_queue_depth",
        "Requests that wait for admission",
        MetricType::Gauge,
    )?;
    for series in &totals.series {
        family.gauge(&&labels(series)[..], series.queue_depth)?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_in_flight",
        "Requests that were admitted and have not ended",
        MetricType::Gauge,
    )?;
    for series in &totals.series {
        family.gauge(&&labels(series)[..], series.in_flight)?;
    }
    for (name, help, value) in [
        (
            "task_queue_depth",
            "Alias: requests of the whole pod that wait for admission",
            totals.queue_depth,
        ),
        (
            "active_executions",
            "Alias: requests of the whole pod that were admitted and have not ended",
            totals.in_flight,
        ),
        (
            "active_tasks",
            "Alias: requests of the whole pod that were admitted and have not ended",
            totals.in_flight,
        ),
    ] {
        Family::new(encoder, name, help, MetricType::Gauge)?.plain_gauge(value)?;
    }
    Ok(())
}

fn upstream(encoder: &mut DescriptorEncoder<'_>, totals: &Totals) -> Result {
    let mut family = Family::new(
        encoder,
        "tokenweir_upstream_requests",
        "Tries at a provider",
        MetricType::Counter,
    )?;
    for (provider, n) in &totals.forwarded {
        family.counter(&[("gen_ai_provider_name", &**provider)], *n)?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_upstream_errors",
        "Tries at a provider that failed",
        MetricType::Counter,
    )?;
    for ((provider, kind), n) in &totals.upstream_errors {
        family.counter(
            &[("gen_ai_provider_name", &**provider), ("error_type", kind.as_str())],
            *n,
        )?;
    }
    Ok(())
}

pub(super) fn configuration(encoder: &mut DescriptorEncoder<'_>, state: &State) -> Result {
    let serving = state.serving();
    if let Some(serving) = &serving {
        let mut family = Family::new(
            encoder,
            "tokenweir_config_generation",
            "Generation of the configuration in service",
            MetricType::Gauge,
        )?;
        family.plain_gauge(gauge(serving.generation))?;
        let mut family = Family::new(
            encoder,
            "tokenweir_config_since_seconds",
            "Unix time since when the configuration is served",
            MetricType::Gauge,
        )?;
        family.plain_gauge(gauge(serving.since_unix_ms / 1_000))?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_config_source",
        "1 for the place that the configuration in service came from",
        MetricType::Gauge,
    )?;
    for source in [Source::Api, Source::Disk, Source::Files] {
        let here = serving.as_ref().is_some_and(|serving| serving.source == source);
        family.gauge(&[("source", source.as_str())], i64::from(here))?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_config_rejected",
        "1 while the newest configuration is refused and an older one is served",
        MetricType::Gauge,
    )?;
    family.plain_gauge(i64::from(state.rejected().is_some()))?;
    let mut family = Family::new(
        encoder,
        "tokenweir_config_rejections",
        "Configurations that were refused",
        MetricType::Counter,
    )?;
    family.plain_counter(state.rejections())
}

pub(super) fn process(encoder: &mut DescriptorEncoder<'_>, phase: Phase, subscribers: u64) -> Result {
    let mut family = Family::new(
        encoder,
        "tokenweir_draining",
        "1 while the process is about to end",
        MetricType::Gauge,
    )?;
    family.plain_gauge(i64::from(phase > Phase::Serving))?;
    let mut family = Family::new(
        encoder,
        "tokenweir_signal_subscribers",
        "Readers of the live signal stream",
        MetricType::Gauge,
    )?;
    family.plain_gauge(gauge(subscribers))?;
    let mut family = Family::new(encoder, "tokenweir_build", "Version of the program", MetricType::Info)?;
    family.encoder.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
