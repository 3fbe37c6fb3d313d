//! What the process serves, and what it refused: the facts behind `/status`, `/readyz` and the configuration metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokenweir_config::admin_token::AdminKey;
use tokenweir_config::status::{Rejected, Serving};

use crate::plan::{Plan, PlanCell};

/// Facts that the control tasks write and the reports read.
#[derive(Debug)]
pub struct State {
    /// Name of the pod, or of the host.
    pub pod: String,
    /// Unix time in milliseconds at which the process started.
    pub started_unix_ms: u64,
    serving: ArcSwapOption<Serving>,
    rejected: ArcSwapOption<Rejected>,
    rejections: AtomicU64,
    admin_key: ArcSwapOption<AdminKey>,
    listening: OnceLock<()>,
    plan: OnceLock<Arc<PlanCell>>,
    certificates: ArcSwap<Vec<(u16, i64)>>,
}

impl State {
    /// The state of a process that serves nothing yet.
    pub fn new(pod: String, started_unix_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            pod,
            started_unix_ms,
            serving: ArcSwapOption::empty(),
            rejected: ArcSwapOption::empty(),
            rejections: AtomicU64::new(0),
            admin_key: ArcSwapOption::empty(),
            listening: OnceLock::new(),
            plan: OnceLock::new(),
            certificates: ArcSwap::default(),
        })
    }

    /// The configuration in service.
    pub fn serving(&self) -> Option<Arc<Serving>> {
        self.serving.load_full()
    }

    /// The newest configuration that was refused, unless a later one was accepted.
    pub fn rejected(&self) -> Option<Arc<Rejected>> {
        self.rejected.load_full()
    }

    /// How many configurations were refused since the start.
    pub fn rejections(&self) -> u64 {
        self.rejections.load(Relaxed)
    }

    /// The key that opens the admin port; `None` in file mode and before the first configuration.
    pub fn admin_key(&self) -> Option<Arc<AdminKey>> {
        self.admin_key.load_full()
    }

    /// Whether the data plane has opened its sockets.
    pub fn listening(&self) -> bool {
        self.listening.get().is_some()
    }

    /// Says that the data plane has opened its sockets.
    pub fn set_listening(&self) {
        // Said once; a second time says the same.
        let _ = self.listening.set(());
    }

    /// The plan in service; `None` before the first configuration.
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.get().map(|cell| cell.load_full())
    }

    /// Says where the plan in service stands from now on.
    pub fn set_plan(&self, cell: &Arc<PlanCell>) {
        // There is one cell in the life of a process; a second time says the same.
        let _ = self.plan.set(Arc::clone(cell));
    }

    /// Ports with TLS, each with the Unix time in seconds at which its certificate ends.
    pub fn certificates(&self) -> Arc<Vec<(u16, i64)>> {
        self.certificates.load_full()
    }

    /// Says which certificates are served from now on.
    pub fn set_certificates(&self, certificates: Vec<(u16, i64)>) {
        self.certificates.store(Arc::new(certificates));
    }

    /// Says what is served from now on. What was refused before it is no longer of interest.
    pub fn accept(&self, serving: Serving, admin_key: Option<AdminKey>) {
        self.serving.store(Some(Arc::new(serving)));
        self.rejected.store(None);
        self.admin_key.store(admin_key.map(Arc::new));
    }

    /// Says that a configuration was refused. What was served is served on.
    pub fn reject(&self, rejected: Rejected) {
        self.rejected.store(Some(Arc::new(rejected)));
        self.rejections.fetch_add(1, Relaxed);
    }
}
