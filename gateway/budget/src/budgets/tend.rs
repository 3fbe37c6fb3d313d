//! What runs beside the requests: leases are kept at what will be needed, spending is reported, what is left is given back.

use std::sync::Arc;
use std::time::Duration;

use super::meter::Cell;
use super::{Budget, Budgets};
use crate::amount::Amount;
use crate::lease::Ask;
use crate::store::Store;

/// How often leases are looked at.
pub const TICK: Duration = Duration::from_millis(250);

/// How long spending may go unreported, in milliseconds.
const REPORT: u64 = 1_000;

/// How old what is known of a budget may get that nobody here uses, in milliseconds: status and headers tell the truth within 5 s.
const LOOK: u64 = 4_000;

/// What ends a lease.
const END: Ask = Ask {
    want: Amount::ZERO,
    least: Amount::ZERO,
    keep: Amount::ZERO,
    end: true,
};

impl<S: Store> Budgets<S> {
    /// Tends all leases, every [`TICK`], until it is dropped.
    pub async fn tend(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tend_once().await;
        }
    }

    /// Looks at all leases once.
    pub async fn tend_once(&self) {
        for budget in self.all() {
            for meter in &budget.meters {
                let Ok(cell) = self.cell(&budget, meter) else { continue };
                let now = self.clock.steady();
                let ask = cell.tick(now);
                let age = cell.age(now);
                let due = !ask.want.is_zero()
                    || ask.keep < cell.lease.free(now)
                    || age >= LOOK
                    || (age >= REPORT && cell.has_news());
                if due && let Err(error) = self.talk(&cell, |_| Some(ask)).await {
                    tracing::debug!(budget = %cell.budget, limit = %cell.limit, %error, "the store was not reached");
                }
            }
        }
        self.end_retired().await;
    }

    /// Gives everything back: to be called when no request is in flight any more. What the store does not hear is in doubt
    /// afterwards. Returns whether it heard everything.
    pub async fn drain(&self) -> bool {
        for budget in self.all() {
            let cells = budget.meters.iter().filter_map(super::meter::Meter::empty);
            self.retired.lock().extend(cells);
        }
        self.end_retired().await;
        self.retired.lock().is_empty()
    }

    fn all(&self) -> Vec<Arc<Budget>> {
        self.in_force.load().values().cloned().collect()
    }

    /// Ends what takes no more reservations. What is still in flight there is asked again the next time.
    async fn end_retired(&self) {
        let retired = std::mem::take(&mut *self.retired.lock());
        let mut open: Vec<Arc<Cell>> = Vec::new();
        for cell in retired {
            if !matches!(self.talk(&cell, |_| Some(END)).await, Ok(true)) {
                open.push(cell);
            }
        }
        self.retired.lock().extend(open);
    }
}
