//! The frames on the wire and what a reader keeps of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A gateway sends a frame this often, in milliseconds.
pub const FRAME_INTERVAL_MS: u64 = 250;

/// What a value is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScopeKind {
    /// The whole pod.
    Pod,
    /// One `ModelRoute`.
    Route,
    /// One `Tenant`.
    Tenant,
}

/// One thing that values are about: the pod, or a route or tenant by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// What kind of thing.
    pub kind: ScopeKind,
    /// Its name; empty for the pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Scope {
    /// The whole pod.
    pub fn pod() -> Self {
        Self {
            kind: ScopeKind::Pod,
            name: String::new(),
        }
    }

    /// A route by name.
    pub fn route(name: impl Into<String>) -> Self {
        Self {
            kind: ScopeKind::Route,
            name: name.into(),
        }
    }

    /// A tenant by name.
    pub fn tenant(name: impl Into<String>) -> Self {
        Self {
            kind: ScopeKind::Tenant,
            name: name.into(),
        }
    }
}

/// Events a second over the last 1, 10 and 60 seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Over 1 s.
    pub s1: f64,
    /// Over 10 s.
    pub s10: f64,
    /// Over 60 s.
    pub s60: f64,
}

impl Rates {
    /// Adds another pod's rates.
    pub fn merge(&mut self, other: &Self) {
        self.s1 += other.s1;
        self.s10 += other.s10;
        self.s60 += other.s60;
    }
}

/// What is known about one scope at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// Requests that wait for admission.
    pub queue_depth: u64,
    /// Requests that were admitted and have not ended.
    pub in_flight: u64,
    /// Tokens a second, prompt and completion together.
    pub token_rate: Rates,
    /// Requests a second.
    pub request_rate: Rates,
    /// Seconds that requests waited for admission, over the last ten seconds. Requests that did not wait count as 0.
    #[serde(default)]
    pub queue_wait: Digest,
    /// Seconds to the first byte of an answer's body, over the last ten seconds.
    #[serde(default)]
    pub ttft: Digest,
}

impl Values {
    /// Adds another pod's values for the same scope.
    pub fn merge(&mut self, other: &Self) {
        self.queue_depth = self.queue_depth.saturating_add(other.queue_depth);
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.token_rate.merge(&other.token_rate);
        self.request_rate.merge(&other.request_rate);
        self.queue_wait.merge(&other.queue_wait);
        self.ttft.merge(&other.ttft);
    }
}

/// One line of the signal stream.
///
/// The first frame of a stream is `full`: it lists every scope that the configuration knows. Later frames list the scopes
/// whose values changed since the frame before, and repeat nothing else, so that a thousand idle tenants cost nothing.
/// When the configuration changes, the next frame is full again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// Counts frames of this stream from 0 without gaps.
    pub seq: u64,
    /// When the values were measured, Unix time in milliseconds by the gateway's clock.
    pub measured_unix_ms: u64,
    /// Generation of the configuration that the pod serves.
    pub generation: u64,
    /// True while the pod drains.
    #[serde(default)]
    pub draining: bool,
    /// True if the frame lists every scope; what it does not list is gone.
    #[serde(default)]
    pub full: bool,
    /// Values by scope.
    pub scopes: Vec<(Scope, Values)>,
}

/// Why a stream cannot be read on. The reader drops it and subscribes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame is missing.
    #[error("expected frame {expected}, got {found}")]
    Gap {
        /// The next number.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// The stream did not begin with a full frame.
    #[error("the first frame is not a full one")]
    NotFull,
}

/// What a reader knows about one pod: the state after all frames so far.
#[derive(Debug, Clone, Default)]
pub struct PodSignals {
    next: u64,
    /// When the last frame was measured, by the gateway's clock.
    pub measured_unix_ms: u64,
    /// Generation in the last frame.
    pub generation: u64,
    /// Whether the pod drains.
    pub draining: bool,
    /// Current values of every scope.
    pub scopes: BTreeMap<Scope, Values>,
}

impl PodSignals {
    /// Takes the next frame in.
    pub fn apply(&mut self, frame: Frame) -> Result<(), FrameError> {
        if frame.seq != self.next {
            return Err(FrameError::Gap {
                expected: self.next,
                found: frame.seq,
            });
        }
        if frame.seq == 0 && !frame.full {
            return Err(FrameError::NotFull);
        }
        self.next += 1;
        if frame.full {
            self.scopes.clear();
        }
        self.scopes.extend(frame.scopes);
        self.measured_unix_ms = frame.measured_unix_ms;
        self.generation = frame.generation;
        self.draining = frame.draining;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64, full: bool, scopes: Vec<(Scope, Values)>) -> Frame {
        Frame {
            seq,
            measured_unix_ms: 1_000 + seq,
            generation: 1,
            draining: false,
            full,
            scopes,
        }
    }

    fn depth(n: u64) -> Values {
        Values {
            queue_depth: n,
            ..Values::default()
        }
    }

    #[test]
    fn a_frame_survives_the_wire() {
        let mut values = depth(3);
        values.ttft.record(0.25);
        let sent = frame(0, true, vec![(Scope::pod(), values), (Scope::tenant("acme"), depth(1))]);
        let line = serde_json::to_string(&sent).unwrap();
        assert_eq!(serde_json::from_str::<Frame>(&line).unwrap(), sent);
    }

    #[test]
    fn a_partial_frame_changes_what_it_lists_and_keeps_the_rest() {
        let mut state = PodSignals::default();
        state
            .apply(frame(
                0,
                true,
                vec![(Scope::pod(), depth(3)), (Scope::tenant("acme"), depth(1))],
            ))
            .unwrap();
        state.apply(frame(1, false, vec![(Scope::pod(), depth(5))])).unwrap();
        assert_eq!(state.scopes[&Scope::pod()].queue_depth, 5);
        assert_eq!(state.scopes[&Scope::tenant("acme")].queue_depth, 1);
        assert_eq!(state.measured_unix_ms, 1_001);
        state.apply(frame(2, true, vec![(Scope::pod(), depth(6))])).unwrap();
        assert!(!state.scopes.contains_key(&Scope::tenant("acme")));
    }

    #[test]
    fn a_gap_or_a_stream_without_its_beginning_is_refused() {
        let mut state = PodSignals::default();
        assert_eq!(state.apply(frame(0, false, vec![])), Err(FrameError::NotFull));
        state.apply(frame(0, true, vec![])).unwrap();
        assert_eq!(
            state.apply(frame(2, false, vec![])),
            Err(FrameError::Gap { expected: 1, found: 2 })
        );
    }
}
