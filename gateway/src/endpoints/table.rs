//! Which addresses stand behind a Service right now.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenweir_config::ServiceRef;
use tokio::time::Instant;

/// Ready addresses by Service. Reading takes no lock, allocates nothing and does not wait for a writer.
#[derive(Debug, Default)]
pub struct EndpointTable {
    /// Sorted by [`key`], so that a lookup compares borrowed names and builds no key of its own.
    services: ArcSwap<Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    service: ServiceRef,
    ready: Arc<[SocketAddr]>,
    since: Instant,
}

/// What tells Services apart: the path of a [`ServiceRef`] does not matter to its addresses.
fn key(service: &ServiceRef) -> (&str, &str, u16) {
    (&service.namespace, &service.name, service.port)
}

fn find(entries: &[Entry], service: &ServiceRef) -> Result<usize, usize> {
    entries.binary_search_by(|entry| key(&entry.service).cmp(&key(service)))
}

impl EndpointTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ready addresses of a Service; empty if it is unknown or has none.
    ///
    /// The slice is the same allocation until the addresses change, so that a caller can tell a change by
    /// [`Arc::ptr_eq`].
    pub fn get(&self, service: &ServiceRef) -> Arc<[SocketAddr]> {
        let entries = self.services.load();
        match find(&entries, service) {
            Ok(at) => Arc::clone(&entries[at].ready),
            Err(_) => Arc::from([]),
        }
    }

    /// Whether the addresses of a Service are known, be there any or not.
    pub fn knows(&self, service: &ServiceRef) -> bool {
        find(&self.services.load(), service).is_ok()
    }

    /// For how long the addresses of a Service have been what they are; `None` if they are not known.
    pub fn unchanged_for(&self, service: &ServiceRef, now: Instant) -> Option<Duration> {
        let entries = self.services.load();
        let at = find(&entries, service).ok()?;
        Some(now.saturating_duration_since(entries[at].since))
    }

    /// Every Service with its addresses.
    pub fn all(&self) -> Vec<(ServiceRef, Arc<[SocketAddr]>)> {
        self.services
            .load()
            .iter()
            .map(|entry| (entry.service.clone(), Arc::clone(&entry.ready)))
            .collect()
    }

    /// Puts the ready addresses of a Service in place of the former ones. Order and repetition do not matter.
    pub fn set(&self, service: &ServiceRef, mut ready: Vec<SocketAddr>) {
        ready.sort_unstable();
        ready.dedup();
        let ready: Arc<[SocketAddr]> = ready.into();
        let now = Instant::now();
        self.services.rcu(|entries| {
            let mut next = Vec::clone(entries);
            match find(&next, service) {
                Ok(at) if *next[at].ready == *ready => {}
                Ok(at) => {
                    next[at].ready = Arc::clone(&ready);
                    next[at].since = now;
                }
                Err(at) => next.insert(
                    at,
                    Entry {
                        service: service.clone(),
                        ready: Arc::clone(&ready),
                        since: now,
                    },
                ),
            }
            next
        });
    }

    /// Forgets every Service that is not in `services`.
    pub fn retain(&self, services: &[ServiceRef]) {
        self.services.rcu(|entries| {
            let mut next = Vec::clone(entries);
            next.retain(|entry| services.iter().any(|service| key(service) == key(&entry.service)));
            next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, path: &str) -> ServiceRef {
        ServiceRef {
            namespace: "llm".into(),
            name: name.into(),
            port: 8000,
            path: path.into(),
        }
    }

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 8000))
    }

    #[test]
    fn a_service_has_the_addresses_that_were_set_last_whatever_its_path() {
        let table = EndpointTable::new();
        assert!(table.get(&service("vllm", "")).is_empty());
        assert!(!table.knows(&service("vllm", "")));
        table.set(&service("vllm", "/v1"), vec![addr(2), addr(1), addr(2)]);
        assert_eq!(*table.get(&service("vllm", "")), [addr(1), addr(2)]);
        table.set(&service("vllm", ""), vec![]);
        assert!(table.knows(&service("vllm", "")));
        assert!(table.get(&service("vllm", "/v1")).is_empty());
    }

    #[test]
    fn setting_equal_addresses_keeps_the_slice() {
        let table = EndpointTable::new();
        table.set(&service("vllm", ""), vec![addr(1), addr(2)]);
        let before = table.get(&service("vllm", ""));
        table.set(&service("vllm", ""), vec![addr(2), addr(1)]);
        assert!(Arc::ptr_eq(&before, &table.get(&service("vllm", ""))));
    }

    #[test]
    fn a_service_that_is_no_longer_named_is_forgotten() {
        let table = EndpointTable::new();
        table.set(&service("a", ""), vec![addr(1)]);
        table.set(&service("b", ""), vec![addr(2)]);
        table.retain(&[service("b", "/v1")]);
        assert!(table.get(&service("a", "")).is_empty());
        assert_eq!(*table.get(&service("b", "")), [addr(2)]);
    }
}
