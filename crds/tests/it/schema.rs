use std::collections::BTreeMap;
use std::path::Path;

use tokenweir_crds::generate::{drift, files};

#[test]
fn what_is_generated_from_the_types_is_committed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let drift = drift(&root).unwrap();
    assert_eq!(drift, BTreeMap::new(), "run: cargo run -p tokenweir-crds --bin crdgen");
}

#[test]
fn every_page_of_the_reference_has_an_example_of_its_kind() {
    for (path, text) in files().unwrap() {
        let is_page = text.contains("\n## spec\n");
        if path.starts_with("docs/reference") && is_page {
            let kind = text
                .lines()
                .find_map(|line| line.strip_prefix("# "))
                .unwrap()
                .to_owned();
            assert!(
                text.contains(&format!("```yaml\napiVersion: tokenweir.dev/v1alpha1\nkind: {kind}\n")),
                "{}",
                path.display()
            );
        }
    }
}
