//! A gateway in front of a simulator, watched from outside.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokenweir_gateway::meter::Load;
use tokenweir_sim::SimHandle;

use crate::data::harness::{Answer, Gateway, chat, sim, until};

/// Tasks of connections to the provider that may stay open for the next request.
const KEPT: usize = 8;
/// Requests of which the median is taken.
const SAMPLE: usize = 20;
/// How often the median is taken before others count as slowed: the machine of the test has other work, too.
const LOOKS: usize = 10;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

pub const CHAT: &str = "/v1/chat/completions";

pub struct Scene {
    pub gateway: Gateway,
    pub sim: SimHandle,
    /// Tasks of the gateway before anything went wrong, without those of its clients' connections.
    tasks: usize,
    /// How long a request took then.
    calm: Duration,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With changes to the snapshot's JSON.
    pub async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let sim = sim();
        let gateway = Gateway::with(&sim.url(), change);
        Self::of(gateway, sim).await
    }

    pub async fn of(gateway: Gateway, sim: SimHandle) -> Self {
        let mut scene = Self {
            gateway,
            sim,
            tasks: 0,
            calm: Duration::ZERO,
        };
        scene.calm = scene.median().await;
        scene.tasks = scene.tasks();
        scene
    }

    /// Asks for an answer with a fault.
    pub async fn ask(&self, fault: &str, body: &Value) -> Answer {
        let mut request = self.gateway.request(CHAT, body);
        request.headers_mut().insert("x-sim-fault", fault.parse().unwrap());
        self.gateway.send(request).await
    }

    /// No request runs or is counted, the provider answers nobody, and there are no more tasks than before, but for
    /// connections that wait for the next request.
    pub async fn nothing_is_left(&self) {
        until("no request runs", || self.gateway.running() == 0).await;
        let none = Load {
            queue_depth: 0,
            in_flight: 0,
        };
        until("none is counted as in flight", || self.gateway.meter.load() == none).await;
        until("the provider answers nobody", || self.sim.stats().active == 0).await;
        let begun = Instant::now();
        while self.tasks() > self.tasks + KEPT {
            let (now, before) = (self.tasks(), self.tasks);
            assert!(begun.elapsed() < PATIENCE, "there are {now} tasks, and were {before}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.gateway.chat(&chat("any")).await.status, 200);
    }

    fn tasks(&self) -> usize {
        // Each connection of a client has one task; a connection that comes or goes in between is counted a moment later.
        self.gateway.tasks().saturating_sub(self.gateway.connections.open())
    }

    /// Requests without a fault take no longer than before.
    pub async fn others_are_served_as_before(&self) {
        let bound = self.calm * 3 + Duration::from_millis(10);
        let mut slowest = Duration::ZERO;
        for _ in 0..LOOKS {
            let now = self.median().await;
            if now <= bound {
                return;
            }
            slowest = slowest.max(now);
        }
        panic!("a request took {:?} before and takes {slowest:?} now", self.calm);
    }

    async fn median(&self) -> Duration {
        let mut times = Vec::with_capacity(SAMPLE);
        for _ in 0..SAMPLE {
            let begun = Instant::now();
            assert_eq!(self.gateway.chat(&chat("any")).await.status, 200);
            times.push(begun.elapsed());
        }
        times.sort();
        times[SAMPLE / 2]
    }
}
