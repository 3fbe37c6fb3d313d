//! A holder's side of one account: the money that it may spend without asking.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::amount::Amount;
use crate::escrow::{Answer, LONGEST_LEASE, Sync};

/// How much earlier a lease ends for its holder than for the centre, in milliseconds. Both count from the same message, the holder
/// from before it was sent; what remains is a clock that runs slower, or that is set back, by up to 2 s.
pub const LEASE_MARGIN: u64 = 5_000;

/// A moment that has passed by any clock.
const ENDED: u64 = 1;

/// What a holder asks for when it next speaks to the centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// How much more it would like.
    pub want: Amount,
    /// How much more it needs at least; less is not granted.
    pub least: Amount,
    /// How much of what is free it keeps. The rest is given back.
    pub keep: Amount,
    /// Whether it ends: everything that is free is given back, and nothing more can be reserved. It is done once nothing is
    /// reserved any more.
    pub end: bool,
}

/// What only the conversation with the centre changes.
#[derive(Debug, Default)]
struct Talk {
    epoch: u64,
    granted: Amount,
    released: Amount,
    ended: bool,
}

/// The money of one account that one holder may spend without asking.
///
/// At all times `granted - released - spent = free + reserved`. Reserving and settling touch atomics alone.
#[derive(Debug)]
pub struct Lease {
    holder: String,
    free: AtomicU64,
    /// Reserved by requests that are not settled.
    reserved: AtomicU64,
    spent: AtomicU64,
    unbacked: AtomicU64,
    /// Until when it lasts, in milliseconds of the holder's steady clock; 0 before it has begun, [`ENDED`] once it has ended.
    until: AtomicU64,
    talk: Mutex<Talk>,
}

impl Lease {
    /// A lease of nothing, for a holder whose name nobody else has and had.
    pub fn new(holder: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            free: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            unbacked: AtomicU64::new(0),
            until: AtomicU64::new(0),
            talk: Mutex::new(Talk::default()),
        }
    }

    /// The holder's name.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// What can be reserved at `now` (milliseconds of the steady clock).
    pub fn free(&self, now: u64) -> Amount {
        if self.until.load(Ordering::Acquire) <= now {
            return Amount::ZERO;
        }
        Amount::new(self.free.load(Ordering::Acquire))
    }

    /// Whether the lease has not ended at `now`.
    pub fn lasts(&self, now: u64) -> bool {
        self.until.load(Ordering::Acquire) > now
    }

    /// Reserves `amount`, if the lease lasts and holds as much.
    pub fn reserve(&self, amount: Amount, now: u64) -> bool {
        if self.until.load(Ordering::Acquire) <= now {
            return false;
        }
        // In this order, so that the two are never both zero while something is reserved.
        self.reserved.fetch_add(amount.get(), Ordering::AcqRel);
        let taken = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
                free.checked_sub(amount.get())
            })
            .is_ok();
        if !taken {
            self.reserved.fetch_sub(amount.get(), Ordering::AcqRel);
        }
        taken
    }

    /// Ends a reservation of `reserved`, of which the provider charged `charged`. The difference can be reserved again.
    ///
    /// Must be called once for each reservation: the owner of the reservation is consumed by it.
    pub fn settle(&self, reserved: Amount, charged: Amount) {
        let backed = charged.min(reserved);
        self.spent.fetch_add(backed.get(), Ordering::AcqRel);
        self.free.fetch_add(reserved.minus(backed).get(), Ordering::AcqRel);
        self.reserved.fetch_sub(reserved.get(), Ordering::AcqRel);
        self.spend_unbacked(charged.minus(reserved));
    }

    /// Counts what was spent without a reservation.
    pub fn spend_unbacked(&self, charged: Amount) {
        if !charged.is_zero() {
            self.unbacked.fetch_add(charged.get(), Ordering::AcqRel);
        }
    }

    /// What is reserved and not settled.
    pub fn reserved(&self) -> Amount {
        Amount::new(self.reserved.load(Ordering::Acquire))
    }

    /// What was spent, in total.
    pub fn spent(&self) -> Amount {
        Amount::new(self.spent.load(Ordering::Acquire)).plus(Amount::new(self.unbacked.load(Ordering::Acquire)))
    }

    /// The message to the centre at `now` (milliseconds of the steady clock). What it gives back cannot be reserved any more from
    /// here on, whether the message arrives or not.
    pub fn speak(&self, ask: Ask, now: u64) -> Sync {
        let mut talk = self.talk.lock();
        talk.ended |= ask.end || self.is_over(now);
        let keep = if talk.ended { Amount::ZERO } else { ask.keep };
        if talk.ended {
            self.until.store(ENDED, Ordering::Release);
        }
        // Before `spent` is read: what is free was never spent, whatever is settled meanwhile.
        let mut back = 0;
        let _ = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            back = free.saturating_sub(keep.get());
            (back > 0).then(|| free - back)
        });
        talk.released = talk.released.plus(Amount::new(back));
        let done = talk.ended && self.reserved.load(Ordering::Acquire) == 0 && self.free.load(Ordering::Acquire) == 0;
        Sync {
            holder: self.holder.clone(),
            epoch: talk.epoch,
            granted: talk.granted,
            released: talk.released,
            spent: Amount::new(self.spent.load(Ordering::Acquire)),
            unbacked: Amount::new(self.unbacked.load(Ordering::Acquire)),
            want: if talk.ended { Amount::ZERO } else { ask.want },
            least: if talk.ended { Amount::ZERO } else { ask.least },
            ttl: LONGEST_LEASE,
            done,
        }
    }

    /// Whether nothing can be reserved from it any more, ever. A lease that was not renewed in time does not come back: somebody may
    /// have spoken for its holder since, and the store may have forgotten that.
    pub fn is_over(&self, now: u64) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until != 0 && until <= now
    }

    /// Takes over, at `now`, the centre's answer to the message of `spoken` (both in milliseconds of the steady clock).
    ///
    /// Answers are to the latest message: one that comes after a newer message was made is not to be passed on.
    pub fn hear(&self, answer: &Answer, spoken: u64, now: u64) {
        let mut talk = self.talk.lock();
        talk.epoch = talk.epoch.max(answer.epoch);
        talk.ended |= answer.done || self.is_over(now);
        if talk.ended {
            self.until.store(ENDED, Ordering::Release);
        }
        let more = answer.granted.minus(talk.granted);
        talk.granted = talk.granted.plus(more);
        if talk.ended {
            // Granted by an answer to an earlier message, of which nothing will be spent.
            talk.released = talk.released.plus(more);
            return;
        }
        self.free.fetch_add(more.get(), Ordering::AcqRel);
        self.until
            .fetch_max(spoken.saturating_add(LONGEST_LEASE - LEASE_MARGIN), Ordering::AcqRel);
    }
}
