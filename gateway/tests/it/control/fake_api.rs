//! As much of an API server as a gateway talks to: reading, listing and watching Secrets and EndpointSlices.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenweir_config::shards::SecretData;
use tokio::sync::watch;

#[derive(Clone)]
pub struct FakeApi {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Mutex<Objects>,
    /// Resource version, or none while the API server is away.
    version: watch::Sender<Option<u64>>,
    kubeconfig: TempDir,
}

#[derive(Default)]
struct Objects {
    version: u64,
    /// By plural and name.
    current: BTreeMap<(String, String), Value>,
    /// Version, plural, type of event, object.
    events: Vec<(u64, String, &'static str, Value)>,
}

type Parameters = Query<BTreeMap<String, String>>;

impl FakeApi {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kubeconfig = tempfile::tempdir().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        });
        std::fs::write(kubeconfig.path().join("config"), config.to_string()).unwrap();
        let inner = Inner {
            objects: Mutex::default(),
            version: watch::Sender::new(Some(0)),
            kubeconfig,
        };
        let api = Self { inner: Arc::new(inner) };
        let router = axum::Router::new()
            .route("/api/v1/namespaces/llm/{plural}", get(list))
            .route("/api/v1/namespaces/llm/{plural}/{name}", get(read))
            .route("/apis/discovery.k8s.io/v1/namespaces/llm/{plural}", get(list))
            .with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    /// For the environment variable `KUBECONFIG`.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        self.inner.kubeconfig.path().join("config")
    }

    fn put(&self, plural: &str, kind: &str, api_version: &str, name: &str, rest: &Value) {
        let mut objects = self.inner.objects.lock().unwrap();
        objects.version += 1;
        let version = objects.version;
        let mut object = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"name": name, "namespace": "llm", "uid": name, "resourceVersion": version.to_string()},
        });
        for (field, value) in rest.as_object().unwrap() {
            match (field.as_str(), value) {
                ("labels", labels) => object["metadata"]["labels"] = labels.clone(),
                (field, value) => object[field] = value.clone(),
            }
        }
        let key = (plural.to_owned(), name.to_owned());
        let event = if objects.current.contains_key(&key) {
            "MODIFIED"
        } else {
            "ADDED"
        };
        objects.current.insert(key, object.clone());
        objects.events.push((version, plural.to_owned(), event, object));
        self.inner
            .version
            .send_if_modified(|now| now.as_mut().map(|now| *now = version).is_some());
    }

    pub fn put_secret(&self, name: &str, data: &SecretData) {
        let data: BTreeMap<&str, String> = data
            .iter()
            .map(|(field, bytes)| (&**field, STANDARD.encode(bytes)))
            .collect();
        self.put("secrets", "Secret", "v1", name, &json!({"data": data}));
    }

    pub fn put_secrets(&self, secrets: &[(String, SecretData)]) {
        for (name, data) in secrets {
            self.put_secret(name, data);
        }
    }

    /// The endpoints of a Service with one port.
    pub fn put_endpoints(&self, service: &str, port: u16, addresses: &[&str]) {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}}))
            .collect();
        let slice = json!({
            "labels": {"kubernetes.io/service-name": service},
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": port, "protocol": "TCP"}],
        });
        self.put(
            "endpointslices",
            "EndpointSlice",
            "discovery.k8s.io/v1",
            &format!("{service}-x"),
            &slice,
        );
    }

    /// A Service with these ports by name.
    pub fn put_service(&self, name: &str, ports: &[(&str, u16)]) {
        let ports: Vec<Value> = ports
            .iter()
            .map(|(name, port)| json!({"name": name, "port": port}))
            .collect();
        self.put("services", "Service", "v1", name, &json!({"spec": {"ports": ports}}));
    }

    /// The endpoints, on this machine, of a Service with several ports.
    pub fn put_endpoints_with_ports(&self, service: &str, ports: &[(&str, u16)]) {
        let ports: Vec<Value> = ports
            .iter()
            .map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"}))
            .collect();
        let slice = json!({
            "labels": {"kubernetes.io/service-name": service},
            "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": ports,
        });
        self.put(
            "endpointslices",
            "EndpointSlice",
            "discovery.k8s.io/v1",
            &format!("{service}-x"),
            &slice,
        );
    }

    /// Every request fails and every watch breaks off, until [`FakeApi::back`].
    pub fn away(&self) {
        self.inner.version.send_replace(None);
    }

    pub fn back(&self) {
        let version = self.inner.objects.lock().unwrap().version;
        self.inner.version.send_replace(Some(version));
    }

    fn is_away(&self) -> bool {
        self.inner.version.borrow().is_none()
    }
}

