//! The prompt cache: which beginnings of prompts were read before.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

/// Beginnings that are kept; the oldest go first.
const MOST: usize = 10_000;
/// Beginnings of one prompt that are kept. A long conversation has one a turn, and goes on from its last ones.
const EACH: usize = 64;

#[derive(Debug, Default)]
struct Kept {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

/// Hashes of the beginnings of prompts.
#[derive(Debug, Default)]
pub(crate) struct Prompts(Mutex<Kept>);

impl Prompts {
    /// Tokens of the longest beginning that was here before. All of them that have at least so many tokens are here
    /// from now on.
    pub(crate) fn look_up(&self, prefixes: impl DoubleEndedIterator<Item = (u64, u64)>, least: u64) -> u64 {
        let mut kept = self.0.lock();
        let mut longest = 0;
        for (prefix, tokens) in prefixes.rev().take(EACH).filter(|(_, tokens)| *tokens >= least) {
            if kept.known.insert(prefix) {
                kept.order.push_back(prefix);
            } else {
                longest = longest.max(tokens);
            }
        }
        while kept.order.len() > MOST {
            if let Some(oldest) = kept.order.pop_front() {
                kept.known.remove(&oldest);
            }
        }
        longest
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_known_beginning_counts_and_short_ones_do_not() {
        let prompts = Prompts::default();
        assert_eq!(prompts.look_up([(1, 500), (2, 2000)].into_iter(), 1000), 0);
        assert_eq!(
            prompts.look_up([(1, 500), (2, 2000), (3, 3000)].into_iter(), 1000),
            2000
        );
        assert_eq!(prompts.look_up([(1, 500)].into_iter(), 400), 0);
        prompts.clear();
        assert_eq!(prompts.look_up([(3, 3000)].into_iter(), 1000), 0);
        for prefix in 0..2 * MOST as u64 {
            prompts.look_up([(prefix, 3000)].into_iter(), 1000);
        }
        assert_eq!(prompts.0.lock().known.len(), MOST);
    }
}
