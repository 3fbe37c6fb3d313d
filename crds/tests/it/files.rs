use std::fs;
use std::path::{Path, PathBuf};

use tokenweir_config::keys::KeyHasher;
use tokenweir_config::{Snapshot, Upstream};
use tokenweir_crds::file::{KeyStore, LoadOptions, Loaded, load_dir};

fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart")
}

fn load(path: &Path, keys: &KeyStore) -> Result<Loaded, Vec<String>> {
    let options = LoadOptions {
        path,
        gateway: None,
        generation: 7,
    };
    // Messages without the folder, which differs from run to run.
    load_dir(&options, keys).map_err(|errors| {
        errors
            .iter()
            .map(|e| e.to_string().replace(&format!("{}/", path.display()), ""))
            .collect()
    })
}

/// A folder with the quickstart, in which one file is replaced or changed.
fn changed(file: &str, change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(quickstart()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let after = change(&text);
    assert_ne!(text, after, "the change must change something");
    fs::write(path, after).unwrap();
    folder
}

fn mistakes(file: &str, change: impl Fn(&str) -> String) -> Vec<String> {
    let state = tempfile::tempdir().unwrap();
    let folder = changed(file, change);
    load(folder.path(), &KeyStore::open(state.path()).unwrap()).unwrap_err()
}

#[test]
fn the_quickstart_loads_and_its_keys_open_it() {
    let state = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(state.path()).unwrap();
    let loaded = load(&quickstart(), &keys).unwrap();

    let snapshot = Snapshot::from_json(&loaded.snapshot.to_json().unwrap()).unwrap();
    assert_eq!(snapshot.generation, 7);
    assert_eq!(snapshot.admin_key, None);
    assert_eq!(snapshot.routes.keys().collect::<Vec<_>>(), ["assistant", "sim"]);
    let Upstream::Service(service) = &snapshot.providers["sim"].upstream else {
        panic!("a Service is named")
    };
    assert_eq!(
        (service.namespace.as_str(), service.name.as_str(), service.port),
        ("llm", "sim", 8000)
    );

    let names: Vec<_> = loaded
        .minted
        .iter()
        .map(|key| (key.tenant.as_str(), key.key.as_str()))
        .collect();
    assert_eq!(names, [("acme", "ci"), ("globex", "web")]);
    let api_key = fs::read_to_string(&loaded.minted[0].path).unwrap();
    let hash = KeyHasher::new(&snapshot.key_hash_key)
        .unwrap()
        .hash_base64(api_key.trim().as_bytes());
    assert_eq!(snapshot.tenants["acme"].keys[0].hash, hash);

    assert_eq!(
        load(&quickstart(), &keys).unwrap().snapshot,
        loaded.snapshot,
        "keys and content stay the same"
    );
    let notes: Vec<String> = loaded.notes.iter().map(|note| note.message.clone()).collect();
    assert_eq!(
        notes,
        [
            "Namespace of v1 does nothing without a cluster",
            "Deployment of apps/v1 does nothing without a cluster",
            "Service of v1 does nothing without a cluster",
            "ScalingPolicy edge is valid; it does nothing without a cluster",
        ]
    );
}

#[test]
fn a_misspelled_field_is_named_with_its_place_and_the_right_one() {
    assert_eq!(
        mistakes("20-gateway.yaml", |text| text.replace("maxInFlight", "maxInflight")),
        [
            "20-gateway.yaml:12:5: spec.admission.maxInflight: unknown field \"maxInflight\"; did you mean \"maxInFlight\"?; known are \
          maxInFlight, perTenant, queue"
        ]
    );
}

#[test]
fn a_rule_says_what_was_given_and_what_would_be_right() {
    assert_eq!(
        mistakes("20-gateway.yaml", |text| text.replace("30s", "2h")),
        ["20-gateway.yaml:15:7: spec.admission.queue.maxWait: maxWait is 2h; it must be between 1ms and 1h"]
    );
    assert_eq!(
        mistakes("20-gateway.yaml", |text| text.replace("name: edge", "name: edge.eu")),
        [
            "20-gateway.yaml:4:3: metadata.name: the name 'edge.eu' cannot name a Service; use lower-case letters, digits and '-', \
          beginning with a letter and without dots"
        ]
    );
}

#[test]
fn what_takes_other_objects_to_judge_points_to_the_reference() {
    assert_eq!(
        mistakes("30-models.yaml", |text| text.replace(
            "- providerRef:\n        name: sim\n      model",
            "- providerRef:\n        name: smi\n      model"
        )),
        [
            "30-models.yaml:24:9: spec.backends[0].providerRef.name: ModelProvider smi does not exist in this namespace; there is sim"
        ]
    );
    assert_eq!(
        mistakes("30-models.yaml", |text| text.replace("sim-*", "assistant")),
        [
            "30-models.yaml:34:3: spec.model: model \"assistant\" is already served by ModelRoute assistant at LLMGateway edge; choose \
          another name, add backends there, or say by match which requests this route takes"
        ]
    );
    assert_eq!(
        mistakes("40-tenants.yaml", |text| text.replace(
            "- name: web",
            "- name: web\n        secretRef: {name: none, key: k}"
        )),
        ["40-tenants.yaml:24:9: spec.auth.apiKeys[0]: Secret none, key k: the Secret does not exist"]
    );
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let state = tempfile::tempdir().unwrap();
    let folder = changed("20-gateway.yaml", |text| text.replace("replicas: 2", "replicas: -1"));
    fs::write(folder.path().join("60-more.yaml"), "kind: Tenant\n---\na: [1\n").unwrap();
    fs::write(
        folder.path().join("70-kind.yaml"),
        "apiVersion: tokenweir.dev/v1alpha1\nkind: ModelRout\nmetadata: {name: x}\n",
    )
    .unwrap();
    let mistakes = load(folder.path(), &KeyStore::open(state.path()).unwrap()).unwrap_err();
    assert_eq!(mistakes.len(), 3, "{mistakes:#?}");
    assert_eq!(
        mistakes[0],
        "20-gateway.yaml:7:3: spec.replicas: -1 is too small; at least 0 is allowed"
    );
    assert!(mistakes[1].starts_with("60-more.yaml:"), "{mistakes:#?}");
    assert_eq!(
        mistakes[2],
        "70-kind.yaml:2:1: kind: tokenweir.dev/v1alpha1 has no kind \"ModelRout\"; did you mean \"ModelRoute\"?; there are LLMGateway, \
         ModelProvider, ModelRoute, ScalingPolicy, Tenant"
    );
}

#[test]
fn a_second_gateway_must_be_chosen_by_name() {
    let state = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(state.path()).unwrap();
    let folder = changed("60-other.yaml", |_| {
        "apiVersion: tokenweir.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: other, namespace: llm}\nspec: {}\n"
            .to_owned()
    });
    let mistakes = load(folder.path(), &keys).unwrap_err();
    assert!(
        mistakes[0].ends_with("there is more than one LLMGateway: edge, other; name the one to serve with --gateway"),
        "{mistakes:?}"
    );
    let options = LoadOptions {
        path: folder.path(),
        gateway: Some("other"),
        generation: 1,
    };
    let loaded = load_dir(&options, &keys).unwrap();
    assert_eq!(loaded.snapshot.gateway.name, "other");
    assert_eq!(loaded.snapshot.routes.len(), 0, "no route names it");
    let missing = LoadOptions {
        gateway: Some("third"),
        ..options
    };
    let errors = load_dir(&missing, &keys).unwrap_err();
    assert_eq!(errors[0].message, "there is no LLMGateway third; there is edge, other");
}

#[test]
fn secrets_in_files_serve_as_keys_and_credentials() {
    let state = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(state.path()).unwrap();
    let folder = changed("60-secrets.yaml", |_| {
        "apiVersion: v1\nkind: Secret\nmetadata: {name: acme-ci, namespace: llm}\nstringData: {apiKey: 'a-key-of-our-own-making'}\n".to_owned()
    });
    let loaded = load(folder.path(), &keys).unwrap();
    assert_eq!(loaded.minted.len(), 1, "only globex needs a key");
    let hash = KeyHasher::new(&loaded.snapshot.key_hash_key)
        .unwrap()
        .hash_base64(b"a-key-of-our-own-making");
    assert_eq!(loaded.snapshot.tenants["acme"].keys[0].hash, hash);
    assert!(!keys.path("acme-ci").exists());
}

#[test]
fn certificates_and_authorities_in_files_serve_as_in_a_cluster() {
    let state = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(state.path()).unwrap();
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["edge".to_owned()]).unwrap();
    let indented = |pem: String| pem.trim().replace('\n', "\n    ");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: edge-tls, namespace: llm}}\nstringData:\n  tls.crt: |\n    {}\n  \
         tls.key: |\n    {}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: company-ca, namespace: llm}}\ndata:\n  \
         ca.crt: |\n    {}\n",
        indented(cert.pem()),
        indented(signing_key.serialize_pem()),
        indented(cert.pem()),
    );
    let folder = changed("60-secrets.yaml", |_| secret.clone());
    let objects = "apiVersion: tokenweir.dev/v1alpha1
