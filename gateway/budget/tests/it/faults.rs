//! Three replicas and a real Redis that is killed, cut off and started again, while replicas die in the middle of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokenweir_budget::amount::Amount;
use tokenweir_budget::budgets::{Budget, BudgetConfig, Budgets, Charge, Limit, OnStoreFailure, Unit, Wish};
use tokenweir_budget::clock::{Clock, SystemClock};
use tokenweir_budget::demand::{Allocation, Demand};
use tokenweir_budget::escrow::Terms;
use tokenweir_budget::ladder::Ladder;
use tokenweir_budget::store::{RedisOptions, RedisStore, Store, StoreError};
use tokenweir_budget::window::{Reset, Resets, Window, Zone};
use tokenweir_config::money::Rate;
use tokio::task::JoinHandle;

use crate::server::{Persistence, Server};

const CENT: u64 = 10_000_000;
const LIMIT: u64 = 1_000 * CENT;
const PATIENCE: Duration = Duration::from_mins(1);

/// The provider: what it has charged, and what it has been asked for and not charged yet, at its worst.
#[derive(Default)]
struct Provider {
    charged: AtomicU64,
    open: AtomicU64,
    served: AtomicU64,
    refused: AtomicU64,
}

impl Provider {
    fn exposure(&self) -> u64 {
        self.charged.load(Ordering::SeqCst) + self.open.load(Ordering::SeqCst)
    }
}

struct Replica {
    budgets: Arc<Budgets<RedisStore>>,
    tasks: Vec<JoinHandle<()>>,
}

struct Stage {
    server: Server,
    provider: Arc<Provider>,
    durable: bool,
    stop: Arc<AtomicBool>,
    names: u64,
    replicas: Vec<Replica>,
}

fn store(server: &Server, durable: bool) -> RedisStore {
    let options = RedisOptions {
        url: server.url(),
        prefix: "tokenweir:budget:".to_owned(),
        durable,
    };
    RedisStore::new(options, Arc::new(SystemClock::default())).expect("a URL")
}

fn config() -> BudgetConfig {
    BudgetConfig {
        id: "acme".to_owned(),
        limits: vec![Limit {
            unit: Unit::Money,
            window: Window::Calendar {
                unit: tokenweir_budget::window::CalendarUnit::Year,
                zone: Zone::utc(),
            },
            reset: Reset::Manual,
            resets: Resets::default(),
            terms: Terms {
                generation: 1,
                strict: true,
                limit: Amount::new(LIMIT),
                grants: Vec::new(),
                carry_over: Amount::ZERO,
            },
            ladder: Ladder::new([]),
        }],
        on_store_failure: OnStoreFailure::Leased,
    }
}

/// Sends requests of up to five cents, one after the other. A provider charges something up to the worst case, also for requests
/// of replicas that have died meanwhile.
async fn work(budgets: Arc<Budgets<RedisStore>>, provider: Arc<Provider>, stop: Arc<AtomicBool>, seed: u64) {
    let path: Vec<Arc<Budget>> = budgets.budget("acme").into_iter().collect();
    let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while !stop.load(Ordering::Relaxed) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        let wish = Wish {
            money: Demand::of_money(Amount::new(CENT), Rate::new(CENT * 10_000)),
            tokens: Demand::of_tokens(0),
            output: Allocation {
                minimum: 50,
                optimal: 100 + word % 300,
            },
        };
        let Ok(held) = budgets.reserve(&path, wish).await else {
            provider.refused.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let worst = wish.money.worst(held.output_tokens()).get();
        let charged = worst - word % (worst / 2);
        provider.open.fetch_add(worst, Ordering::SeqCst);
        // A death while this waits leaves the request open: the provider may charge all of it. (Between the reservation and here
        // nothing waits.)
        tokio::time::sleep(Duration::from_millis(word % 20)).await;
        provider.charged.fetch_add(charged, Ordering::SeqCst);
        provider.open.fetch_sub(worst, Ordering::SeqCst);
        provider.served.fetch_add(1, Ordering::SeqCst);
        held.settle(Charge {
            money: Amount::new(charged),
            tokens: Amount::ZERO,
        });
    }
}

impl Stage {
    async fn new(persistence: Persistence) -> Self {
        let durable = persistence == Persistence::Always;
        let server = Server::start(persistence);
        let registrar = store(&server, durable);
        until("the budget is registered", async || {
            registrar.register("acme").await.is_ok()
        })
        .await;
        let mut stage = Self {
            server,
            provider: Arc::default(),
            durable,
            stop: Arc::default(),
            names: 0,
            replicas: Vec::new(),
        };
        for _ in 0..3 {
            let replica = stage.replica();
            stage.replicas.push(replica);
        }
        stage
    }

