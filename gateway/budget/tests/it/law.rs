//! The law of strict budgets: whatever happens in whatever order, what providers charge stays within the limit and the grants.

use proptest::prelude::*;

use crate::world::{Nobody, World};

/// `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(20_000),
        failure_persistence: None,
        ..config
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_strict_budget_is_never_overspent(
        first in any::<u64>(),
        words in prop::collection::vec(any::<u64>(), 1..90),
    ) {
        let mut world = World::new(first);
        for word in words {
            world.step(word, &mut Nobody);
            if let Some(overspent) = world.overspent() {
                prop_assert!(false, "{overspent}");
            }
        }
    }
}
