//! Runs a test in its world: finds or makes cluster and install once, gives each test a namespace, collects what a
//! failed one leaves behind, and removes the namespace.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokenweir_e2e::cluster::{self, Cluster, Folders, Options, Progress};
use tokenweir_e2e::harness::install::{self, Images};
use tokenweir_e2e::harness::{HarnessError, Objects, collect, manifest, namespace};
use tokio::sync::{Mutex, RwLock, Semaphore};

use super::TestResult;

/// Tests that only need the cluster to be there hold it for reading, those that disturb it for writing.
static TURN: RwLock<()> = RwLock::const_new(());
/// Tests that measure times under load run two at a time, so that they measure the product and not the machine.
static BUSY: Semaphore = Semaphore::const_new(2);
static SETUP: OnceLock<Result<Setup, String>> = OnceLock::new();
static INSTALL: Mutex<()> = Mutex::const_new(());
static INSTALLED: AtomicBool = AtomicBool::new(false);

struct Setup {
    cluster: Cluster,
    images: Arc<Images>,
}

/// What a test works with.
pub struct World {
    pub cluster: Cluster,
    pub images: Arc<Images>,
    pub folders: Folders,
    pub client: Client,
    pub objects: Objects,
    pub namespace: String,
}

/// Runs a test beside others.
pub fn beside(test: impl AsyncFnOnce(Arc<World>) -> TestResult) {
    run(async move |name| {
        let _turn = TURN.read().await;
        in_world(&name, test).await;
    });
}

/// Runs a test that measures times beside others, and never more than two of its sort.
pub fn busy(test: impl AsyncFnOnce(Arc<World>) -> TestResult) {
    run(async move |name| {
        let _turn = TURN.read().await;
        let _permit = BUSY.acquire().await.expect("the semaphore is never closed");
        in_world(&name, test).await;
    });
}

/// Runs a test alone.
pub fn alone(test: impl AsyncFnOnce(Arc<World>) -> TestResult) {
    run(async move |name| {
        let _turn = TURN.write().await;
        in_world(&name, test).await;
    });
}

/// Says that the install was removed, so that the next test makes it again.
pub fn install_is_gone() {
    INSTALLED.store(false, Ordering::SeqCst);
}

fn run(test: impl AsyncFnOnce(String)) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(test(name));
}

async fn in_world(name: &str, test: impl AsyncFnOnce(Arc<World>) -> TestResult) {
    let world = Arc::new(
        enter(name)
            .await
            .unwrap_or_else(|error| panic!("cannot set up: {}", error.chain())),
    );
    // A panic comes back as a value, so that the world is left in order.
    let outcome = AssertUnwindSafe(test(world.clone())).catch_unwind().await;
    let failed = !matches!(outcome, Ok(Ok(())));
    if failed {
        let folder = collect::folder(&world.folders.source, name);
        let namespaces = [world.namespace.as_str(), install::NAMESPACE];
        match collect::collect(&world.objects, &namespaces, &folder).await {
            Ok(()) => eprintln!("logs, events and objects of {name} are in {}", folder.display()),
            Err(error) => eprintln!("could not collect everything about {name}: {}", error.chain()),
        }
    }
    let removed = namespace::delete(&world.client, &world.namespace).await;
    match outcome {
        Err(panic) => resume_unwind(panic),
        Ok(Err(error)) => panic!("{}", error.chain()),
        Ok(Ok(())) => removed.unwrap_or_else(|error| panic!("{}", error.chain())),
    }
}

async fn enter(name: &str) -> Result<World, HarnessError> {
    let setup = tokio::task::spawn_blocking(|| SETUP.get_or_init(set_up))
        .await
        .expect("setting up does not panic")
        .as_ref()
        .unwrap_or_else(|error| panic!("cannot set up: {error}"));
    let folders = Folders::from_env();
    let client = setup.cluster.client().await?;
    {
        let _one = INSTALL.lock().await;
        if !INSTALLED.load(Ordering::SeqCst) {
            install::charts(&setup.cluster, &folders, &setup.images, &Progress::shown()).await?;
            INSTALLED.store(true, Ordering::SeqCst);
        }
    }
    let namespace = namespace::create(&client, name.rsplit("::").next().unwrap_or(name)).await?;
    Ok(World {
        objects: Objects::new(client.clone(), "tokenweir-e2e"),
        cluster: setup.cluster.clone(),
        images: setup.images.clone(),
        folders,
        client,
        namespace,
    })
}

/// Runs once, on a runtime of its own that ends with it.
fn set_up() -> Result<Setup, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let work = async {
        let options = Options::from_env(Progress::shown());
        let (folders, progress) = (options.folders.clone(), options.progress.clone());
        let cluster = cluster::find_or_start(options).await?;
        let images = Images::build(&cluster, &folders, &progress).await?;
        remove_leftovers(&cluster.client().await?).await?;
        Ok::<_, HarnessError>(Setup {
            cluster,
            images: Arc::new(images),
        })
    };
    runtime.block_on(work).map_err(|error| error.chain())
}

/// A run that was killed leaves its namespaces behind.
async fn remove_leftovers(client: &Client) -> TestResult {
    use k8s_openapi::api::core::v1::Namespace;
    use kube::api::ListParams;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ours = ListParams::default().labels(namespace::LABEL);
    let list = namespaces.list(&ours).await.map_err(|source| HarnessError::Api {
        action: "list namespaces of earlier runs".to_owned(),
        source: Box::new(source),
    })?;
    for left in list.items {
        namespace::delete(client, left.metadata.name.as_deref().unwrap_or_default()).await?;
    }
    Ok(())
}

impl World {
    /// Parses manifests, puts them into the test's namespace, and the built simulator into their pods.
    pub fn parse(&self, text: &str) -> Result<Vec<DynamicObject>, HarnessError> {
        let mut objects = manifest::parse("a test's manifest", text)?;
        manifest::set_namespace(&mut objects, &self.namespace);
        if let Some(sim) = self.images.get("sim") {
            manifest::substitute_image(
                &mut objects,
                "tokenweir/sim",
                &sim.reference(),
                self.images.pull_policy(),
            );
        }
        Ok(objects)
    }

    /// Applies manifests in the test's namespace.
    pub async fn apply(&self, text: &str) -> Result<Vec<DynamicObject>, HarnessError> {
        self.objects.apply_all(&self.parse(text)?).await
    }

    /// An API of a built-in kind in the test's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}
