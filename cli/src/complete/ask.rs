//! Names of the cluster, for whoever waits for them with a finger on the key.

use std::time::Duration;

use super::{Candidate, Wanted};
use crate::cli::Global;
use crate::cluster::{self, ClusterError};

/// A person waits this long for a word; what is not known by then is left out.
const LIMIT: Duration = Duration::from_secs(2);

/// The names; none where the cluster cannot be asked, since a completion has no place for reasons.
pub fn names(wanted: &Wanted, global: &Global) -> Vec<Candidate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let mut global = global.clone();
    global.request_timeout = global.request_timeout.min(LIMIT);
    let asked = runtime.block_on(async { tokio::time::timeout(LIMIT, asked(wanted, &global)).await });
    // A plugin for credentials that hangs must not hold the exit.
    runtime.shutdown_background();
    let names = asked.ok().and_then(Result::ok).unwrap_or_default();
    // What could break a line, or mean something to a shell's script, is no name.
    let plain = names
        .into_iter()
        .filter(|name| !name.is_empty() && !name.contains(|c: char| c.is_control() || c.is_whitespace()));
    plain.map(|name| (name, String::new())).collect()
}

async fn asked(wanted: &Wanted, global: &Global) -> Result<Vec<String>, ClusterError> {
    match wanted {
        Wanted::Contexts => cluster::contexts(global),
        Wanted::Namespaces => cluster::namespaces(&cluster::connect(global).await?).await,
        Wanted::Objects { kind, before } => {
            let objects = cluster::list(&cluster::connect(global).await?, *kind).await?;
            let mut names: Vec<String> = objects
                .into_iter()
                .filter_map(|object| object.metadata.name)
                .map(|name| format!("{before}{name}"))
                .collect();
            // The same name may stand in many namespaces.
            names.dedup();
            Ok(names)
        }
    }
}
