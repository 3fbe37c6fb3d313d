//! The ledger: one [`Row`] per upstream attempt, which no fault loses and none doubles.
//!
//! [`Ledger::record`] writes a row to a [spool] on disk first, and a [`Receipt`] tells when it is there. The spool is sent to a
//! [database](sink), in order and again until it is committed; a row's [`RowId`] makes the second time do nothing. The same
//! transaction adds the row to the sums by hour that questions are answered from.
//!
//! Money is whole nano-USD throughout.

pub mod frame;
mod ledger;
mod pseudonym;
pub mod query;
mod row;
mod sender;
pub mod sink;
pub mod spool;
mod text;

pub use frame::{FORMAT, MAX_ROW_BYTES};
pub use ledger::{Health, Ledger, NotDrained};
pub use pseudonym::Pseudonyms;
pub use row::{MAX_TOKENS, Outcome, Row, RowId, Saved, Tokens, UsageSource};
pub use sender::DatabaseHealth;
pub use spool::{Receipt, RecordError};
pub use text::{MAX_TEXT_BYTES, Text};
