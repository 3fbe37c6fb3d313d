//! From a watch to a store, telling of each change what was before and what is now.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup as _, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use tokio_util::sync::CancellationToken;

use crate::runtime::WatchBackoff;

/// A change of one object.
#[derive(Debug)]
pub enum Change<K> {
    /// It was not there.
    Appeared(Arc<K>),
    /// It was there; it may say the same as before.
    Changed {
        /// As it was.
        before: Arc<K>,
        /// As it is.
        after: Arc<K>,
    },
    /// It is gone.
    Gone(Arc<K>),
}

impl<K: Resource> Change<K> {
    /// The newest that is known of the object.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Appeared(object) | Self::Gone(object) | Self::Changed { after: object, .. } => object,
        }
    }

    /// Every version that plays a part: before and after.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<K>> {
        match self {
            Self::Appeared(object) | Self::Gone(object) => [Some(object), None],
            Self::Changed { before, after } => [Some(before), Some(after)],
        }
        .into_iter()
        .flatten()
    }

    /// True unless only status or metadata that nobody here reads has changed.
    pub fn is_of_substance(&self) -> bool {
        match self {
            Self::Appeared(_) | Self::Gone(_) => true,
            Self::Changed { before, after } => {
                let (before, after) = (before.meta(), after.meta());
                before.uid != after.uid
                    || before.generation != after.generation
                    || before.deletion_timestamp != after.deletion_timestamp
                    || before.labels != after.labels
                    || before.owner_references != after.owner_references
            }
        }
    }

    /// True if the object was written at all.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Appeared(_) | Self::Gone(_) => true,
            Self::Changed { before, after } => before.meta().resource_version != after.meta().resource_version,
        }
    }

    /// True if the object was not there before or is not there now.
    pub fn is_of_existence(&self) -> bool {
        !matches!(self, Self::Changed { .. })
    }
}

/// Keeps `writer`'s store in step with a watch until `shutdown` and tells `on_change` of each change after the store has it.
///
/// A watch that breaks is taken up again; objects that vanished in between are told as gone.
pub async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut writer: Writer<K>,
    trim: impl Fn(&mut K) + Send,
    on_change: impl Fn(&Change<K>) + Send,
    shutdown: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    let store = writer.as_reader();
    let mut events = pin!(events.modify(trim).backoff(WatchBackoff::default()));
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Err(error)) => {
                tracing::warn!(kind = %K::kind(&()), %error, "the watch broke and is taken up again");
            }
            Some(Ok(event)) => take_in(&event, &mut writer, &store, &on_change),
        }
    }
}

fn take_in<K>(event: &Event<K>, writer: &mut Writer<K>, store: &Store<K>, on_change: &impl Fn(&Change<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
    ObjectRef<K>: Hash + Eq,
{
    match event {
        Event::Init | Event::InitApply(_) => writer.apply_watcher_event(event),
        Event::Apply(object) => {
            let before = store.get(&object.to_object_ref(()));
            writer.apply_watcher_event(event);
            let after = Arc::new(object.clone());
            on_change(&match before {
                Some(before) => Change::Changed { before, after },
                None => Change::Appeared(after),
            });
        }
        Event::Delete(object) => {
            writer.apply_watcher_event(event);
            on_change(&Change::Gone(Arc::new(object.clone())));
        }
        Event::InitDone => {
            let mut before: HashMap<ObjectRef<K>, Arc<K>> = store
                .state()
                .into_iter()
                .map(|old| (old.to_object_ref(()), old))
                .collect();
            writer.apply_watcher_event(event);
            for after in store.state() {
                on_change(&match before.remove(&after.to_object_ref(())) {
                    Some(before) => Change::Changed { before, after },
                    None => Change::Appeared(after),
                });
            }
            for gone in before.into_values() {
                on_change(&Change::Gone(gone));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;
    use kube::runtime::reflector;
    use parking_lot::Mutex;

    fn object(name: &str, generation: i64) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some("llm".into()),
                generation: Some(generation),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    #[tokio::test]
    async fn what_vanished_while_the_watch_was_broken_is_told_as_gone() {
        let events = vec![
            Ok(Event::Init),
            Ok(Event::InitApply(object("kept", 1))),
            Ok(Event::InitApply(object("lost", 1))),
            Ok(Event::InitDone),
            Ok(Event::Apply(object("kept", 2))),
            Ok(Event::Init),
            Ok(Event::InitApply(object("kept", 2))),
            Ok(Event::InitDone),
            Ok(Event::Delete(object("kept", 2))),
        ];
        let told = Mutex::new(Vec::new());
        let (store, writer) = reflector::store();
        follow(
            stream::iter(events),
            writer,
            |_| (),
            |change| {
                let name = change.object().metadata.name.clone().unwrap_or_default();
                let what = match change {
                    Change::Appeared(_) => "appeared",
                    Change::Changed { .. } if change.is_of_substance() => "changed",
                    Change::Changed { .. } => "same",
                    Change::Gone(_) => "gone",
                };
                told.lock().push(format!("{name} {what}"));
            },
            CancellationToken::new(),
        )
        .await;
        let mut told = told.into_inner();
        told[..2].sort();
        assert_eq!(
            told,
            [
                "kept appeared",
                "lost appeared",
                "kept changed",
                "kept same",
                "lost gone",
                "kept gone"
            ]
        );
        assert!(store.is_empty());
    }
}
