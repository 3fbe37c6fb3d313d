//! The YAML of the documentation is what the API knows.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tokenweir_crds::schema::Schemas;

/// The YAML blocks of a page, with the lines they begin at.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match &mut open {
            None if line == "```yaml" => open = Some((number + 2, String::new())),
            None => {}
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

/// A page may show a part of an object: what is missing is no mistake, but what stands there must be right.
#[test]
fn every_object_in_the_documentation_has_only_fields_and_values_that_exist() {
    let schemas = Schemas::new().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = fs::read_to_string(&path).unwrap();
        for (line, text) in blocks(&page) {
            let place = format!("{}:{line}", path.file_name().unwrap().to_string_lossy());
            let documents: Vec<Value> = match serde_saphyr::from_multiple(&text) {
                Ok(documents) => documents,
                Err(error) => {
                    wrong.push(format!("{place}: {error}"));
                    continue;
                }
            };
            for mut object in documents {
                let Some(kind) = object["kind"].as_str().map(str::to_owned) else {
                    // Parts of other programs' files.
                    assert!(object.get("spec").is_none(), "{place}: spec without kind");
                    continue;
                };
                if !schemas.kinds().any(|known| known == kind) {
                    continue;
                }
                let defaults = [
                    ("apiVersion", Value::from("tokenweir.dev/v1alpha1")),
                    ("metadata", serde_json::json!({"name": "shown"})),
                ];
                for (field, value) in defaults {
                    object.as_object_mut().unwrap().entry(field).or_insert(value);
                }
                seen += 1;
                let mistakes = schemas.validate(&kind, &object).unwrap().err().unwrap_or_default();
                let mistakes = mistakes.iter().map(ToString::to_string);
                wrong.extend(
                    mistakes
                        .filter(|mistake| !mistake.contains("is missing"))
                        .map(|mistake| format!("{place}: {mistake}")),
                );
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 5, "only {seen} objects were found");
}
