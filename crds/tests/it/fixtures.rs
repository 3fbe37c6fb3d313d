use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};
use tokenweir_crds::schema::{Mistake, Schemas, Step, definitions, open_api_schema};

struct Fixture {
    name: String,
    object: Value,
    expected: Vec<String>,
}

impl Fixture {
    fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap()
    }

    fn verdict(&self, schemas: &Schemas) -> Result<Value, Vec<Mistake>> {
        schemas.validate(self.kind(), &self.object).unwrap()
    }
}

fn fixtures(folder: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder);
    let mut fixtures: Vec<Fixture> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let comment = |line: &str| {
                let text = line
                    .strip_prefix("# expect: ")
                    .or_else(|| line.strip_prefix("# expect-file: "));
                text.map(str::to_owned)
            };
            let mut object: Value = serde_saphyr::from_str(&text).unwrap();
            drop_nulls(&mut object);
            Fixture {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                object,
                expected: text.lines().filter_map(comment).collect(),
            }
        })
        .collect();
    fixtures.sort_by(|a, b| a.name.cmp(&b.name));
    fixtures
}

fn drop_nulls(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
        object.values_mut().for_each(drop_nulls);
    }
}

/// Every rule of every kind, as (kind, field, rule). Items of lists are `[]`.
fn rules() -> BTreeSet<(String, String, String)> {
    fn collect(kind: &str, node: &Value, path: &str, found: &mut BTreeSet<(String, String, String)>) {
        for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let at = format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default());
            found.insert((kind.to_owned(), at, rule["rule"].as_str().unwrap().to_owned()));
        }
        for (name, child) in node["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            collect(kind, child, &path, found);
        }
        if let Some(items) = node.get("items") {
            collect(kind, items, &format!("{path}[]"), found);
        }
    }
    let mut found = BTreeSet::new();
    for definition in definitions().unwrap() {
        let schema = open_api_schema(&definition).unwrap();
        collect(&definition.spec.names.kind, &schema, "", &mut found);
    }
    let on_name = |(kind, path, rule): (String, String, String)| {
        let path = if path.is_empty() {
            "metadata.name".to_owned()
        } else {
            path
        };
        (kind, path, rule)
    };
    found.into_iter().map(on_name).collect()
}

fn general(path: &tokenweir_crds::schema::Path) -> String {
    let mut text = String::new();
    for step in &path.0 {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(_) => text.push_str("[]"),
        }
    }
    text
}

#[test]
fn every_valid_object_is_taken() {
    let schemas = Schemas::new().unwrap();
    for fixture in fixtures("valid") {
        if let Err(mistakes) = fixture.verdict(&schemas) {
            panic!("{}: {mistakes:#?}", fixture.name);
        }
    }
}

/// A program may read an object that was stored before a field had its default.
#[test]
fn defaults_in_the_code_are_those_in_the_schema() {
    fn typed<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<K>(object.clone()).unwrap()).unwrap()
    }
    let schemas = Schemas::new().unwrap();
    for fixture in fixtures("valid") {
        let read = match fixture.kind() {
            "LLMGateway" => typed::<LLMGateway>,
            "ModelProvider" => typed::<ModelProvider>,
            "ModelRoute" => typed::<ModelRoute>,
            "Tenant" => typed::<Tenant>,
            "ScalingPolicy" => typed::<ScalingPolicy>,
            other => panic!("{other} is not one of ours"),
        };
        let defaulted = fixture.verdict(&schemas).unwrap();
        assert_eq!(read(&fixture.object), read(&defaulted), "{}", fixture.name);
    }
}

#[test]
fn every_invalid_object_is_refused_with_its_messages() {
    let schemas = Schemas::new().unwrap();
    for fixture in fixtures("invalid") {
        let mistakes = fixture.verdict(&schemas).expect_err(&fixture.name);
        assert!(!fixture.expected.is_empty(), "{} expects nothing", fixture.name);
        for expected in &fixture.expected {
            assert!(
                mistakes.iter().any(|mistake| mistake.message.contains(expected)),
                "{}: {expected:?} is in none of {mistakes:#?}",
                fixture.name
            );
        }
    }
}

#[test]
fn every_rule_refuses_something() {
    let schemas = Schemas::new().unwrap();
    let mut untested = rules();
    assert!(untested.len() > 50, "the rules are found");
    for fixture in fixtures("invalid") {
        for mistake in fixture.verdict(&schemas).unwrap_err() {
            let Some(rule) = mistake.rule else { continue };
            let key = (fixture.kind().to_owned(), general(&mistake.path), rule);
            untested.remove(&key);
        }
    }
    assert_eq!(untested, BTreeSet::new(), "rules that no invalid fixture breaks");
}

#[test]
fn every_rule_accepts_something() {
    fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        found.insert(path.to_owned());
        for (name, child) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            paths(child, &path, found);
        }
        for item in value.as_array().into_iter().flatten() {
            paths(item, &format!("{path}[]"), found);
        }
    }
    let schemas = Schemas::new().unwrap();
    let mut present: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for fixture in fixtures("valid") {
        let object = fixture.verdict(&schemas).unwrap();
        paths(&object, "", present.entry(fixture.kind().to_owned()).or_default());
    }
    let mut untested = rules();
    untested.retain(|(kind, path, _)| !present[kind].contains(path));
    assert_eq!(untested, BTreeSet::new(), "rules that no valid fixture is judged by");
}
