//! How long the data port waits for clients.

use std::time::Duration;

/// How long the data port waits for what. The defaults are what a gateway has; tests have less time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A client that has connected must say something in this time.
    pub first_byte: Duration,
    /// The same while three quarters of all connections are taken: those that say nothing then make room for others.
    pub first_byte_when_crowded: Duration,
    /// A TLS handshake must be done in this time.
    pub handshake: Duration,
    /// A request's head that has begun must be whole in this time. HTTP/1.1 only; with HTTP/2 what is not whole counts as
    /// idle.
    pub head: Duration,
    /// A client that takes no byte of an answer for this time does not want it.
    pub unread: Duration,
    /// A connection without a request is closed after this time. Longer than what clients and load balancers keep theirs
    /// (60 to 90 s is common), so that it is them who close, and no request meets a closing connection.
    pub idle: Duration,
    /// How often a connection is looked at for all of the above, which costs no timer for each request.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_mins(1),
            first_byte_when_crowded: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            unread: Duration::from_mins(1),
            idle: Duration::from_mins(2),
            look: Duration::from_secs(10),
        }
    }
}
