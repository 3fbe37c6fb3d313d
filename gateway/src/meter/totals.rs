//! Everything counted since the start, added up over all workers, for a scrape.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::histogram::Histogram;
use super::labels::{Operation, Refusal, UpstreamErrorKind};
use super::{MeterHub, series};

/// Sums over all workers.
#[derive(Debug, Default)]
pub struct Totals {
    /// Generation of the configuration.
    pub generation: u64,
    /// Requests that wait for admission, in the whole pod.
    pub queue_depth: i64,
    /// Requests that were admitted and have not ended, in the whole pod.
    pub in_flight: i64,
    /// One for each tenant, route and operation that was used and that the configuration still has.
    pub series: Vec<SeriesTotals>,
    /// Requests turned away before tenant and route were known.
    pub refusals: BTreeMap<(Option<Operation>, Refusal), u64>,
    /// Tries by provider.
    pub forwarded: BTreeMap<Arc<str>, u64>,
    /// Failed tries by provider and kind.
    pub upstream_errors: BTreeMap<(Arc<str>, UpstreamErrorKind), u64>,
}

/// Sums of one tenant, route and operation.
#[derive(Debug)]
pub struct SeriesTotals {
    /// Name of the `Tenant`.
    pub tenant: Arc<str>,
    /// Name of the `ModelRoute`.
    pub route: Arc<str>,
    /// The route's model name or glob.
    pub model: Arc<str>,
    /// What was asked for.
    pub operation: Operation,
    /// Requests that wait for admission.
    pub queue_depth: i64,
    /// Requests that were admitted and have not ended.
    pub in_flight: i64,
    /// Seconds in the queue.
    pub queue_wait: Histogram,
    /// Seconds to the first byte.
    pub first_token: Histogram,
    /// Seconds for each token after the first, streams only.
    pub per_token: Histogram,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// Requests by how they ended.
    pub outcomes: Vec<Outcome>,
    /// Tokens of requests by provider.
    pub usage: Vec<TokenUsage>,
}

/// Requests that ended alike.
#[derive(Debug)]
pub struct Outcome {
    /// HTTP status that the client saw.
    pub status: u16,
    /// Kind of failure; `None` for success.
    pub error_type: Option<&'static str>,
    /// Seconds from head to end.
    pub duration: Histogram,
}

/// Tokens of the requests that one provider answered.
#[derive(Debug)]
pub struct TokenUsage {
    /// Name of the `ModelProvider`.
    pub provider: Arc<str>,
    /// Prompt tokens.
    pub input: Histogram,
    /// Completion tokens.
    pub output: Histogram,
}

#[derive(Default)]
struct Sum {
    queue_depth: i64,
    in_flight: i64,
    totals: series::Totals,
}

/// How busy the whole pod is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for admission.
    pub queue_depth: u64,
    /// Requests that were admitted and have not ended.
    pub in_flight: u64,
}

impl MeterHub {
    /// How busy the whole pod is.
    pub fn load(&self) -> Load {
        let (mut queue_depth, mut in_flight) = (0, 0);
        for shard in self.shards() {
            for series in shard.series.lock().values() {
                queue_depth += series.queue_depth.load(Relaxed);
                in_flight += series.in_flight.load(Relaxed);
            }
        }
        Load {
            queue_depth: queue_depth.max(0).unsigned_abs(),
            in_flight: in_flight.max(0).unsigned_abs(),
        }
    }

    /// How busy each route is that the configuration still has and that was asked for.
    pub fn load_by_route(&self) -> BTreeMap<Arc<str>, Load> {
        let scopes = self.scopes.load();
        let mut sums: BTreeMap<Arc<str>, (i64, i64)> = BTreeMap::new();
        for shard in self.shards() {
            for (key, series) in shard.series.lock().iter() {
                if scopes.contain(key) {
                    let (queue_depth, in_flight) = sums.entry(Arc::clone(&key.route)).or_default();
                    *queue_depth += series.queue_depth.load(Relaxed);
                    *in_flight += series.in_flight.load(Relaxed);
                }
            }
        }
        let load = |(queue_depth, in_flight): (i64, i64)| Load {
            queue_depth: queue_depth.max(0).unsigned_abs(),
            in_flight: in_flight.max(0).unsigned_abs(),
        };
        sums.into_iter().map(|(route, sum)| (route, load(sum))).collect()
    }

    /// Adds up what all workers counted for what the configuration has, and forgets the providers that it no longer has.
    pub fn totals(&self) -> Totals {
        let scopes = self.scopes.load_full();
        let mut sums: BTreeMap<series::SeriesKey, Sum> = BTreeMap::new();
        let mut out = Totals {
            generation: scopes.generation,
            ..Totals::default()
        };
        for shard in self.shards() {
            // Copied out first, so that a worker never waits for a scrape that adds up.
            let series: Vec<_> = shard
                .series
                .lock()
                .iter()
                .map(|(key, series)| (key.clone(), Arc::clone(series)))
                .collect();
            for (key, series) in series {
                let queue_depth = series.queue_depth.load(Relaxed);
                let in_flight = series.in_flight.load(Relaxed);
                out.queue_depth += queue_depth;
                out.in_flight += in_flight;
                if !scopes.contain(&key) {
                    continue;
                }
                let sum = sums.entry(key).or_default();
                sum.queue_depth += queue_depth;
                sum.in_flight += in_flight;
                sum.totals.merge(&series.totals.lock());
            }
            let mut other = shard.other.lock();
            other
                .providers
                .retain(|provider, _| scopes.providers.contains(provider));
            for (reason, n) in &other.refusals {
                *out.refusals.entry(*reason).or_default() += n;
            }
            for (provider, counts) in &other.providers {
                *out.forwarded.entry(Arc::clone(provider)).or_default() += counts.forwarded;
                for (kind, n) in &counts.errors {
                    *out.upstream_errors.entry((Arc::clone(provider), *kind)).or_default() += n;
                }
            }
        }
        out.series = sums
            .into_iter()
            .filter_map(|(key, sum)| {
                scopes
                    .routes
                    .get(&key.route)
                    .map(|model| finish(key, Arc::clone(model), sum))
            })
            .collect();
        out
    }
}

fn finish(key: series::SeriesKey, model: Arc<str>, sum: Sum) -> SeriesTotals {
    let totals = sum.totals;
    SeriesTotals {
        tenant: key.tenant,
        route: key.route,
        model,
        operation: key.operation,
        queue_depth: sum.queue_depth.max(0),
        in_flight: sum.in_flight.max(0),
        queue_wait: totals.queue_wait,
        first_token: totals.first_token,
        per_token: totals.per_token,
        input_tokens: totals.input_tokens,
        output_tokens: totals.output_tokens,
        outcomes: totals
            .durations
            .into_iter()
            .map(|(ending, duration)| Outcome {
                status: ending.status,
                error_type: ending.error_type,
                duration,
            })
            .collect(),
        usage: totals
            .usage
            .into_iter()
            .map(|(provider, input, output)| TokenUsage {
                provider,
                input,
                output,
            })
            .collect(),
    }
}
