//! What a failed test leaves behind for a person: logs, events and objects of its namespace and of the install
//! namespace, as files.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};

use super::error::{Result, api, file};
use super::objects::Objects;

/// Kinds that tell how a namespace was. Secrets are left out on purpose.
const KINDS: [(&str, &str); 13] = [
    ("tokenweir.dev/v1alpha1", "LLMGateway"),
    ("tokenweir.dev/v1alpha1", "ModelProvider"),
    ("tokenweir.dev/v1alpha1", "ModelRoute"),
    ("tokenweir.dev/v1alpha1", "Tenant"),
    ("tokenweir.dev/v1alpha1", "ScalingPolicy"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("coordination.k8s.io/v1", "Lease"),
];

/// Lines of each container's log that are kept.
const LOG_LINES: i64 = 5000;

/// Writes everything about some namespaces below `folder`. What cannot be read is noted in the place of what it would
/// have been, so that a broken cluster still leaves what it can.
pub async fn collect(objects: &Objects, namespaces: &[&str], folder: &Path) -> Result<()> {
    for namespace in namespaces {
        let target = folder.join(namespace);
        std::fs::create_dir_all(&target).map_err(file("create", &target))?;
        for (api_version, kind) in KINDS {
            let text = match objects.list(api_version, kind, namespace).await {
                Ok(found) if found.is_empty() => continue,
                Ok(found) => serde_json::to_string_pretty(&found).unwrap_or_else(|e| e.to_string()),
                Err(error) => error.chain(),
            };
            write(&target.join(format!("{}.json", kind.to_lowercase())), &text)?;
        }
        write(&target.join("events.txt"), &events(objects.client(), namespace).await)?;
        for (name, text) in logs(objects.client(), namespace).await {
            write(&target.join(name), &text)?;
        }
    }
    Ok(())
}

/// The folder for what a test leaves behind.
pub fn folder(source: &Path, test: &str) -> PathBuf {
    let name: String = test
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    source.join("target/e2e").join(name)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(file("write", path))
}

async fn events(client: &Client, namespace: &str) -> String {
    let list = Api::<Event>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await;
    let mut events = match list {
        Ok(list) => list.items,
        Err(error) => return api("list events")(error).chain(),
    };
    let time = |event: &Event| {
        event
            .last_timestamp
            .clone()
            .or(event.metadata.creation_timestamp.clone())
    };
    events.sort_by_key(|event| time(event).map(|time| time.0));
    let lines: Vec<String> = events
        .iter()
        .map(|event| {
            let involved = &event.involved_object;
            format!(
                "{} {} {}/{} {}: {}",
                time(event).map(|time| time.0.to_string()).unwrap_or_default(),
                event.type_.as_deref().unwrap_or_default(),
                involved.kind.as_deref().unwrap_or_default(),
                involved.name.as_deref().unwrap_or_default(),
                event.reason.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    lines.join("\n")
}

async fn logs(client: &Client, namespace: &str) -> Vec<(String, String)> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = match pods.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return vec![("logs.txt".to_owned(), api("list pods")(error).chain())],
    };
    let mut found = Vec::new();
    for pod in list {
        let name = pod.metadata.name.unwrap_or_default();
        let restarted = pod
            .status
            .and_then(|status| status.container_statuses)
            .unwrap_or_default()
            .iter()
            .any(|container| container.restart_count > 0);
        let log = |previous| LogParams {
            previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        let text = pods
            .logs(&name, &log(false))
            .await
            .unwrap_or_else(|e| api("read the log")(e).chain());
        found.push((format!("{name}.log"), text));
        if restarted {
            let text = pods
                .logs(&name, &log(true))
                .await
                .unwrap_or_else(|e| api("read the log")(e).chain());
            found.push((format!("{name}.previous.log"), text));
        }
    }
    found
}
