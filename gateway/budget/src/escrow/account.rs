//! One account at the centre: what was granted, given back and spent in one window of one limit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::message::{Standing, Sync, Terms};
use crate::amount::Amount;
use crate::window::Period;

/// The longest lease, in milliseconds: how long a replica may go on without the store.
pub const LONGEST_LEASE: u64 = 60_000;

/// How long the record of a holder that is done is kept, in milliseconds, so that a message of its that was delayed on the way is
/// not taken for one that the store has forgotten.
pub const KEEP_DONE: u64 = 600_000;

/// By how much the clocks of replicas may differ from the centre's, in milliseconds, with room to spare: a replica whose clock is
/// ahead opens the next window early.
pub const CLOCK_SKEW: u64 = 5_000;

/// Why a third party could not speak for a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, thiserror::Error)]
pub enum ReconcileError {
    /// No such holder is in the account.
    #[error("the account has no such holder")]
    UnknownHolder,
    /// Its lease has not ended: it may still be spending.
    #[error("the holder's lease has not ended")]
    LeaseLasts,
    /// The account does not exist.
    #[error("the account does not exist")]
    UnknownAccount,
}

/// A holder's totals, as the centre knows them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    granted: Amount,
    released: Amount,
    spent: Amount,
    unbacked: Amount,
    expires: u64,
    /// The epoch in which these totals are known to be all there was. Before that, what it had given back since may have been
    /// granted to somebody else, by a store that has forgotten both.
    epoch: u64,
    done: bool,
}

impl Holder {
    pub(super) fn granted(&self) -> Amount {
        self.granted
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// What it was granted and has not given back.
    fn held(&self) -> Amount {
        self.granted.minus(self.released)
    }

    /// What it may have spent without having said so.
    fn outstanding(&self) -> Amount {
        self.held().minus(self.spent)
    }

    fn has_lease(&self, now: u64) -> bool {
        !self.done && self.expires > now
    }
}

/// What is no proof of unspent money after a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Lost {
    /// The limit as of the loss: one that was higher before, and lowered, must not come back by being raised again.
    cap: Amount,
    /// Grants that were made before this may have been spent.
    at: u64,
}

/// The account of one window of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub(super) period: Period,
    terms: Terms,
    carried: Amount,
    pub(super) epoch: u64,
    spent: Amount,
    presumed: Amount,
    /// When what is presumed leaves a rolling window; 0 while nothing is.
    presumed_until: u64,
    /// Set by a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<Lost>,
    sealed: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holders: BTreeMap<String, Holder>,
    /// Of rolling windows: what was spent in each step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    steps: BTreeMap<u64, Amount>,
}

impl Account {
    pub(super) fn open(period: Period, terms: Terms, carried: Amount, epoch: u64) -> Self {
        Self {
            period,
            terms,
            carried,
            epoch,
            spent: Amount::ZERO,
            presumed: Amount::ZERO,
            presumed_until: 0,
            lost: None,
            sealed: false,
            holders: BTreeMap::new(),
            steps: BTreeMap::new(),
        }
    }

    /// Newer terms replace older ones.
    pub(super) fn adopt(&mut self, terms: &Terms) {
        if terms.generation > self.terms.generation {
            self.terms = terms.clone();
        }
    }

    fn limit(&self) -> Amount {
        let limit = self.terms.limit;
        self.lost.map_or(limit, |lost| lost.cap.min(limit)).plus(self.carried)
    }

    fn ceiling(&self, now: u64) -> Amount {
        let since = self.lost.map_or(0, |lost| lost.at.saturating_add(CLOCK_SKEW));
        let grants = self.terms.grants.iter();
        let open = grants.filter(|grant| grant.until > now && grant.since >= since);
        self.limit().plus(open.map(|grant| grant.amount).sum())
    }

    fn outstanding(&self) -> Amount {
        self.holders.values().map(Holder::outstanding).sum()
    }

    /// What may not be granted again. In strict mode a lease that has ended still counts: its holder, or the provider, may have
    /// spent it.
    fn used(&self, now: u64) -> Amount {
        if self.terms.strict {
            self.spent.plus(self.presumed).plus(self.outstanding())
        } else {
            let lasting = self.holders.values().filter(|holder| holder.has_lease(now));
            self.spent.plus(lasting.map(Holder::outstanding).sum())
        }
    }

    /// Lets what is older than a rolling window go.
    pub(super) fn tidy(&mut self, now: u64) {
        self.holders
            .retain(|_, holder| !(holder.done && holder.expires.saturating_add(KEEP_DONE) <= now));
        let Some(rolling) = self.period.rolling else { return };
        let first = now.saturating_sub(rolling.length) / rolling.step;
        let gone: Amount = self.steps.range(..first).map(|(_, amount)| *amount).sum();
        self.steps = self.steps.split_off(&first);
        self.spent = self.spent.minus(gone);
        if self.presumed_until != 0 && self.presumed_until <= now {
            self.presumed = Amount::ZERO;
            self.presumed_until = 0;
            self.lost = None;
        }
        // What a holder reserved, it reserved before its lease ended.
        for holder in self.holders.values_mut() {
            if !holder.done && holder.expires.saturating_add(rolling.length) <= now {
                holder.released = holder.granted.minus(holder.spent);
                holder.expires = now;
                holder.done = true;
            }
        }
    }

