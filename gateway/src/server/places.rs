//! How many connections of clients there are, and why some were not kept. Shared by all workers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// Why the gateway closed a connection that its client had not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// There were as many as the gateway may hold.
    Limit,
    /// Nothing came after it was opened.
    Silent,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// The head of a request came too slowly.
    SlowHead,
    /// The client did not take its answer.
    Unread,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Limit, Self::Silent, Self::Handshake, Self::SlowHead, Self::Unread];

    /// The value of the metric label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Silent => "silent",
            Self::Handshake => "handshake",
            Self::SlowHead => "slow_head",
            Self::Unread => "unread",
        }
    }
}

/// The connections of clients of one process.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    cut: [AtomicU64; Cut::ALL.len()],
}

/// A connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Connections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Connections {
    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Connections that were cut for a reason since the start.
    pub fn cut(&self, why: Cut) -> u64 {
        self.cut[why as usize].load(Relaxed)
    }

    pub(super) fn count(&self, why: Cut) {
        self.cut[why as usize].fetch_add(1, Relaxed);
    }

    /// A place for one more connection, if there are fewer than `max`.
    pub(super) fn take(self: &Arc<Self>, max: usize) -> Option<Place> {
        let before = self.open.fetch_add(1, Relaxed);
        let place = Place(Arc::clone(self));
        if before < max {
            return Some(place);
        }
        self.count(Cut::Limit);
        None
    }

    /// Whether three quarters of `max` are taken.
    pub(super) fn is_crowded(&self, max: usize) -> bool {
        self.open() >= max - max / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let connections = Arc::new(Connections::default());
        let held: Vec<_> = (0..4).map(|_| connections.take(4).unwrap()).collect();
        assert!(connections.is_crowded(4));
        assert!(connections.take(4).is_none());
        assert_eq!((connections.open(), connections.cut(Cut::Limit)), (4, 1));
        drop(held);
        assert_eq!(connections.open(), 0);
        assert!(connections.take(4).is_some());
        assert!(!connections.is_crowded(4));
    }

    #[test]
    fn reasons_have_places_of_their_own() {
        let connections = Connections::default();
        for why in Cut::ALL {
            connections.count(why);
            assert_eq!(connections.cut(why), 1, "{}", why.as_str());
        }
    }
}
