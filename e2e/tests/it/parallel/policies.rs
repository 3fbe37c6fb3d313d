//! Two who want to scale the same gateway.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use tokenweir_e2e::harness::{HarnessError, wait};

use crate::support::stack::{self, Stack};
use crate::support::{READY, SOON, World, beside};

fn policy(name: &str, min: u32) -> String {
    format!(
        r"
apiVersion: tokenweir.dev/v1alpha1
kind: ScalingPolicy
metadata: {{name: {name}}}
spec:
  targetRef: {{apiVersion: tokenweir.dev/v1alpha1, kind: LLMGateway, name: edge}}
  replicas: {{min: {min}, max: 5}}
  horizontal: {{signals: [{{queueDepth: {{perReplica: 100}}}}]}}
"
    )
}

async fn hpas(world: &World) -> Result<Vec<HorizontalPodAutoscaler>, HarnessError> {
    let list = world
        .api::<HorizontalPodAutoscaler>()
        .list(&ListParams::default())
        .await;
    list.map(|list| list.items).map_err(|source| HarnessError::Api {
        action: "list HPAs".to_owned(),
        source: Box::new(source),
    })
}

#[test]
fn of_two_policies_on_one_gateway_the_older_scales_and_the_newer_says_conflict() {
    beside(async |world| {
        Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        world.apply(&policy("first", 1)).await?;
        let first = stack::object(&world, "ScalingPolicy", "first").await?;
        world.objects.wait_condition(&first, "Ready", "True", READY).await?;
        world.apply(&policy("second", 3)).await?;
        let second = stack::object(&world, "ScalingPolicy", "second").await?;
        let said = world.objects.wait_condition(&second, "Accepted", "False", SOON).await?;
        assert_eq!(said.reason, "Conflict", "{said:?}");
        assert!(said.message.contains("first"), "{said:?}");
        let owners: Vec<_> = hpas(&world)
            .await?
            .into_iter()
            .flat_map(|hpa| hpa.metadata.owner_references.unwrap_or_default())
            .map(|owner| owner.name)
            .collect();
        assert_eq!(owners, ["first"]);
        world.objects.delete(&first).await?;
        // The newer takes over: three pods by its own minimum.
        world.objects.wait_condition(&second, "Ready", "True", READY).await?;
        stack::ready_pods(&world, 3, READY).await.map(|_| ())
    });
}

#[test]
fn a_foreign_hpa_is_a_condition_and_no_war() {
    beside(async |world| {
        Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        let foreign = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: somebody-elses}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: edge}
  minReplicas: 2
  maxReplicas: 2
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 100}}}]
";
        world.apply(foreign).await?;
        world.apply(&policy("ours", 1)).await?;
        let ours = stack::object(&world, "ScalingPolicy", "ours").await?;
        let said = world.objects.wait_condition(&ours, "Accepted", "False", SOON).await?;
        assert_eq!(said.reason, "Conflict", "{said:?}");
        assert!(said.message.contains("somebody-elses"), "{said:?}");
        let names: Vec<_> = hpas(&world)
            .await?
            .into_iter()
            .filter_map(|hpa| hpa.metadata.name)
            .collect();
        assert_eq!(names, ["somebody-elses"]);
        let api = world.api::<HorizontalPodAutoscaler>();
        api.delete("somebody-elses", &DeleteParams::default())
            .await
            .expect("the foreign HPA can be deleted");
        world
            .objects
            .wait_condition(&ours, "Ready", "True", READY)
            .await
            .map(|_| ())
    });
}

#[test]
fn replicas_that_somebody_set_stay_when_a_policy_comes_and_when_the_gateway_changes() {
    beside(async |world| {
        let stack = Stack {
            replicas: 1,
            ..Stack::default()
        };
        stack.start(&world).await?;
        world.apply(&policy("edge", 1)).await?;
        let object = stack::object(&world, "ScalingPolicy", "edge").await?;
        world.objects.wait_condition(&object, "Ready", "True", READY).await?;
        // What the HPA does: it writes the scale subresource.
        let deployments = world.api::<Deployment>();
        let scale = serde_json::json!({"spec": {"replicas": 3}});
        deployments
            .patch_scale("edge", &PatchParams::default(), &Patch::Merge(&scale))
            .await
            .expect("the Deployment can be scaled");
        // A change that makes the operator write the Deployment again.
        world
            .apply(&stack.gateway().replace("memory: 16Mi", "memory: 17Mi"))
            .await?;
        wait::watch(deployments.clone(), "edge", "the changed Deployment", READY, |found| {
            let spec = &found.ok_or("it is gone")?.spec;
            let text = serde_json::to_string(&spec.template).map_err(|e| e.to_string())?;
            if text.contains("17Mi") {
                Ok(spec.replicas)
            } else {
                Err("still the old template".to_owned())
            }
        })
        .await
        .map(|replicas| assert_eq!(replicas, Some(3), "the operator reset what was scaled"))
    });
}
