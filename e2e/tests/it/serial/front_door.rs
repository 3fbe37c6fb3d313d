//! `make up`, `make status`, `make down`: from nothing to nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use tokenweir_e2e::cluster::Progress;
use tokenweir_e2e::harness::helm::Helm;
use tokenweir_e2e::harness::{HarnessError, install, namespace, wait};
use tokenweir_e2e::up::{self, LoadOptions, Terminal, UpOptions, WhenLoad};

use super::pages;
use crate::support::world::install_is_gone;
use crate::support::{READY, World, alone};

/// Kinds that a second run must leave as they are. Leases, EndpointSlices, Events and what mirrors live values change by
/// themselves.
const STEADY: [(&str, &str); 14] = [
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("v1", "Pod"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("tokenweir.dev/v1alpha1", "LLMGateway"),
    ("tokenweir.dev/v1alpha1", "ModelProvider"),
    ("tokenweir.dev/v1alpha1", "ModelRoute"),
    ("tokenweir.dev/v1alpha1", "Tenant"),
];

/// What the terminal shows, kept.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic under the lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shown {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic under the lock"));
        String::from_utf8(bytes).expect("text")
    }
}

/// Name, version and uid of everything steady in the namespaces of install and example.
async fn versions(world: &World) -> Result<BTreeMap<String, String>, HarnessError> {
    let mut found = BTreeMap::new();
    for namespace in [install::NAMESPACE, "llm"] {
        for (api_version, kind) in STEADY {
            for object in world.objects.list(api_version, kind, namespace).await? {
                let key = format!("{kind} {namespace}/{}", object.name_any());
                found.insert(key, object.metadata.resource_version.unwrap_or_default());
            }
        }
    }
    Ok(found)
}

/// Objects of the whole cluster that Tokenweir makes.
async fn cluster_wide(world: &World) -> Vec<String> {
    async fn names<K>(world: &World) -> Vec<String>
    where
        K: kube::Resource<Scope = kube::core::ClusterResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let list = Api::<K>::all(world.client.clone())
            .list(&ListParams::default())
            .await
            .expect("a list");
        list.items.iter().map(ResourceExt::name_any).collect()
    }
    let mut all = names::<CustomResourceDefinition>(world).await;
    all.extend(names::<ClusterRole>(world).await);
    all.extend(names::<ClusterRoleBinding>(world).await);
    all.extend(names::<APIService>(world).await);
    all.retain(|name| {
        name.contains("tokenweir")
            || name.ends_with(".custom.metrics.k8s.io")
            || name.ends_with(".external.metrics.k8s.io")
    });
    all
}

async fn remove_install(world: &World) -> Result<(), HarnessError> {
    let limit = Duration::from_mins(2);
    let helm = Helm::new(&world.cluster);
    install_is_gone();
    helm.uninstall(install::RELEASE, install::NAMESPACE, limit).await?;
    helm.uninstall(install::CRD_RELEASE, install::NAMESPACE, limit).await?;
    install::remove_crds(&world.objects, limit).await?;
    namespace::remove(&world.objects, install::NAMESPACE).await?;
    namespace::remove(&world.objects, "llm").await
}

#[test]
fn up_brings_everything_a_second_run_changes_nothing_and_down_removes_it() {
    alone(async |world| {
        remove_install(&world).await?;
        assert_eq!(cluster_wide(&world).await, Vec::<String>::new());
        let state = tempfile::tempdir().expect("a folder");
        let options = UpOptions {
            when_load: WhenLoad::Changed,
            load: LoadOptions {
                limit: Duration::from_mins(1),
                ..LoadOptions::default()
            },
            record: state.path().join("up.json"),
            ..UpOptions::from_env(Progress::shown())
        };
        let shown = Shown::default();
        let mut terminal = Terminal::plain(shown.clone());

        let first = up::up(&options, &mut terminal)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let text = shown.take();
        assert!(first.changed);
        let load = first.load.expect("load was driven");
        assert_eq!(
            (load.tally.failed, load.tally.refused),
            (0, 0),
            "{:?}",
            load.tally.failures
        );
        assert!(
            load.history.first_rise().is_some(),
            "the HPA never wanted more pods:\n{text}"
        );
        assert!(load.history.deepest() > 0.0, "no queue was seen:\n{text}");
        for part in [
            "completion tokens",
            "adapter: queue",
            "HPA wants",
            "pods",
            "URL",
            "Secret llm/",
            "make down",
        ] {
            assert!(text.contains(part), "the output says nothing of {part:?}:\n{text}");
        }
        assert!(!text.contains('\x1b'), "escape sequences without a terminal");

        let works = up::status(&options, &mut terminal)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(works, "{}", shown.take());
        steady(&world).await?;
        let before = versions(&world).await?;
        let started = Instant::now();
        let second = up::up(&options, &mut terminal)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let took = started.elapsed();
        assert!(!second.changed && second.load.is_none());
        assert_eq!(versions(&world).await?, before, "the second run changed something");
        assert!(took < Duration::from_secs(30), "the second run took {took:?}");

        pages::run(&world, &shown.take()).await?;
        let removed = up::down(&options, &mut terminal)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(removed, "{}", shown.take());
        assert_eq!(cluster_wide(&world).await, Vec::<String>::new());
        for gone in [install::NAMESPACE, "llm"] {
            let left = world.objects.get("v1", "Namespace", "", gone).await?;
            assert!(left.is_none(), "the namespace {gone} is left");
        }
        assert!(!options.record.exists());
        let again = up::down(&options, &mut terminal)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(!again);
        Ok(())
    });
}

/// Waits until the HPA has taken back the pods that the load called for, so that nothing changes by itself.
async fn steady(world: &World) -> Result<(), HarnessError> {
    let limit = Duration::from_secs(150);
    let calm = |gateway: &DynamicObject| {
        let count = |pointer: &str| gateway.data.pointer(pointer).and_then(serde_json::Value::as_i64);
        let (replicas, ready) = (count("/status/replicas"), count("/status/readyReplicas"));
        let live = count("/status/podsOnGeneration");
        (replicas, ready, live)
    };
    let minimum = world
        .objects
        .list("tokenweir.dev/v1alpha1", "ScalingPolicy", "llm")
        .await?;
    let minimum = minimum.first().and_then(|policy| {
        policy
            .data
            .pointer("/spec/replicas/min")
            .and_then(serde_json::Value::as_i64)
    });
    world
        .objects
        .wait("tokenweir.dev/v1alpha1", "LLMGateway", "llm", "edge", limit, |found| {
            let state = calm(found.ok_or("it is gone")?);
            if state == (minimum, minimum, minimum) {
                Ok(())
            } else {
                Err(format!("{state:?}, wanted {minimum:?}"))
            }
        })
        .await?;
    // A pod that ends still changes.
    wait::poll("pods to have ended", READY, || async {
        let pods = world.objects.list("v1", "Pod", "llm").await.map_err(|e| e.chain())?;
        let ending = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some())
            .count();
        if ending == 0 {
            Ok(())
        } else {
            Err(format!("{ending} end"))
        }
    })
    .await
}
