//! Streams that nothing may cut: changes of routes and keys, and rollouts.

use std::time::Duration;

use serde_json::Value;
use tokenweir_e2e::harness::load::Load;
use tokenweir_e2e::harness::openai::{Chat, Connections, OpenAi};
use tokenweir_e2e::harness::{HarnessError, reach, wait};

use crate::support::held::{assert_whole, hold, long_chat};
use crate::support::stack::{self, MODEL, Stack};
use crate::support::{READY, SOON, World, beside, busy};

const NEW_KEY: &str = "
apiVersion: v1
kind: Secret
metadata: {name: sim-key}
stringData: {key: provider-key-2}
";

/// The simulator's recorded requests.
async fn recorded(world: &World) -> Result<Vec<Value>, HarnessError> {
    let sim = reach::service(&world.client, &world.namespace, "sim", 8000).await?;
    let client = OpenAi::new(sim.url(), "provider-key-1", Connections::PerRequest);
    let answer = client
        .call("GET", "/sim/requests", None)
        .await
        .expect("the simulator tells what it recorded");
    Ok(answer.as_array().cloned().unwrap_or_default())
}

/// The newest request that the gateway sent: the hash of its key, and the model it asked for.
async fn newest(world: &World) -> Result<(String, String), HarnessError> {
    let requests = recorded(world).await?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(requests
        .last()
        .map(|request| (text(request.get("keyHash")), text(request.pointer("/body/model"))))
        .unwrap_or_default())
}

#[test]
fn a_rotated_provider_key_and_a_changed_route_reach_the_pods_without_a_restart() {
    beside(async |world| {
        let running = Stack::default().start(&world).await?;
        let pods = stack::ready_pods(&world, 2, READY).await?;
        let client = running.client(Connections::PerRequest);
        let chat = Chat::new(MODEL, 5);
        client.complete(&chat).await.unwrap();
        let (first_key, first_model) = newest(&world).await?;
        assert_eq!(first_model, "sim-small");
        world.apply(NEW_KEY).await?;
        world.apply(&stack::route("sim-large")).await?;
        wait::poll("the new key and model at the provider", SOON, || async {
            client.complete(&chat).await.map_err(|failure| failure.to_string())?;
            let (key, model) = newest(&world).await.map_err(|e| e.chain())?;
            if key != first_key && model == "sim-large" {
                Ok(())
            } else {
                Err(format!("key {key}, model {model}"))
            }
        })
        .await?;
        let after = stack::pods(&world).await?;
        let identity = |pods: &[k8s_openapi::api::core::v1::Pod]| {
            let mut all: Vec<_> = pods
                .iter()
                .map(|pod| {
                    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
                    let restarts: i32 = containers.unwrap_or_default().iter().map(|c| c.restart_count).sum();
                    (stack::name(pod), restarts)
                })
                .collect();
            all.sort();
            all
        };
        assert_eq!(identity(&after), identity(&pods), "pods were replaced or restarted");
        Ok(())
    });
}

#[test]
fn fifty_streams_survive_a_route_change_a_key_rotation_and_a_rollout() {
    busy(async |world| {
        let stack = Stack {
            token_ms: 100,
            grace: Duration::from_mins(1),
            ..Stack::default()
        };
        let running = stack.start(&world).await?;
        let old: Vec<_> = stack::ready_pods(&world, 2, READY)
            .await?
            .iter()
            .map(stack::name)
            .collect();
        let chat = long_chat(25, 100);
        let streams = hold(&running.client(Connections::PerRequest), &chat, 50).await;
        // Short requests come in all the while, on connections that are kept and on new ones.
        let short = Chat {
            limit: Duration::from_secs(20),
            ..Chat::new(MODEL, 3)
        };
        let longest = Duration::from_secs(90);
        let kept = Load::closed(&running.client(Connections::KeepAlive), &short, 2, longest);
        let fresh = Load::closed(&running.client(Connections::PerRequest), &short, 2, longest);

        world.apply(&stack::route("sim-large")).await?;
        world.apply(NEW_KEY).await?;
        wait::poll("the changed route to be served", SOON, || async {
            let (_, model) = newest(&world).await.map_err(|e| e.chain())?;
            if model == "sim-large" { Ok(()) } else { Err(model) }
        })
        .await?;
        // Another resource request is another pod template.
        world
            .apply(&stack.gateway().replace("memory: 16Mi", "memory: 17Mi"))
            .await?;
        wait::poll("two new pods and no old one", READY, || async {
            let pods = stack::pods(&world).await.map_err(|e| e.chain())?;
            let fresh = pods
                .iter()
                .filter(|pod| stack::is_ready(pod) && !old.contains(&stack::name(pod)))
                .count();
            if fresh == 2 && pods.len() == 2 {
                Ok(())
            } else {
                Err(format!("{fresh} new of {}", pods.len()))
            }
        })
        .await?;
        assert_whole(streams, chat.max_tokens).await;
        for load in [kept, fresh] {
            let tally = load.finish().await;
            assert_eq!(tally.failures, Vec::<String>::new());
            assert!(tally.finished > 10, "{tally:?}");
        }
        stack::ready(&world).await.map(|_| ())
    });
}
