//! One limit's current account, and the lease of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::{Limit, Unit};
use crate::amount::Amount;
use crate::escrow::{AccountRef, Answer, Standing};
use crate::lease::{Ask, Lease};
use crate::window::{Resets, WindowError};

/// How far ahead a lease is filled, in ticks of [`super::tend::TICK`]: two seconds of the recent rate.
const AHEAD: u64 = 8;

/// For how long the room that the centre has told is taken for what it has, in milliseconds.
const FRESH: u64 = 50;

/// A limit that is in force.
pub(super) struct Meter {
    pub(super) limit: Limit,
    name: String,
    slot: Arc<ArcSwapOption<Cell>>,
    renewing: Arc<Mutex<()>>,
}

impl Meter {
    /// A meter of this limit that goes on where `kept` was.
    pub(super) fn new(name: String, limit: Limit, kept: Option<&Self>) -> Self {
        let slot = kept.map(|kept| Arc::clone(&kept.slot)).unwrap_or_default();
        if let Some(cell) = &*slot.load() {
            cell.reference.lock().terms = limit.terms.clone();
        }
        Self {
            limit,
            name,
            slot,
            renewing: kept.map(|kept| Arc::clone(&kept.renewing)).unwrap_or_default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn current(&self) -> Option<Arc<Cell>> {
        self.slot.load_full()
    }

    /// The cell, if there is one, which nobody finds here any more.
    pub(super) fn empty(&self) -> Option<Arc<Cell>> {
        self.slot.swap(None)
    }

    /// Puts a new cell in the place of one that does not serve any more, and returns both.
    pub(super) fn renew(
        &self,
        budget: &str,
        wall: u64,
        steady: u64,
        life: impl FnOnce() -> String,
    ) -> Result<(Arc<Cell>, Option<Arc<Cell>>), WindowError> {
        let _one = self.renewing.lock();
        if let Some(cell) = self.current()
            && cell.serves(self.limit.resets, wall, steady)
        {
            return Ok((cell, None));
        }
        let Limit {
            window,
            reset,
            resets,
            terms,
            unit,
            ..
        } = &self.limit;
        let period = window.period(*reset, *resets, wall)?;
        let before = window.before(*reset, *resets, &period);
        let account = |id: &str| format!("{}/{id}", self.name);
        let reference = AccountRef {
            account: account(&period.id),
            previous: before.map(|before| account(&before.id)),
            period,
            terms: terms.clone(),
        };
        let cell = Arc::new(Cell {
            budget: budget.to_owned(),
            limit: self.name.clone(),
            unit: *unit,
            resets: resets.count,
            ends: reference.period.end,
            lease: Lease::new(life()),
            reference: Mutex::new(reference),
            turn: tokio::sync::Mutex::new(()),
            taken: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            heard: Mutex::new(Heard::default()),
        });
        let gone = self.slot.swap(Some(Arc::clone(&cell)));
        Ok((cell, gone))
    }
}

/// What the centre said last, and how fast money went since.
#[derive(Default)]
struct Heard {
    standing: Standing,
    /// In milliseconds of the steady clock; 0 before the first answer.
    at: u64,
    /// Reserved until the last tick, in total.
    taken: u64,
    /// Reserved in a tick, smoothed.
    rate: u64,
    /// What was spent as of the last answer.
    spent: Amount,
}

/// One account and the lease of it.
pub(super) struct Cell {
    pub(super) budget: String,
    pub(super) limit: String,
    pub(super) unit: Unit,
    resets: u64,
    ends: Option<u64>,
    pub(super) lease: Lease,
    pub(super) reference: Mutex<AccountRef>,
    /// Held while the centre is asked, so that of many requests that are short one asks for all.
    pub(super) turn: tokio::sync::Mutex<()>,
    taken: AtomicU64,
    /// Whether the store did not answer the last time.
    failing: AtomicBool,
    heard: Mutex<Heard>,
}

impl Cell {
    /// Whether requests may be reserved here. A clock that was set back does not bring an old window back.
    pub(super) fn serves(&self, resets: Resets, wall: u64, steady: u64) -> bool {
        self.resets == resets.count && self.ends.is_none_or(|end| wall < end) && !self.lease.is_over(steady)
    }

    pub(super) fn ends(&self) -> Option<u64> {
        self.ends
    }

    pub(super) fn standing(&self) -> Standing {
        self.heard.lock().standing
    }

    pub(super) fn is_known(&self) -> bool {
        self.heard.lock().at != 0
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    pub(super) fn take(&self, amount: Amount, steady: u64) -> bool {
        let taken = self.lease.reserve(amount, steady);
        if taken {
            self.taken.fetch_add(amount.get(), Ordering::Relaxed);
        }
        taken
    }

    pub(super) fn hear(&self, answer: &Answer, spent: Amount, spoken: u64, now: u64) {
        self.lease.hear(answer, spoken, now);
        self.failing.store(false, Ordering::Release);
        let mut heard = self.heard.lock();
        heard.standing = answer.standing;
        heard.at = now;
        heard.spent = spent;
    }

    /// What the centre had left to grant, if it has just said so.
    pub(super) fn room(&self, now: u64) -> Option<Amount> {
        let heard = self.heard.lock();
        let fresh = heard.at != 0 && now.saturating_sub(heard.at) < FRESH;
        fresh.then(|| heard.standing.remaining().minus(heard.standing.leased))
    }

    pub(super) fn fail(&self) {
        self.failing.store(true, Ordering::Release);
    }

    /// For how long nothing was heard, in milliseconds.
    pub(super) fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.heard.lock().at)
    }

    /// Whether more was spent than the centre has been told.
    pub(super) fn has_news(&self) -> bool {
        self.lease.spent() != self.heard.lock().spent
    }

    /// What will be needed soon, beyond what a request asks for.
    pub(super) fn ahead(&self) -> Amount {
        Amount::new(self.heard.lock().rate.saturating_mul(AHEAD))
    }

    /// A tick has passed. What is to be asked for: more where less than half of what will be needed is there, and to give back
    /// what is more than twice as much.
    pub(super) fn tick(&self, now: u64) -> Ask {
        let taken = self.taken.load(Ordering::Relaxed);
        {
            let mut heard = self.heard.lock();
            let since = taken.saturating_sub(heard.taken);
            heard.taken = taken;
            heard.rate = u64::midpoint(heard.rate, since);
        }
        let (ahead, free) = (self.ahead(), self.lease.free(now));
        let mut ask = Ask {
            want: Amount::ZERO,
            least: Amount::ZERO,
            keep: Amount::new(u64::MAX),
            end: false,
        };
        if free < ahead.share(2) {
            ask.want = ahead.minus(free);
        } else if free > ahead.plus(ahead) {
            ask.keep = ahead;
        }
        ask
    }
}
