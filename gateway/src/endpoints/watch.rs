//! Watches the EndpointSlices of the Services that the configuration names.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokenweir_config::ServiceRef;
use tokio::sync::watch;

use super::EndpointTable;
use super::slices::{PortNames, SERVICE_LABEL, ambiguous, ready, service_of};
use crate::source::secret::backoff;

/// Keeps `table` in step with the cluster for the Services that `wanted` names, all in `namespace`.
///
/// While the API server is away the last known addresses stay. Returns when `wanted` is closed.
pub async fn follow(
    client: kube::Client,
    namespace: String,
    table: Arc<EndpointTable>,
    mut wanted: watch::Receiver<Vec<ServiceRef>>,
) {
    loop {
        let services = wanted.borrow_and_update().clone();
        table.retain(&services);
        let changed = if services.is_empty() {
            wanted.changed().await
        } else {
            let follower = Follower {
                slices: Api::namespaced(client.clone(), &namespace),
                services: Api::namespaced(client.clone(), &namespace),
                table: Arc::clone(&table),
                wanted: services,
                known: BTreeMap::new(),
                port_names: BTreeMap::new(),
            };
            tokio::select! {
                changed = wanted.changed() => changed,
                () = follower.run() => Ok(()),
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

struct Follower {
    slices: Api<EndpointSlice>,
    services: Api<Service>,
    table: Arc<EndpointTable>,
    wanted: Vec<ServiceRef>,
    /// Slices by name.
    known: BTreeMap<String, EndpointSlice>,
    /// Of the Services that had to be asked.
    port_names: BTreeMap<String, PortNames>,
}

impl Follower {
    async fn run(mut self) {
        let names: BTreeSet<&str> = self.wanted.iter().map(|service| service.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let selector = format!("{SERVICE_LABEL} in ({})", names.join(","));
        let config = watcher::Config::default().labels(&selector);
        let mut events = pin!(watcher(self.slices.clone(), config).backoff(backoff()));
        let mut fresh = BTreeMap::new();
        let mut reachable = true;
        while let Some(event) = events.next().await {
            let service = match event {
                Ok(Event::Init) => {
                    fresh.clear();
                    continue;
                }
                Ok(Event::InitApply(slice)) => {
                    fresh.insert(slice.metadata.name.clone().unwrap_or_default(), slice);
                    continue;
                }
                Ok(Event::InitDone) => {
                    self.known = std::mem::take(&mut fresh);
                    None
                }
                Ok(Event::Apply(slice)) => {
                    let service = service_of(&slice).map(str::to_owned);
                    self.known
                        .insert(slice.metadata.name.clone().unwrap_or_default(), slice);
                    service
                }
                Ok(Event::Delete(slice)) => {
                    self.known.remove(slice.metadata.name.as_deref().unwrap_or_default());
                    service_of(&slice).map(str::to_owned)
                }
                Err(error) => {
                    if std::mem::replace(&mut reachable, false) {
                        tracing::warn!(%error, "endpoints cannot be watched, the last known ones stay");
                    }
                    continue;
                }
            };
            reachable = true;
            self.publish(service.as_deref()).await;
        }
    }

    /// Writes the addresses of one Service, or of all, into the table.
    async fn publish(&mut self, only: Option<&str>) {
        let wanted = self.wanted.clone();
        for service in wanted
            .iter()
            .filter(|service| only.is_none_or(|only| only == service.name))
        {
            let slices: Vec<&EndpointSlice> = self
                .known
                .values()
                .filter(|slice| service_of(slice) == Some(service.name.as_str()))
                .collect();
            if ambiguous(slices.iter().copied())
                && self
                    .port_names
                    .get(&service.name)
                    .is_none_or(|names| !names.contains_key(&service.port))
            {
                match port_names(&self.services, &service.name).await {
                    Ok(names) => {
                        self.port_names.insert(service.name.clone(), names);
                    }
                    Err(error) => {
                        let (service, port) = (&service.name, service.port);
                        tracing::warn!(%error, service, port, "a Service with several ports cannot be read");
                    }
                }
            }
            let addresses = ready(slices, service, self.port_names.get(&service.name));
            tracing::debug!(
                service = service.name,
                port = service.port,
                ready = addresses.len(),
                "endpoints"
            );
            self.table.set(service, addresses);
        }
    }
}

async fn port_names(services: &Api<Service>, name: &str) -> Result<PortNames, kube::Error> {
    let ports = services
        .get_opt(name)
        .await?
        .and_then(|service| service.spec?.ports)
        .unwrap_or_default();
    Ok(ports
        .into_iter()
        .filter_map(|port| Some((u16::try_from(port.port).ok()?, port.name.unwrap_or_default())))
        .collect())
}
