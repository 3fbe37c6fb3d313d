//! The chart's own tests, an upgrade and a rollback.

use std::time::Duration;

use serde_json::json;
use tokenweir_e2e::cluster::Progress;
use tokenweir_e2e::cluster::images::{self, Image};
use tokenweir_e2e::harness::helm::{Helm, Release};
use tokenweir_e2e::harness::load::Load;
use tokenweir_e2e::harness::openai::{Chat, Connections};
use tokenweir_e2e::harness::{HarnessError, install, wait};

use super::programs::program_ready;
use crate::support::held::{assert_whole, hold, long_chat};
use crate::support::stack::{self, MODEL, Stack};
use crate::support::{READY, TestResult, World, alone};

/// A helm command with both programs rolled.
const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn the_charts_own_tests_pass() {
    alone(async |world| {
        let said = Helm::new(&world.cluster)
            .test(install::RELEASE, install::NAMESPACE, LIMIT)
            .await?;
        assert!(said.contains("Succeeded"), "{said}");
        Ok(())
    });
}

/// The same program under another name: what a new version is to Kubernetes.
async fn next_version(world: &World) -> Result<Release, HarnessError> {
    let binary = world.images.program("gateway")?;
    let image = Image {
        name: "gateway-next".to_owned(),
        binary,
    };
    let built = images::build(&[image], &world.folders, &Progress::quiet()).await?;
    let next = world.cluster.load_images(&built).await?.remove(0);
    let mut release = install::main_release(&world.folders, &world.images);
    release.values["gateway"]["image"]["repository"] = json!(next.repository);
    release.values["gateway"]["image"]["tag"] = json!(next.tag);
    Ok(release)
}

async fn all_pods_run(world: &World, repository: &str) -> TestResult {
    wait::poll(format!("all gateway pods to run {repository}"), READY, || async {
        let pods = stack::pods(world).await.map_err(|e| e.chain())?;
        let runs = |pod: &k8s_openapi::api::core::v1::Pod| {
            let image = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.containers[0].image.clone())
                .unwrap_or_default();
            stack::is_ready(pod) && image.starts_with(&format!("{repository}:"))
        };
        let good = pods.iter().filter(|pod| runs(pod)).count();
        if good == 2 && pods.len() == 2 {
            Ok(())
        } else {
            Err(format!("{good} of {}", pods.len()))
        }
    })
    .await
}

#[test]
fn an_upgrade_and_a_rollback_under_load_fail_no_request() {
    alone(async |world| {
        let helm = Helm::new(&world.cluster);
        let stack = Stack {
            token_ms: 50,
            grace: Duration::from_mins(1),
            ..Stack::default()
        };
        let running = stack.start(&world).await?;
        let before = helm
            .status(install::RELEASE, install::NAMESPACE)
            .await?
            .expect("it is installed")
            .revision;
        let next = next_version(&world).await?;
        let chat = long_chat(30, 50);
        let streams = hold(&running.client(Connections::PerRequest), &chat, 10).await;
        let short = Chat {
            limit: Duration::from_secs(20),
            ..Chat::new(MODEL, 4)
        };
        let longest = Duration::from_secs(170);
        let kept = Load::closed(&running.client(Connections::KeepAlive), &short, 3, longest);
        let fresh = Load::closed(&running.client(Connections::PerRequest), &short, 3, longest);

        helm.upgrade(&next, LIMIT).await?;
        let repository = next.values["gateway"]["image"]["repository"]
            .as_str()
            .expect("set above")
            .to_owned();
        let upgraded = all_pods_run(&world, &repository).await;
        helm.rollback(install::RELEASE, install::NAMESPACE, before, LIMIT)
            .await?;
        upgraded?;
        let first = world.images.get("gateway").expect("it was built").repository.clone();
        all_pods_run(&world, &first).await?;
        for program in ["operator", "adapter"] {
            program_ready(&world, program).await?;
        }
        assert_whole(streams, chat.max_tokens).await;
        for load in [kept, fresh] {
            let tally = load.finish().await;
            assert_eq!(tally.failures, Vec::<String>::new());
            assert!(tally.finished > 50, "{tally:?}");
        }
        Ok(())
    });
}
