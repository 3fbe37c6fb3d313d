//! Bad objects: refused at admission where one object shows the mistake, else a condition that names the field.

use std::path::Path;

use tokenweir_e2e::harness::HarnessError;
use tokenweir_e2e::harness::objects::Condition;
use tokenweir_e2e::harness::openai::{Chat, Connections};

use crate::support::stack::{self, MODEL, Stack};
use crate::support::{SOON, World, beside};

/// What the refusal must have in it, from the comments at a fixture's head; see the README of the fixtures.
fn expected(text: &str) -> Vec<&str> {
    let stated = |line| str::strip_prefix(line, "# expect: ").or_else(|| str::strip_prefix(line, "# expect-server: "));
    text.lines().filter_map(stated).map(str::trim).collect()
}

fn fixtures(world: &World, folder: &str) -> Vec<(String, String)> {
    let folder = world.folders.source.join("crds/tests/fixtures").join(folder);
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path: std::path::PathBuf| {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            (
                name,
                std::fs::read_to_string(Path::new(&path)).expect("a fixture can be read"),
            )
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures in {}", folder.display());
    found
}

#[test]
fn the_api_server_accepts_every_valid_fixture() {
    beside(async |world| {
        for (name, text) in fixtures(&world, "valid") {
            for object in world.parse(&text)? {
                if let Err(error) = world.objects.would_create(&object).await {
                    panic!("{name} is refused: {}", error.chain());
                }
            }
        }
        Ok(())
    });
}

#[test]
fn the_api_server_refuses_every_invalid_fixture_with_the_message_it_states() {
    beside(async |world| {
        for (name, text) in fixtures(&world, "invalid") {
            let expected = expected(&text);
            assert!(!expected.is_empty(), "{name} states no expectation");
            for object in world.parse(&text)? {
                let refusal = match world.objects.would_create(&object).await {
                    Ok(_) => panic!("{name} is accepted"),
                    Err(error) => error.chain(),
                };
                for part in &expected {
                    assert!(refusal.contains(part), "{name} is refused without {part:?}: {refusal}");
                }
            }
        }
        Ok(())
    });
}

/// An object that is right by itself and wrong beside its neighbours, and what must be said about it.
struct Bad {
    kind: &'static str,
    name: &'static str,
    spec: &'static str,
    condition: &'static str,
    reason: &'static str,
    named: &'static [&'static str],
}

const BAD_NEIGHBOURS: [Bad; 11] = [
    Bad {
        kind: "ModelRoute",
        name: "no-provider",
        spec: "spec: {model: other, gatewayRefs: [{name: edge}], backends: [{providerRef: {name: missing-provider}}]}",
        condition: "ResolvedRefs",
        reason: "ProviderNotFound",
        named: &["missing-provider", "backends[0]"],
    },
    Bad {
        kind: "ModelRoute",
        name: "no-gateway",
        spec: "spec: {model: other2, gatewayRefs: [{name: missing-gateway}], backends: [{providerRef: {name: sim}}]}",
        condition: "ResolvedRefs",
        reason: "GatewayNotFound",
        named: &["missing-gateway", "gatewayRefs[0]"],
    },
    Bad {
        kind: "ModelRoute",
        name: "same-model",
        spec: "spec: {model: chat, gatewayRefs: [{name: edge}], backends: [{providerRef: {name: sim}}]}",
        condition: "Accepted",
        reason: "Conflict",
        named: &["chat", "model"],
    },
    Bad {
        kind: "ModelProvider",
        name: "no-secret",
        spec: "spec: {type: OpenAICompatible, endpoint: 'http://127.0.0.1:1/v1', credentials: {secretRef: {name: missing-secret, key: k}}}",
        condition: "ResolvedRefs",
        reason: "SecretNotFound",
        named: &["missing-secret", "secretRef"],
    },
    Bad {
        kind: "ModelProvider",
        name: "no-field",
        spec: "spec: {type: OpenAICompatible, endpoint: 'http://127.0.0.1:1/v1', credentials: {secretRef: {name: sim-key, key: no-such-field}}}",
        condition: "ResolvedRefs",
        reason: "SecretInvalid",
        named: &["sim-key", "no-such-field"],
    },
    Bad {
        kind: "Tenant",
        name: "same-key",
        spec: "spec: {auth: {apiKeys: [{name: stolen, secretRef: {name: acme-ci, key: apiKey}}]}}",
        condition: "Accepted",
        reason: "Conflict",
        named: &["acme", "apiKeys[0]"],
    },
    Bad {
        kind: "ModelProvider",
        name: "no-service",
        spec: "spec: {type: OpenAICompatible, backendRef: {name: missing-service, port: 80}}",
        condition: "ResolvedRefs",
        reason: "ServiceNotFound",
        named: &["missing-service", "backendRef"],
    },
    Bad {
        kind: "ModelProvider",
        name: "no-port",
        spec: "spec: {type: OpenAICompatible, backendRef: {name: sim, port: 81}}",
        condition: "ResolvedRefs",
        reason: "ServiceNotFound",
        named: &["sim", "81"],
    },
    Bad {
        kind: "ScalingPolicy",
        name: "no-target",
        spec: "spec: {targetRef: {apiVersion: tokenweir.dev/v1alpha1, kind: LLMGateway, name: missing-gateway}, replicas: {min: 1, max: 2}, horizontal: {signals: [{queueDepth: {perReplica: 1}}]}}",
        condition: "ResolvedRefs",
        reason: "TargetNotFound",
        named: &["missing-gateway", "targetRef"],
    },
    Bad {
        kind: "ScalingPolicy",
        name: "no-tenant",
        spec: "spec: {targetRef: {apiVersion: tokenweir.dev/v1alpha1, kind: LLMGateway, name: edge}, replicas: {min: 1, max: 2}, horizontal: {signals: [{queueDepth: {perReplica: 1, via: External, tenantRef: {name: missing-tenant}}}]}}",
        condition: "ResolvedRefs",
        reason: "TenantNotFound",
        named: &["missing-tenant", "signals[0].queueDepth.tenantRef"],
    },
    Bad {
        kind: "Tenant",
        name: "no-key",
        spec: "spec: {auth: {apiKeys: [{name: ci, secretRef: {name: missing-key, key: k}}]}}",
        condition: "ResolvedRefs",
        reason: "SecretNotFound",
        named: &["missing-key", "apiKeys[0]"],
    },
];

#[test]
fn what_only_neighbours_show_is_a_condition_that_names_the_field_and_the_rest_stays_served() {
    beside(async |world| {
        let running = Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        for Bad {
            kind,
            name,
            spec,
            condition,
            reason,
            named,
        } in BAD_NEIGHBOURS
        {
            let text =
                format!("apiVersion: tokenweir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\n{spec}\n");
            world.apply(&text).await?;
            let said: Condition = said_no(&world, kind, name, condition).await?;
            assert_eq!(said.reason, reason, "{kind} {name}: {said:?}");
            for part in named {
                assert!(
                    said.message.contains(part),
                    "{kind} {name} says nothing of {part}: {said:?}"
                );
            }
        }
        // All of them at once, and the good ones are served as before.
        stack::ready(&world).await?;
        running
            .client(Connections::PerRequest)
            .complete(&Chat::new(MODEL, 5))
            .await
            .expect("the good route is served");
        Ok(())
    });
}

async fn said_no(world: &World, kind: &str, name: &str, condition: &str) -> Result<Condition, HarnessError> {
    let object = stack::object(world, kind, name).await?;
    world.objects.wait_condition(&object, condition, "False", SOON).await
}
