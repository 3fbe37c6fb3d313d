//! Live signals: what a gateway pod tells the adapter several times a second.
//!
//! A gateway counts into [`window::RateWindow`] and [`digest::DigestWindow`]; a [`Frame`] carries the result over one
//! NDJSON stream on the admin port; the adapter keeps the last frame of each pod in a [`PodSignals`] and adds pods up
//! with [`Values::merge`]. Time always comes in as a parameter.

pub mod digest;
mod frame;
pub mod window;

pub use digest::Digest;
pub use frame::{FRAME_INTERVAL_MS, Frame, FrameError, PodSignals, Rates, Scope, ScopeKind, Values};
