//! What a budget costs a request while the leases hold enough: `cargo bench -p tokenweir-budget`.
//!
//! `lease` reserves from one lease and settles; `atomic_add` is the least that counting can cost. `reserve` and `path_of_three` are
//! what the gateway calls for a request, with one budget and with three, each of a limit of money and one of tokens: windows,
//! ladders, clocks and all limits included. On one thread, and on two that share everything.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use divan::{Bencher, black_box};
use tokenweir_budget::amount::Amount;
use tokenweir_budget::budgets::{Budget, BudgetConfig, Budgets, Charge, Limit, OnStoreFailure, Unit, Wish};
use tokenweir_budget::clock::{Clock, SystemClock};
use tokenweir_budget::demand::{Allocation, Demand};
use tokenweir_budget::escrow::{Answer, Standing, Terms};
use tokenweir_budget::ladder::Ladder;
use tokenweir_budget::lease::{Ask, Lease};
use tokenweir_budget::store::{MemoryStore, Store};
use tokenweir_budget::window::{CalendarUnit, Reset, Resets, Window, Zone};
use tokenweir_config::money::Rate;

const THREADS: [usize; 2] = [1, 2];
const NANOS: u64 = 1_000_000;

fn main() {
    divan::main();
}

/// The result of a future that has nothing to wait for.
#[expect(clippy::panic, reason = "a bench that waits measures something else")]
fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the centre was asked"),
    }
}

#[divan::bench(threads = THREADS)]
fn atomic_add(bencher: Bencher) {
    let counter = AtomicU64::new(0);
    bencher.bench(|| counter.fetch_add(black_box(NANOS), Ordering::AcqRel));
}

#[divan::bench(threads = THREADS)]
fn lease(bencher: Bencher) {
    let lease = Lease::new("bench");
    lease.speak(
        Ask {
            want: Amount::ZERO,
            least: Amount::ZERO,
            keep: Amount::ZERO,
            end: false,
        },
        1,
    );
    let answer = Answer {
        now: 1,
        epoch: 1,
        granted: Amount::new(1_000_000 * NANOS),
        done: false,
        sealed: false,
        standing: Standing::default(),
    };
    lease.hear(&answer, 1, 1);
    bencher.bench(|| {
        let amount = black_box(Amount::new(NANOS));
        let taken = lease.reserve(amount, 2);
        if taken {
            lease.settle(amount, Amount::ZERO);
        }
        taken
    });
}

fn budgets(ids: &[&str]) -> (Budgets<MemoryStore>, Vec<Arc<Budget>>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let budgets = Budgets::new(MemoryStore::new(clock.clone()), clock, "bench");
    let limit = |unit, amount, calendar| Limit {
        unit,
        window: Window::Calendar {
            unit: calendar,
            zone: Zone::utc(),
        },
        reset: Reset::Automatic,
        resets: Resets::default(),
        terms: Terms {
            generation: 1,
            strict: true,
            limit: Amount::new(amount),
            grants: Vec::new(),
            carry_over: Amount::ZERO,
        },
        ladder: Ladder::for_money(),
    };
    let configs = ids.iter().map(|id| BudgetConfig {
        id: (*id).to_owned(),
        limits: vec![
            limit(Unit::Money, 1_000_000_000 * NANOS, CalendarUnit::Month),
            limit(Unit::Tokens, 1_000_000_000 * NANOS, CalendarUnit::Day),
        ],
        on_store_failure: OnStoreFailure::Leased,
    });
    budgets.configure(configs.collect());
    for id in ids {
        // Nothing can fail in memory.
        let _ = now(budgets.store().register(id));
    }
    let path: Vec<Arc<Budget>> = ids.iter().filter_map(|id| budgets.budget(id)).collect();
    // Fills the leases for the whole run.
    if let Ok(held) = now(budgets.reserve(&path, wish(1_000_000_000))) {
        held.settle(Charge::default());
    }
    (budgets, path)
}

fn wish(optimal: u64) -> Wish {
    Wish {
        money: Demand::of_money(Amount::new(NANOS), Rate::new(1_000 * NANOS)),
        tokens: Demand::of_tokens(1_000),
        output: Allocation { minimum: 1, optimal },
    }
}

fn reserve_and_settle(bencher: Bencher, ids: &[&str]) {
    let (budgets, path) = budgets(ids);
    bencher.bench(|| {
        if let Ok(held) = now(budgets.reserve(black_box(&path), black_box(wish(500)))) {
            held.settle(Charge::default());
        }
    });
}

#[divan::bench(threads = THREADS)]
fn reserve(bencher: Bencher) {
    reserve_and_settle(bencher, &["team"]);
}

#[divan::bench(threads = THREADS)]
fn path_of_three(bencher: Bencher) {
    reserve_and_settle(bencher, &["organisation", "team", "user"]);
}
