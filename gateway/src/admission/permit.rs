//! The right to be forwarded: a place at the gateway, at the tenant and at one provider.

use std::sync::Arc;
use std::time::Duration;

use super::{Admission, BackendSet, Candidates, Limit};
use crate::health::Live;

/// Held while a request is forwarded; dropping it gives all places back and lets the next waiter in.
#[derive(Debug)]
pub struct Permit {
    pub(super) admission: Arc<Admission>,
    pub(super) tenant: Arc<Limit>,
    pub(super) place: Option<Place>,
    pub(super) waited: Duration,
}

/// A place at a provider.
#[derive(Debug)]
pub(super) enum Place {
    /// At one of the weighted backends of a route.
    Backend { candidates: Arc<Candidates>, at: usize },
    /// At a provider that is a fallback.
    Provider(Arc<Live>),
}

impl Place {
    fn release(&self) {
        match self {
            Self::Backend { candidates, at } => candidates.release(*at),
            Self::Provider(provider) => provider.limit.release(),
        }
    }
}

impl Permit {
    /// How long the request waited for it.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The weighted backend at which the permit holds a place, by position in its route. `None` from the beginning if none
    /// of the backends is well and there are fallbacks.
    pub fn backend(&self) -> Option<usize> {
        match &self.place {
            Some(Place::Backend { at, .. }) => Some(*at),
            _ => None,
        }
    }

    /// Gives the place at the provider back and takes one at another of the route's backends, without waiting. On `None`
    /// the permit holds no provider any more.
    pub fn move_to_backend(&mut self, candidates: &Arc<Candidates>, among: BackendSet) -> Option<usize> {
        self.leave_provider();
        let at = candidates.acquire(among)?;
        self.place = Some(Place::Backend {
            candidates: Arc::clone(candidates),
            at,
        });
        Some(at)
    }

    /// Gives the place at the provider back and takes one at another provider, without waiting; false if it has none.
    pub fn move_to_provider(&mut self, provider: &Arc<Live>) -> bool {
        self.leave_provider();
        let moved = provider.limit.try_acquire();
        if moved {
            self.place = Some(Place::Provider(Arc::clone(provider)));
        }
        moved
    }

    /// Gives the place at the provider back while the request lives on, such as between two tries.
    pub fn leave_provider(&mut self) {
        if let Some(place) = self.place.take() {
            place.release();
            self.admission.place_became_free();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.release();
        }
        self.tenant.release();
        self.admission.gateway.release();
        self.admission.place_became_free();
    }
}
