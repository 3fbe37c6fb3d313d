//! Clients in front of providers that speak their own dialect: bytes pass, and the gateway speaks the dialect itself.

use std::sync::atomic::Ordering;

use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::harness::{Answer, Gateway, KEY, provider, route, sim, streamed, until};
use super::script::Script;

/// A provider entry of a kind, with the key in a header of that name.
pub fn provider_of(kind: &str, header: &str, url: &str) -> Value {
    let mut entry = provider(url);
    entry["kind"] = json!(kind);
    entry["credential"] = json!({"header": {"name": header, "value": "provider-secret"}});
    entry
}

fn anthropic(url: &str) -> Gateway {
    Gateway::with(url, |v| {
        v["providers"]["sim"] = provider_of("Anthropic", "x-api-key", url);
    })
}

pub fn message(model: &str) -> Value {
    json!({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]})
}

async fn messages(gateway: &Gateway, body: &Value) -> Answer {
    gateway.send(gateway.request("/v1/messages", body)).await
}

/// The form of every error that a client of Anthropic gets.
pub fn assert_anthropic_error(answer: &Answer, status: u16, kind: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    assert_eq!(
        (&json["type"], &json["error"]["type"]),
        (&json!("error"), &json!(kind)),
        "{json}"
    );
    assert!(json["request_id"].is_string(), "{json}");
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    json["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_message_passes_with_the_gateways_key_and_is_metered() {
    let sim = sim();
    let gateway = anthropic(&sim.url());
    let mut body = message("claude");
    body["metadata"] = json!({"user_id": "kept"});
    let mut request = gateway.request("/v1/messages?beta=true", &body);
    let headers = request.headers_mut();
    headers.remove("authorization");
    headers.insert("x-api-key", KEY.parse().unwrap());
    headers.insert("anthropic-beta", "context-1m-2025-08-07".parse().unwrap());
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["type"], "message");
    assert!(answer.header("request-id").is_some());
    let seen = &sim.requests()[0];
    assert_eq!((seen.path.as_str(), &seen.body), ("/v1/messages?beta=true", &body));
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
    assert_eq!(seen.headers["anthropic-beta"], "context-1m-2025-08-07");
    until("it was counted", || gateway.ended(200) == 1).await;
    assert_eq!(gateway.counted("chat").unwrap().output_tokens, 8);
}

#[tokio::test]
async fn a_stream_of_a_message_passes_byte_for_byte_and_is_metered() {
    let sim = sim();
    let gateway = anthropic(&sim.url());
    let mut body = message("claude");
    body["stream"] = json!(true);
    let answer = messages(&gateway, &body).await;
    let text = answer.text();
    assert!(text.starts_with("event: message_start\n"), "{text}");
    assert!(
        text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
        "{text}"
    );
    until("it was counted", || gateway.ended(200) == 1).await;
    let counted = gateway.counted("chat").unwrap();
    assert_eq!(counted.output_tokens, 8);
    assert!(counted.input_tokens > 0);
}

#[tokio::test]
async fn a_stream_of_a_message_that_breaks_ends_with_an_error_event_of_its_dialect() {
    let script = Script::start().await;
    let gateway = anthropic(&script.url());
    script.begin_stream();
    script.chunk(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n",
    );
    script.close();
    let mut body = message("claude");
    body["stream"] = json!(true);
    let answer = messages(&gateway, &body).await;
    let (_, error) = answer.text().split_once("event: error\ndata: ").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(error.trim()).unwrap(),
        json!({"type": "error", "error": {
            "type": "api_error", "message": "the provider broke off in the middle of its answer"
        }})
    );
    until("it was counted", || {
        gateway.upstream_errors().contains_key("sim interrupted")
    })
    .await;
}

#[tokio::test]
async fn errors_of_the_gateway_are_in_the_form_of_the_clients_dialect() {
    let sim = sim();
    let gateway = anthropic(&sim.url());
    let mut unknown_key = gateway.request("/v1/messages", &message("claude"));
    unknown_key
        .headers_mut()
        .insert("authorization", "Bearer no".parse().unwrap());
    let refused = gateway.send(unknown_key).await;
    assert_anthropic_error(&refused, 401, "authentication_error");
    assert_eq!(refused.json()["request_id"].as_str(), refused.header("request-id"));
    let nonsense = gateway.send(gateway.raw_request("/v1/messages", "{")).await;
    assert_anthropic_error(&nonsense, 400, "invalid_request_error");
    let no_messages = messages(&gateway, &json!({"model": "claude", "max_tokens": 1})).await;
    let text = assert_anthropic_error(&no_messages, 400, "invalid_request_error");
    assert_eq!(text, "missing required parameter: 'messages'");
    let mut elsewhere = gateway.request("/v1/nowhere", &json!({}));
    elsewhere
        .headers_mut()
        .insert("anthropic-version", "2023-06-01".parse().unwrap());
    assert_anthropic_error(&gateway.send(elsewhere).await, 404, "not_found_error");

    let broken = Gateway::with("http://127.0.0.1:1", |v| {
        v["providers"]["sim"] = provider_of("Anthropic", "x-api-key", "http://127.0.0.1:1");
    });
    assert_anthropic_error(&messages(&broken, &message("claude")).await, 502, "api_error");

    let narrow = Gateway::with(&sim.url(), |v| v["routes"]["chat"] = route("only-this", "sim"));
    assert_anthropic_error(&messages(&narrow, &message("claude")).await, 404, "not_found_error");
}

