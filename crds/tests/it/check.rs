//! Checks of files that are not served.

use std::fs;
use std::path::{Path, PathBuf};

use tokenweir_crds::file::{CheckOptions, Checked, KeyStore, check, documents};

const GATEWAY: &str = "
apiVersion: tokenweir.dev/v1alpha1
kind: LLMGateway
metadata: {name: NAME, namespace: llm}
spec: {}
";

const ROUTE: &str = "
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat, namespace: llm}
spec:
  model: assistant
  gatewayRefs: [{name: edge}]
  backends: [{providerRef: {name: missing}}]
";

fn run<'a>(paths: &'a [PathBuf], change: impl FnOnce(&mut CheckOptions<'a>)) -> Checked {
    let state = tempfile::tempdir().unwrap();
    let mut options = CheckOptions {
        paths,
        deep: false,
        text: None,
        gateway: None,
    };
    change(&mut options);
    check(&options, &KeyStore::open(state.path()).unwrap())
}

fn said(checked: &Checked) -> Vec<String> {
    checked.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_quickstart_is_right_and_leaves_no_trace() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
    let checked = run(&[folder], |_| {});
    assert_eq!(said(&checked), [""; 0]);
    assert_eq!(checked.gateways, ["llm/edge"]);
    assert!(checked.objects >= 5 && checked.files.len() >= 5, "{checked:?}");
}

#[test]
fn several_paths_are_one_set_and_every_gateway_is_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let (gateways, route) = (folder.path().join("gateways.yaml"), folder.path().join("route.yaml"));
    let two = format!(
        "{}---{}",
        GATEWAY.replace("NAME", "edge"),
        GATEWAY.replace("NAME", "other")
    );
    fs::write(&gateways, two).unwrap();
    fs::write(&route, ROUTE).unwrap();
    let checked = run(&[gateways.clone(), route.clone(), folder.path().to_owned()], |_| {});
    assert_eq!(checked.gateways, ["llm/edge", "llm/other"]);
    assert_eq!(checked.files, [gateways, route.clone()]);
    let [finding] = checked.findings.as_slice() else {
        panic!("{:?}", said(&checked))
    };
    assert_eq!(
        (finding.file.as_path(), finding.line, finding.field.as_str()),
        (route.as_path(), 8, "spec.backends[0].providerRef.name")
    );
}

#[test]
fn without_a_gateway_each_object_is_checked_by_itself() {
    let checked = run(&[], |options| options.text = Some(ROUTE));
    assert_eq!((said(&checked), checked.objects), (Vec::new(), 1));
    assert_eq!(checked.gateways, [""; 0]);
    let wrong = ROUTE.replace("model: assistant", "modle: assistant");
    let checked = run(&[], |options| options.text = Some(&wrong));
    assert!(
        said(&checked)[1].starts_with("<stdin>:6:3: spec.modle: unknown field"),
        "{:?}",
        said(&checked)
    );
}

#[test]
fn a_gateway_that_is_named_and_not_there_is_a_finding_that_names_the_others() {
    let text = GATEWAY.replace("NAME", "edge");
    let checked = run(&[], |options| {
        options.text = Some(&text);
        options.gateway = Some("egde");
    });
    assert_eq!(said(&checked), ["<stdin>: there is no LLMGateway egde; there is edge"]);
}

#[test]
fn folders_inside_are_read_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("team");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("route.yaml"), ROUTE).unwrap();
    let paths = [folder.path().to_owned()];
    assert!(said(&run(&paths, |_| {}))[0].ends_with("there is no .yaml, .yml or .json file"));
    let checked = run(&paths, |options| options.deep = true);
    assert_eq!((said(&checked), checked.objects), (Vec::new(), 1));
}

#[test]
fn documents_come_as_they_were_written_with_places_for_what_others_say_of_them() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec: {ports: [{port: 1}, {port: 2}], gone: null}\n- kind: B\n---\n\n---\nkind: C\n";
    let options = CheckOptions {
        paths: &[],
        deep: false,
        text: Some(text),
        gateway: None,
    };
    let found = documents(&options).unwrap();
    let kinds: Vec<&str> = found
        .iter()
        .map(|document| document.object["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["A", "B", "C"]);
    assert_eq!(found[0].object["spec"].get("gone"), None);
    let place = |field: &str| found[0].mistake(field, "no").to_string();
    assert_eq!(place("spec.ports[1].port"), "<stdin>:5:30: spec.ports[1].port: no");
    assert_eq!(place("spec.ports[1].name"), "<stdin>:5:29: spec.ports[1].name: no");
    let broken = CheckOptions {
        text: Some("a: ["),
        ..options
    };
    assert_eq!(documents(&broken).unwrap_err().len(), 1);
}
