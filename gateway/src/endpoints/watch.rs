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
use super::saved::SavedEndpoints;
use super::slices::{PortNames, SERVICE_LABEL, ambiguous, ready, service_of};
use crate::source::secret::backoff;

/// What the follower of endpoints works with.
pub struct Follow {
    /// Access to the cluster.
    pub client: kube::Client,
    /// Namespace of all Services.
    pub namespace: String,
    /// Where the addresses are written.
    pub table: Arc<EndpointTable>,
    /// Where they are kept over a restart.
    pub saved: SavedEndpoints,
    /// Told after each change of the table.
    pub learnt: watch::Sender<()>,
}

/// Keeps the table in step with the cluster for the Services that `wanted` names.
///
/// While the API server is away the last known addresses stay. Nothing happens before `wanted` has changed for the first
/// time. Returns when it is closed.
pub async fn follow(follow: Follow, mut wanted: watch::Receiver<Vec<ServiceRef>>) {
    let follow = Arc::new(follow);
    // Until there is a configuration, nobody knows which saved addresses are still of use.
    if wanted.changed().await.is_err() {
        return;
    }
    loop {
        let services = wanted.borrow_and_update().clone();
        follow.table.retain(&services);
        if services.is_empty() {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let follower = Follower {
            slices: Api::namespaced(follow.client.clone(), &follow.namespace),
            services: Api::namespaced(follow.client.clone(), &follow.namespace),
            names: services.iter().map(|service| service.name.clone()).collect(),
            wanted: services,
            known: BTreeMap::new(),
            port_names: BTreeMap::new(),
            shared: Arc::clone(&follow),
        };
        if follower.run(&mut wanted).await.is_err() {
            return;
        }
    }
}

struct Follower {
    slices: Api<EndpointSlice>,
    services: Api<Service>,
    /// Names of the Services that the watch covers.
    names: BTreeSet<String>,
    wanted: Vec<ServiceRef>,
    /// Slices by name.
    known: BTreeMap<String, EndpointSlice>,
    /// Of the Services that had to be asked.
    port_names: BTreeMap<String, PortNames>,
    shared: Arc<Follow>,
}

impl Follower {
    /// Watches until a Service is wanted that the watch does not cover; an error if nothing will be wanted any more.
    async fn run(mut self, wanted: &mut watch::Receiver<Vec<ServiceRef>>) -> Result<(), watch::error::RecvError> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let selector = format!("{SERVICE_LABEL} in ({})", names.join(","));
        let config = watcher::Config::default().labels(&selector);
        let mut events = pin!(watcher(self.slices.clone(), config).backoff(backoff()));
        let mut fresh = BTreeMap::new();
        let mut listed = false;
        let mut reachable = true;
        loop {
            let event = tokio::select! {
                changed = wanted.changed() => {
                    changed?;
                    self.wanted.clone_from(&wanted.borrow_and_update());
                    self.shared.table.retain(&self.wanted);
                    if !self.wanted.iter().all(|service| self.names.contains(&service.name)) {
                        return Ok(());
                    }
                    if listed {
                        self.publish(None).await;
                    }
                    continue;
                }
                event = events.next() => event,
            };
            let service = match event {
                None => return Ok(()),
                Some(Ok(Event::Init)) => {
                    fresh.clear();
                    continue;
                }
                Some(Ok(Event::InitApply(slice))) => {
                    fresh.insert(slice.metadata.name.clone().unwrap_or_default(), slice);
                    continue;
                }
                Some(Ok(Event::InitDone)) => {
                    self.known = std::mem::take(&mut fresh);
                    listed = true;
                    None
                }
                Some(Ok(Event::Apply(slice))) => {
                    let service = service_of(&slice).map(str::to_owned);
                    self.known
                        .insert(slice.metadata.name.clone().unwrap_or_default(), slice);
                    service
                }
                Some(Ok(Event::Delete(slice))) => {
                    self.known.remove(slice.metadata.name.as_deref().unwrap_or_default());
                    service_of(&slice).map(str::to_owned)
                }
                Some(Err(error)) => {
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
            self.shared.table.set(service, addresses);
        }
        self.shared.learnt.send_replace(());
        self.shared.saved.store(&self.shared.table).await;
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
