//! The ledger: one [`Row`] per upstream attempt, which no fault loses and none doubles.
//!
//! A row is written to a [spool](spool) on disk first, and a [`Receipt`] tells when it is there. The spool is sent to a
//! database, in order and again until it is committed; a row's [`RowId`] makes the second time do nothing.
//!
//! Money is whole nano-USD throughout.

pub mod frame;
mod pseudonym;
mod row;
pub mod spool;
mod text;

pub use frame::{FORMAT, MAX_ROW_BYTES};
pub use pseudonym::Pseudonyms;
pub use row::{MAX_TOKENS, Outcome, Row, RowId, Saved, Tokens, UsageSource};
pub use spool::{Receipt, RecordError};
pub use text::{MAX_TEXT_BYTES, Text};
