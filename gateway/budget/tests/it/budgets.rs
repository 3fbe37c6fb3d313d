//! The replica's side: what the hot path gets, with a store in memory and clocks that the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokenweir_budget::amount::Amount;
use tokenweir_budget::budgets::{Budget, BudgetConfig, Budgets, Charge, Limit, OnStoreFailure, Reason, Unit, Wish};
use tokenweir_budget::clock::Clock;
use tokenweir_budget::demand::{Allocation, Demand};
use tokenweir_budget::escrow::{AccountRef, Answer, LONGEST_LEASE, Standing, Sync as Message, Terms};
use tokenweir_budget::ladder::{Action, Ladder, Phase};
use tokenweir_budget::store::{MemoryStore, Store, StoreError};
use tokenweir_budget::window::{CalendarUnit, Reset, Resets, Window, Zone};
use tokenweir_config::money::Rate;

/// 2026-11-21T22:30:00Z.
const START: u64 = 1_795_300_200_000;
const DOLLAR: u64 = 1_000_000_000;

/// A clock that stands until it is moved.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn wall(&self) -> u64 {
        START + self.0.load(Ordering::Relaxed)
    }

    fn steady(&self) -> u64 {
        1_000 + self.0.load(Ordering::Relaxed)
    }
}

/// A store in memory that can be cut off, and that counts how often it is asked.
struct Wire {
    store: MemoryStore,
    cut: AtomicBool,
    asked: AtomicU64,
}

#[derive(Clone)]
struct Line(Arc<Wire>);

impl std::ops::Deref for Line {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl Line {
    fn reach(&self) -> Result<&MemoryStore, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.cut.load(Ordering::Relaxed) {
            return Err(StoreError::TimedOut);
        }
        Ok(&self.store)
    }
}

impl Store for Line {
    async fn register(&self, budget: &str) -> Result<(), StoreError> {
        self.reach()?.register(budget).await
    }

    async fn sync(&self, budget: &str, reference: &AccountRef, message: &Message) -> Result<Answer, StoreError> {
        self.reach()?.sync(budget, reference, message).await
    }

    async fn standing(&self, budget: &str, account: &str) -> Result<Option<Standing>, StoreError> {
        self.reach()?.standing(budget, account).await
    }

    async fn reconcile(&self, budget: &str, account: &str, holder: &str, at_most: Amount) -> Result<(), StoreError> {
        self.reach()?.reconcile(budget, account, holder, at_most).await
    }

    async fn restore(&self, budget: &str, account: &str, at_most: Amount) -> Result<(), StoreError> {
        self.reach()?.restore(budget, account, at_most).await
    }
}

struct Scene {
    budgets: Budgets<Line>,
    line: Line,
    hand: Arc<Hand>,
}

impl Scene {
    async fn new(configs: Vec<BudgetConfig>) -> Self {
        let hand = Arc::new(Hand(AtomicU64::new(0)));
        let clock: Arc<dyn Clock> = hand.clone();
        let line = Line(Arc::new(Wire {
            store: MemoryStore::new(clock.clone()),
            cut: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        }));
        for config in &configs {
            line.store.register(&config.id).await.expect("registers");
        }
        let budgets = Budgets::new(line.clone(), clock, "pod-1");
        budgets.configure(configs);
        Self { budgets, line, hand }
    }

    fn path(&self, ids: &[&str]) -> Vec<Arc<Budget>> {
        ids.iter()
            .map(|id| self.budgets.budget(id).expect("in force"))
            .collect()
    }

    fn go_on(&self, millis: u64) {
        self.hand.0.fetch_add(millis, Ordering::Relaxed);
    }

    fn asked(&self) -> u64 {
        self.line.asked.load(Ordering::Relaxed)
    }
}

