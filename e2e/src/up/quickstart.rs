//! What `examples/quickstart` holds, read from its own files: the front door names nothing that the example does not.

use std::path::Path;

use kube::core::DynamicObject;
use serde_json::Value;

use crate::harness::install::Images;
use crate::harness::{HarnessError, Result, manifest};

/// The repository of the simulator's image in the example. Whatever its tag, the built image takes its place.
const SIM_IMAGE: &str = "tokenweir/sim";

/// The field of a minted Secret that holds the key.
const MINTED_FIELD: &str = "apiKey";

/// The example, ready to be applied.
#[derive(Debug, Clone)]
pub struct Quickstart {
    /// Every object, in the order of application.
    pub objects: Vec<DynamicObject>,
    /// The namespace of all of them.
    pub namespace: String,
    /// The `LLMGateway`.
    pub gateway: String,
    /// The port of its first listener.
    pub port: u16,
    /// The `ScalingPolicy`.
    pub policy: String,
    /// A model name that clients can ask for.
    pub model: String,
    /// The Secret with the first tenant's API key.
    pub key_secret: String,
    /// The field in it.
    pub key_field: String,
}

impl Quickstart {
    /// Reads the example and puts the built simulator image into it, if there is one.
    pub fn load(folder: &Path, images: Option<&Images>) -> Result<Self> {
        let mut objects = manifest::load_folder(folder)?;
        if let Some(images) = images
            && let Some(sim) = images.get("sim")
        {
            manifest::substitute_image(&mut objects, SIM_IMAGE, &sim.reference(), images.pull_policy());
        }
        Self::read(&folder.display().to_string(), objects)
    }

    fn read(origin: &str, objects: Vec<DynamicObject>) -> Result<Self> {
        let missing = |what: &str| HarnessError::Missing {
            object: origin.to_owned(),
            missing: what.to_owned(),
        };
        let first = |kind: &str| {
            let is_kind = |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == kind);
            objects.iter().find(is_kind).ok_or_else(|| missing(kind))
        };
        let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
        let (gateway, tenant) = (first("LLMGateway")?, first("Tenant")?);
        let port = gateway
            .data
            .pointer("/spec/listeners/0/port")
            .map_or(Some(8080), Value::as_u64);
        let model = objects
            .iter()
            .filter(|object| object.types.as_ref().is_some_and(|types| types.kind == "ModelRoute"))
            .filter_map(|route| route.data.pointer("/spec/model")?.as_str())
            .find(|model| !model.contains('*'))
            .ok_or_else(|| missing("ModelRoute with a model that is not a glob"))?;
        let key = tenant
            .data
            .pointer("/spec/auth/apiKeys/0")
            .ok_or_else(|| missing("Tenant with an API key"))?;
        let text = |pointer: &str| key.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        let minted = || format!("{}-{}", name(tenant), text("/name").unwrap_or_default());
        Ok(Self {
            namespace: gateway
                .metadata
                .namespace
                .clone()
                .ok_or_else(|| missing("namespace on the LLMGateway"))?,
            gateway: name(gateway),
            port: port
                .and_then(|port| u16::try_from(port).ok())
                .ok_or_else(|| missing("listener port"))?,
            policy: name(first("ScalingPolicy")?),
            model: model.to_owned(),
            key_secret: text("/secretRef/name").unwrap_or_else(minted),
            key_field: text("/secretRef/key").unwrap_or_else(|| MINTED_FIELD.to_owned()),
            objects,
        })
    }

    /// Objects of Tokenweir's own kinds, each with the condition that says that it works.
    pub fn judged(&self) -> impl Iterator<Item = (&DynamicObject, &'static str)> {
        self.objects.iter().filter_map(|object| {
            let types = object.types.as_ref()?;
            if !types.api_version.starts_with("tokenweir.dev/") {
                return None;
            }
            let condition = match types.kind.as_str() {
                "LLMGateway" | "ScalingPolicy" => "Ready",
                _ => "Programmed",
            };
            Some((object, condition))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "
apiVersion: tokenweir.dev/v1alpha1
kind: LLMGateway
metadata: {name: edge, namespace: llm}
spec: {listeners: [{port: 8000}]}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {name: all, namespace: llm}
spec: {model: 'any-*'}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {name: one, namespace: llm}
spec: {model: assistant}
---
apiVersion: tokenweir.dev/v1alpha1
kind: Tenant
metadata: {name: acme, namespace: llm}
spec: {auth: {apiKeys: [{name: ci}]}}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: edge, namespace: llm}
---
apiVersion: v1
kind: Service
metadata: {name: sim, namespace: llm}
";

    #[test]
    fn names_come_from_the_example() {
        let read = Quickstart::read("x", manifest::parse("x", EXAMPLE).unwrap()).unwrap();
        assert_eq!(
            (read.namespace.as_str(), read.gateway.as_str(), read.port),
            ("llm", "edge", 8000)
        );
        assert_eq!(read.model, "assistant");
        assert_eq!(
            (read.key_secret.as_str(), read.key_field.as_str()),
            ("acme-ci", "apiKey")
        );
        assert_eq!(read.judged().count(), 5);
    }

    #[test]
    fn an_example_without_a_tenant_is_refused_by_name() {
        let objects = manifest::parse("x", EXAMPLE).unwrap();
        let without = objects
            .into_iter()
            .filter(|o| o.types.as_ref().unwrap().kind != "Tenant")
            .collect();
        assert_eq!(
            Quickstart::read("x", without).unwrap_err().to_string(),
            "x has no Tenant"
        );
    }
}
