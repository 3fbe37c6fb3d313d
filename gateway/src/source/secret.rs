//! The configuration in the cluster: an index Secret that is watched by its name, and the shards that it names.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{ExponentialBackoff, watch_object};
use tokenweir_config::names::snapshot_secret;
use tokenweir_config::shards::{Index, SecretData, ShardError};
use tokenweir_config::status::Source;
use tokenweir_config::{GatewayRef, Snapshot};
use tokio::sync::mpsc;

use super::{Offer, Refused, Update};

/// First wait before the API server is asked again.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest such wait. A change should not stay unseen for long after the API server has come back, and one list a few
/// seconds from each gateway pod does not hurt it.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The waits between attempts to reach the API server: exponential, with jitter.
pub(crate) fn backoff() -> ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(RETRY_MIN)
        .with_max_delay(RETRY_MAX)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
}

/// Why the pieces of a snapshot could not be put together.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the shards cannot be read: {0}")]
    Api(#[source] Box<kube::Error>),
    #[error(transparent)]
    Shards(#[from] ShardError),
}

/// Watches the snapshot of a gateway and sends what comes. Returns when nobody listens any more.
///
/// A Secret that is missing or unreadable never takes anything away: what was sent before stays valid.
pub async fn watch(client: kube::Client, gateway: GatewayRef, updates: mpsc::Sender<Update>) {
    let api: Api<Secret> = Api::namespaced(client, &gateway.namespace);
    let name = snapshot_secret(&gateway.name);
    let mut index = pin!(watch_object(api.clone(), &name).backoff(backoff()));
    let mut current: Option<Index> = None;
    let mut retries = backoff();
    let mut reachable = true;
    loop {
        let next = match &current {
            None => index.next().await,
            Some(wanted) => {
                tokio::select! {
                    // A newer index makes the older one's shards uninteresting.
                    biased;
                    next = index.next() => next,
                    fetched = fetch(&api, wanted) => {
                        let (generation, failed) = (wanted.generation, fetched.is_err());
                        let update = match fetched {
                            Ok(json) => Some(read(wanted, json, &gateway)),
                            Err(FetchError::Api(error)) => {
                                tracing::warn!(%error, generation, "the shards of the configuration cannot be read");
                                None
                            }
                            Err(error @ FetchError::Shards(_)) => Some(refused(Some(generation), error.to_string())),
                        };
                        if let Some(update) = update
                            && updates.send(update).await.is_err()
                        {
                            return;
                        }
                        if failed {
                            // Pieces may still be on their way, or the API server may come back.
                            let wait = retries.next().unwrap_or(RETRY_MAX);
                            tokio::select! {
                                next = index.next() => next,
                                () = tokio::time::sleep(wait) => continue,
                            }
                        } else {
                            current = None;
                            continue;
                        }
                    }
                }
            }
        };
        match next {
            Some(Ok(Some(secret))) => {
                reachable = true;
                retries = backoff();
                match Index::parse(&gateway.name, &data(secret)) {
                    Ok(found) => current = Some(found),
                    Err(error) => {
                        current = None;
                        if updates.send(refused(None, error.to_string())).await.is_err() {
                            return;
                        }
                    }
                }
            }
            Some(Ok(None)) => {
                reachable = true;
                current = None;
                tracing::warn!(
                    secret = name,
                    namespace = gateway.namespace,
                    "there is no configuration in the cluster"
                );
            }
            Some(Err(error)) => {
                // The watcher tries again by itself; one line for each outage is enough.
                if std::mem::replace(&mut reachable, false) {
                    tracing::warn!(%error, "the configuration cannot be watched, what is served is served on");
                } else {
                    tracing::debug!(%error, "the configuration still cannot be watched");
                }
            }
            None => return,
        }
    }
}

async fn fetch(api: &Api<Secret>, index: &Index) -> Result<Vec<u8>, FetchError> {
    let mut shards: BTreeMap<String, SecretData> = BTreeMap::new();
    for name in &index.shard_names {
        let secret = api
            .get_opt(name)
            .await
            .map_err(|error| FetchError::Api(Box::new(error)))?;
        shards.insert(name.clone(), secret.map(data).unwrap_or_default());
    }
    Ok(index.join(|name| shards.get(name))?)
}

fn read(index: &Index, json: Vec<u8>, gateway: &GatewayRef) -> Update {
    let generation = Some(index.generation);
    let snapshot = match Snapshot::from_json(&json) {
        Ok(snapshot) => snapshot,
        Err(error) => return refused(generation, error.to_string()),
    };
    if snapshot.gateway != *gateway {
        let GatewayRef { namespace, name } = &snapshot.gateway;
        return refused(
            generation,
            format!(
                "the snapshot is for gateway {namespace}/{name}, this is {}/{}",
                gateway.namespace, gateway.name
            ),
        );
    }
    if snapshot.generation != index.generation {
        return refused(
            generation,
            format!(
                "the snapshot has generation {}, its index says {}",
                snapshot.generation, index.generation
            ),
        );
    }
    Update::Offer(Box::new(Offer {
        source: Source::Api,
        snapshot,
        digest: index.digest.clone(),
        json,
    }))
}

fn refused(generation: Option<u64>, reason: String) -> Update {
    Update::Refused(Refused { generation, reason })
}

fn data(secret: Secret) -> SecretData {
    secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(field, bytes)| (field, bytes.0))
        .collect()
}