fn limit(unit: Unit, amount: u64) -> Limit {
    Limit {
        unit,
        window: Window::Calendar {
            unit: CalendarUnit::Hour,
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
        ladder: Ladder::new([]),
    }
}

fn budget(id: &str, limits: Vec<Limit>) -> BudgetConfig {
    BudgetConfig {
        id: id.to_owned(),
        limits,
        on_store_failure: OnStoreFailure::Leased,
    }
}

/// A request of 100 input tokens for a cent, and a cent for each hundred tokens of the answer.
fn wish(minimum: u64, optimal: u64) -> Wish {
    Wish {
        money: Demand::of_money(Amount::new(DOLLAR / 100), Rate::new(DOLLAR * 100)),
        tokens: Demand::of_tokens(100),
        output: Allocation { minimum, optimal },
    }
}

fn charge(money: u64, tokens: u64) -> Charge {
    Charge {
        money: Amount::new(money),
        tokens: Amount::new(tokens),
    }
}

#[tokio::test]
async fn a_request_is_clamped_to_what_is_left_and_then_refused() {
    let scene = Scene::new(vec![budget("acme", vec![limit(Unit::Money, DOLLAR / 10)])]).await;
    let path = scene.path(&["acme"]);
    let first = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits");
    assert_eq!(first.output_tokens(), 500);
    let second = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits in part");
    assert_eq!(second.output_tokens(), 300);
    let refusal = scene
        .budgets
        .reserve(&path, wish(10, 500))
        .await
        .err()
        .expect("refused");
    assert_eq!(
        (refusal.reason, refusal.resets_at),
        (Reason::Exhausted, Some(START + 1_800_000))
    );
    assert_eq!(
        (refusal.budget.as_str(), refusal.limit.as_str()),
        ("acme", "usd/hour/UTC")
    );
    // What was not charged is there again, to the nano-dollar.
    first.settle(charge(DOLLAR / 100 + 1, 0));
    second.settle(charge(0, 0));
    scene.go_on(1_000);
    let third = scene
        .budgets
        .reserve(&path, wish(10, 10_000))
        .await
        .expect("fits in part");
    assert_eq!(third.output_tokens(), 799);
}

#[tokio::test]
async fn requests_that_are_refused_do_not_each_ask_the_centre() {
    let scene = Scene::new(vec![budget("acme", vec![limit(Unit::Tokens, 50)])]).await;
    let path = scene.path(&["acme"]);
    for _ in 0..100 {
        assert!(scene.budgets.reserve(&path, wish(10, 500)).await.is_err());
    }
    assert_eq!(scene.asked(), 1);
}

#[tokio::test]
async fn all_budgets_of_the_path_hold_and_a_refusal_takes_from_none() {
    let team = budget("team", vec![limit(Unit::Money, DOLLAR), limit(Unit::Tokens, 10_000)]);
    let scene = Scene::new(vec![budget("org", vec![limit(Unit::Tokens, 300)]), team]).await;
    let path = scene.path(&["org", "team"]);
    let held = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits in part");
    assert_eq!(held.output_tokens(), 200);
    let refusal = scene
        .budgets
        .reserve(&path, wish(10, 500))
        .await
        .err()
        .expect("refused");
    assert_eq!(refusal.budget, "org");
    held.settle(charge(DOLLAR / 50, 180));
    scene.go_on(1_000);
    scene.budgets.tend_once().await;
    for status in Budgets::<Line>::status(&path[1]) {
        let spent = if status.unit == Unit::Money { DOLLAR / 50 } else { 180 };
        assert_eq!(status.standing.spent.get(), spent);
        assert_eq!(status.phase, Phase::Ok);
    }
}

#[tokio::test]
async fn while_the_lease_lasts_nobody_is_asked() {
    let scene = Scene::new(vec![budget("acme", vec![limit(Unit::Money, 1_000 * DOLLAR)])]).await;
    let path = scene.path(&["acme"]);
    for _ in 0..8 {
        for _ in 0..25 {
            let held = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits");
            held.settle(charge(DOLLAR / 50, 0));
        }
        scene.go_on(250);
        scene.budgets.tend_once().await;
    }
    let before = scene.asked();
    for _ in 0..25 {
        let held = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits");
        held.settle(charge(DOLLAR / 50, 0));
    }
    assert_eq!(scene.asked(), before);
}

#[tokio::test]
async fn an_idle_replica_gives_back_what_it_does_not_need() {
    let scene = Scene::new(vec![budget("acme", vec![limit(Unit::Money, DOLLAR)])]).await;
    let path = scene.path(&["acme"]);
    for _ in 0..5 {
        let held = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits");
        held.settle(charge(0, 0));
        scene.go_on(250);
        scene.budgets.tend_once().await;
    }
    for _ in 0..60 {
        scene.go_on(250);
        scene.budgets.tend_once().await;
    }
    let status = Budgets::<Line>::status(&path[0]);
    assert_eq!(status[0].standing.leased, Amount::ZERO);
}

#[tokio::test]
async fn a_store_that_fails_does_what_the_budget_says() {
    let with = |id: &str, on_store_failure| BudgetConfig {
        on_store_failure,
        ..budget(id, vec![limit(Unit::Money, DOLLAR)])
    };
    let scene = Scene::new(vec![
        with("leased", OnStoreFailure::Leased),
        with("deny", OnStoreFailure::Deny),
        with("allow", OnStoreFailure::Allow),
    ])
    .await;
    let one = wish(100, 100);
    for id in ["leased", "deny", "allow"] {
        // Twice, of which the second is given back to the lease.
        let first = scene.budgets.reserve(&scene.path(&[id]), one).await.expect("fits");
        first.settle(charge(0, 0));
    }
    scene.line.cut.store(true, Ordering::Relaxed);
    scene.go_on(4_000);
    scene.budgets.tend_once().await;
    let leased = scene
        .budgets
        .reserve(&scene.path(&["leased"]), one)
        .await
        .expect("from the lease");
    let refused = scene
        .budgets
        .reserve(&scene.path(&["leased"]), one)
        .await
        .err()
        .expect("refused");
    assert_eq!(refused.reason, Reason::StoreUnavailable);
    let refused = scene
        .budgets
        .reserve(&scene.path(&["deny"]), one)
        .await
        .err()
        .expect("refused");
    assert_eq!(refused.reason, Reason::StoreUnavailable);
    let allowed = scene.path(&["allow"]);
    for _ in 0..100 {
        let held = scene.budgets.reserve(&allowed, one).await.expect("allowed");
        held.settle(charge(DOLLAR / 50, 0));
    }
    leased.settle(charge(DOLLAR / 50, 0));
    // A lease that has run out is worth nothing, even if the store is gone for good.
    scene.go_on(LONGEST_LEASE);
    assert!(scene.budgets.reserve(&scene.path(&["leased"]), one).await.is_err());
    scene.line.cut.store(false, Ordering::Relaxed);
    scene.budgets.tend_once().await;
    scene.go_on(4_000);
    scene.budgets.tend_once().await;
    let spent = |id: &str| {
        let status = Budgets::<Line>::status(&scene.path(&[id])[0]);
        status[0].standing.spent.get()
    };
    assert_eq!(spent("leased"), DOLLAR / 50);
    assert_eq!(spent("allow"), 2 * DOLLAR);
    assert!(scene.budgets.reserve(&scene.path(&["deny"]), one).await.is_ok());
}

#[tokio::test]
async fn the_next_window_and_a_reset_begin_with_all_there_is() {
    let one = wish(900, 900);
    let scene = Scene::new(vec![budget("acme", vec![limit(Unit::Money, DOLLAR / 10)])]).await;
    let path = scene.path(&["acme"]);
    let held = scene.budgets.reserve(&path, one).await.expect("fits");
    assert!(scene.budgets.reserve(&path, one).await.is_err());
    scene.go_on(1_800_000);
    let next = scene.budgets.reserve(&path, one).await.expect("a new window");
    held.settle(charge(DOLLAR / 10, 0));
    let mut reset = limit(Unit::Money, DOLLAR / 10);
    reset.resets = Resets {
        count: 1,
        at: START + 1_800_000,
    };
    scene.budgets.configure(vec![budget("acme", vec![reset])]);
    let path = scene.path(&["acme"]);
    let after = scene.budgets.reserve(&path, one).await.expect("a reset");
    drop((next, after));
    scene.budgets.tend_once().await;
    let status = Budgets::<Line>::status(&path[0]);
    assert_eq!(
        status[0].standing.remaining(),
        Amount::ZERO,
        "what is dropped is settled at its worst case"
    );
}

#[tokio::test]
async fn the_ladder_blocks_and_headers_tell_how_far_it_is() {
    let mut money = limit(Unit::Money, 10 * DOLLAR);
    money.ladder = Ladder::for_money();
    let scene = Scene::new(vec![budget("acme", vec![money])]).await;
    let path = scene.path(&["acme"]);
    let mut rungs = Vec::new();
    for spent in [8 * DOLLAR, DOLLAR, DOLLAR * 8 / 10, DOLLAR / 10] {
        let held = scene.budgets.reserve(&path, wish(1, 10)).await.expect("fits");
        held.settle(charge(spent, 0));
        scene.go_on(1_000);
        scene.budgets.tend_once().await;
        rungs.push(Budgets::<Line>::notice(&path).rung);
    }
    assert_eq!(
        rungs,
        [Action::Notify, Action::Downgrade, Action::FreeOnly, Action::Block].map(Some)
    );
    let notice = Budgets::<Line>::notice(&path);
    assert_eq!(notice.remaining.map(|left| left.to_string()).as_deref(), Some("0.1"));
    assert_eq!(notice.resets_at, Some(START + 1_800_000));
    let refusal = scene.budgets.reserve(&path, wish(1, 1)).await.err().expect("blocked");
    assert_eq!(refusal.reason, Reason::Blocked);
}

#[tokio::test]
async fn draining_gives_everything_back() {
    let scene = Scene::new(vec![budget("acme", vec![limit(Unit::Money, DOLLAR)])]).await;
    let path = scene.path(&["acme"]);
    let held = scene.budgets.reserve(&path, wish(10, 500)).await.expect("fits");
    assert!(!scene.budgets.drain().await, "a request is in flight");
    held.settle(charge(DOLLAR / 50, 0));
    assert!(scene.budgets.drain().await);
    let account = "usd/hour/UTC/hour-1795298400000-0";
    let standing = scene
        .line
        .store
        .standing("acme", account)
        .await
        .expect("answers")
        .expect("an account");
    assert_eq!(
        (standing.spent.get(), standing.leased, standing.in_doubt),
        (DOLLAR / 50, Amount::ZERO, Amount::ZERO)
    );
}
