//! Removes what `up` made and stops exactly what it started.

use std::time::Duration;

use super::error::{Result, UpError};
use super::record::Record;
use super::{MANAGER, Terminal, UpOptions, load_example};
use crate::cluster::{self, Cluster};
use crate::harness::helm::Helm;
use crate::harness::{HarnessError, Objects, install};

/// Streams get their grace period before pods end; with room for a slow machine.
const REMOVAL_LIMIT: Duration = Duration::from_mins(3);

/// Removes what `up` made. Returns whether there was anything.
pub async fn down(options: &UpOptions, terminal: &mut Terminal) -> Result<bool> {
    let hint = "the record of what was made lies in the state folder; `make status` shows what is there";
    let Some(record) = Record::load(&options.record).map_err(UpError::at("read what was made", hint))? else {
        terminal.line("nothing to remove: `make up` has made nothing here");
        return Ok(false);
    };
    let mut find = options.cluster.clone();
    find.context.clone_from(&record.context);
    let stops = record.cluster_started && record.context.is_none();
    // A cluster that goes away takes everything in it along.
    if !stops
        && let Some(cluster) = cluster::find(&find)
            .await
            .map_err(UpError::at("find the cluster", hint))?
    {
        remove(options, &record, &cluster).await?;
    }
    if stops {
        cluster::stop(&find).await.map_err(UpError::at(
            "stop the cluster",
            "`make cluster-down` tries this step alone",
        ))?;
    }
    Record::remove(&options.record).map_err(UpError::at("remove the record of what was made", hint))?;
    terminal.line(if stops {
        format!(
            "{} is stopped, and everything `make up` made went with it",
            record.cluster
        )
    } else {
        format!(
            "everything `make up` made is removed from {}; the cluster was there before and stays",
            record.cluster
        )
    });
    Ok(true)
}

async fn remove(options: &UpOptions, record: &Record, cluster: &Cluster) -> Result<()> {
    let progress = &options.cluster.progress;
    let hint =
        "`kubectl get namespaces` shows what is stuck and `kubectl describe` why; run `make down` again after that";
    let failed = || UpError::at::<HarnessError>("remove what was made", hint);
    let client = cluster
        .client()
        .await
        .map_err(UpError::at("connect to the cluster", hint))?;
    let objects = Objects::new(client.clone(), MANAGER);
    if record.example_applied {
        progress.step("removing examples/quickstart");
        let example = load_example(&options.cluster.folders, None)?;
        objects
            .delete_all(&example.objects, REMOVAL_LIMIT)
            .await
            .map_err(failed())?;
    }
    let helm = Helm::new(cluster);
    for release in record.releases.iter().rev() {
        progress.step(format!("removing the chart {release}"));
        helm.uninstall(release, install::NAMESPACE, REMOVAL_LIMIT)
            .await
            .map_err(failed())?;
    }
    if record.releases.iter().any(|name| name == install::CRD_RELEASE) {
        progress.step("removing the custom resource definitions");
        install::remove_crds(&objects, REMOVAL_LIMIT).await.map_err(failed())?;
    }
    if record.namespace_made {
        progress.step(format!("removing the namespace {}", install::NAMESPACE));
        crate::harness::namespace::remove(&objects, install::NAMESPACE)
            .await
            .map_err(failed())?;
    }
    Ok(())
}
