//! Apply, become ready, serve, tell, and leave nothing.

use std::time::Duration;

use tokenweir_e2e::harness::objects::{condition, describe};
use tokenweir_e2e::harness::openai::{Chat, Connections};
use tokenweir_e2e::harness::wait;

use crate::support::held::{assert_whole, hold, long_chat};
use crate::support::stack::{self, MODEL, Stack};
use crate::support::{READY, SOON, beside, table};

/// Kinds that the operator makes for a gateway, a tenant and a policy, by what it writes for the stack of these tests.
const OWNED: [(&str, &str); 10] = [
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "Pod"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
];

#[test]
fn a_stack_becomes_ready_serves_tells_and_leaves_nothing_behind() {
    beside(async |world| {
        let before = inventory(&world).await?;
        let running = Stack::default().start(&world).await?;
        world.apply(POLICY).await?;
        let policy = stack::object(&world, "ScalingPolicy", "edge").await?;
        world.objects.wait_condition(&policy, "Ready", "True", READY).await?;

        let client = running.client(Connections::KeepAlive);
        let chat = Chat::new(MODEL, 20);
        let streamed = client.stream(&chat, |_| {}).await.unwrap();
        assert_eq!(streamed.completion_tokens, 20);
        assert!(streamed.chunks > 1, "a stream in one piece: {streamed:?}");
        assert!(!streamed.request_id.is_empty());
        let whole = client.complete(&chat).await.unwrap();
        assert_eq!(whole.completion_tokens, 20);
        assert_eq!(whole.prompt_tokens, streamed.prompt_tokens);
        let models = client.call("GET", "/v1/models", None).await.unwrap();
        assert_eq!(models["data"][0]["id"], MODEL);
        let embedded = serde_json::json!({"model": MODEL, "input": "weir"});
        let embeddings = client.call("POST", "/v1/embeddings", Some(&embedded)).await.unwrap();
        assert!(
            embeddings["data"][0]["embedding"]
                .as_array()
                .is_some_and(|vector| !vector.is_empty())
        );

        let message = stack::ready(&world).await?.message;
        let generation = stack::object(&world, "LLMGateway", "edge").await?.data["status"]["configGeneration"].clone();
        assert_eq!(message, format!("generation {generation} live on 2/2 pods"));

        let gateway = table::row(&world, "llmgateways", "edge").await?;
        let shown = |column: &str| gateway.get(column).map(String::as_str).unwrap_or_default();
        assert_eq!(
            (shown("Ready"), shown("Replicas"), shown("Live"), shown("Programmed")),
            ("2", "2", "2", "True")
        );
        assert_eq!(shown("Generation"), generation.to_string());
        assert!(shown("URL").starts_with("http://"), "{gateway:?}");
        for (plural, name) in [("modelproviders", "sim"), ("modelroutes", "chat"), ("tenants", "acme")] {
            let row = table::row(&world, plural, name).await?;
            for column in ["Accepted", "Refs", "Programmed"] {
                assert_eq!(row.get(column).map(String::as_str), Some("True"), "{plural}: {row:?}");
            }
        }
        let scaling = table::row(&world, "scalingpolicies", "edge").await?;
        assert_eq!(scaling.get("Ready").map(String::as_str), Some("True"), "{scaling:?}");
        assert_eq!(scaling.get("Target").map(String::as_str), Some("edge"), "{scaling:?}");

        let mut manifests = world.parse(&Stack::default().manifests())?;
        manifests.extend(world.parse(POLICY)?);
        world.objects.delete_all(&manifests, READY).await?;
        wait::poll("nothing to be left", READY, || async {
            let left = inventory(&world).await.map_err(|e| e.chain())?;
            if left == before {
                Ok(())
            } else {
                Err(format!("{left:?}, at first {before:?}"))
            }
        })
        .await
    });
}

const POLICY: &str = "
apiVersion: tokenweir.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: edge}
spec:
  targetRef: {apiVersion: tokenweir.dev/v1alpha1, kind: LLMGateway, name: edge}
  replicas: {min: 2, max: 3}
  horizontal: {signals: [{queueDepth: {perReplica: 10}}]}
