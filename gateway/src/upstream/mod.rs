//! Providers: connections to them, one try, and the way through retries and fallbacks.

mod answer;
mod around;
mod attempt;
mod balance;
mod body;
mod budget;
mod connect;
pub mod credential;
mod failure;
mod forward;
mod hedge;
mod outgoing;
mod place;
mod pool;
mod proof;
mod proxy;
mod ratelimit;
mod resolve;
mod settle;
mod tls;
mod translation;
mod undo;

use std::sync::Arc;

pub use answer::{Answer, AnswerBody, Rest};
pub use balance::{Balancer, Endpoint, Outstanding};
pub use budget::RetryBudget;
pub use connect::ConnectError;
pub use failure::{ErrorAnswer, Failure};
pub use forward::Forwarded;
pub use hedge::{FirstTokens, HedgeCounts, HedgeOutcome};
pub use outgoing::{Conversation, Outgoing, Pair};
pub use place::{Origin, Place, Tls, Way};
pub(crate) use pool::UpstreamBody;
pub use pool::{Lease, Pools};
pub use proxy::Proxy;
pub use resolve::{Lookup, Resolve, SystemResolver};
pub use tls::{client_config, special_config};

use crate::clock::Clock;
use crate::endpoints::EndpointTable;

/// One worker's way to the providers.
pub struct Upstreams {
    /// Its connections.
    pub pools: Arc<Pools>,
    /// The clock of the process: signatures and tokens have a time.
    pub clock: Arc<dyn Clock>,
    /// The addresses behind Services.
    pub endpoints: Arc<EndpointTable>,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams")
            .field("pools", &self.pools)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
