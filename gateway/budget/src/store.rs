//! Where the centre's state lives.

mod breaker;
mod memory;
mod redis;

use std::future::Future;

pub use self::memory::MemoryStore;
pub use self::redis::{RedisOptions, RedisStore};
use crate::amount::Amount;
use crate::escrow::{AccountRef, Answer, ReconcileError, Standing, Sync as Message};

/// Why a store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time.
    #[error("the store did not answer in time")]
    TimedOut,
    /// It has failed several times in a row, and is not asked for a moment.
    #[error("the store has failed several times and is left alone for a moment")]
    Resting,
    /// The connection failed, or the store refused the operation.
    #[error("the store failed")]
    Failed(#[source] ::redis::RedisError),
    /// It answered something that cannot be read.
    #[error("the store's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// It refused to speak for a holder.
    #[error(transparent)]
    Refused(#[from] ReconcileError),
}

/// The centre of all budgets. Every operation may be repeated: what was done already changes nothing.
pub trait Store: Send + Sync + 'static {
    /// Says that nothing has ever been spent of a budget. What the store knows of the budget already, stays.
    ///
    /// To be called once in a budget's life, by whoever makes it, and before any replica is told of it. A store that finds a budget
    /// missing that was never registered takes its current windows for spent.
    fn register(&self, budget: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Handles a holder's message.
    fn sync(
        &self,
        budget: &str,
        reference: &AccountRef,
        message: &Message,
    ) -> impl Future<Output = Result<Answer, StoreError>> + Send;

    /// How an account stands; `None` where it has not been opened.
    fn standing(
        &self,
        budget: &str,
        account: &str,
    ) -> impl Future<Output = Result<Option<Standing>, StoreError>> + Send;

    /// Speaks for a holder that died; see [`Book::reconcile`](crate::escrow::Book::reconcile).
    fn reconcile(
        &self,
        budget: &str,
        account: &str,
        holder: &str,
        at_most: Amount,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends a presumption; see [`Book::restore`](crate::escrow::Book::restore).
    fn restore(
        &self,
        budget: &str,
        account: &str,
        at_most: Amount,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
