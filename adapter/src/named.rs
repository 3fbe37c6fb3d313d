//! Follows one object of the API server by its name.

use std::fmt::Debug;
use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

/// Seconds after which a watch is begun anew, so that a connection that died silently is noticed: as long as it is not,
/// new pods are unknown and missing from sums.
pub const WATCH_SECONDS: u32 = 30;

/// Calls `changed` with the object, or with `None` while there is none, at the start and after every change. Goes on
/// through all failures of the API server until `stop`.
pub async fn follow<K>(api: &Api<K>, name: &str, stop: &CancellationToken, mut changed: impl FnMut(Option<K>))
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(WATCH_SECONDS);
    let mut events = pin!(watcher(api.clone(), config).backoff(Backoff::for_watches()));
    let mut seen = false;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(watcher::Event::Init)) => seen = false,
            Some(Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object))) => {
                seen = true;
                changed(Some(object));
            }
            Some(Ok(watcher::Event::InitDone)) if seen => {}
            Some(Ok(watcher::Event::InitDone | watcher::Event::Delete(_))) => changed(None),
            Some(Err(error)) => tracing::warn!(name, error = %chain(&error), "cannot watch; trying again"),
            None => return,
        }
    }
}

/// An error with its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
