//! Several routes for one model.

use serde_json::{Value, json};
use tokenweir_e2e::harness::openai::{Connections, Failure};

use crate::support::stack::{self, MODEL, Stack, object};
use crate::support::{READY, SOON, beside};

/// A route for the model of the stack that takes the requests of one user, and asks the provider for a model of that name.
fn route(name: &str, user: &str) -> String {
    format!(
        r"
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {{name: {name}}}
spec:
  model: {MODEL}
  match: [{{body: [{{path: metadata.user, value: {user}}}]}}]
  gatewayRefs: [{{name: edge}}]
  backends: [{{providerRef: {{name: sim}}, model: model-of-{name}}}]
"
    )
}

#[test]
fn routes_of_one_model_share_its_requests_and_a_route_that_nothing_reaches_says_conflict() {
    beside(async |world| {
        let stack = Stack {
            replicas: 1,
            ..Stack::default()
        };
        let running = stack.start(&world).await?;
        world.apply(&route("night", "batch")).await?;
        let night = object(&world, "ModelRoute", "night").await?;
        world
            .objects
            .wait_condition(&night, "Programmed", "True", READY)
            .await?;
        stack::ready(&world).await?;

        let client = running.client(Connections::KeepAlive);
        let ask = async |user: &str| {
            let body = json!({"model": MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}],
                "metadata": {"user": user}});
            client.call("POST", "/v1/chat/completions", Some(&body)).await
        };
        let model = |answer: Result<Value, Failure>| answer.unwrap()["model"].clone();
        assert_eq!(model(ask("batch").await), "model-of-night");
        assert_eq!(model(ask("someone").await), "sim-small");

        world.apply(&route("twin", "batch")).await?;
        let twin = object(&world, "ModelRoute", "twin").await?;
        let said = world.objects.wait_condition(&twin, "Accepted", "False", SOON).await?;
        assert_eq!(said.reason, "Conflict", "{said:?}");
        assert!(said.message.starts_with("spec.match[0]: ModelRoute night"), "{said:?}");
        assert_eq!(model(ask("batch").await), "model-of-night");

        let default = object(&world, "ModelRoute", "chat").await?;
        world.objects.delete(&default).await?;
        tokenweir_e2e::harness::wait::poll("the default route to be gone", SOON, || async {
            match ask("someone").await {
                Err(Failure::Refused { status: 404, body, .. }) if body.contains("no route for the model") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        assert_eq!(model(ask("batch").await), "model-of-night");
        Ok(())
    });
}
