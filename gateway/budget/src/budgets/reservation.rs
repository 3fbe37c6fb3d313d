//! Reserving and settling.

use std::sync::Arc;

use super::meter::Cell;
use super::{Budget, Budgets, OnStoreFailure, Reason, Refusal, Unit, Wish};
use crate::amount::Amount;
use crate::demand::Demand;
use crate::ladder::Action;
use crate::lease::Ask;
use crate::store::{Store, StoreError};

/// How often a reservation is tried again after the centre was asked: others may have taken what it brought.
const TRIES: usize = 3;

/// How old the last answer may be when a request is refused by it, in milliseconds: then the centre is asked first.
const STALE: u64 = 500;

/// What a provider charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charge {
    /// In nano-USD.
    pub money: Amount,
    /// In tokens.
    pub tokens: Amount,
}

struct Held {
    cell: Arc<Cell>,
    amount: Amount,
    /// Whether the amount was taken from a lease.
    backed: bool,
}

/// What is reserved for one attempt of one request, from all limits on its path.
///
/// It is settled once, by value. One that is dropped is settled at its worst case: the provider may have charged that.
pub struct Reservation {
    held: Vec<Held>,
    output: u64,
}

impl Reservation {
    /// How many tokens the answer may have: what the request wished for, or what the poorest limit buys.
    pub fn output_tokens(&self) -> u64 {
        self.output
    }

    /// Ends the reservation by what was charged; nothing, for an attempt that was not sent. The rest can be reserved again.
    pub fn settle(mut self, charge: Charge) {
        self.end(|held| match held.cell.unit {
            Unit::Money => charge.money,
            Unit::Tokens => charge.tokens,
        });
    }

    fn end(&mut self, charged: impl Fn(&Held) -> Amount) {
        for held in self.held.drain(..).as_slice() {
            let charged = charged(held);
            if held.backed {
                held.cell.lease.settle(held.amount, charged);
            } else {
                held.cell.lease.spend_unbacked(charged);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(|held| held.amount);
    }
}

/// One limit of the path, as a request meets it.
struct Part<'a> {
    cell: Arc<Cell>,
    demand: Demand,
    on_failure: OnStoreFailure,
    /// Whether the request goes on without this limit's lease.
    unbacked: bool,
    blocked: bool,
    budget: &'a Budget,
}

impl Part<'_> {
    fn refusal(&self, reason: Reason) -> Refusal {
        Refusal {
            budget: self.budget.config.id.clone(),
            limit: self.cell.limit.clone(),
            reason,
            resets_at: self.cell.ends(),
        }
    }
}

