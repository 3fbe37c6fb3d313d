//! Whether this replica should be asked.
//!
//! It should once it can tell the aggregator from an impostor and, for a bounded time after the start, once its streams
//! have spoken, so that a new replica does not answer the autoscaler with errors while the old ones still could with
//! values. It never depends on data for longer than that: an adapter without data must still answer discovery.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::auth::FrontProxy;
use crate::clock::Now;
use crate::signals::Store;
use crate::tls::ServingCertificate;

/// How long after the start values are waited for.
const WARM_UP: Duration = Duration::from_secs(10);

/// What readiness depends on.
#[derive(Debug)]
pub struct Readiness {
    front_proxy: Arc<ArcSwapOption<FrontProxy>>,
    certificate: Arc<ServingCertificate>,
    store: Arc<Store>,
    started: Duration,
    draining: std::sync::atomic::AtomicBool,
}

impl Readiness {
    /// Readiness of a program that started at `started` on the monotonic clock.
    pub fn new(
        front_proxy: Arc<ArcSwapOption<FrontProxy>>,
        certificate: Arc<ServingCertificate>,
        store: Arc<Store>,
        started: Duration,
    ) -> Self {
        Self {
            front_proxy,
            certificate,
            store,
            started,
            draining: false.into(),
        }
    }

    /// Says that the program is going to stop.
    pub fn drain(&self) {
        self.draining.store(true, std::sync::atomic::Ordering::Release);
    }

    /// Each check by name, in a fixed order.
    pub fn checks(&self, now: Now) -> [(&'static str, bool); 4] {
        let warm = now.mono.saturating_sub(self.started) >= WARM_UP;
        [
            ("running", !self.draining.load(std::sync::atomic::Ordering::Acquire)),
            ("serving-certificate", self.certificate.is_set()),
            ("front-proxy-ca", self.front_proxy.load().is_some()),
            (
                "signals",
                warm || (self.store.is_listed() && self.store.all_have_spoken()),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{PodFixture, at};

    #[test]
    fn signals_are_waited_for_but_not_for_ever() {
        let store = Arc::new(Store::default());
        let readiness = Readiness::new(
            Arc::default(),
            Arc::default(),
            Arc::clone(&store),
            Duration::from_secs(100),
        );
        let signals = |now: u64| readiness.checks(at(now))[3];
        assert_eq!(signals(101), ("signals", false));
        store.set_listed();
        assert_eq!(signals(101), ("signals", true));
        store.upsert((*PodFixture::new("edge-1").view().info).clone());
        assert_eq!(signals(101), ("signals", false));
        assert_eq!(signals(110), ("signals", true));
    }

    #[test]
    fn a_program_that_stops_is_not_ready() {
        let readiness = Readiness::new(Arc::default(), Arc::default(), Arc::default(), Duration::ZERO);
        assert_eq!(readiness.checks(at(0))[0], ("running", true));
        readiness.drain();
        assert_eq!(readiness.checks(at(0))[0], ("running", false));
    }
}
