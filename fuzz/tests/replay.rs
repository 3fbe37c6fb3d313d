//! Every target on its seeds, and on every input that once broke a law.
//!
//! One test alone in its program: memory is counted for the whole of it.

use std::path::Path;

use tokenweir_fuzz::{TARGETS, target};

/// Bytes to which a seed is repeated. A stream has more events then, or more behind its end; a document is refused for it.
const LONG: usize = 64 * 1024;

#[test]
fn every_law_holds_on_the_seeds_and_on_what_once_broke_one() {
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            (target.run)(&seed);
            // Long enough that memory for the square of it would be out of proportion.
            (target.run)(&seed.repeat(LONG.div_ceil(seed.len())));
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in folder.read_dir().unwrap() {
        let of_target = entry.unwrap().path();
        let name = of_target.file_name().unwrap().to_str().unwrap();
        let Some(target) = target(name) else {
            panic!("there are inputs for '{name}', which is no target");
        };
        for input in of_target.read_dir().unwrap() {
            (target.run)(&std::fs::read(input.unwrap().path()).unwrap());
        }
    }
}