    /// The store has forgotten some of this account: everything that is not known to be unspent is taken as spent.
    pub(super) fn lose(&mut self, now: u64) {
        let limit = self.terms.limit;
        self.lost = Some(Lost {
            cap: self.lost.map_or(limit, |lost| lost.cap.min(limit)),
            at: now,
        });
        let ceiling = self.ceiling(now);
        match self.period.rolling {
            None => self.presumed = ceiling.minus(self.spent).minus(self.outstanding()),
            Some(rolling) => {
                // What is known may be old and leave the window soon, and what is forgotten may be new.
                self.presumed = ceiling;
                self.presumed_until = now + LONGEST_LEASE + rolling.length + rolling.step;
            }
        }
    }

    /// Whether `message` knows of grants that the account does not.
    pub(super) fn has_forgotten(&self, message: &Sync) -> bool {
        message.granted
            > self
                .holders
                .get(&message.holder)
                .map_or(Amount::ZERO, |holder| holder.granted)
    }

    fn spend(&mut self, amount: Amount, now: u64) {
        self.spent = self.spent.plus(amount);
        if let Some(rolling) = self.period.rolling
            && !amount.is_zero()
        {
            let step = self.steps.entry(now / rolling.step).or_default();
            *step = step.plus(amount);
        }
    }

    /// Takes over what the holder says and grants what it may have.
    pub(super) fn sync(&mut self, message: &Sync, now: u64) -> Holder {
        let known = self.holders.get(&message.holder).copied();
        let before = known.unwrap_or_default();
        let mut holder = before;
        holder.granted = holder.granted.max(message.granted);
        holder.released = holder.released.max(message.released);
        holder.spent = holder.spent.max(message.spent);
        holder.unbacked = holder.unbacked.max(message.unbacked);
        holder.done |= message.done;
        holder.expires = holder.expires.max(now.saturating_add(message.ttl.min(LONGEST_LEASE)));
        let heard = message.epoch == self.epoch;
        if heard || (known.is_none() && message.granted.is_zero()) {
            holder.epoch = self.epoch;
        }
        self.holders.insert(message.holder.clone(), holder);
        let spent = holder.spent.minus(before.spent);
        self.spend(spent.plus(holder.unbacked.minus(before.unbacked)), now);
        if !heard {
            self.transfer(before.held(), holder.held(), now);
        }
        if let Some(more) = self.grant(message, &holder, now) {
            holder.granted = holder.granted.plus(more);
            self.holders.insert(message.holder.clone(), holder);
        }
        holder
    }

    /// A holder speaks that has not heard of the loss. The store remembered `known`, and the holder has `held`: the difference
    /// was taken for spent by somebody, or has to be now. What is used in total stays the same.
    fn transfer(&mut self, known: Amount, held: Amount, now: u64) {
        let found = held.minus(known);
        let short = found > self.presumed;
        self.presumed = self.presumed.minus(found).plus(known.minus(held));
        if short {
            self.lose(now);
        }
    }

    /// How much more the holder gets. Near the limit shares shrink to exactly what a request needs.
    fn grant(&self, message: &Sync, holder: &Holder, now: u64) -> Option<Amount> {
        if holder.done || self.sealed {
            return None;
        }
        // Granted before, by an answer that did not arrive.
        let surplus = holder.granted.minus(message.granted);
        let (want, least) = (message.want.minus(surplus), message.least.minus(surplus));
        let room = self.ceiling(now).minus(self.used(now));
        let holders = self.holders.values().filter(|holder| holder.has_lease(now)).count() as u64;
        let more = want.min(least.max(room.share(holders * 2))).min(room);
        (more >= least && !more.is_zero()).then_some(more)
    }

    /// Declares a holder whose lease has ended done, after spending at most `at_most`.
    pub(super) fn reconcile(&mut self, name: &str, at_most: Amount, now: u64) -> Result<(), ReconcileError> {
        let holder = self.holders.get_mut(name).ok_or(ReconcileError::UnknownHolder)?;
        if holder.has_lease(now) {
            return Err(ReconcileError::LeaseLasts);
        }
        holder.done = true;
        let more = at_most.minus(holder.spent).min(holder.outstanding());
        holder.spent = holder.spent.plus(more);
        let back = holder.outstanding();
        holder.released = holder.granted.minus(holder.spent);
        if holder.epoch < self.epoch {
            // It may have given this back before, to a store that has forgotten whom it went to.
            self.presumed = self.presumed.plus(back);
        }
        self.spend(more, now);
        Ok(())
    }

    /// What was lost amounts to at most this.
    pub(super) fn restore(&mut self, at_most: Amount) {
        self.presumed = self.presumed.min(at_most);
        self.lost = None;
    }

    /// Closes the account to new leases and says how much of its limit is unspent, once.
    pub(super) fn seal(&mut self, now: u64) -> Amount {
        if self.sealed {
            return Amount::ZERO;
        }
        self.sealed = true;
        self.limit().minus(self.used(now))
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// How the account stands.
    pub(super) fn standing(&self, now: u64) -> Standing {
        let (lasting, ended): (Vec<&Holder>, Vec<&Holder>) =
            self.holders.values().partition(|holder| holder.has_lease(now));
        let doubt = |amount: Amount| if self.terms.strict { amount } else { Amount::ZERO };
        Standing {
            ceiling: self.ceiling(now),
            spent: self.spent,
            leased: lasting.iter().map(|holder| holder.outstanding()).sum(),
            in_doubt: doubt(ended.iter().map(|holder| holder.outstanding()).sum()),
            presumed: doubt(self.presumed),
            holders: lasting.len() as u64,
        }
    }
}
