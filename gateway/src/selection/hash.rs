//! Hashes that all gateway pods agree on, whatever their version, and rendezvous hashing with them.

/// FNV-1a of 64 bits with a finish that spreads its weak high bits. Not for secrets; whoever finds two equal ones sends two
/// requests to the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash64(u64);

impl Default for Hash64 {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash64 {
    /// The hash with these bytes behind those before.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        let next = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(self.0, next))
    }

    /// The number.
    pub fn finish(self) -> u64 {
        // The finish of SplitMix64.
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// The number for one text.
    pub fn of(bytes: &[u8]) -> u64 {
        Self::default().and(bytes).finish()
    }
}

/// How much a node of some weight wants a key: the node with the highest number gets it. When nodes come and go, only the
/// keys of those move; shares follow the weights.
pub fn rendezvous(key: u64, node: u64, weight: f64) -> f64 {
    let mixed = Hash64::default()
        .and(&key.to_le_bytes())
        .and(&node.to_le_bytes())
        .finish();
    // From 0 to 1, both left out.
    let point = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / point.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(key: u64, nodes: &[(u64, f64)]) -> u64 {
        let score = |(node, weight): &(u64, f64)| rendezvous(key, *node, *weight);
        nodes.iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap().0
    }

    #[test]
    fn keys_spread_by_weight_and_only_those_of_a_node_that_goes_move() {
        let nodes = [(1, 1.0), (2, 2.0), (3, 1.0)];
        let keys = 0..20_000_u64;
        let mut counts = [0_u32; 4];
        let mut moved = 0;
        for key in keys.map(|key| Hash64::of(&key.to_le_bytes())) {
            let before = owner(key, &nodes);
            counts[usize::try_from(before).unwrap()] += 1;
            let after = owner(key, &nodes[..2]);
            moved += u32::from(before != 3 && before != after);
        }
        // Six standard deviations of a binomial with n = 20,000 and p = 0.5 are 424.
        assert!((9_570..=10_430).contains(&counts[2]), "{counts:?}");
        assert!((4_570..=5_430).contains(&counts[1]), "{counts:?}");
        assert_eq!(moved, 0);
    }

    #[test]
    fn the_hash_never_changes() {
        // Gateway pods of different versions serve together during a roll-out.
        assert_eq!(Hash64::of(b"session-1"), 10_348_509_449_063_778_181);
    }
}
