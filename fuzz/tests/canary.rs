//! What shows that coverage guides the fuzzer.

use tokenweir_fuzz::CANARY;

#[test]
fn the_canary_is_found_at_its_six_bytes_alone() {
    (CANARY.run)(b"weir");
    (CANARY.run)(b"______");
    assert!(std::panic::catch_unwind(|| (CANARY.run)(b"weired")).is_err());
}
