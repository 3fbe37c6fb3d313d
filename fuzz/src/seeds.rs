//! Where the fuzzer begins: the golden files of the dialects, so that nothing is written twice.

use std::collections::BTreeSet;
use std::fs;
use std::io::Error;
use std::path::Path;

use crate::{TARGETS, frames};

/// The golden files of a folder and a dialect: `requests` of `chat`, `streams` of `gemini`.
pub fn golden(folder: &str, dialect: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../gateway/llm/tests/golden")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| {
            path.file_stem()
                .is_some_and(|stem| Path::new(stem).extension().is_some_and(|of| of == dialect))
        })
        .map(|path| fs::read(path).unwrap())
        // White space between values is what mutations would be wasted on.
        .map(|text| match serde_json::from_slice::<serde_json::Value>(&text) {
            Ok(value) => value.to_string().into_bytes(),
            Err(_) => text,
        })
        .collect()
}

/// Amazon's binary framing of the golden streams that are written down as lines.
pub fn framed() -> Vec<Vec<u8>> {
    (golden("streams", "converse").iter())
        .map(|text| frames::frames(&String::from_utf8_lossy(text)))
        .collect()
}

/// Writes the seeds of all targets and, for each, a dictionary of the words in them.
pub fn write(folder: &Path) -> Result<(), Error> {
    for target in &TARGETS {
        let own = folder.join(target.name);
        fs::create_dir_all(&own)?;
        let mut words = BTreeSet::new();
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(own.join(format!("seed-{number}")), seed)?;
            words.extend(names(seed));
        }
        let lines: Vec<String> = words.iter().map(|word| format!("\"{word}\"\n")).collect();
        fs::write(folder.join(format!("{}.dict", target.name)), lines.concat())?;
    }
    Ok(())
}

/// The texts in quotation marks that are names: of fields, of types, of events.
fn names(seed: &[u8]) -> impl Iterator<Item = String> {
    seed.split(|byte| *byte == b'"')
        .filter(|word| (2..=40).contains(&word.len()))
        .filter(|word| {
            word.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
        })
        .map(|word| String::from_utf8_lossy(word).into_owned())
}
