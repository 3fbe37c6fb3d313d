//! A model of everything around the escrow: clocks that differ, a network that loses and delays, a store that forgets, replicas
//! that die, and providers that charge what they like up to the worst case.
//!
//! The code under test is the real one of both sides; only what lies between is made up. After every step the law must hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenweir_budget::amount::Amount;
use tokenweir_budget::escrow::{AccountRef, Answer, Book, Centre, Grant, ReconcileError, Sync, Terms};
use tokenweir_budget::lease::{Ask, Lease};
use tokenweir_budget::window::{CalendarUnit, Reset, Resets, Rolling, Window, Zone};

/// Where the model's time begins: 2026-11-21T22:59:30Z, half a minute before an hour ends.
const BEGIN: u64 = 1_795_301_970_000;
const REPLICAS: usize = 3;
/// By how much a replica's clock may be off, in milliseconds.
const SKEW: i64 = 2_000;
/// By how much time goes on in a step, in milliseconds: around the ends of leases and windows.
const STEPS: [u64; 7] = [50, 1_000, 7_000, 20_000, 58_000, 61_000, 130_000];

/// A stream of choices: what proptest makes, and shrinks.
pub struct Choices(u64);

impl Choices {
    pub fn of(word: u64) -> Self {
        Self(word)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        let chosen = self.0 % bound;
        self.0 /= bound;
        chosen
    }

    /// A place in something of this length.
    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }
}

struct Replica {
    skew: i64,
    terms: Terms,
    resets: Resets,
    leases: BTreeMap<String, Arc<Lease>>,
}

struct Request {
    lease: Arc<Lease>,
    account: String,
    at: u64,
    worst: u64,
    /// Whether the replica that sent it still lives.
    owned: bool,
    charged: Option<u64>,
}

impl Request {
    fn exposure(&self) -> u64 {
        self.charged.unwrap_or(self.worst)
    }
}

