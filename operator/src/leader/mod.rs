//! Leader election: of all replicas of the operator, one acts.
//!
//! The rules are those of Kubernetes' own controllers. A replica may take a lease that nobody renewed for the lease's
//! duration, *measured by its own monotonic clock from the moment at which it saw the last renewal*, so that clocks that
//! differ between nodes do no harm. The holder that could not renew for `renew_deadline` must stop before anybody else may
//! start, which is why that deadline is shorter than the lease. The process then exits: a fresh one knows nothing that
//! could be stale.
//!
//! The ready-made lease crates judge by the wall clock and do not tell a holder that could not renew that it has lost.

mod lease;
mod rules;

pub use lease::{Election, ElectionError, Outcome};
pub use rules::Timing;

/// Name of the lease.
pub const LEASE: &str = "tokenweir-operator";
