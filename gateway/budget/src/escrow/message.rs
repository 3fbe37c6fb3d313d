//! What a holder of leases and the centre tell each other.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::window::Period;

/// What a limit allows, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Generation of the configuration. The centre keeps the newest it has seen, so a replica whose configuration lags changes nothing.
    pub generation: u64,
    /// Whether money whose fate is unknown counts as spent. Without it, leases that have ended and what a lost store may have
    /// granted are taken as unspent.
    pub strict: bool,
    /// The limit itself.
    pub limit: Amount,
    /// What raises it for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// How much of the window before, at most, is carried over.
    #[serde(default)]
    pub carry_over: Amount,
}

/// Raises a limit until it ends. What was spent from it counts against the limit afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// By how much.
    pub amount: Amount,
    /// When it was made, in milliseconds of Unix time. A store that has lost its memory since does not count it, since it may be
    /// spent.
    pub since: u64,
    /// First instant without it, in milliseconds of Unix time by the centre's clock.
    pub until: u64,
}

/// Which account a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRef {
    /// The account's name within its budget: the limit's and the window's.
    pub account: String,
    /// The window.
    pub period: Period,
    /// The limit's terms.
    pub terms: Terms,
    /// The account of the window before, where its unspent part may be carried over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// The one message of a holder: all it has had and spent since it began, and what it wants.
///
/// Every figure is a running total that only grows. The centre takes the larger of what it knows and what it hears, so a message
/// that arrives twice, late, or after a newer one changes nothing: nobody needs to remember ids of operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// Who speaks: one name for one life of one process.
    pub holder: String,
    /// The epoch of the store as of the last answer; 0 before the first.
    pub epoch: u64,
    /// What it knows to have been granted, in total.
    pub granted: Amount,
    /// What it has given back, in total.
    pub released: Amount,
    /// What it has spent of what was granted, in total.
    pub spent: Amount,
    /// What it has spent without a grant, in total: where a provider charged more than was reserved, and where the budget allows
    /// spending while the store cannot be reached.
    pub unbacked: Amount,
    /// How much more it would like.
    pub want: Amount,
    /// How much more it needs at least: less than that is of no use and is not granted.
    pub least: Amount,
    /// For how long the lease is to last, in milliseconds from when the centre hears this.
    pub ttl: u64,
    /// Whether it is done: nothing is reserved any more, the rest is given back, and nothing will follow.
    pub done: bool,
}

/// What the centre answers: the holder's lease and how the account stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The centre's time, in milliseconds of Unix time.
    pub now: u64,
    /// The epoch of the store.
    pub epoch: u64,
    /// What has been granted to the holder, in total.
    pub granted: Amount,
    /// Whether the holder has been declared done: nothing will be granted to this name any more.
    pub done: bool,
    /// Whether the account takes no more spending, since the next window has begun with what was left of it.
    pub sealed: bool,
    /// How the account stands.
    pub standing: Standing,
}

/// How an account stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Limit, carry-over and grants.
    pub ceiling: Amount,
    /// What was spent, as far as it was reported.
    pub spent: Amount,
    /// What replicas hold in leases, spent or not.
    pub leased: Amount,
    /// What is held in leases that have ended without being given back: their holders died or cannot reach the store. Zero
    /// unless the terms are strict.
    pub in_doubt: Amount,
    /// What is taken as spent since the store has lost its memory. Zero unless the terms are strict.
    pub presumed: Amount,
    /// How many holders have a lease that lasts.
    pub holders: u64,
}

impl Standing {
    /// What has to be taken as spent: all but the leases that last.
    pub fn charged(&self) -> Amount {
        self.spent.plus(self.in_doubt).plus(self.presumed)
    }

    /// What is left of the ceiling.
    pub fn remaining(&self) -> Amount {
        self.ceiling.minus(self.charged())
    }
}
