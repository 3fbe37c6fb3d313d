//! A small memory with an end to everything in it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;

/// Remembers values for a while; never more than its capacity.
#[derive(Debug)]
pub struct Cache<K, V> {
    capacity: usize,
    entries: Mutex<HashMap<K, (V, Duration)>>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// An empty memory.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::new(HashMap::new()),
        }
    }

    /// The value of a key that has not ended at `now`.
    pub fn get(&self, key: &K, now: Duration) -> Option<V> {
        let entries = self.entries.lock();
        entries
            .get(key)
            .filter(|(_, end)| now < *end)
            .map(|(value, _)| value.clone())
    }

    /// Remembers a value until `end`. When full, forgets what has ended, and if that is nothing, what ends first.
    pub fn insert(&self, key: K, value: V, now: Duration, end: Duration) {
        let mut entries = self.entries.lock();
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            entries.retain(|_, (_, end)| now < *end);
            if entries.len() >= self.capacity {
                let first = entries
                    .iter()
                    .min_by_key(|(_, (_, end))| *end)
                    .map(|(key, _)| key.clone());
                if let Some(first) = first {
                    entries.remove(&first);
                }
            }
        }
        entries.insert(key, (value, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_value_ends() {
        let cache = Cache::new(2);
        cache.insert("a", 1, s(0), s(10));
        assert_eq!(cache.get(&"a", s(9)), Some(1));
        assert_eq!(cache.get(&"a", s(10)), None);
    }

    #[test]
    fn a_full_memory_forgets_what_ends_first() {
        let cache = Cache::new(2);
        cache.insert("a", 1, s(0), s(10));
        cache.insert("b", 2, s(0), s(5));
        cache.insert("c", 3, s(1), s(11));
        assert_eq!(
            [cache.get(&"a", s(1)), cache.get(&"b", s(1)), cache.get(&"c", s(1))],
            [Some(1), None, Some(3)]
        );
        cache.insert("d", 4, s(10), s(20));
        assert_eq!(cache.entries.lock().len(), 2);
    }
}
