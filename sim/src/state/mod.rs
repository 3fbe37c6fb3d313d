//! What all threads of the simulator share.

mod google;
mod keys;
mod limits;
mod prompts;
mod record;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::behaviour::{Behaviour, Engine, Fault, FaultChain, FaultKind, Full, Random, Seat, hash};
use crate::config::AwsKeys;
pub(crate) use google::ServiceAccount;
pub(crate) use keys::{Keys, bearer, read_key_file};
pub use limits::RateLimit;
pub(crate) use limits::{Left, Limits};
pub(crate) use prompts::Prompts;
pub(crate) use record::{Head, Recorder, Track};
pub use record::{RecordedRequest, RequestOutcome};

/// How many counters of fault chains are kept. Beyond it all start anew: tests use a handful, and a flood of names must
/// not fill the memory.
const MAX_CHAIN_COUNTERS: usize = 10_000;

/// Counters since the start, and what goes on now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests that came in, refused ones included.
    pub requests: u64,
    /// Of these, answers that were sent to their end.
    pub completed: u64,
    /// Of these, requests that ended early: the client went away, or a fault broke them off.
    pub cancelled: u64,
    /// Requests that are being answered now.
    pub active: u64,
    /// Requests that wait for the engine of a `loaded` latency.
    pub waiting: usize,
    /// Requests in that engine's batch.
    pub running: usize,
}

/// The behaviour with what runs because of it.
pub(crate) struct Current {
    pub(crate) behaviour: Behaviour,
    engine: Option<Engine>,
}

impl Current {
    /// Takes a place in the engine; `None` when the latency has none.
    pub(crate) fn join(&self, prompt_tokens: u64, tokens: u64) -> Result<Option<Seat>, Full> {
        self.engine
            .as_ref()
            .map(|engine| engine.join(prompt_tokens, tokens))
            .transpose()
    }
}

/// Who may ask.
pub(crate) struct Access {
    pub(crate) keys: Vec<String>,
    pub(crate) keys_required: bool,
    pub(crate) aws: Option<AwsKeys>,
    pub(crate) account: Option<ServiceAccount>,
}

pub(crate) struct State {
    current: ArcSwap<Current>,
    /// Where engines run: a runtime that lives as long as the simulator.
    runtime: Handle,
    pub(crate) keys: Keys,
    pub(crate) aws: Option<AwsKeys>,
    pub(crate) account: Option<ServiceAccount>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) limits: Limits,
    pub(crate) prompts: Prompts,
    chains: Mutex<HashMap<String, u64>>,
    draws: AtomicU64,
}

impl State {
    pub(crate) fn new(behaviour: Behaviour, access: Access, runtime: Handle) -> Self {
        let recorder = Arc::new(Recorder::new(behaviour.record));
        let engine = Engine::start(&behaviour.latency, &runtime);
        Self {
            current: ArcSwap::from_pointee(Current { behaviour, engine }),
            runtime,
            keys: Keys::new(access.keys, access.keys_required),
            aws: access.aws,
            account: access.account,
            recorder,
            limits: Limits::default(),
            prompts: Prompts::default(),
            chains: Mutex::default(),
            draws: AtomicU64::new(0),
        }
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Requests in flight go on with the behaviour they began with.
    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        self.recorder.set_capacity(behaviour.record);
        let engine = Engine::start(&behaviour.latency, &self.runtime);
        self.current.store(Arc::new(Current { behaviour, engine }));
        self.reset();
    }

    /// Fault chains, rate limits and the prompt cache start anew.
    pub(crate) fn reset(&self) {
        self.chains.lock().clear();
        self.limits.clear();
        self.prompts.clear();
    }

    /// The fault of the next request with this chain. `key` names the counter; without one, all requests with the same
    /// chain count together.
    pub(crate) fn next_fault(&self, chain: &FaultChain, key: Option<&str>) -> Option<Fault> {
        let number = if chain.is_counted() {
            let key = key.map_or_else(|| format!("chain {chain}"), |key| format!("key {key}"));
            let mut chains = self.chains.lock();
            if chains.len() >= MAX_CHAIN_COUNTERS {
                chains.clear();
            }
            let count = chains.entry(key).or_insert(0);
            *count += 1;
            *count - 1
        } else {
            0
        };
        let fault = chain.at(number).filter(|fault| fault.kind != FaultKind::Ok)?;
        if fault.probability < 1.0 {
            let draw = self.draws.fetch_add(1, Ordering::Relaxed);
            let seed = self.current.load().behaviour.seed;
            if Random::new(hash(seed, &draw.to_le_bytes())).unit() >= fault.probability {
                return None;
            }
        }
        Some(fault.clone())
    }

    pub(crate) fn stats(&self) -> Stats {
        let (waiting, running) = self.current.load().engine.as_ref().map_or((0, 0), Engine::load);
        Stats {
            waiting,
            running,
            ..self.recorder.stats()
        }
    }
}

/// Unix time in seconds.
pub(crate) fn unix_seconds() -> u64 {
    // A clock before 1970 is reported as 1970: it is a label in answers, nothing depends on it.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
