//! All accounts of one budget, and what the store knows about its own memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::{Account, CLOCK_SKEW, ReconcileError};
use super::message::{AccountRef, Answer, Standing, Sync};
use crate::amount::Amount;

/// For how long the account of a window that has ended is kept, in milliseconds: requests that were in flight settle in it.
pub const KEEP_ENDED: u64 = 7 * 24 * 3_600_000;

/// Where and when a message is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Centre<'a> {
    /// Names one run of one server: it changes when the server starts again or another one takes over, since its memory may then
    /// be older than its answers were.
    pub server: &'a str,
    /// Whether what the server has acknowledged survives its end. Then a new name is no sign of loss.
    pub durable: bool,
    /// Milliseconds of Unix time.
    pub now: u64,
}

/// What the store knows about its own memory of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    server: String,
    /// Since when nothing was forgotten, in milliseconds of Unix time; 0 when nothing ever was.
    born: u64,
    /// Grows with each loss.
    epoch: u64,
    /// The latest time seen: the centre's time does not go back.
    now: u64,
}

/// The state of one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    head: Head,
    accounts: BTreeMap<String, Account>,
}

impl Book {
    /// The book of a budget of which nothing has ever been spent: the caller knows that it is new.
    pub fn registered(centre: Centre<'_>) -> Self {
        let mut book = Self::found_missing(centre);
        book.head.born = 0;
        book
    }

    /// The book of a budget that the store does not know. What was spent before now is unknown.
    pub fn found_missing(centre: Centre<'_>) -> Self {
        Self::from_parts(
            Head {
                server: centre.server.to_owned(),
                born: centre.now,
                epoch: 1,
                now: centre.now,
            },
            BTreeMap::new(),
        )
    }

    /// The book of these parts, which a store keeps apart.
    pub fn from_parts(head: Head, accounts: BTreeMap<String, Account>) -> Self {
        Self { head, accounts }
    }

    /// The parts, for a store that keeps them apart.
    pub fn parts(&self) -> (&Head, &BTreeMap<String, Account>) {
        (&self.head, &self.accounts)
    }

    /// Handles a holder's message.
    pub fn sync(&mut self, reference: &AccountRef, message: &Sync, centre: Centre<'_>) -> Answer {
        let now = self.begin(centre);
        if message.epoch > self.head.epoch {
            self.forget(message.epoch);
        }
        let mut account = match self.take(&reference.account) {
            Some(account) => account,
            None => self.open(reference),
        };
        if message.epoch == self.head.epoch && account.has_forgotten(message) {
            self.forget(message.epoch);
            self.catch_up(&mut account);
        }
        account.adopt(&reference.terms);
        let holder = account.sync(message, now);
        let answer = Answer {
            now,
            epoch: self.head.epoch,
            granted: holder.granted(),
            done: holder.is_done(),
            sealed: account.is_sealed(),
            standing: account.standing(now),
        };
        self.accounts.insert(reference.account.clone(), account);
        answer
    }

    /// Speaks for a holder that died: it has spent at most `at_most` in the account since it began, what may still be charged
    /// for its requests in flight included. The rest of its lease returns.
    ///
    /// The caller has proof, such as the ledger's rows of that holder. Before the lease has ended nothing proves anything.
    pub fn reconcile(
        &mut self,
        account: &str,
        holder: &str,
        at_most: Amount,
        centre: Centre<'_>,
    ) -> Result<(), ReconcileError> {
        let now = self.begin(centre);
        let mut found = self.take(account).ok_or(ReconcileError::UnknownAccount)?;
        let outcome = found.reconcile(holder, at_most, now);
        self.accounts.insert(account.to_owned(), found);
        outcome
    }

    /// Ends a presumption: those whose leases the store has forgotten, and who have not spoken since, have spent at most
    /// `at_most`, or may still.
    ///
    /// The caller has proof, such as a ledger that holds the rows of all replicas.
    pub fn restore(&mut self, account: &str, at_most: Amount, centre: Centre<'_>) -> Result<(), ReconcileError> {
        self.begin(centre);
        let mut found = self.take(account).ok_or(ReconcileError::UnknownAccount)?;
        found.restore(at_most);
        self.accounts.insert(account.to_owned(), found);
        Ok(())
    }

    /// How an account stands; `None` where it has not been opened.
    pub fn standing(&mut self, account: &str, centre: Centre<'_>) -> Option<Standing> {
        let now = self.begin(centre);
        let found = self.take(account)?;
        let standing = found.standing(now);
        self.accounts.insert(account.to_owned(), found);
        Some(standing)
    }

    /// The time that counts. A server that may have lost its memory is found out here, before anything is granted.
    fn begin(&mut self, centre: Centre<'_>) -> u64 {
        self.head.now = self.head.now.max(centre.now);
        if self.head.server != centre.server {
            centre.server.clone_into(&mut self.head.server);
            if !centre.durable {
                self.forget(self.head.epoch);
            }
        }
        self.head.now
    }

    /// From here on nothing is taken for known that was before.
    fn forget(&mut self, epoch: u64) {
        self.head.epoch = epoch.saturating_add(1);
        self.head.born = self.head.now;
    }

    fn catch_up(&self, account: &mut Account) {
        if account.epoch < self.head.epoch {
            account.epoch = self.head.epoch;
            account.lose(self.head.now);
        }
    }

    fn take(&mut self, name: &str) -> Option<Account> {
        let mut account = self.accounts.remove(name)?;
        account.tidy(self.head.now);
        self.catch_up(&mut account);
        Some(account)
    }

    fn open(&mut self, reference: &AccountRef) -> Account {
        let (now, born) = (self.head.now, self.head.born);
        self.accounts.retain(|_, account| {
            let end = account.period.end.unwrap_or(u64::MAX);
            end.saturating_add(KEEP_ENDED) > now
        });
        let period = reference.period.clone();
        // A replica whose clock is ahead may have opened the window before its time, and the store may have lost it since.
        let known = born == 0 || period.start >= born.saturating_add(CLOCK_SKEW);
        let previous = reference.previous.as_deref().filter(|_| known);
        let mut carried = Amount::ZERO;
        if let Some(name) = previous
            && let Some(mut account) = self.take(name)
        {
            carried = account.seal(now).min(reference.terms.carry_over);
            self.accounts.insert(name.to_owned(), account);
        }
        let mut account = Account::open(period, reference.terms.clone(), carried, self.head.epoch);
        if !known {
            account.lose(now);
        }
        account
    }
}
