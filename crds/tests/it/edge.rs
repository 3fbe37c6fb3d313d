//! Certificates, authorities and the proxy on their way into a configuration.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use serde_json::{Value, json};
use tokenweir_config::admin_token::derive_key_hash_key;
use tokenweir_config::{Proxy, Snapshot};
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute};
use tokenweir_crds::compile::{
    Compiled, ConfigMaps, Inputs, Keys, Kind, Secrets, compile, referenced_config_maps, referenced_secrets,
};
use tokenweir_crds::conditions::{Finding, Reason};

struct Namespace {
    gateway: LLMGateway,
    provider: ModelProvider,
    route: ModelRoute,
    secrets: Vec<Secret>,
    config_maps: Vec<ConfigMap>,
}

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "llm"}, "spec": spec,
    }))
    .unwrap()
}

fn secret(name: &str, fields: &[(&str, &str)]) -> Secret {
    let data: serde_json::Map<String, Value> = fields.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "llm"}, "stringData": data})).unwrap()
}

fn key_pair() -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["edge.llm.svc".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

impl Namespace {
    fn new(gateway: &Value, provider: &Value) -> Self {
        Self {
            gateway: object("LLMGateway", "edge", gateway),
            provider: object("ModelProvider", "p", provider),
            route: object(
                "ModelRoute",
                "r",
                &json!({"model": "m", "gatewayRefs": [{"name": "edge"}], "backends": [{"providerRef": {"name": "p"}}]}),
            ),
            secrets: Vec::new(),
            config_maps: Vec::new(),
        }
    }

    fn compile(&self) -> Compiled {
        let keys = Keys::new(derive_key_hash_key(&[7; 32], "llm", "edge"), None).unwrap();
        let secrets: Secrets = self.secrets.iter().collect();
        let config_maps: ConfigMaps = self.config_maps.iter().collect();
        compile(&Inputs {
            gateway: &self.gateway,
            gateways: ["edge".to_owned()].into(),
            providers: vec![&self.provider],
            routes: vec![&self.route],
            tenants: vec![],
            secrets: &secrets,
            config_maps: &config_maps,
            keys: &keys,
            generation: 1,
        })
    }

    fn refs(&self, kind: Kind, name: &str) -> Finding {
        self.compile().verdict(kind, name).unwrap().resolved_refs()
    }
}

fn https_gateway() -> Namespace {
    Namespace::new(
        &json!({"listeners": [{"port": 8443, "protocol": "HTTPS", "tlsSecretRef": {"name": "edge-tls"}}, {"port": 8080}]}),
        &json!({"type": "OpenAICompatible", "endpoint": "https://api.example.com/v1"}),
    )
}

#[test]
fn a_certificate_reaches_the_listener_that_names_it_and_raises_the_format() {
    let mut namespace = https_gateway();
    let (certificate, key) = key_pair();
    namespace.secrets = vec![secret("edge-tls", &[("tls.crt", &certificate), ("tls.key", &key)])];
    let compiled = namespace.compile();
    let snapshot = Snapshot::from_json(&compiled.snapshot.to_json().unwrap()).unwrap();
    assert_eq!(snapshot.format, 2, "an older gateway would serve it without TLS");
    assert_eq!(snapshot.listeners[0].port, 8080);
    assert!(snapshot.listeners[0].tls.is_none());
    let tls = snapshot.listeners[1].tls.as_ref().unwrap();
    assert_eq!(
        (tls.certificate.as_str(), tls.key.as_str()),
        (certificate.trim(), key.trim())
    );
    assert!(!format!("{snapshot:?}").contains("PRIVATE KEY"));
    assert!(
        compiled
            .verdict(Kind::LLMGateway, "edge")
            .unwrap()
            .resolved_refs()
            .is_true()
    );
    namespace.gateway.spec.listeners.remove(0);
    assert_eq!(namespace.compile().snapshot.format, 1);
}

#[test]
fn a_listener_without_a_usable_certificate_stays_closed_and_the_others_open() {
    let (certificate, _) = key_pair();
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (secrets, reason, words) in [
        (
            vec![],
            Reason::SecretNotFound,
            "Secret edge-tls, key tls.crt: the Secret does not exist",
        ),
        (
            vec![secret("edge-tls", &[("tls.crt", &certificate)])],
            Reason::SecretInvalid,
            "Secret edge-tls, key tls.key: the Secret has no such key",
        ),
        (
            vec![secret("edge-tls", &[("tls.crt", &certificate), ("tls.key", &other)])],
            Reason::CertificateInvalid,
            "Secret edge-tls: the private key does not belong to the certificate",
        ),
        (
            vec![secret("edge-tls", &[("tls.crt", "nothing"), ("tls.key", &other)])],
            Reason::CertificateInvalid,
            "Secret edge-tls: there is no certificate in PEM form",
        ),
    ] {
        let mut namespace = https_gateway();
        namespace.secrets = secrets;
        let compiled = namespace.compile();
        assert!(compiled.gateway_accepted());
        let ports: Vec<u16> = compiled
            .snapshot
            .listeners
            .iter()
            .map(|listener| listener.port)
            .collect();
        assert_eq!(ports, [8080]);
        let finding = namespace.refs(Kind::LLMGateway, "edge");
        assert_eq!(finding.reason, reason);
        assert_eq!(finding.message, format!("spec.listeners[0].tlsSecretRef.name: {words}"));
    }
}

#[test]
fn a_gateway_that_has_lost_its_only_certificate_is_left_as_it_is() {
    let mut namespace = https_gateway();
    namespace.gateway.spec.listeners.remove(1);
    assert!(!namespace.compile().gateway_accepted());
}

#[test]
fn a_provider_gets_its_authorities_its_certificate_and_its_name() {
    let mut namespace = Namespace::new(
        &json!({}),
        &json!({
            "type": "OpenAICompatible",
            "endpoint": "https://models.example.com/v1",
            "tls": {
                "caConfigMapRef": {"name": "authorities", "key": "bundle.pem"},
                "clientCertificateSecretRef": {"name": "client"},
                "serverName": "models.internal",
            },
        }),
    );
    let (ca, _) = key_pair();
    let (certificate, key) = key_pair();
    assert_eq!(namespace.refs(Kind::ModelProvider, "p").reason, Reason::SecretNotFound);
    namespace.secrets = vec![secret("client", &[("tls.crt", &certificate), ("tls.key", &key)])];
    let missing = namespace.refs(Kind::ModelProvider, "p");
    assert_eq!(
        (missing.reason, missing.message.as_str()),
        (
            Reason::ConfigMapNotFound,
            "spec.tls.caConfigMapRef: ConfigMap authorities, key bundle.pem: the ConfigMap does not exist"
        )
    );
    let map = |text: &str| -> Vec<ConfigMap> {
        vec![
            serde_json::from_value(json!({"metadata": {"name": "authorities"}, "data": {"bundle.pem": text}})).unwrap(),
        ]
    };
    namespace.config_maps = map("none");
    assert_eq!(
        namespace.refs(Kind::ModelProvider, "p").reason,
        Reason::ConfigMapInvalid
    );
    namespace.config_maps = map(&ca);
    let snapshot = namespace.compile().snapshot;
    let tls = snapshot.providers["p"].tls.as_ref().unwrap();
    assert_eq!(tls.ca.as_deref(), Some(ca.trim()));
    assert_eq!(tls.client.as_ref().unwrap().key, key.trim());
    assert_eq!(tls.server_name.as_deref(), Some("models.internal"));
    assert_eq!(snapshot.format, 2);
}

#[test]
fn a_service_with_tls_is_known_by_its_own_name_unless_told_otherwise() {
    let service = |tls: Value| {
        let mut spec = json!({
            "type": "OpenAICompatible", "backendRef": {"name": "vllm", "port": 8443, "scheme": "HTTPS"},
        });
        if !tls.is_null() {
            spec["tls"] = tls;
        }
        Namespace::new(&json!({}), &spec).compile().snapshot.providers["p"]
            .tls
            .clone()
            .unwrap()
    };
    let plain = service(Value::Null);
    assert_eq!(plain.server_name.as_deref(), Some("vllm.llm.svc"));
    assert_eq!((plain.ca, plain.client), (None, None));
    let named = service(json!({"serverName": "inference.internal"}));
    assert_eq!(named.server_name.as_deref(), Some("inference.internal"));
}

#[test]
fn the_proxy_is_for_endpoints_that_are_not_excepted() {
    let mut namespace = Namespace::new(
        &json!({"proxy": {
            "url": "http://proxy.example.com:3128", "secretRef": {"name": "proxy"}, "noProxy": [".internal.example.com"],
        }}),
        &json!({"type": "OpenAICompatible", "endpoint": "https://api.example.com/v1"}),
    );
    let without = namespace.compile();
    assert!(!without.gateway_accepted(), "it must not go around its proxy");
    namespace.secrets = vec![secret("proxy", &[("username", "gate"), ("password", "s3cret")])];
    let snapshot = namespace.compile().snapshot;
    let expected = Proxy {
        host: "proxy.example.com".into(),
        port: 3128,
        authorization: Some("Basic Z2F0ZTpzM2NyZXQ=".into()),
    };
    assert_eq!(snapshot.providers["p"].proxy, Some(expected));
    assert!(!format!("{snapshot:?}").contains("Z2F0ZTpzM2NyZXQ"));
    for endpoint in [
        "https://a.internal.example.com/v1",
        "http://127.0.0.1:8000/v1",
        "http://[::1]:8000/v1",
    ] {
        namespace.provider.spec.endpoint = Some(endpoint.into());
        assert_eq!(namespace.compile().snapshot.providers["p"].proxy, None, "{endpoint}");
    }
    namespace.provider = object(
        "ModelProvider",
        "p",
        &json!({"type": "OpenAICompatible", "backendRef": {"name": "vllm", "port": 8000}}),
    );
    assert_eq!(namespace.compile().snapshot.providers["p"].proxy, None);
}

#[test]
fn everything_that_is_named_is_fetched() {
    let mut namespace = https_gateway();
    namespace.provider.spec.tls = serde_json::from_value(json!({
        "caConfigMapRef": {"name": "authorities"}, "clientCertificateSecretRef": {"name": "client"},
    }))
    .unwrap();
    namespace.gateway.spec.proxy =
        serde_json::from_value(json!({"url": "http://proxy:3128", "secretRef": {"name": "proxy"}})).unwrap();
    let secrets = referenced_secrets(&namespace.gateway, [&namespace.provider], []);
    assert_eq!(secrets.into_iter().collect::<Vec<_>>(), ["client", "edge-tls", "proxy"]);
    let maps = referenced_config_maps([&namespace.provider]);
    assert_eq!(maps.into_iter().collect::<Vec<_>>(), ["authorities"]);
}

#[test]
fn sizes_of_bodies_are_bytes_in_the_configuration() {
    let namespace = |limits: Value| Namespace::new(&json!({"limits": limits}), &json!({"type": "OpenAICompatible"}));
    let limits = namespace(json!({"maxBodyBytes": "32Mi", "maxConnections": 7}))
        .compile()
        .snapshot
        .limits;
    assert_eq!((limits.max_body_bytes, limits.max_connections), (32 << 20, 7));
    let defaults = namespace(json!({})).compile().snapshot.limits;
    assert_eq!(defaults, tokenweir_config::Limits::default());
}
