//! The right to be forwarded: a place at the gateway, at the tenant and at one provider.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Admission, BackendSet, Candidates, Limit};
use crate::health::Live;
use crate::selection::Wants;

/// Held while a request is forwarded; dropping it gives all places back and lets the next waiter in.
#[derive(Debug)]
pub struct Permit {
    pub(super) admission: Arc<Admission>,
    pub(super) tenant: Arc<Limit>,
    pub(super) place: Option<Place>,
    pub(super) waited: Duration,
    pub(super) wants: Wants,
}

/// A second place beside that of a permit, for a second try beside the first. Dropping it gives it back.
#[derive(Debug)]
pub struct Extra {
    admission: Arc<Admission>,
    place: Option<Place>,
    wants: Wants,
}

impl Extra {
    /// The weighted backend at which it is.
    pub fn backend(&self) -> Option<usize> {
        match &self.place {
            Some(Place::Backend { at, .. }) => Some(*at),
            _ => None,
        }
    }
}

impl Drop for Extra {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.release(&self.wants);
            self.admission.place_became_free();
        }
    }
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
    fn release(&self, wants: &Wants) {
        match self {
            Self::Backend { candidates, at } => candidates.release(*at, wants),
            Self::Provider(provider) => provider.release(wants.tokens),
        }
    }

    fn provider(&self) -> &Live {
        match self {
            Self::Backend { candidates, at } => candidates.provider(*at),
            Self::Provider(provider) => provider,
        }
    }
}

impl Permit {
    /// How long the request waited for it.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// What of the request the choice of a place looks at.
    pub fn wants(&self) -> &Wants {
        &self.wants
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
        let at = candidates.acquire(among, &self.wants)?;
        self.place = Some(Place::Backend {
            candidates: Arc::clone(candidates),
            at,
        });
        Some(at)
    }

    /// Gives the place at the provider back and takes one at another provider, without waiting; false if it has none.
    pub fn move_to_provider(&mut self, provider: &Arc<Live>) -> bool {
        self.leave_provider();
        let moved = provider.try_acquire(self.wants.tokens);
        if moved {
            self.place = Some(Place::Provider(Arc::clone(provider)));
        }
        moved
    }

    /// A second place, at one of `among`, without waiting.
    pub fn extra(&self, candidates: &Arc<Candidates>, among: BackendSet) -> Option<Extra> {
        let at = candidates.acquire(among, &self.wants)?;
        Some(Extra {
            admission: Arc::clone(&self.admission),
            place: Some(Place::Backend {
                candidates: Arc::clone(candidates),
                at,
            }),
            wants: self.wants.clone(),
        })
    }

    /// Goes on at the second place, and gives the first one back.
    pub fn adopt(&mut self, mut extra: Extra) {
        self.leave_provider();
        self.place = extra.place.take();
    }

    /// The request has cost so many tokens, by the count of the provider where it has its place now. Takes the permit, so
    /// that no request is counted twice: tries before this one, and the one beside it, had places of their own.
    pub fn settle(self, tokens: u64) {
        if let Some(place) = &self.place {
            let rates = &place.provider().rates;
            // Where nothing is counted, nobody need ask the clock.
            if rates.is_paced() {
                rates.settle(self.wants.tokens, tokens, Instant::now());
            }
        }
    }

    /// Gives the place at the provider back while the request lives on, such as between two tries.
    pub fn leave_provider(&mut self) {
        if let Some(place) = self.place.take() {
            place.release(&self.wants);
            self.admission.place_became_free();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.release(&self.wants);
        }
        self.tenant.release();
        self.admission.gateway.release();
        self.admission.place_became_free();
    }
}
