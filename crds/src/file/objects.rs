//! From documents to checked objects.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::yaml::{Node, Tree};
use super::{FileError, Note};
use crate::api::{GROUP, LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant, VERSION};
use crate::schema::{Path, Schemas, closest};

/// An object that was read, and where it stands.
#[derive(Debug)]
pub(super) struct Found<K> {
    pub name: String,
    pub namespace: String,
    pub source: Source,
    pub object: K,
}

/// Where an object stands.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub file: PathBuf,
    pub node: Node,
}

impl Source {
    /// An error at a field.
    pub fn error(&self, path: &Path, message: impl Into<String>) -> FileError {
        let place = self.node.place_of(path);
        FileError {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            field: path.to_string(),
            message: message.into(),
        }
    }
}

/// All objects of a folder.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub gateways: Vec<Found<LLMGateway>>,
    pub providers: Vec<Found<ModelProvider>>,
    pub routes: Vec<Found<ModelRoute>>,
    pub tenants: Vec<Found<Tenant>>,
    pub policies: Vec<Found<ScalingPolicy>>,
    pub secrets: Vec<Found<Secret>>,
    pub config_maps: Vec<Found<ConfigMap>>,
    pub notes: Vec<Note>,
    pub errors: Vec<FileError>,
    seen: BTreeMap<(String, String, String), (PathBuf, u64)>,
}

impl Objects {
    /// How many objects of our own kinds there are.
    pub fn ours(&self) -> usize {
        self.gateways.len() + self.providers.len() + self.routes.len() + self.tenants.len() + self.policies.len()
    }

    /// Takes in one document.
    pub fn add(&mut self, schemas: &Schemas, file: &FilePath, node: Node) {
        let source = Source {
            file: file.to_owned(),
            node,
        };
        let (Some(api_version), Some(kind)) = (source.node.text("apiVersion"), source.node.text("kind")) else {
            let message = "this is not a Kubernetes object; apiVersion and kind are needed";
            self.errors.push(source.error(&Path::default(), message));
            return;
        };
        let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
        match (api_version.as_str(), kind.as_str()) {
            ("v1", "List") => self.add_list(schemas, &source),
            ("v1", "Secret") => self.add_secret(source),
            ("v1", "ConfigMap") => self.add_config_map(source),
            _ if api_version.starts_with("tokenweir.dev/") || schemas.kinds().any(|known| known == kind) => {
                self.add_ours(schemas, source, &api_version, &kind);
            }
            _ => self.notes.push(Note {
                file: source.file,
                line: source.node.place.line,
                message: format!("{kind} of {api_version} does nothing without a cluster"),
            }),
        }
    }

    fn add_list(&mut self, schemas: &Schemas, source: &Source) {
        if let Some(Node {
            tree: Tree::List(items),
            ..
        }) = source.node.get("items")
        {
            for item in items {
                self.add(schemas, &source.file, item.clone());
            }
        }
    }

    fn add_secret(&mut self, source: Source) {
        let value = source.node.to_json();
        if let Some((name, namespace)) = self.identity(&source, "Secret")
            && let Some(object) = self.typed::<Secret>(&source, value)
        {
            self.secrets.push(Found {
                name,
                namespace,
                source,
                object,
            });
        }
    }

    fn add_config_map(&mut self, source: Source) {
        let value = source.node.to_json();
        if let Some((name, namespace)) = self.identity(&source, "ConfigMap")
            && let Some(object) = self.typed::<ConfigMap>(&source, value)
        {
            self.config_maps.push(Found {
                name,
                namespace,
                source,
                object,
            });
        }
    }

    fn add_ours(&mut self, schemas: &Schemas, source: Source, api_version: &str, kind: &str) {
        let expected = format!("{GROUP}/{VERSION}");
        if !schemas.kinds().any(|known| known == kind) {
            let hint = closest(kind, schemas.kinds());
            let known: Vec<&str> = schemas.kinds().collect();
            let message = format!("{expected} has no kind {kind:?}{hint}; there are {}", known.join(", "));
            self.errors.push(source.error(&Path::default().key("kind"), message));
            return;
        }
        if api_version != expected {
            let message = format!("{kind} is not known as {api_version}; write {expected}");
            self.errors
                .push(source.error(&Path::default().key("apiVersion"), message));
            return;
        }
        let Some((name, namespace)) = self.identity(&source, kind) else {
            return;
        };
        let mut value = source.node.to_json();
        if let Some(object) = value.as_object_mut() {
            // What a cluster reported is no configuration.
            object.remove("status");
        }
        let value = match schemas.validate(kind, &value) {
            Some(Ok(value)) => value,
            Some(Err(mistakes)) => {
                self.errors
                    .extend(mistakes.into_iter().map(|m| source.error(&m.path, m.message)));
                return;
            }
            None => return,
        };
        macro_rules! keep {
            ($list:ident) => {
                if let Some(object) = self.typed(&source, value) {
                    self.$list.push(Found {
                        name,
                        namespace,
                        source,
                        object,
                    });
                }
            };
        }
        match kind {
            "LLMGateway" => keep!(gateways),
            "ModelProvider" => keep!(providers),
            "ModelRoute" => keep!(routes),
            "Tenant" => keep!(tenants),
            _ => keep!(policies),
        }
    }

    /// Name and namespace; a second object of the same is an error.
    fn identity(&mut self, source: &Source, kind: &str) -> Option<(String, String)> {
        let metadata = source.node.get("metadata");
        let Some(name) = metadata.and_then(|metadata| metadata.text("name")) else {
            let message = format!("the {kind} has no name, or one that is not a string");
            self.errors
                .push(source.error(&Path::default().key("metadata").key("name"), message));
            return None;
        };
        if !is_object_name(name) {
            let message = format!(
                "{name:?} cannot name an object; use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
            );
            self.errors
                .push(source.error(&Path::default().key("metadata").key("name"), message));
            return None;
        }
        // As kubectl does.
        let namespace = metadata
            .and_then(|metadata| metadata.text("namespace"))
            .unwrap_or("default");
        let key = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some((file, line)) = self.seen.get(&key) {
            let message = format!("{kind} {name} stands already in {}:{line}", file.display());
            self.errors
                .push(source.error(&Path::default().key("metadata").key("name"), message));
            return None;
        }
        self.seen.insert(key, (source.file.clone(), source.node.place.line));
        Some((name.to_owned(), namespace.to_owned()))
    }

    fn typed<K: DeserializeOwned>(&mut self, source: &Source, mut value: Value) -> Option<K> {
        default_namespace(&mut value);
        match serde_json::from_value(value) {
            Ok(object) => Some(object),
            Err(error) => {
                self.errors.push(source.error(&Path::default(), error.to_string()));
                None
            }
        }
    }
}

fn default_namespace(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| Value::from("default"));
    } else if let Some(object) = value.as_object_mut() {
        object.insert(
            "metadata".to_owned(),
            Value::Object(Map::from_iter([("namespace".to_owned(), "default".into())])),
        );
    }
}

/// A DNS subdomain, as Kubernetes demands of names. Such a name is also safe as a file name.
fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