";

async fn inventory(world: &crate::support::World) -> Result<Vec<String>, tokenweir_e2e::harness::HarnessError> {
    let mut found = Vec::new();
    for (api_version, kind) in OWNED {
        let objects = world.objects.list(api_version, kind, &world.namespace).await?;
        found.extend(objects.iter().map(|object| format!("{kind} {}", describe(object))));
    }
    found.sort();
    Ok(found)
}

#[test]
fn deleting_a_gateway_lets_its_streams_end_whole() {
    beside(async |world| {
        let running = Stack {
            token_ms: 50,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        let chat = long_chat(8, 50);
        let streams = hold(&running.client(Connections::PerRequest), &chat, 6).await;
        let gateway = stack::object(&world, "LLMGateway", "edge").await?;
        let background = kube::api::DeleteParams::background();
        let api = world.objects.api_of(&gateway).await?;
        api.delete("edge", &background)
            .await
            .expect("the gateway can be deleted");
        assert_whole(streams, chat.max_tokens).await;
        wait::poll("the gateway's pods to be gone", READY, || async {
            let pods = stack::pods(&world).await.map_err(|e| e.chain())?;
            if pods.is_empty() {
                Ok(())
            } else {
                Err(format!("{} pods", pods.len()))
            }
        })
        .await
    });
}

#[test]
fn without_a_policy_the_replicas_of_the_spec_hold_and_scale_works() {
    beside(async |world| {
        Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        stack::ready_pods(&world, 1, READY).await?;
        world
            .apply(
                &Stack {
                    replicas: 3,
                    ..Stack::default()
                }
                .gateway(),
            )
            .await?;
        stack::ready_pods(&world, 3, READY).await?;
        let gateway = stack::object(&world, "LLMGateway", "edge").await?;
        let api = world.objects.api_of(&gateway).await?;
        let scale = serde_json::json!({"spec": {"replicas": 2}});
        api.patch_scale(
            "edge",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(&scale),
        )
        .await
        .expect("the scale subresource takes a patch");
        stack::ready_pods(&world, 2, READY).await?;
        world
            .objects
            .wait(
                "tokenweir.dev/v1alpha1",
                "LLMGateway",
                &world.namespace,
                "edge",
                SOON,
                |found| {
                    let found = found.ok_or("it is gone")?;
                    let status = &found.data["status"];
                    let programmed = condition(found, "Programmed").map(|c| c.message).unwrap_or_default();
                    if status["readyReplicas"] == 2 && programmed.ends_with("live on 2/2 pods") {
                        Ok(())
                    } else {
                        Err(format!("{} ready, {programmed}", status["readyReplicas"]))
                    }
                },
            )
            .await
    });
}

#[test]
fn a_gateway_scaled_to_zero_says_so_and_comes_back() {
    beside(async |world| {
        let running = Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        world
            .apply(
                &Stack {
                    replicas: 0,
                    ..Stack::default()
                }
                .gateway(),
            )
            .await?;
        stack::ready_pods(&world, 0, READY).await?;
        let gateway = stack::object(&world, "LLMGateway", "edge").await?;
        let said = world.objects.wait_condition(&gateway, "Ready", "False", SOON).await?;
        assert_eq!(said.reason, "ScaledToZero", "{said:?}");
        world
            .apply(
                &Stack {
                    replicas: 1,
                    ..Stack::default()
                }
                .gateway(),
            )
            .await?;
        stack::ready(&world).await?;
        let client = running.client(Connections::PerRequest);
        let chat = Chat {
            limit: Duration::from_secs(5),
            ..Chat::new(MODEL, 5)
        };
        // kube-proxy learns of the new pod a moment after it is ready.
        wait::poll("an answer", SOON, || async {
            client
                .complete(&chat)
                .await
                .map(|_| ())
                .map_err(|failure| failure.to_string())
        })
        .await
    });
}
