//! Clients in front of providers that speak another dialect.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokenweir_sim::{RequestOutcome, SimHandle};

use super::harness::{Answer, Gateway, provider, retries, route, sim, until};
use super::passed::{assert_anthropic_error, provider_of};
use super::script::Script;
use super::speaks::Speaks::{self, Chat, Completions, Messages, Responses};
use super::speaks::{ALL, data};

/// A gateway with the routes `openai` and `anthropic` to providers of these wires, and `either` from the first to the
/// second.
fn gateway(openai: &str, anthropic: &str) -> Gateway {
    Gateway::with(openai, |v| {
        v["providers"]["openai"] = provider(openai);
        v["providers"]["anthropic"] = provider_of("Anthropic", "x-api-key", anthropic);
        let mut either = route("either*", "openai");
        either["fallbacks"] = json!([{"provider": "anthropic"}]);
        let mut drops = route("drops*", "anthropic");
        drops["dropUnsupported"] = json!(true);
        v["routes"] = json!({
            "openai": route("openai*", "openai"),
            "anthropic": route("anthropic*", "anthropic"),
            "either": either,
            "drops": drops,
        });
    })
}

fn simulated() -> (SimHandle, Gateway) {
    let sim = sim();
    let gateway = gateway(&sim.url(), &sim.url());
    (sim, gateway)
}

async fn ask(gateway: &Gateway, client: Speaks, body: &Value) -> Answer {
    gateway.send(gateway.request(client.path(), body)).await
}

