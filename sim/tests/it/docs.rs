use std::path::Path;

use tokenweir_sim::{Behaviour, SimConfig};

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