kind: LLMGateway
metadata: {name: secured, namespace: llm}
spec: {listeners: [{port: 8443, protocol: HTTPS, tlsSecretRef: {name: edge-tls}}]}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelProvider
metadata: {name: company, namespace: llm}
spec: {type: OpenAICompatible, endpoint: 'https://models.example.com/v1', tls: {caConfigMapRef: {name: company-ca}}}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {name: company, namespace: llm}
spec: {model: company, gatewayRefs: [{name: secured}], backends: [{providerRef: {name: company}}]}
";
    fs::write(folder.path().join("70-secured.yaml"), objects).unwrap();
    let options = LoadOptions {
        path: folder.path(),
        gateway: Some("secured"),
        generation: 7,
    };
    let loaded = load_dir(&options, &keys).unwrap();
    let tls = loaded.snapshot.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificate, cert.pem().trim());
    let ca = loaded.snapshot.providers["company"].tls.as_ref().unwrap().ca.as_deref();
    assert_eq!(ca, Some(cert.pem().trim()));
    fs::remove_file(folder.path().join("60-secrets.yaml")).unwrap();
    let errors = load_dir(&options, &keys).unwrap_err();
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert!(fields.contains(&"spec.listeners[0].tlsSecretRef.name"), "{errors:?}");
    assert!(fields.contains(&"spec.tls.caConfigMapRef"), "{errors:?}");
}

#[test]
fn a_folder_without_files_or_without_a_gateway_is_an_error() {
    let state = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(state.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(load(folder.path(), &keys).unwrap_err()[0].ends_with("there is no .yaml, .yml or .json file"));
    fs::write(folder.path().join("a.yaml"), "").unwrap();
    assert!(load(folder.path(), &keys).unwrap_err()[0].contains("there is no LLMGateway"));
    assert!(!load(&folder.path().join("nowhere"), &keys).unwrap_err().is_empty());
}
