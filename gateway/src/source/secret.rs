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
    #[error("a shard cannot be read: {0}")]
    Api(#[source] Box<kube::Error>),
    #[error(transparent)]
    Shards(#[from] ShardError),
    #[error("putting the shards together broke off: {0}")]
    Join(#[from] tokio::task::JoinError),
}

/// Nobody takes updates any more.
struct Unheard;

/// Watches the snapshot of a gateway and sends what comes. Returns when nobody listens any more.
///
/// A Secret that is missing or unreadable never takes anything away: what was sent before stays valid.
pub async fn watch(client: kube::Client, gateway: GatewayRef, updates: mpsc::Sender<Update>) {
    let api: Api<Secret> = Api::namespaced(client, &gateway.namespace);
    // Both ways to end are the end of the process.
    let _: Result<(), Unheard> = Watch { api, gateway, updates }.run().await;
}

struct Watch {
    api: Api<Secret>,
    gateway: GatewayRef,
    updates: mpsc::Sender<Update>,
}

impl Watch {
    async fn run(self) -> Result<(), Unheard> {
        let name = snapshot_secret(&self.gateway.name);
        let mut events = pin!(watch_object(self.api.clone(), &name).backoff(backoff()));
        // The newest index whose snapshot has not been sent yet.
        let mut wanted: Option<Index> = None;
        let mut reachable = true;
        loop {
            let event = tokio::select! {
                // A newer index makes the older one's shards uninteresting.
                biased;
                event = events.next() => event,
                delivered = self.deliver(wanted.as_ref()), if wanted.is_some() => {
                    delivered?;
                    wanted = None;
                    continue;
                }
            };
            match event {
                Some(Ok(Some(secret))) => {
                    reachable = true;
                    wanted = match Index::parse(&self.gateway.name, &data(secret)) {
                        Ok(index) => Some(index),
                        Err(error) => {
                            self.send(refused(None, error.to_string())).await?;
                            None
                        }
                    };
                }
                Some(Ok(None)) => {
                    reachable = true;
                    wanted = None;
                    let namespace = &self.gateway.namespace;
                    tracing::warn!(secret = name, namespace, "there is no configuration in the cluster");
                }
                Some(Err(error)) => {
                    // The watcher tries again by itself; one line for each outage is enough.
                    if std::mem::replace(&mut reachable, false) {
                        tracing::warn!(%error, "the configuration cannot be watched, what is served is served on");
                    } else {
                        tracing::debug!(%error, "the configuration still cannot be watched");
                    }
                }
                None => return Ok(()),
            }
        }
    }

    async fn send(&self, update: Update) -> Result<(), Unheard> {
        self.updates.send(update).await.map_err(|_| Unheard)
    }

    /// Sends the snapshot of an index, however long it takes to get its pieces: they may still be on their way, or the
    /// API server may come back. That pieces are missing is said meanwhile.
    async fn deliver(&self, wanted: Option<&Index>) -> Result<(), Unheard> {
        let Some(index) = wanted else { return Ok(()) };
        let generation = index.generation;
        for wait in backoff() {
            match fetch(&self.api, index, &self.gateway).await {
                Ok(update) => return self.send(update).await,
                Err(FetchError::Shards(error)) => self.send(refused(Some(generation), error.to_string())).await?,
                Err(error) => tracing::warn!(%error, generation, "the configuration cannot be read"),
            }
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// Reads the shards of an index and puts the snapshot together. A snapshot that is complete and wrong is an update too.
async fn fetch(api: &Api<Secret>, index: &Index, gateway: &GatewayRef) -> Result<Update, FetchError> {
    let mut shards: BTreeMap<String, SecretData> = BTreeMap::new();
    for name in &index.shard_names {
        let secret = api
            .get_opt(name)
            .await
            .map_err(|error| FetchError::Api(Box::new(error)))?;
        shards.insert(name.clone(), secret.map(data).unwrap_or_default());
    }
    let (index, gateway) = (index.clone(), gateway.clone());
    // A large snapshot takes a while, in which signals and probes want to go on.
    tokio::task::spawn_blocking(move || {
        let json = index.join(|name| shards.get(name))?;
        Ok(read(&index, json, &gateway))
    })
    .await?
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
