//! The objects of our own kinds that metrics describe, with their labels, so that `*` with a label selector works.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::StreamExt;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta, Selector, SelectorExt};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use parking_lot::RwLock;
use tokenweir_signals::Scope;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::named::{WATCH_SECONDS, chain};

/// API group of our kinds.
pub const GROUP: &str = "tokenweir.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Both, as objects write it.
pub const API_VERSION: &str = "tokenweir.dev/v1alpha1";

/// A kind that metrics describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// All traffic of a gateway.
    LlmGateway,
    /// The traffic of a route.
    ModelRoute,
    /// The traffic of a tenant.
    Tenant,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LlmGateway, Self::ModelRoute, Self::Tenant];

    /// Plural name, as in a path.
    pub fn plural(self) -> &'static str {
        match self {
            Self::LlmGateway => "llmgateways",
            Self::ModelRoute => "modelroutes",
            Self::Tenant => "tenants",
        }
    }

    /// Kind, as in an object.
    pub fn kind(self) -> &'static str {
        match self {
            Self::LlmGateway => "LLMGateway",
            Self::ModelRoute => "ModelRoute",
            Self::Tenant => "Tenant",
        }
    }

    /// The metric label that means an object of this kind.
    pub fn label(self) -> &'static str {
        match self {
            Self::LlmGateway => "gateway",
            Self::ModelRoute => "route",
            Self::Tenant => "tenant",
        }
    }

    /// Finds the kind of a resource written as `PLURAL.GROUP`.
    pub fn parse(resource: &str) -> Option<Self> {
        let plural = resource.strip_suffix(GROUP)?.strip_suffix('.')?;
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }

    /// The resource as `PLURAL.GROUP`.
    pub fn resource(self) -> String {
        format!("{}.{GROUP}", self.plural())
    }

    /// What a frame calls an object of this kind; a gateway is all of a pod.
    pub fn scope(self, name: &str) -> Scope {
        match self {
            Self::LlmGateway => Scope::pod(),
            Self::ModelRoute => Scope::route(name),
            Self::Tenant => Scope::tenant(name),
        }
    }
}

type Labels = BTreeMap<String, String>;

/// Labels of all objects of one kind by namespace and name; `None` until they were listed once.
type Listed = Option<BTreeMap<(String, String), Labels>>;

/// Names and labels of all objects that metrics describe.
#[derive(Debug, Default)]
pub struct Objects {
    kinds: [RwLock<Listed>; 3],
}

impl Objects {
    /// Names of the objects of a namespace that a selector selects; `None` until objects were listed once.
    pub fn select(&self, kind: ObjectKind, namespace: &str, selector: &Selector) -> Option<Vec<String>> {
        let listed = self.kinds[kind as usize].read();
        let from = (namespace.to_owned(), String::new());
        let objects = listed
            .as_ref()?
            .range(from..)
            .take_while(|((found, _), _)| found == namespace);
        Some(
            objects
                .filter(|(_, labels)| selector.matches(labels))
                .map(|((_, name), _)| name.clone())
                .collect(),
        )
    }

    /// Replaces all objects of a kind.
    pub fn replace(&self, kind: ObjectKind, objects: impl IntoIterator<Item = (String, String, Labels)>) {
        let objects = objects
            .into_iter()
            .map(|(namespace, name, labels)| ((namespace, name), labels))
            .collect();
        *self.kinds[kind as usize].write() = Some(objects);
    }

    fn change(&self, kind: ObjectKind, change: impl FnOnce(&mut BTreeMap<(String, String), Labels>)) {
        change(self.kinds[kind as usize].write().get_or_insert_default());
    }
}

/// Watches the names and labels of one kind until `stop`.
pub async fn watch_objects(client: Client, kind: ObjectKind, objects: &Objects, stop: CancellationToken) {
    let resource = ApiResource {
        group: GROUP.into(),
        version: VERSION.into(),
        api_version: API_VERSION.into(),
        kind: kind.kind().into(),
        plural: kind.plural().into(),
    };
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &resource);
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let mut events = pin!(watcher(api, config).backoff(Backoff::for_watches()));
    let mut listing = Vec::new();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(watcher::Event::Init)) => listing.clear(),
            Some(Ok(watcher::Event::InitApply(object))) => listing.extend(identify(object)),
            Some(Ok(watcher::Event::InitDone)) => objects.replace(kind, std::mem::take(&mut listing)),
            Some(Ok(watcher::Event::Apply(object))) => {
                if let Some((namespace, name, labels)) = identify(object) {
                    objects.change(kind, |known| {
                        known.insert((namespace, name), labels);
                    });
                }
            }
            Some(Ok(watcher::Event::Delete(object))) => {
                if let Some((namespace, name, _)) = identify(object) {
                    objects.change(kind, |known| {
                        known.remove(&(namespace, name));
                    });
                }
            }
            Some(Err(error)) => {
                tracing::warn!(kind = kind.kind(), error = %chain(&error), "cannot watch objects; trying again");
            }
            None => return,
        }
    }
}

fn identify(object: PartialObjectMeta<DynamicObject>) -> Option<(String, String, Labels)> {
    let metadata = object.metadata;
    Some((metadata.namespace?, metadata.name?, metadata.labels.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use kube::Resource;
    use tokenweir_crds::api::{LLMGateway, ModelRoute, Tenant};

    use super::*;
    use crate::metrics_api::selector;

    fn assert_is<K: Resource<DynamicType = ()>>(kind: ObjectKind) {
        assert_eq!(
            (K::kind(&()).as_ref(), K::plural(&()).as_ref()),
            (kind.kind(), kind.plural())
        );
        assert_eq!((K::group(&()).as_ref(), K::version(&()).as_ref()), (GROUP, VERSION));
        assert_eq!(K::api_version(&()), API_VERSION);
    }

    #[test]
    fn kinds_are_called_as_the_api_calls_them() {
        assert_is::<LLMGateway>(ObjectKind::LlmGateway);
        assert_is::<ModelRoute>(ObjectKind::ModelRoute);
        assert_is::<Tenant>(ObjectKind::Tenant);
    }

    #[test]
    fn resources_are_known_with_their_group_alone() {
        assert_eq!(
            ObjectKind::parse("llmgateways.tokenweir.dev"),
            Some(ObjectKind::LlmGateway)
        );
        for other in [
            "llmgateways",
            "pods",
            "tenants.example.com",
            "tokenweir.dev",
            ".tokenweir.dev",
        ] {
            assert_eq!(ObjectKind::parse(other), None, "{other}");
        }
        for kind in ObjectKind::ALL {
            assert_eq!(ObjectKind::parse(&kind.resource()), Some(kind));
        }
    }

    #[test]
    fn a_selector_selects_within_a_namespace_once_objects_are_known() {
        let objects = Objects::default();
        let everything = Selector::default();
        assert_eq!(objects.select(ObjectKind::Tenant, "llm", &everything), None);
        let gold = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        objects.replace(
            ObjectKind::Tenant,
            [
                ("llm".into(), "acme".into(), gold.clone()),
                ("llm".into(), "globex".into(), BTreeMap::new()),
                ("other".into(), "initech".into(), gold),
            ],
        );
        assert_eq!(
            objects.select(ObjectKind::Tenant, "llm", &everything).unwrap(),
            ["acme", "globex"]
        );
        let gold = selector::parse("tier=gold").unwrap();
        assert_eq!(objects.select(ObjectKind::Tenant, "llm", &gold).unwrap(), ["acme"]);
        assert_eq!(objects.select(ObjectKind::ModelRoute, "llm", &everything), None);
    }
}