impl<S: Store> Budgets<S> {
    /// Reserves a request's worst case from every limit of the path, or from none.
    ///
    /// Without a hop while the leases hold enough; otherwise the centre is asked, within the store's own time.
    pub async fn reserve(&self, path: &[Arc<Budget>], wish: Wish) -> Result<Reservation, Refusal> {
        let mut refusal = None;
        for attempt in 0..=TRIES {
            let mut parts = self.parts(path, &wish)?;
            if attempt > 0 || parts.iter().any(|part| part.blocked || part.must_ask()) {
                for part in &mut parts {
                    self.ask(part, &wish).await?;
                }
            }
            let now = self.clock.steady();
            let rooms = parts.iter().filter(|part| !part.unbacked);
            let rooms = rooms.map(|part| (part.demand, part.cell.lease.free(now)));
            // The first try is for the whole answer. What a lease happens to hold is no reason to cut it.
            let output = if attempt == 0 {
                Some(wish.output.optimal)
            } else {
                wish.output.clamp(rooms)
            };
            if let Some(output) = output
                && let Some(reservation) = take(&parts, output, now)
            {
                return Ok(reservation);
            }
            let poorest = parts.iter().min_by_key(|part| {
                let free = part.cell.lease.free(now);
                part.demand.affords(free).map_or(0, |tokens| tokens.saturating_add(1))
            });
            refusal = poorest.map(|part| {
                part.refusal(if part.cell.is_failing() {
                    Reason::StoreUnavailable
                } else {
                    Reason::Exhausted
                })
            });
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Reservation {
                held: Vec::new(),
                output: wish.output.optimal,
            }),
        }
    }

    fn parts<'a>(&self, path: &'a [Arc<Budget>], wish: &Wish) -> Result<Vec<Part<'a>>, Refusal> {
        let limits = path
            .iter()
            .flat_map(|budget| budget.meters.iter().map(move |meter| (budget, meter)));
        let parts = limits.map(|(budget, meter)| {
            let cell = self.cell(budget, meter).map_err(|_| Refusal {
                budget: budget.config.id.clone(),
                limit: meter.name().to_owned(),
                reason: Reason::NoWindow,
                resets_at: None,
            })?;
            let blocked = cell.is_known() && meter.limit.ladder.action(&cell.standing()) == Some(Action::Block);
            Ok(Part {
                cell,
                demand: wish.demand(meter.limit.unit),
                on_failure: budget.config.on_store_failure,
                unbacked: false,
                blocked,
                budget,
            })
        });
        parts.collect()
    }

    /// Asks the centre for what the lease is short of, and again where it stands at a rung that blocks.
    async fn ask(&self, part: &mut Part<'_>, wish: &Wish) -> Result<(), Refusal> {
        let now = self.clock.steady();
        let most = part.demand.worst(wish.output.optimal);
        let least = part.demand.worst(wish.output.minimum.min(wish.output.optimal));
        let stale = part.blocked && part.cell.age(now) > STALE;
        let ahead = part.cell.ahead();
        let ask = |free: Amount| {
            let (short, needed) = (most.minus(free), least.minus(free));
            let room = part.cell.room(self.clock.steady());
            // A centre that has just said that it has less than is needed is not asked again at once: this bounds what requests
            // cost that are refused.
            let in_vain = room.is_some_and(|room| room < needed);
            let asks = !short.is_zero() && !in_vain || stale || part.cell.is_failing();
            asks.then(|| Ask {
                want: short.plus(if short.is_zero() { Amount::ZERO } else { ahead }),
                // All of it at first, and what is there once that is known.
                least: room.map_or(short, |room| short.min(room).max(needed)),
                keep: Amount::new(u64::MAX),
                end: false,
            })
        };
        if self.talk(&part.cell, ask).await.is_err() {
            match part.on_failure {
                OnStoreFailure::Leased => {}
                OnStoreFailure::Deny => return Err(part.refusal(Reason::StoreUnavailable)),
                OnStoreFailure::Allow => part.unbacked = part.cell.lease.free(self.clock.steady()) < most,
            }
        }
        if !part.blocked || part.unbacked {
            return Ok(());
        }
        let meter = part.budget.meters.iter().find(|meter| meter.name() == part.cell.limit);
        let action = meter.and_then(|meter| meter.limit.ladder.action(&part.cell.standing()));
        if action == Some(Action::Block) {
            return Err(part.refusal(Reason::Blocked));
        }
        Ok(())
    }

    /// One message and its answer, one at a time for each account. `ask` says, by what is free when it is this one's turn, whether
    /// there still is something to ask for.
    pub(super) async fn talk(&self, cell: &Cell, ask: impl FnOnce(Amount) -> Option<Ask>) -> Result<bool, StoreError> {
        let _turn = cell.turn.lock().await;
        let spoken = self.clock.steady();
        let Some(ask) = ask(cell.lease.free(spoken)) else {
            return Ok(false);
        };
        let reference = cell.reference.lock().clone();
        let message = cell.lease.speak(ask, spoken);
        match self.store.sync(&cell.budget, &reference, &message).await {
            Ok(answer) => {
                let spent = message.spent.plus(message.unbacked);
                cell.hear(&answer, spent, spoken, self.clock.steady());
                Ok(message.done)
            }
            Err(error) => {
                cell.fail();
                Err(error)
            }
        }
    }
}

impl Part<'_> {
    /// Whether the lease alone does not decide: the budget is denied while the store fails.
    fn must_ask(&self) -> bool {
        self.on_failure == OnStoreFailure::Deny && self.cell.is_failing()
    }
}

/// Takes from all, or from none.
fn take(parts: &[Part<'_>], output: u64, now: u64) -> Option<Reservation> {
    let mut held: Vec<Held> = Vec::with_capacity(parts.len());
    for part in parts {
        let amount = part.demand.worst(output);
        if !part.unbacked && !part.cell.take(amount, now) {
            for held in held {
                if held.backed {
                    held.cell.lease.settle(held.amount, Amount::ZERO);
                }
            }
            return None;
        }
        held.push(Held {
            cell: Arc::clone(&part.cell),
            amount,
            backed: !part.unbacked,
        });
    }
    Some(Reservation { held, output })
}