#[tokio::test]
async fn an_error_of_a_provider_passes_with_its_headers() {
    let script = Script::start().await;
    let gateway = anthropic(&script.url());
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_p"}"#;
    script.send(format!(
        "HTTP/1.1 529 \r\ncontent-type: application/json\r\nrequest-id: req_p\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = messages(&gateway, &message("claude")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (529, body));
    let head = script.heads().remove(0);
    assert!(head.contains("\r\nx-api-key: provider-secret\r\n"), "{head}");
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("x-tokenweir-provider-request-id"), Some("req_p"));
    assert_ne!(answer.header("request-id"), Some("req_p"));
}

#[tokio::test]
async fn models_are_listed_in_the_form_of_anthropic_for_its_clients() {
    let sim = sim();
    let gateway = Gateway::with(&sim.url(), |v| {
        v["routes"] = json!({"a": route("alpha", "sim"), "b": route("beta", "sim")});
    });
    let get = async |path: &str| {
        let request = http::Request::get(format!("http://{}{path}", gateway.address))
            .header("x-api-key", KEY)
            .header("anthropic-version", "2023-06-01")
            .body(Full::default())
            .unwrap();
        gateway.send(request).await
    };
    let list = get("/v1/models?limit=1").await.json();
    assert_eq!((&list["has_more"], &list["last_id"]), (&json!(true), &json!("alpha")));
    let rest = get("/v1/models?after_id=alpha").await.json();
    assert_eq!(
        (&rest["has_more"], &rest["data"][0]["id"]),
        (&json!(false), &json!("beta"))
    );
    let one = get("/v1/models/beta").await.json();
    assert_eq!((&one["type"], &one["display_name"]), (&json!("model"), &json!("beta")));
    let created = one["created_at"].as_str().unwrap();
    assert!(created.starts_with("20") && created.ends_with('Z'), "{created}");
    assert_anthropic_error(&get("/v1/models/gamma").await, 404, "not_found_error");
}

#[tokio::test]
async fn a_response_passes_to_openai_and_its_stream_is_metered_and_complete_with_its_last_event() {
    let script = Script::start().await;
    let gateway = Gateway::with(&script.url(), |v| v["providers"]["sim"]["kind"] = json!("OpenAI"));
    let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}\n\n\
                  event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hi\"}\n\n\
                  event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"usage\":\
                  {\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
    script.begin_stream();
    script.chunk(stream);
    let request = gateway.request(
        "/v1/responses",
        &json!({"model": "gpt", "input": "Hello", "stream": true}),
    );
    let mut body = gateway.begin(request).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, stream.as_bytes());
    // The client has read the last event and goes, though the provider has not closed its body.
    drop(body);
    until("it was counted", || gateway.ended(200) == 1).await;
    let counted = gateway.counted("chat").unwrap();
    assert_eq!((counted.input_tokens, counted.output_tokens), (5, 1));
    until("the provider is left", || script.closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_response_that_breaks_ends_with_a_numbered_error_event() {
    let script = Script::start().await;
    let gateway = Gateway::with(&script.url(), |v| v["providers"]["sim"]["kind"] = json!("OpenAI"));
    script.begin_stream();
    script.chunk(
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}\n\n",
    );
    script.close();
    let request = gateway.request(
        "/v1/responses",
        &json!({"model": "gpt", "input": "Hello", "stream": true}),
    );
    let answer = gateway.send(request).await;
    let (_, error) = answer.text().split_once("event: error\ndata: ").unwrap();
    let error: Value = serde_json::from_str(error.trim()).unwrap();
    assert_eq!(
        (&error["type"], &error["sequence_number"]),
        (&json!("error"), &json!(1))
    );
    assert_eq!(error["code"], "upstream_error");
}

#[tokio::test]
async fn azure_gets_its_own_header_and_its_older_paths_name_the_deployment() {
    let script = Script::start().await;
    let gateway = Gateway::with(&script.url(), |v| {
        let mut azure = provider_of("AzureOpenAI", "api-key", "http://unused");
        azure["upstream"] = json!({"endpoint": {"url": format!("http://{}/openai", script.address)}});
        azure["azureApiVersion"] = json!("2024-10-21");
        v["providers"]["sim"] = azure;
    });
    let body = r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    script.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = gateway
        .send(gateway.request("/v1/chat/completions?x=y", &super::harness::chat("my gpt")))
        .await;
    assert_eq!(answer.text(), body);
    let head = script.heads().remove(0);
    assert!(
        head.starts_with("post /openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21 http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\napi-key: provider-secret\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn what_a_provider_does_not_have_is_the_clients_mistake_unless_another_has_it() {
    let sim = sim();
    let gateway = Gateway::with(&sim.url(), |v| {
        v["providers"]["claude"] = provider_of("Anthropic", "x-api-key", &sim.url());
        v["routes"]["alone"] = route("alone", "claude");
        v["routes"]["helped"] = route("helped", "claude");
        v["routes"]["helped"]["fallbacks"] = json!([{"provider": "sim"}]);
    });
    let embed = async |model: &str| {
        let body = json!({"model": model, "input": "Hello"});
        gateway.send(gateway.request("/v1/embeddings", &body)).await
    };
    let alone = embed("alone").await;
    assert_eq!(alone.status, 400);
    assert_eq!(
        alone.error(),
        "the provider of the model 'alone' does not serve requests to /v1/embeddings"
    );
    let helped = embed("helped").await;
    assert_eq!(helped.status, 200, "{}", helped.text());
    assert_eq!(helped.header("x-tokenweir-provider"), Some("sim"));
    assert_eq!(helped.header("x-tokenweir-attempts"), None, "nothing was tried before");
    assert_eq!(gateway.upstream_errors().len(), 0);
    assert_eq!(gateway.chat(&streamed("other")).await.status, 200);
}
