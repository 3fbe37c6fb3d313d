//! `ModelProvider`, `ModelRoute` and `Tenant`: what the gateways of their namespace say about them.
//!
//! Providers and routes own nothing, so their reconciliation has three steps: dereference what the board and the neighbours
//! say, judge it, write the status. Tenants have a module of their own for the keys that are minted for them.

mod dereference;
mod error;
mod judge;
mod prices;
mod provider;
mod route;

pub use dereference::{Found, Subject, dereference, provider_health};
pub use error::PartError;
pub use judge::{Judged, judge};
pub use provider::ProviderReconciler;
pub use route::RouteReconciler;
