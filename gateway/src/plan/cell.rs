//! Where the plan in service stands.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::Plan;

/// The plan in service: read by every request without a lock, put in place by the control side, and its change told to
/// whoever follows it.
#[derive(Debug)]
pub struct PlanCell {
    current: ArcSwap<Plan>,
    changed: watch::Sender<u64>,
}

impl PlanCell {
    /// A cell with its first plan.
    pub fn new(plan: Plan) -> Arc<Self> {
        let changed = watch::Sender::new(plan.generation);
        Arc::new(Self {
            current: ArcSwap::from_pointee(plan),
            changed,
        })
    }

    /// The plan in service.
    pub fn load(&self) -> Guard<Arc<Plan>> {
        self.current.load()
    }

    /// The plan in service, to hold for longer.
    pub fn load_full(&self) -> Arc<Plan> {
        self.current.load_full()
    }

    /// Puts a plan in service. Requests that have begun keep the one they began with.
    pub fn store(&self, plan: Plan) {
        let generation = plan.generation;
        self.current.store(Arc::new(plan));
        self.changed.send_replace(generation);
    }

    /// Tells of each change, with the generation.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