    fn replica(&mut self) -> Replica {
        self.names += 1;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let budgets = Budgets::new(store(&self.server, self.durable), clock, format!("pod-{}", self.names));
        let budgets = Arc::new(budgets);
        budgets.configure(vec![config()]);
        let tender = budgets.clone();
        let mut tasks = vec![tokio::spawn(async move { tender.tend().await })];
        for worker in 0..4 {
            let (provider, stop) = (self.provider.clone(), self.stop.clone());
            tasks.push(tokio::spawn(work(
                budgets.clone(),
                provider,
                stop,
                self.names * 10 + worker,
            )));
        }
        Replica { budgets, tasks }
    }

    /// A replica is gone in the middle of its requests, and another one takes its place.
    fn lose_a_replica(&mut self) {
        let next = self.replica();
        let gone = std::mem::replace(&mut self.replicas[0], next);
        for task in &gone.tasks {
            task.abort();
        }
        // Its memory is gone with it: nothing is settled or given back.
        std::mem::forget(gone.budgets);
    }

    async fn until_more(&self, counter: impl Fn(&Provider) -> &AtomicU64, more: u64, what: &str) {
        let enough = counter(&self.provider).load(Ordering::SeqCst) + more;
        until(what, async || counter(&self.provider).load(Ordering::SeqCst) >= enough).await;
    }

    fn check(&self) {
        let exposure = self.provider.exposure();
        assert!(exposure <= LIMIT, "{exposure} of {LIMIT}");
    }

    /// Ends the load, drains, and returns what providers have charged or may charge.
    async fn end(mut self) -> u64 {
        self.check();
        self.stop.store(true, Ordering::Relaxed);
        for replica in &mut self.replicas {
            for task in replica.tasks.drain(1..) {
                task.await.expect("a worker ends");
            }
        }
        self.check();
        for replica in &self.replicas {
            until("everything is given back", async || replica.budgets.drain().await).await;
        }
        self.provider.exposure()
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overspent_when_a_redis_that_keeps_everything_dies_again_and_again() {
    let mut stage = Stage::new(Persistence::Always).await;
    for _ in 0..3 {
        stage
            .until_more(|provider| &provider.served, 15, "requests are served")
            .await;
        stage.server.crash();
        stage.check();
        stage
            .until_more(|provider| &provider.served, 5, "requests are served again")
            .await;
        stage.lose_a_replica();
        stage.server.pause();
        stage
            .until_more(|provider| &provider.refused, 30, "leases are used up")
            .await;
        stage.server.resume();
        stage.check();
    }
    // All but what is in doubt gets spent.
    let doubt = async |stage: &Stage| {
        let store = store(&stage.server, true);
        let account = "usd/year/UTC/manual/manual-0-0";
        store.standing("acme", account).await.ok().flatten()
    };
    until("the budget is used up", async || {
        doubt(&stage)
            .await
            .is_some_and(|standing| standing.remaining().minus(standing.leased).get() < 2 * CENT)
    })
    .await;
    stage
        .until_more(|provider| &provider.refused, 50, "requests are refused")
        .await;
    let exposure = stage.end().await;
    assert!(exposure > LIMIT / 2, "{exposure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overspent_when_redis_forgets_everything() {
    let mut stage = Stage::new(Persistence::None).await;
    for _ in 0..3 {
        stage
            .until_more(|provider| &provider.served, 10, "requests are served")
            .await;
        stage.server.kill();
        stage
            .until_more(|provider| &provider.refused, 10, "leases are used up")
            .await;
        stage.server.revive();
        stage.check();
        stage.lose_a_replica();
        stage
            .until_more(|provider| &provider.refused, 200, "requests are refused")
            .await;
        stage.check();
        // The ledger's proof. All that live have spoken with the store since, so only the dead are unknown to it, and they have not
        // spent more than everybody together.
        let (proof, registrar) = (Amount::new(stage.provider.exposure()), store(&stage.server, false));
        until("the presumption ends", async || {
            registrar
                .restore("acme", "usd/year/UTC/manual/manual-0-0", proof)
                .await
                .is_ok()
        })
        .await;
    }
    stage.end().await;
}

#[tokio::test]
async fn an_operation_on_a_redis_that_hangs_ends_in_time_and_the_next_ones_at_once() {
    let server = Server::start(Persistence::None);
    let store = store(&server, false);
    until("the store answers", async || store.register("acme").await.is_ok()).await;
    server.pause();
    let mut resting = 0;
    for _ in 0..20 {
        let begin = Instant::now();
        let outcome = store.register("acme").await;
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        resting += u32::from(matches!(outcome, Err(StoreError::Resting)));
        assert!(outcome.is_err());
    }
    assert!(resting >= 10, "{resting}");
    server.resume();
    until("the store answers again", async || store.register("acme").await.is_ok()).await;
}
