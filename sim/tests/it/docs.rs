use std::path::Path;

use tokenweir_sim::{Behaviour, Latency, Sim, SimConfig, StartError};

#[test]
fn the_settings_in_the_documentation_are_the_ones_that_exist_with_their_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sim.md");
    let text = std::fs::read_to_string(path).unwrap();
    let yaml = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sim.yaml");
    std::fs::write(&file, yaml).unwrap();
    let documented = SimConfig::read(&file).unwrap();
    let default = SimConfig::default();
    let behaviour = Behaviour {
        faults: documented.behaviour.faults.clone(),
        created: documented.behaviour.created,
        ..default.behaviour
    };
    let expected = SimConfig {
        listen: documented.listen,
        api_key_file: documented.api_key_file.clone(),
        behaviour,
        ..default
    };
    assert_eq!(documented, expected);
    // Every field stands there: what is written out again has no line that the documentation lacks.
    for key in serde_json::to_value(&documented.behaviour)
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(yaml.contains(&format!("  {key}:")), "{key} is not documented");
    }
    for key in serde_json::to_value(&documented).unwrap().as_object().unwrap().keys() {
        assert!(yaml.contains(&format!("{key}:")), "{key} is not documented");
    }
}

#[tokio::test]
async fn the_documented_test_works() -> Result<(), StartError> {
    // From here
    let sim = Sim::start(SimConfig::default())?;
    let base = sim.url();
    sim.update(|behaviour| behaviour.latency = Latency::LOADED);
    assert_eq!(sim.requests().len(), 0);
    sim.stop().await;
    // to here the page has it.
    assert!(base.starts_with("http://127.0.0.1:"));
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sim.md")).unwrap();
    let shown = page.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let run = include_str!("docs.rs").split("// From here\n").nth(1).unwrap();
    let run = run.split("// to here").next().unwrap();
    assert_eq!(statements(shown), statements(run));
    Ok(())
}

/// Lines without comments and indentation.
fn statements(text: &str) -> Vec<&str> {
    // The page also says where the names come from.
    let lines = text
        .lines()
        .map(|line| line.split("   //").next().unwrap_or(line).trim());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("use "))
        .collect()
}
