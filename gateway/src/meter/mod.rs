//! Counting requests: cheap where they run, added up where they are read.
//!
//! One [`MeterHub`] for the process; one [`Meter`] for each worker, whose shard no other worker touches; one
//! [`RequestMeter`] for each request. The control thread calls [`MeterHub::tick`] several times a second, which reads all
//! shards and keeps the sliding windows behind the live signals; a scrape reads the totals with [`MeterHub::totals`].

mod histogram;
mod labels;
mod request;
mod scopes;
mod series;
#[cfg(test)]
mod tests;
mod totals;
mod windows;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::traces::Traces;
pub use histogram::Histogram;
pub use labels::{Operation, Refusal, RequestLabels, UpstreamErrorKind};
pub use request::{CLIENT_CLOSED, RequestMeter};
pub use scopes::Scopes;
use series::{Series, SeriesKey};
pub use totals::{Load, Outcome, SeriesTotals, TokenUsage, Totals};
pub use windows::Measurement;
use windows::Windows;

/// Everything that the process counts.
pub struct MeterHub {
    clock: Arc<dyn Clock>,
    traces: Arc<Traces>,
    shards: Mutex<Vec<Arc<Shard>>>,
    scopes: ArcSwap<Scopes>,
    windows: Mutex<Windows>,
}

/// What one worker counts.
#[derive(Debug)]
struct Shard {
    clock: ClockRef,
    traces: Arc<Traces>,
    series: Mutex<HashMap<SeriesKey, Arc<Series>>>,
    other: Mutex<Other>,
}

/// What does not belong to one tenant and route.
#[derive(Debug, Default)]
struct Other {
    refusals: BTreeMap<(Option<Operation>, Refusal), u64>,
    providers: BTreeMap<Arc<str>, ProviderCounts>,
}

#[derive(Debug, Default)]
struct ProviderCounts {
    forwarded: u64,
    errors: BTreeMap<UpstreamErrorKind, u64>,
}

struct ClockRef(Arc<dyn Clock>);

impl std::fmt::Debug for ClockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl MeterHub {
    /// An empty hub that serves no scope yet.
    pub fn new(clock: Arc<dyn Clock>, traces: Arc<Traces>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            traces,
            shards: Mutex::default(),
            scopes: ArcSwap::from_pointee(Scopes::default()),
            windows: Mutex::default(),
        })
    }

    /// A shard for one worker. Workers live as long as the process, so that a shard is never taken back.
    pub fn shard(&self) -> Meter {
        let shard = Arc::new(Shard {
            clock: ClockRef(Arc::clone(&self.clock)),
            traces: Arc::clone(&self.traces),
            series: Mutex::default(),
            other: Mutex::default(),
        });
        self.shards.lock().push(Arc::clone(&shard));
        Meter { shard }
    }

    /// Says which routes, tenants and providers the configuration has. What is not among them falls out of all metrics
    /// once its last request has ended; until then it counts for the pod alone.
    pub fn set_scopes(&self, scopes: Scopes) {
        self.scopes.store(Arc::new(scopes));
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.lock().clone()
    }
}

/// The counters of one worker.
#[derive(Debug, Clone)]
pub struct Meter {
    shard: Arc<Shard>,
}

impl Meter {
    /// The clock that durations are measured with.
    pub fn now(&self) -> Duration {
        self.shard.now()
    }

    /// Begins to count a request whose tenant and route are known. `received` is [`Meter::now`] when its head came.
    pub fn start(&self, labels: RequestLabels, received: Duration) -> RequestMeter {
        // Built from the labels and taken apart again: a request of a known series costs no further count of references
        // that all workers share.
        let RequestLabels {
            tenant,
            route,
            operation,
            stream,
        } = labels;
        let key = SeriesKey {
            tenant,
            route,
            operation,
        };
        let series = self.shard.series(&key);
        let SeriesKey {
            tenant,
            route,
            operation,
        } = key;
        let labels = RequestLabels {
            tenant,
            route,
            operation,
            stream,
        };
        RequestMeter::new(self, labels, series, received)
    }

    /// Counts a request that was turned away before tenant and route were known.
    pub fn refused(&self, operation: Option<Operation>, why: Refusal) {
        *self.shard.other.lock().refusals.entry((operation, why)).or_default() += 1;
    }
}

impl Shard {
    fn now(&self) -> Duration {
        self.clock.0.monotonic()
    }

    fn series(&self, key: &SeriesKey) -> Arc<Series> {
        let mut all = self.series.lock();
        if let Some(series) = all.get(key) {
            return Arc::clone(series);
        }
        Arc::clone(all.entry(key.clone()).or_insert_with(|| Arc::new(Series::new())))
    }

    fn forwarded(&self, provider: &Arc<str>) {
        self.provider(provider, |counts| counts.forwarded += 1);
    }

    fn upstream_error(&self, provider: &Arc<str>, kind: UpstreamErrorKind) {
        self.provider(provider, |counts| *counts.errors.entry(kind).or_default() += 1);
    }

    fn provider(&self, provider: &Arc<str>, count: impl FnOnce(&mut ProviderCounts)) {
        let mut other = self.other.lock();
        match other.providers.get_mut(provider) {
            Some(counts) => count(counts),
            None => count(other.providers.entry(Arc::clone(provider)).or_default()),
        }
    }
}
