//! The endpoints of a Service: each request goes to the one with the fewest outstanding.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use rand::Rng as _;

use super::place::Place;

/// The endpoints of one Service with what runs at each. Shared by all workers, so that they see each other's requests.
#[derive(Debug, Default)]
pub struct Balancer {
    known: ArcSwap<Known>,
}

#[derive(Debug)]
struct Known {
    /// What the endpoints were made from, to see a change by the pointer.
    ready: Arc<[SocketAddr]>,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            ready: Arc::from([]),
            endpoints: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Endpoint {
    address: SocketAddr,
    place: Arc<Place>,
    outstanding: AtomicU32,
}

/// A request at an endpoint, counted as outstanding until this is dropped.
#[derive(Debug)]
pub struct Outstanding {
    endpoint: Arc<Endpoint>,
}

impl Outstanding {
    /// Where the request goes.
    pub fn place(&self) -> &Arc<Place> {
        &self.endpoint.place
    }

    /// The address of the endpoint.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.endpoint.outstanding.fetch_sub(1, Relaxed);
    }
}

impl Balancer {
    /// Takes the endpoint with the fewest outstanding requests among those that are ready; of several with the fewest,
    /// any. Endpoints in `failed` are taken only if there are no others. `None` without ready endpoints.
    pub fn choose(&self, ready: &Arc<[SocketAddr]>, failed: &[SocketAddr]) -> Option<Outstanding> {
        let mut known = self.known.load();
        if !Arc::ptr_eq(&known.ready, ready) {
            self.learn(ready);
            known = self.known.load();
        }
        let count = known.endpoints.len();
        if count == 0 {
            return None;
        }
        // A random start gives each of several equal ones the same chance.
        let start = if count == 1 {
            0
        } else {
            rand::rng().random_range(0..count)
        };
        let in_order = || known.endpoints[start..].iter().chain(&known.endpoints[..start]);
        let load = |endpoint: &&Arc<Endpoint>| endpoint.outstanding.load(Relaxed);
        let fresh = in_order()
            .filter(|endpoint| !failed.contains(&endpoint.address))
            .min_by_key(load);
        let endpoint = Arc::clone(fresh.or_else(|| in_order().min_by_key(load))?);
        endpoint.outstanding.fetch_add(1, Relaxed);
        Some(Outstanding { endpoint })
    }

    /// Whether there is a ready endpoint that is not in `failed`.
    pub fn has_other(ready: &[SocketAddr], failed: &[SocketAddr]) -> bool {
        ready.iter().any(|address| !failed.contains(address))
    }

    /// Takes over a changed list. An endpoint that is still in it keeps its count and its connections.
    fn learn(&self, ready: &Arc<[SocketAddr]>) {
        self.known.rcu(|known| {
            let endpoint = |address: &SocketAddr| {
                known
                    .endpoints
                    .iter()
                    .find(|endpoint| endpoint.address == *address)
                    .map_or_else(
                        || {
                            let place = Arc::new(Place::socket(*address));
                            Arc::new(Endpoint {
                                address: *address,
                                place,
                                outstanding: AtomicU32::new(0),
                            })
                        },
                        Arc::clone,
                    )
            };
            Known {
                ready: Arc::clone(ready),
                endpoints: ready.iter().map(endpoint).collect(),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ports: &[u16]) -> Arc<[SocketAddr]> {
        ports
            .iter()
            .map(|port| SocketAddr::from(([127, 0, 0, 1], *port)))
            .collect()
    }

    #[test]
    fn requests_spread_evenly_and_a_free_endpoint_is_found() {
        let (balancer, ready) = (Balancer::default(), addresses(&[1, 2, 3]));
        let mut held: Vec<_> = (0..9).map(|_| balancer.choose(&ready, &[]).unwrap()).collect();
        for address in ready.iter() {
            assert_eq!(held.iter().filter(|o| o.address() == *address).count(), 3);
        }
        held.retain(|outstanding| outstanding.address() != ready[1]);
        assert_eq!(balancer.choose(&ready, &[]).unwrap().address(), ready[1]);
    }

    #[test]
    fn equal_endpoints_all_get_a_share() {
        let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
        let first = (0..200)
            .filter(|_| balancer.choose(&ready, &[]).unwrap().address() == ready[0])
            .count();
        assert!((50..=150).contains(&first), "{first}");
    }

    #[test]
    fn a_failed_endpoint_is_avoided_while_there_is_another() {
        let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
        let _busy: Vec<_> = (0..3).map(|_| balancer.choose(&ready, &[ready[0]]).unwrap()).collect();
        assert_eq!(balancer.choose(&ready, &[ready[0]]).unwrap().address(), ready[1]);
        assert!(balancer.choose(&ready, &ready).is_some());
        assert!(balancer.choose(&addresses(&[]), &[]).is_none());
    }

    #[test]
    fn an_endpoint_that_stays_keeps_its_place_and_its_count() {
        let balancer = Balancer::default();
        let before = addresses(&[1]);
        let held = balancer.choose(&before, &[]).unwrap();
        let after = addresses(&[1, 2]);
        assert_eq!(balancer.choose(&after, &[]).unwrap().address(), after[1]);
        let again = balancer.choose(&before, &[]).unwrap();
        assert_eq!(held.place().id, again.place().id);
    }
}
