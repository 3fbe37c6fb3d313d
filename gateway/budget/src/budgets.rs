//! The replica's side of all budgets: what the hot path calls.
//!
//! A request reserves its worst case from every limit of every budget on its tenant's path, all or nothing. While the leases hold
//! enough that is some atomics and no message. Otherwise the centre is asked for the limits that are short, once, and the answer's
//! length is clamped to what there is. [`Budgets::tend`] keeps the leases at what the replica will need next.

mod meter;
mod reservation;
mod tend;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokenweir_config::money::NanoUsd;

use self::meter::{Cell, Meter};
pub use self::reservation::{Charge, Reservation};
use crate::clock::Clock;
use crate::demand::{Allocation, Demand};
use crate::escrow::{Standing, Terms};
use crate::ladder::{Action, Ladder, Phase};
use crate::store::Store;
use crate::window::{Reset, Resets, Window, WindowError};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Nano-USD.
    Money,
    /// Tokens.
    Tokens,
}

/// What to do for requests that the lease cannot cover while the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnStoreFailure {
    /// Spend the lease while it lasts, then refuse.
    Leased,
    /// Refuse at once, whatever the lease holds.
    Deny,
    /// Serve, and count what is spent without a grant: the budget may be overspent, by choice.
    Allow,
}

/// One limit, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub unit: Unit,
    /// Over which time.
    pub window: Window,
    /// What ends a window.
    pub reset: Reset,
    /// The resets that people asked for.
    pub resets: Resets,
    /// What it allows.
    pub terms: Terms,
    /// What happens as it is used up.
    pub ladder: Ladder,
}

impl Limit {
    /// The name of the limit within its budget, which stays when the amount changes.
    pub fn name(&self) -> String {
        let unit = match self.unit {
            Unit::Money => "usd",
            Unit::Tokens => "tokens",
        };
        format!("{unit}/{}", self.window.name(self.reset))
    }
}

/// One budget, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Unique and stable: it names the budget in the store.
    pub id: String,
    /// Its limits, all of which hold at once.
    pub limits: Vec<Limit>,
    /// What to do while the store does not answer.
    pub on_store_failure: OnStoreFailure,
}

/// A request's wish, in both units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Its worst case in nano-USD.
    pub money: Demand,
    /// Its worst case in tokens.
    pub tokens: Demand,
    /// How long an answer it wants.
    pub output: Allocation,
}

impl Wish {
    fn demand(&self, unit: Unit) -> Demand {
        match unit {
            Unit::Money => self.money,
            Unit::Tokens => self.tokens,
        }
    }
}

/// Why a budget turned a request away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// What is left does not cover it.
    Exhausted,
    /// The ladder blocks.
    Blocked,
    /// The store does not answer, and the budget does not allow to go on.
    StoreUnavailable,
    /// The clock is outside of the calendar.
    NoWindow,
}

/// A request that a budget turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("budget {budget}, limit {limit}: {reason:?}")]
pub struct Refusal {
    /// The budget's id.
    pub budget: String,
    /// The limit's name.
    pub limit: String,
    /// Why.
    pub reason: Reason,
    /// When the window ends, in milliseconds of Unix time; absent where time does not end it.
    pub resets_at: Option<u64>,
}

/// How the tightest of a path's limits stands: what goes into headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notice {
    /// The least that any limit of money has left.
    pub remaining: Option<NanoUsd>,
    /// When the window of that limit ends, in milliseconds of Unix time.
    pub resets_at: Option<u64>,
    /// The highest rung that any limit has reached.
    pub rung: Option<Action>,
}

/// One limit's state, for status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The limit's name.
    pub limit: String,
    /// What it counts.
    pub unit: Unit,
    /// As the centre last said.
    pub standing: Standing,
    /// What the ladder makes of it.
    pub phase: Phase,
    /// When the window ends, in milliseconds of Unix time.
    pub resets_at: Option<u64>,
}

/// A budget that is in force.
pub struct Budget {
    config: BudgetConfig,
    meters: Vec<Meter>,
}

