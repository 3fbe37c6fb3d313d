use std::collections::BTreeMap;
use std::path::Path;

use tokenweir_crds::generate::drift;

#[test]
fn what_is_generated_from_the_types_is_committed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let drift = drift(&root).unwrap();
    assert_eq!(drift, BTreeMap::new(), "run: cargo run -p tokenweir-crds --bin crdgen");
}