#[tokio::test]
async fn every_client_gets_answers_of_every_wire_in_its_own_dialect() {
    let (sim, gateway) = simulated();
    for client in ALL {
        for (model, path) in [("openai", "/v1/chat/completions"), ("anthropic", "/v1/messages")] {
            let answer = ask(&gateway, client, &client.request(model, "[[sim:say=Good day.]]", false)).await;
            assert_eq!(answer.status, 200, "{client:?} {model}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let json = answer.json();
            assert_eq!(client.text(&json), "Good day.", "{client:?} {model}");
            let usage = client.usage(&json);
            assert!(usage.0 > 0 && usage.1 > 0, "{client:?} {model}: {usage:?}");
            let seen = sim.requests().pop().unwrap();
            let spoken = if client == Completions && model == "openai" {
                "/v1/completions"
            } else {
                path
            };
            assert_eq!(seen.path, spoken, "{client:?} {model}");
            let own = client.path() == spoken;
            assert_eq!(
                own,
                seen.body == client.request(model, "[[sim:say=Good day.]]", false),
                "{client:?} {model}"
            );
        }
    }
    until("all were counted", || gateway.ended(200) == 8).await;
    let counted = gateway.counted("anthropic").unwrap();
    assert!(counted.input_tokens > 0 && counted.output_tokens > 0);
}

#[tokio::test]
async fn every_client_gets_streams_of_every_wire_in_its_own_dialect() {
    let (_sim, gateway) = simulated();
    for client in ALL {
        for model in ["openai", "anthropic"] {
            let answer = ask(
                &gateway,
                client,
                &client.request(model, "[[sim:say=Good day to you.]]", true),
            )
            .await;
            assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
            assert_eq!(
                client.streamed_text(answer.text()),
                "Good day to you.",
                "{client:?} {model}"
            );
        }
    }
    until("all were counted", || gateway.ended(200) == 8).await;
    for route in ["openai", "anthropic"] {
        let counted = gateway.counted(route).unwrap();
        assert!(counted.input_tokens > 0 && counted.output_tokens > 0, "{route}");
    }
}

#[tokio::test]
async fn calls_of_tools_and_their_results_go_both_ways() {
    let (sim, gateway) = simulated();
    for client in [Chat, Responses, Messages] {
        for model in ["openai", "anthropic"] {
            let mut request = client.request(model, "[[sim:calls=1]] Weather?", false);
            request["tools"] = client.tool();
            let answer = ask(&gateway, client, &request).await;
            assert_eq!(answer.status, 200, "{client:?} {model}: {}", answer.text());
            let json = answer.json();
            let (name, arguments) = client.call(&json);
            assert_eq!(name, "weather");
            assert!(arguments["city"].is_string(), "{client:?} {model}: {arguments}");
            // The whole turn goes back with the result, and the simulator is as strict as the API is.
            match client {
                Chat => {
                    let message = json["choices"][0]["message"].clone();
                    let id = message["tool_calls"][0]["id"].clone();
                    let turn = request["messages"].as_array_mut().unwrap();
                    turn.push(message);
                    turn.push(json!({"role": "tool", "tool_call_id": id, "content": "sunny"}));
                }
                Messages => {
                    let call = json["content"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(|part| part["type"] == "tool_use");
                    let result = json!({"type": "tool_result", "tool_use_id": call.unwrap()["id"], "content": "sunny"});
                    let turn = request["messages"].as_array_mut().unwrap();
                    turn.push(json!({"role": "assistant", "content": json["content"]}));
                    turn.push(json!({"role": "user", "content": [result]}));
                }
                _ => {
                    let mut input = vec![json!({"role": "user", "content": "Weather?"})];
                    let call = json["output"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(|item| item["type"] == "function_call");
                    input.push(call.unwrap().clone());
                    let id = &call.unwrap()["call_id"];
                    input.push(json!({"type": "function_call_output", "call_id": id, "output": "sunny"}));
                    request["input"] = json!(input);
                }
            }
            let answer = ask(&gateway, client, &request).await;
            assert_eq!(answer.status, 200, "{client:?} {model}: {}", answer.text());
            let seen = sim.requests().pop().unwrap().body.to_string();
            assert!(seen.contains("sunny"), "{client:?} {model}: {seen}");
        }
    }
}

#[tokio::test]
async fn an_error_of_a_provider_is_told_in_the_clients_dialect() {
    let (_sim, gateway) = simulated();
    for client in ALL {
        for model in ["openai", "anthropic"] {
            let limited = format!("{model}!429;retry-after=7");
            let answer = ask(&gateway, client, &client.request(&limited, "Hello", false)).await;
            client.assert_error(&answer, 429);
            assert_eq!(answer.header("retry-after"), Some("7"), "{client:?} {model}");
            for stream in [false, true] {
                let request = client.request(&format!("{model}!html;status=502"), "Hello", stream);
                client.assert_error(&ask(&gateway, client, &request).await, 502);
            }
        }
    }
    // Anthropic's own status would say nothing to clients of OpenAI.
    for (client, status) in [(Chat, 503), (Responses, 503), (Messages, 529)] {
        let answer = ask(&gateway, client, &client.request("anthropic!529", "Hello", false)).await;
        assert_eq!(answer.status, status, "{client:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_is_a_failure_of_the_provider() {
    let (_sim, gateway) = simulated();
    for (client, model) in [(Messages, "openai"), (Chat, "anthropic"), (Responses, "anthropic")] {
        for fault in ["malformed", "html"] {
            let answer = ask(
                &gateway,
                client,
                &client.request(&format!("{model}!{fault}"), "Hello", false),
            )
            .await;
            let message = client.assert_error(&answer, 502);
            assert_eq!(
                message, "the provider's answer could not be understood",
                "{client:?} {fault}"
            );
        }
    }
    assert_eq!(gateway.upstream_errors()["anthropic malformed"], 4);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event_of_the_clients_dialect() {
    let (_sim, gateway) = simulated();
    let pairs = [
        (Messages, "openai"),
        (Responses, "openai"),
        (Chat, "anthropic"),
        (Completions, "anthropic"),
        (Responses, "anthropic"),
    ];
    for (count, (client, model)) in pairs.into_iter().enumerate() {
        for fault in ["reset;after=3", "close;after=3", "error;after=3"] {
            let request = client.request(&format!("{model}!{fault}"), "[[sim:tokens=9]]", true);
            let answer = ask(&gateway, client, &request).await;
            let text = answer.text();
            let last = data(text).pop().unwrap();
            match client {
                Chat | Completions => {
                    assert!(last["error"]["message"].is_string(), "{client:?} {fault}: {text}");
                    assert!(!text.contains("[DONE]"), "{client:?} {fault}: {text}");
                }
                Responses => {
                    assert!(
                        last["type"] == "error" || last["type"] == "response.failed",
                        "{fault}: {text}"
                    );
                    assert!(!text.contains("response.completed"), "{fault}: {text}");
                }
                Messages => {
                    assert_eq!(
                        (&last["type"], last["error"]["type"].is_string()),
                        (&json!("error"), true),
                        "{text}"
                    );
                    assert!(!text.contains("message_stop"), "{fault}: {text}");
                }
            }
        }
        until("the failures were counted", || {
            let errors = gateway.upstream_errors();
            errors.values().sum::<u64>() == 3 * (count as u64 + 1)
        })
        .await;
    }
    until("nothing runs", || gateway.running() == 0).await;
}

#[tokio::test]
async fn silence_in_a_translated_stream_is_told_and_the_provider_left() {
    let script = Script::start().await;
    let gateway = Gateway::with(&script.url(), |v| {
        v["providers"]["sim"]["timeouts"]["idleMs"] = json!(50);
    });
    script.begin_stream();
    script.chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"}}]}\n\n");
    let answer = ask(&gateway, Messages, &Messages.request("any", "Hello", true)).await;
    let last = data(answer.text()).pop().unwrap();
    assert_eq!(last["error"]["type"], "timeout_error", "{}", answer.text());
    assert!(answer.text().contains("\"text\":\"Hi\""), "{}", answer.text());
    until("the provider is left", || script.closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!(gateway.upstream_errors()["sim idle_timeout"], 1);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_request_at_the_provider_and_pays_for_what_was_seen() {
    let (sim, gateway) = simulated();
    for (client, model) in [(Messages, "openai"), (Chat, "anthropic"), (Responses, "anthropic")] {
        let request = client.request(&format!("{model}!hang;after=3"), "[[sim:tokens=9]]", true);
        let mut body = gateway
            .begin(gateway.request(client.path(), &request))
            .await
            .into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        until("the provider was told", || {
            sim.requests()
                .pop()
                .is_some_and(|seen| seen.outcome == RequestOutcome::Cancelled)
        })
        .await;
    }
    until("all were counted", || gateway.ended(499) == 3).await;
    until("nothing runs", || gateway.running() == 0).await;
    assert!(gateway.counted("anthropic").unwrap().output_tokens > 0);
}

#[tokio::test]
async fn what_a_target_cannot_express_is_named_unless_the_route_drops_it() {
    let (sim, gateway) = simulated();
    let mut request = Chat.request("anthropic", "Hello", false);
    request["logit_bias"] = json!({"1": 5});
    request["seed"] = json!(7);
    let refused = ask(&gateway, Chat, &request).await;
    let message = Chat.assert_error(&refused, 400);
    assert!(message.contains("'seed'") || message.contains("seed', "), "{message}");
    assert!(
        message.contains("logit_bias") && message.contains("dropUnsupported"),
        "{message}"
    );
    assert_eq!(refused.json()["error"]["code"], "unsupported_parameter");
    assert_eq!(sim.requests().len(), 0, "nothing was sent");
    assert_eq!(refused.header("x-tokenweir-provider"), None);
    assert!(gateway.upstream_errors().is_empty());

    request["model"] = json!("drops");
    let answer = ask(&gateway, Chat, &request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = sim.requests().pop().unwrap().body;
    assert!(seen.get("seed").is_none() && seen.get("logit_bias").is_none(), "{seen}");

    let mut request = Messages.request("openai", "Hello", false);
    request["messages"] = json!([{"role": "user", "content": 7}]);
    let message = Messages.assert_error(&ask(&gateway, Messages, &request).await, 400);
    assert!(message.contains("messages[0].content"), "{message}");
}

#[tokio::test]
async fn a_fallback_may_speak_another_wire() {
    let (sim, gateway) = simulated();
    for client in ALL {
        let request = client.request("either!503,ok", "[[sim:say=Good day.]]", false);
        let answer = ask(&gateway, client, &request).await;
        assert_eq!(answer.status, 200, "{client:?}: {}", answer.text());
        assert_eq!(client.text(&answer.json()), "Good day.", "{client:?}");
        assert_eq!(answer.header("x-tokenweir-provider"), Some("anthropic"));
        assert_eq!(answer.header("x-tokenweir-attempts"), Some("2"));
        sim.clear_requests();
    }
}

#[tokio::test]
async fn a_request_goes_at_once_to_a_target_that_has_words_for_it() {
    let sim = sim();
    let gateway = Gateway::with(&sim.url(), |v| {
        v["providers"]["anthropic"] = provider_of("Anthropic", "x-api-key", &sim.url());
        let mut both = route("both", "anthropic");
        both["backends"] = json!([{"provider": "anthropic", "weight": 1000}, {"provider": "sim", "weight": 1}]);
        both["retry"] = retries(0);
        v["routes"]["both"] = both;
        let mut none = route("none", "anthropic");
        none["fallbacks"] = json!([{"provider": "anthropic"}]);
        v["routes"]["none"] = none;
    });
    let mut request = Chat.request("both", "Hello", false);
    request["seed"] = json!(7);
    for _ in 0..5 {
        let answer = ask(&gateway, Chat, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-tokenweir-provider"), Some("sim"));
        assert_eq!(answer.header("x-tokenweir-attempts"), None);
    }
    request["model"] = json!("none");
    Chat.assert_error(&ask(&gateway, Chat, &request).await, 400);
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_where_it_can_and_else_by_the_gateway() {
    let (sim, gateway) = simulated();
    let count = async |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "How many tokens are these?"}]});
        gateway.send(gateway.request("/v1/messages/count_tokens", &body)).await
    };
    let theirs = count("anthropic").await;
    assert_eq!(theirs.header("x-tokenweir-provider"), Some("anthropic"));
    let ours = count("openai").await;
    assert_eq!(ours.header("x-tokenweir-provider"), None);
    assert_eq!(ours.header("content-type"), Some("application/json"));
    for answer in [&theirs, &ours] {
        let tokens = answer.json()["input_tokens"].as_u64().unwrap();
        assert!((5..30).contains(&tokens), "{tokens}");
    }
    assert_eq!(sim.requests().len(), 1, "the estimate needs no provider");
    let wrong = gateway.request(
        "/v1/messages/count_tokens",
        &json!({"model": "openai", "messages": [7]}),
    );
    assert_anthropic_error(&gateway.send(wrong).await, 400, "invalid_request_error");
}