/// All budgets of this process, shared by its workers.
pub struct Budgets<S> {
    store: S,
    clock: Arc<dyn Clock>,
    /// Names this life of this process: nobody else has it, or ever had.
    instance: String,
    lives: AtomicU64,
    in_force: ArcSwap<HashMap<String, Arc<Budget>>>,
    /// Cells that take no more reservations, until they are settled and given back.
    retired: Mutex<Vec<Arc<Cell>>>,
}

impl<S: Store> Budgets<S> {
    /// No budgets yet. `instance` names this life of this process: it must not be used twice, by whomever.
    pub fn new(store: S, clock: Arc<dyn Clock>, instance: impl Into<String>) -> Self {
        Self {
            store,
            clock,
            instance: instance.into(),
            lives: AtomicU64::new(0),
            in_force: ArcSwap::default(),
            retired: Mutex::new(Vec::new()),
        }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Puts these budgets into force. Leases of limits that stay are kept; those of limits that go are given back by
    /// [`tend`](Self::tend).
    pub fn configure(&self, configs: Vec<BudgetConfig>) {
        let before = self.in_force.load_full();
        let mut old: HashMap<(String, String), &Meter> = HashMap::new();
        for (id, budget) in before.iter() {
            let meters = budget.meters.iter();
            old.extend(meters.map(|meter| ((id.clone(), meter.name().to_owned()), meter)));
        }
        let mut budgets = HashMap::new();
        for config in configs {
            let mut meters = Vec::with_capacity(config.limits.len());
            for limit in &config.limits {
                let key = (config.id.clone(), limit.name());
                let kept = old.remove(&key);
                meters.push(Meter::new(key.1, limit.clone(), kept));
            }
            budgets.insert(config.id.clone(), Arc::new(Budget { config, meters }));
        }
        self.in_force.store(Arc::new(budgets));
        let gone = old.into_values().filter_map(Meter::empty);
        self.retired.lock().extend(gone);
    }

    /// The budget of this id.
    pub fn budget(&self, id: &str) -> Option<Arc<Budget>> {
        self.in_force.load().get(id).cloned()
    }

    /// How the path stands, as far as this replica has heard: at most some seconds ago.
    pub fn notice(path: &[Arc<Budget>]) -> Notice {
        let mut notice = Notice::default();
        for (meter, cell) in Self::known(path) {
            let standing = cell.standing();
            notice.rung = notice.rung.max(meter.limit.ladder.action(&standing));
            if meter.limit.unit == Unit::Money {
                let remaining = NanoUsd::from(standing.remaining());
                if notice.remaining.is_none_or(|least| remaining < least) {
                    notice.remaining = Some(remaining);
                    notice.resets_at = cell.ends();
                }
            }
        }
        notice
    }

    /// How each limit of a budget stands, as far as this replica has heard.
    pub fn status(budget: &Arc<Budget>) -> Vec<Status> {
        let path = std::slice::from_ref(budget);
        let status = Self::known(path).map(|(meter, cell)| {
            let standing = cell.standing();
            Status {
                limit: meter.name().to_owned(),
                unit: meter.limit.unit,
                standing,
                phase: meter.limit.ladder.phase(&standing),
                resets_at: cell.ends(),
            }
        });
        status.collect()
    }

    /// The cells that the centre has answered for.
    fn known(path: &[Arc<Budget>]) -> impl Iterator<Item = (&Meter, Arc<Cell>)> {
        let meters = path.iter().flat_map(|budget| &budget.meters);
        meters.filter_map(|meter| meter.current().filter(|cell| cell.is_known()).map(|cell| (meter, cell)))
    }

    /// The cell for requests that come now: a new one where the window or the lease has ended.
    fn cell(&self, budget: &Budget, meter: &Meter) -> Result<Arc<Cell>, WindowError> {
        let (wall, steady) = (self.clock.wall(), self.clock.steady());
        if let Some(cell) = meter.current()
            && cell.serves(meter.limit.resets, wall, steady)
        {
            return Ok(cell);
        }
        let life = || format!("{}/{}", self.instance, self.lives.fetch_add(1, Ordering::Relaxed));
        let (cell, gone) = meter.renew(&budget.config.id, wall, steady, life)?;
        self.retired.lock().extend(gone);
        Ok(cell)
    }
}