fn failure(status: StatusCode) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
        "message": status.to_string(), "reason": if status == StatusCode::NOT_FOUND { "NotFound" } else { "Broken" },
    });
    (status, Json(body)).into_response()
}

async fn read(State(api): State<FakeApi>, Path((plural, name)): Path<(String, String)>) -> Response {
    if api.is_away() {
        return failure(StatusCode::SERVICE_UNAVAILABLE);
    }
    let objects = api.inner.objects.lock().unwrap();
    match objects.current.get(&(plural, name)) {
        Some(object) => Json(object.clone()).into_response(),
        None => failure(StatusCode::NOT_FOUND),
    }
}

/// Whether the selectors of a request fit, of which a gateway uses one form each.
fn selected(object: &Value, parameters: &BTreeMap<String, String>) -> bool {
    let name = parameters
        .get("fieldSelector")
        .map(|fields| fields.strip_prefix("metadata.name=").unwrap());
    let services = parameters.get("labelSelector").map(|labels| {
        labels
            .strip_prefix("kubernetes.io/service-name in (")
            .unwrap()
            .strip_suffix(')')
            .unwrap()
            .split(',')
    });
    let metadata = &object["metadata"];
    name.is_none_or(|name| metadata["name"] == name)
        && services.is_none_or(|mut all| all.any(|one| metadata["labels"]["kubernetes.io/service-name"] == one))
}

async fn list(State(api): State<FakeApi>, Path(plural): Path<String>, Query(parameters): Parameters) -> Response {
    if api.is_away() {
        return failure(StatusCode::SERVICE_UNAVAILABLE);
    }
    if parameters.get("watch").is_some_and(|watch| watch == "true") {
        let since = parameters["resourceVersion"].parse().unwrap();
        return watch_from(&api, plural, parameters, since);
    }
    let objects = api.inner.objects.lock().unwrap();
    let items: Vec<&Value> = objects
        .current
        .iter()
        .filter(|((of, _), object)| *of == plural && selected(object, &parameters))
        .map(|(_, object)| object)
        .collect();
    Json(json!({
        "kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": objects.version.to_string()}, "items": items,
    }))
    .into_response()
}

fn watch_from(api: &FakeApi, plural: String, parameters: BTreeMap<String, String>, since: u64) -> Response {
    let versions = api.inner.version.subscribe();
    let state = (api.clone(), versions, since);
    let stream = futures::stream::unfold(state, move |(api, mut versions, seen)| {
        let (plural, parameters) = (plural.clone(), parameters.clone());
        async move {
            let now = versions
                .wait_for(|now| now.is_none_or(|now| now > seen))
                .await
                .ok()
                .and_then(|now| *now)?;
            let mut lines = String::new();
            for (version, of, event, object) in &api.inner.objects.lock().unwrap().events {
                if *version > seen && *version <= now && *of == plural && selected(object, &parameters) {
                    lines.push_str(&json!({"type": event, "object": object}).to_string());
                    lines.push('\n');
                }
            }
            Some((Ok::<_, Infallible>(lines), (api, versions, now)))
        }
    });
    Body::from_stream(stream).into_response()
}
