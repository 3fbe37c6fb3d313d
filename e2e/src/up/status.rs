//! Tells what is there.

use kube::core::DynamicObject;

use super::error::{Result, UpError};
use super::record::Record;
use super::{MANAGER, Terminal, UpOptions, load_example};
use crate::cluster::{self, Cluster};
use crate::harness::helm::Helm;
use crate::harness::objects::{condition, describe};
use crate::harness::{HarnessError, Objects, install};

/// Shows the cluster, the releases and the example. Returns whether everything of it works.
pub async fn status(options: &UpOptions, terminal: &mut Terminal) -> Result<bool> {
    let hint = "run `make up`, which repairs what is missing";
    let failed = || UpError::at::<HarnessError>("look at what is there", hint);
    let record = Record::load(&options.record).map_err(failed())?;
    match &record {
        Some(record) => terminal.line(format!(
            "`make up` used {}{}",
            record.cluster,
            if record.cluster_started {
                ", which it started"
            } else {
                ", which was there before"
            }
        )),
        None => terminal.line("`make up` has made nothing here"),
    }
    let found = cluster::find(&options.cluster)
        .await
        .map_err(UpError::at("find the cluster", hint))?;
    let Some(cluster) = found else {
        terminal.line("no cluster runs; `make up` starts one");
        return Ok(false);
    };
    terminal.line(format!(
        "cluster: {}, kubeconfig {}",
        cluster.description(),
        cluster.kubeconfig().display()
    ));
    let releases = releases(&cluster, terminal).await.map_err(failed())?;
    let client = cluster
        .client()
        .await
        .map_err(UpError::at("connect to the cluster", hint))?;
    let objects = Objects::new(client, MANAGER);
    let example = load_example(&options.cluster.folders, None)?;
    let mut works = releases;
    for (object, wanted) in example.judged() {
        let types = object.types.clone().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let there = objects
            .get(&types.api_version, &types.kind, &example.namespace, name)
            .await;
        let (good, text) = match there {
            Ok(Some(there)) => judge(&there, wanted),
            Ok(None) => (false, "is not there".to_owned()),
            Err(error) => (false, error.chain()),
        };
        works &= good;
        terminal.line(format!(
            "  {} {} {text}",
            if good { "✓" } else { "✗" },
            describe(object)
        ));
    }
    Ok(works)
}

async fn releases(cluster: &Cluster, terminal: &mut Terminal) -> Result<bool, HarnessError> {
    let helm = Helm::new(cluster);
    let mut all = true;
    for name in [install::CRD_RELEASE, install::RELEASE] {
        let status = helm.status(name, install::NAMESPACE).await?;
        all &= status.as_ref().is_some_and(|status| status.info.status == "deployed");
        let text = status.map_or_else(
            || "not installed".to_owned(),
            |status| format!("{}, revision {}", status.info.status, status.revision),
        );
        terminal.line(format!("  release {name}: {text}"));
    }
    Ok(all)
}

/// Whether an object works, and its own words on that.
fn judge(object: &DynamicObject, wanted: &str) -> (bool, String) {
    match condition(object, wanted) {
        Some(found) => {
            let stale = if found.current { "" } else { ", of an older spec" };
            (
                found.status == "True" && found.current,
                format!("{wanted}={}: {}{stale}", found.status, found.message),
            )
        }
        None => (false, format!("says nothing about {wanted} yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_says_nothing_does_not_work() {
        let object: DynamicObject = serde_json::from_value(serde_json::json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": "LLMGateway", "metadata": {"name": "edge"},
            "status": {"readyReplicas": 1, "replicas": 2}
        }))
        .unwrap();
        assert_eq!(
            judge(&object, "Ready"),
            (false, "says nothing about Ready yet".to_owned())
        );
    }
}