/// What happens at the centre.
pub enum Operation<'a> {
    Sync(&'a AccountRef, &'a Sync, &'a Answer),
    Reconcile(&'a str, &'a str, Amount, Result<(), ReconcileError>),
    Restore(&'a str, Amount, Result<(), ReconcileError>),
}

/// Sees everything that happens at the centre.
pub trait Witness {
    fn see(&mut self, operation: &Operation<'_>, centre: Centre<'_>, before: Option<&Book>, after: &Book);
}

/// Sees nothing.
pub struct Nobody;

impl Witness for Nobody {
    fn see(&mut self, _: &Operation<'_>, _: Centre<'_>, _: Option<&Book>, _: &Book) {}
}

/// What a crash may bring back.
struct Kept(Option<Book>);

enum Delayed {
    Question(AccountRef, Sync),
    Answer(Arc<Lease>, Answer, u64, usize),
}

/// The largest ceiling that an account could have had, and its window's place in time.
struct Bound {
    chain: u64,
    start: u64,
    carried: bool,
}

pub struct World {
    now: u64,
    book: Option<Book>,
    /// An older state of the store, to which it may fall back.
    kept: Kept,
    server: u64,
    durable: bool,
    down: bool,
    window: Window,
    reset: Reset,
    terms: Terms,
    most: u64,
    granted: u64,
    resets: Resets,
    replicas: Vec<Replica>,
    names: u64,
    requests: Vec<Request>,
    delayed: Vec<Delayed>,
    bounds: BTreeMap<String, Bound>,
}

impl World {
    pub fn new(first: u64) -> Self {
        let mut choices = Choices::of(first);
        let hour = Window::Calendar {
            unit: CalendarUnit::Hour,
            zone: Zone::utc(),
        };
        let (window, reset) = match choices.below(4) {
            0 => (
                Window::Rolling(Rolling::over(Duration::from_mins(2)).expect("a length")),
                Reset::Automatic,
            ),
            1 => (hour, Reset::Manual),
            _ => (hour, Reset::Automatic),
        };
        let terms = Terms {
            generation: 1,
            strict: true,
            limit: Amount::new(25 + choices.below(60)),
            grants: Vec::new(),
            carry_over: Amount::new(choices.below(3) * 30),
        };
        let durable = choices.below(4) == 0;
        let mut world = Self {
            now: BEGIN,
            book: None,
            kept: Kept(None),
            server: 0,
            durable,
            down: false,
            window,
            reset,
            most: terms.limit.get(),
            terms,
            granted: 0,
            resets: Resets::default(),
            replicas: Vec::new(),
            names: 0,
            requests: Vec::new(),
            delayed: Vec::new(),
            bounds: BTreeMap::new(),
        };
        if choices.below(8) != 0 {
            world.book = Some(world.at_centre(Book::registered));
        }
        for _ in 0..REPLICAS {
            let skew = Self::skew(&mut choices);
            world.replicas.push(Replica {
                skew,
                terms: world.terms.clone(),
                resets: world.resets,
                leases: BTreeMap::new(),
            });
        }
        world
    }

    fn skew(choices: &mut Choices) -> i64 {
        i64::try_from(choices.below(41)).expect("small") * SKEW / 20 - SKEW
    }

    fn at_centre<T>(&self, act: impl FnOnce(Centre<'_>) -> T) -> T {
        let server = self.server.to_string();
        act(Centre {
            server: &server,
            durable: self.durable,
            now: self.now,
        })
    }

    fn clock(&self, replica: usize) -> u64 {
        self.now.saturating_add_signed(self.replicas[replica].skew)
    }

    /// One step, as the word says.
    pub fn step(&mut self, word: u64, witness: &mut impl Witness) {
        let mut choices = Choices::of(word);
        let replica = choices.index(REPLICAS);
        match choices.below(100) {
            0..=40 => self.request(replica, &mut choices, witness),
            41..=55 => self.settle(&mut choices),
            56..=67 => {
                let ask = Ask {
                    want: Amount::new(choices.below(40)),
                    least: Amount::new(choices.below(5)),
                    keep: Amount::new(choices.below(20)),
                    end: choices.below(12) == 0,
                };
                let account = self.account(replica);
                self.talk(replica, &account, ask, &mut choices, witness);
            }
            68..=75 => self.now += STEPS[choices.index(STEPS.len())],
            76..=79 => self.deliver(&mut choices, witness),
            80..=82 => self.kill(replica),
            83 => self.down = !self.down,
            84 => self.replicas[replica].skew = Self::skew(&mut choices),
            85..=87 => self.kept = Kept(self.book.clone()),
            88..=90 => self.crash(&mut choices),
            91 => {
                self.resets = Resets {
                    count: self.resets.count + 1,
                    at: self.now,
                };
            }
            92 => self.configure(&mut choices),
            93..=94 => {
                self.replicas[replica].terms = self.terms.clone();
                self.replicas[replica].resets = self.resets;
            }
            95..=97 => self.reconcile(&mut choices, witness),
            _ => self.restore(&mut choices, witness),
        }
    }

    fn account(&mut self, replica: usize) -> AccountRef {
        let wall = self.clock(replica);
        let Replica { terms, resets, .. } = &self.replicas[replica];
        let period = self.window.period(self.reset, *resets, wall).expect("a window");
        let previous = self.window.before(self.reset, *resets, &period).map(|period| period.id);
        self.bounds.entry(period.id.clone()).or_insert(Bound {
            chain: resets.count,
            start: period.start,
            carried: previous.is_some(),
        });
        AccountRef {
            account: period.id.clone(),
            period,
            terms: terms.clone(),
            previous,
        }
    }

    fn lease(&mut self, replica: usize, account: &str) -> Arc<Lease> {
        let now = self.clock(replica);
        let leases = &mut self.replicas[replica].leases;
        if let Some(lease) = leases.get(account)
            && !lease.is_over(now)
        {
            return Arc::clone(lease);
        }
        self.names += 1;
        let lease = Arc::new(Lease::new(format!("holder-{}", self.names)));
        leases.insert(account.to_owned(), Arc::clone(&lease));
        lease
    }

    fn request(&mut self, replica: usize, choices: &mut Choices, witness: &mut impl Witness) {
        let worst = 1 + choices.below(25);
        let account = self.account(replica);
        let lease = self.lease(replica, &account.account);
        let amount = Amount::new(worst);
        if !lease.reserve(amount, self.clock(replica)) {
            let short = amount.minus(lease.free(self.clock(replica)));
            let ask = Ask {
                want: Amount::new(short.get() * (1 + choices.below(3))),
                least: short,
                keep: Amount::new(u64::MAX),
                end: false,
            };
            self.talk(replica, &account, ask, choices, witness);
            if !lease.reserve(amount, self.clock(replica)) {
                return;
            }
        }
        self.requests.push(Request {
            lease,
            account: account.account,
            at: self.now,
            worst,
            owned: true,
            charged: None,
        });
    }

    /// A conversation, or what the network makes of it.
    fn talk(
        &mut self,
        replica: usize,
        account: &AccountRef,
        ask: Ask,
        choices: &mut Choices,
        witness: &mut impl Witness,
    ) {
        let lease = self.lease(replica, &account.account);
        let spoken = self.clock(replica);
        let message = lease.speak(ask, spoken);
        let fate = choices.below(12);
        if self.down || fate == 0 {
            return;
        }
        if fate == 1 {
            self.delayed.push(Delayed::Question(account.clone(), message));
            return;
        }
        let answer = self.hear(account, &message, witness);
        match fate {
            2 => {}
            3 => self.delayed.push(Delayed::Answer(lease, answer, spoken, replica)),
            _ => lease.hear(&answer, spoken, spoken),
        }
    }

    fn hear(&mut self, account: &AccountRef, message: &Sync, witness: &mut impl Witness) -> Answer {
        let before = self.book.take();
        let mut book = before.clone().unwrap_or_else(|| self.at_centre(Book::found_missing));
        let answer = self.at_centre(|centre| book.sync(account, message, centre));
        let operation = Operation::Sync(account, message, &answer);
        self.at_centre(|centre| witness.see(&operation, centre, before.as_ref(), &book));
        self.book = Some(book);
        answer
    }

    fn deliver(&mut self, choices: &mut Choices, witness: &mut impl Witness) {
        if self.delayed.is_empty() || self.down {
            return;
        }
        let which = choices.index(self.delayed.len());
        match self.delayed.swap_remove(which) {
            Delayed::Question(account, message) => {
                self.hear(&account, &message, witness);
            }
            Delayed::Answer(lease, answer, spoken, replica) => lease.hear(&answer, spoken, self.clock(replica)),
        }
    }

    fn settle(&mut self, choices: &mut Choices) {
        let open: Vec<usize> = (0..self.requests.len())
            .filter(|n| self.requests[*n].charged.is_none())
            .collect();
        if open.is_empty() {
            return;
        }
        let which = open[choices.index(open.len())];
        let request = &mut self.requests[which];
        let charged = choices.below(request.worst + 1);
        request.charged = Some(charged);
        if request.owned {
            request.lease.settle(Amount::new(request.worst), Amount::new(charged));
        }
    }

    /// The replica is gone, with what it knew; another one takes its place.
    fn kill(&mut self, replica: usize) {
        let leases = std::mem::take(&mut self.replicas[replica].leases);
        for request in &mut self.requests {
            request.owned &= !leases.values().any(|lease| Arc::ptr_eq(lease, &request.lease));
        }
        self.delayed.retain(|delayed| match delayed {
            Delayed::Answer(lease, ..) => !leases.values().any(|dead| Arc::ptr_eq(dead, lease)),
            Delayed::Question(..) => true,
        });
    }

    /// The server ends, and another one begins with what was kept.
    fn crash(&mut self, choices: &mut Choices) {
        self.server += 1;
        if self.durable {
            return;
        }
        self.book = match choices.below(3) {
            0 => None,
            _ => self.kept.0.clone(),
        };
    }

    fn configure(&mut self, choices: &mut Choices) {
        self.terms.generation += 1;
        if choices.below(2) == 0 {
            let amount = 1 + choices.below(40);
            self.granted += amount;
            self.terms.grants.push(Grant {
                amount: Amount::new(amount),
                since: self.now,
                until: self.now + 1_000 * choices.below(300),
            });
        } else {
            let limit = 15 + choices.below(80);
            self.most = self.most.max(limit);
            self.terms.limit = Amount::new(limit);
        }
    }

    /// Somebody with proof speaks for a holder: what providers have charged for it, and may yet charge.
    fn reconcile(&mut self, choices: &mut Choices, witness: &mut impl Witness) {
        if self.down || self.requests.is_empty() {
            return;
        }
        let which = choices.index(self.requests.len());
        let (account, lease) = (
            self.requests[which].account.clone(),
            Arc::clone(&self.requests[which].lease),
        );
        let spent = self
            .requests
            .iter()
            .filter(|request| request.account == account && Arc::ptr_eq(&request.lease, &lease))
            .map(Request::exposure)
            .sum();
        if let Some(before) = self.book.take() {
            let (mut book, spent) = (before.clone(), Amount::new(spent));
            // Refused while the lease lasts.
            let outcome = self.at_centre(|centre| book.reconcile(&account, lease.holder(), spent, centre));
            let operation = Operation::Reconcile(&account, lease.holder(), spent, outcome);
            self.at_centre(|centre| witness.see(&operation, centre, Some(&before), &book));
            self.book = Some(book);
        }
    }

    /// Somebody with proof ends a presumption: what all requests may cost, and all that leases of living replicas hold.
    fn restore(&mut self, choices: &mut Choices, witness: &mut impl Witness) {
        let accounts: Vec<String> = self.bounds.keys().cloned().collect();
        if self.down
            || accounts.is_empty()
            || self
                .delayed
                .iter()
                .any(|delayed| matches!(delayed, Delayed::Answer(..)))
        {
            return;
        }
        let account = &accounts[choices.index(accounts.len())];
        let at_most = self.exposure(account) + self.held(account);
        if let Some(before) = self.book.take() {
            let (mut book, at_most) = (before.clone(), Amount::new(at_most));
            // Refused where the account does not exist.
            let outcome = self.at_centre(|centre| book.restore(account, at_most, centre));
            let operation = Operation::Restore(account, at_most, outcome);
            self.at_centre(|centre| witness.see(&operation, centre, Some(&before), &book));
            self.book = Some(book);
        }
    }

    fn held(&self, account: &str) -> u64 {
        let leases = self.replicas.iter().filter_map(|replica| replica.leases.get(account));
        leases.map(|lease| lease.free(0).get()).sum()
    }

    fn exposure(&self, account: &str) -> u64 {
        let requests = self.requests.iter().filter(|request| request.account == account);
        requests.map(Request::exposure).sum()
    }

    /// The law: what providers have charged, and may yet charge, is never more than the limit and the grants.
    pub fn overspent(&self) -> Option<String> {
        let ceiling = self.most + self.granted;
        if let Window::Rolling(rolling) = self.window {
            let last = self.requests.last()?;
            let recent = self
                .requests
                .iter()
                .filter(|request| request.account == last.account && request.at + rolling.length > last.at);
            let spent: u64 = recent.map(Request::exposure).sum();
            return (spent > ceiling).then(|| format!("{spent} of {ceiling} within {} ms", rolling.length));
        }
        // Windows that follow on each other may hand on what they left, and no more.
        let mut chains: BTreeMap<u64, u64> = BTreeMap::new();
        let mut ordered: Vec<(&String, &Bound)> = self.bounds.iter().collect();
        ordered.sort_by_key(|(_, bound)| (bound.chain, bound.start));
        for (account, bound) in ordered {
            let spent = self.exposure(account);
            let left = chains.entry(bound.chain).or_default();
            let carried = if bound.carried { *left } else { 0 };
            let allowed = ceiling + carried.min(self.terms.carry_over.get());
            if spent > allowed {
                return Some(format!("{account}: {spent} of {allowed}"));
            }
            *left = allowed - spent;
        }
        None
    }
}
