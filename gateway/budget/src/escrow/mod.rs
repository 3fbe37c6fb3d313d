//! The centre: who holds how much of a budget, and what may still be granted. A state machine without I/O and without a clock.
//!
//! [`crate`] tells the protocol, what it guarantees and what each fault does to it.

mod account;
mod book;
mod message;

pub use account::{Account, CLOCK_SKEW, Holder, KEEP_DONE, LONGEST_LEASE, ReconcileError};
pub use book::{Book, Centre, Head, KEEP_ENDED};
pub use message::{AccountRef, Answer, Grant, Standing, Sync, Terms};
