//! From counters to live signals: sliding windows for the pod, each route and each tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenweir_signals::digest::DigestWindow;
use tokenweir_signals::window::RateWindow;
use tokenweir_signals::{Scope, ScopeKind, Values};

use super::series::{Reading, SeriesKey};
use super::{MeterHub, Scopes};

/// All values at one moment.
#[derive(Debug, Clone, Default)]
pub struct Measurement {
    /// When they were measured, Unix time in milliseconds.
    pub measured_unix_ms: u64,
    /// Generation of the configuration.
    pub generation: u64,
    /// Values of every scope that the configuration has.
    pub values: BTreeMap<Scope, Values>,
}

#[derive(Debug, Default)]
pub(super) struct Windows {
    scopes: BTreeMap<Scope, ScopeWindows>,
}

#[derive(Debug, Default)]
struct ScopeWindows {
    queue_depth: i64,
    in_flight: i64,
    tokens: TokenWindow,
    requests: RateWindow,
    queue_wait: DigestWindow,
    ttft: DigestWindow,
}

/// A rate of tokens whose live estimate may turn out too high: what was counted too much is taken from what comes next,
/// so that the sum over time is the provider's own.
#[derive(Debug, Default)]
struct TokenWindow {
    window: RateWindow,
    debt: u64,
}

impl TokenWindow {
    fn add(&mut self, now_ms: u64, tokens: i64) {
        if tokens < 0 {
            self.debt = self.debt.saturating_add(tokens.unsigned_abs());
            return;
        }
        let paid = self.debt.min(tokens.unsigned_abs());
        self.debt -= paid;
        self.window.add(now_ms, tokens.unsigned_abs() - paid);
    }
}

impl ScopeWindows {
    fn add(&mut self, now_ms: u64, reading: &Reading) {
        self.queue_depth += reading.queue_depth;
        self.in_flight += reading.in_flight;
        self.tokens.add(now_ms, reading.tokens);
        self.requests.add(now_ms, reading.arrivals);
        self.queue_wait.merge(now_ms, &reading.queue_wait);
        self.ttft.merge(now_ms, &reading.ttft);
    }

    fn values(&mut self, now_ms: u64) -> Values {
        Values {
            // A request may begin on one reading and end on the next; sums below zero do not outlive a reading.
            queue_depth: self.queue_depth.max(0).unsigned_abs(),
            in_flight: self.in_flight.max(0).unsigned_abs(),
            token_rate: self.tokens.window.rates(now_ms),
            request_rate: self.requests.rates(now_ms),
            queue_wait: self.queue_wait.digest(now_ms),
            ttft: self.ttft.digest(now_ms),
        }
    }
}

impl Windows {
    /// Keeps the windows of the scopes that are, forgets the others, and forgets all gauges.
    fn prepare(&mut self, scopes: &Scopes) {
        self.scopes.retain(|scope, _| match scope.kind {
            ScopeKind::Pod => true,
            ScopeKind::Route => scopes.routes.contains_key(scope.name.as_str()),
            ScopeKind::Tenant => scopes.tenants.contains(scope.name.as_str()),
        });
        self.scopes.entry(Scope::pod()).or_default();
        for route in scopes.routes.keys() {
            self.scopes.entry(Scope::route(&**route)).or_default();
        }
        for tenant in &scopes.tenants {
            self.scopes.entry(Scope::tenant(&**tenant)).or_default();
        }
        for windows in self.scopes.values_mut() {
            windows.queue_depth = 0;
            windows.in_flight = 0;
        }
    }
}

impl Windows {
    /// Counts a reading for the pod, and for the route and the tenant where the configuration has them.
    fn add(&mut self, now_ms: u64, key: &SeriesKey, reading: &Reading) {
        for scope in [Scope::pod(), Scope::route(&*key.route), Scope::tenant(&*key.tenant)] {
            if let Some(windows) = self.scopes.get_mut(&scope) {
                windows.add(now_ms, reading);
            }
        }
    }
}

impl MeterHub {
    /// Reads all shards, moves the windows on and gives the values at this moment.
    ///
    /// Called by one task several times a second; what a call reads no later call reads again.
    pub fn tick(&self) -> Measurement {
        let scopes = self.scopes.load_full();
        let mut windows = self.windows.lock();
        windows.prepare(&scopes);
        let now_ms = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let measured_unix_ms = self.clock.unix_ms();
        for shard in self.shards() {
            // Copied out first, so that a worker that looks a series up never waits for the sums.
            let series: Vec<_> = shard
                .series
                .lock()
                .iter()
                .map(|(key, series)| (key.clone(), Arc::clone(series)))
                .collect();
            let mut gone = false;
            for (key, series) in series {
                windows.add(now_ms, &key, &series.read());
                gone |= !scopes.contain(&key);
            }
            if gone {
                shard.series.lock().retain(|key, series| {
                    // Requests hold the series they count in, and begin to hold it under the lock that is held here.
                    if scopes.contain(key) || Arc::strong_count(series) > 1 {
                        return true;
                    }
                    windows.add(now_ms, key, &series.read());
                    false
                });
            }
        }
        let values = windows
            .scopes
            .iter_mut()
            .map(|(scope, w)| (scope.clone(), w.values(now_ms)))
            .collect();
        Measurement {
            measured_unix_ms,
            generation: scopes.generation,
            values,
        }
    }
}
