//! Which providers, and which pods of them, are well enough to get requests.
//!
//! Two things take one out: failures of requests in a row ([`Breaker`], seen by the workers) and probes that fail
//! ([`Probed`], made by one task of the control thread). Whoever chooses where a request goes reads both without a lock.

mod breaker;
mod live;
mod loss;
mod phase;
mod probed;
mod prober;
mod rates;
mod report;

pub use breaker::{Breaker, Outage, Pass, Rule, Standing, Trouble};
pub use live::{Live, Trying};
pub use loss::Loss;
pub use phase::Epoch;
pub use probed::Probed;
pub use prober::Prober;
pub use rates::Rates;
pub use report::report;
