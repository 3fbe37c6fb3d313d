//! Every mistake of a client, and most failures of a provider, as OpenAI error objects.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::{Gateway, KEY, OTHER_KEY, chat, sim, until};
use super::script::Script;

#[tokio::test]
async fn mistakes_of_a_client_are_told_in_openais_form() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let post = |path: &str, body: &'static str| gateway.raw_request(path, body);
    let cases = [
        (post("/v1/chat/completions", "{"), 400, "not valid JSON"),
        (post("/v1/chat/completions", ""), 400, "not valid JSON"),
        (post("/v1/chat/completions", "[]"), 400, "JSON object"),
        (post("/v1/chat/completions", r#"{"messages":[]}"#), 400, "'model'"),
        (
            post("/v1/chat/completions", r#"{"model":"m","model":"n","messages":[]}"#),
            400,
            "duplicate",
        ),
        (post("/v1/chat/completions", r#"{"model":"m"}"#), 400, "'messages'"),
        (post("/v1/embeddings", r#"{"model":"m"}"#), 400, "'input'"),
        (post("/v1/nothing", "{}"), 404, "unknown request URL"),
        (post("/v1/models", "{}"), 405, "GET"),
    ];
    for (request, status, message) in cases {
        let answer = gateway.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert!(answer.error().contains(message), "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(sim.requests(), []);
}

#[tokio::test]
async fn without_a_known_key_there_is_nothing() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    for authorization in [None, Some("Bearer wrong"), Some("Basic abc"), Some(KEY)] {
        let mut request = gateway.request("/v1/chat/completions", &chat("any"));
        request.headers_mut().remove("authorization");
        if let Some(value) = authorization {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    }
}

#[tokio::test]
async fn a_model_that_a_tenant_may_not_use_looks_like_one_that_is_not_there() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let mut request = gateway.request("/v1/chat/completions", &chat("private"));
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {OTHER_KEY}").parse().unwrap());
    let answer = gateway.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"]["code"].as_str()),
        (404, Some("model_not_found"))
    );
    let mut request = gateway.request("/v1/chat/completions", &chat("allowed-x"));
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {OTHER_KEY}").parse().unwrap());
    assert_eq!(gateway.send(request).await.status, 200);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let gateway = Gateway::start("http://127.0.0.1:1/v1");
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 99999999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..read]);
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[tokio::test]
async fn hostile_bytes_never_stop_the_gateway() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let deep = format!(
        "{{\"model\":\"m\",\"messages\":{}{}}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    let odd_head = |head: &str| format!("{head}\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n").into_bytes();
    let raw: Vec<Vec<u8>> = vec![
        b"\0\xff\xfe\r\n\r\n".to_vec(),
        b"PR".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense".to_vec(),
        odd_head("GET /v1/models/%ff%zz HTTP/1.1"),
        odd_head("GET http://[::1/v1/models HTTP/1.1"),
        odd_head("POST /v1/chat/completions?\u{e9} HTTP/1.1"),
        odd_head("POST * HTTP/1.1"),
        odd_head("CONNECT a:1 HTTP/1.1"),
    ];
    for bytes in raw {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        // Some of these are cut off while they are written.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    assert!(
        gateway
            .send(gateway.raw_request("/v1/chat/completions", deep))
            .await
            .status
            .as_u16()
            < 500
    );
    for header in [&b"Bearer \xff"[..], b"Bearer", b" "] {
        let mut request = gateway.request("/v1/chat/completions", &chat("any"));
        request
            .headers_mut()
            .insert("authorization", http::HeaderValue::from_bytes(header).unwrap());
        assert_eq!(gateway.send(request).await.status, 401);
    }
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
}

#[tokio::test]
async fn limits_of_the_provider_reach_the_client() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    let body = r#"{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    provider.send(format!(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 17\r\nx-ratelimit-remaining-tokens: 0\r\n\
         x-ratelimit-reset-tokens: 17s\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("17"));
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("0"));
    assert_eq!(answer.header("x-ratelimit-reset-tokens"), Some("17s"));
    assert_eq!(answer.text(), body);
}

#[tokio::test]
async fn failures_of_a_provider_without_an_answer_are_told_apart() {
    let sim = sim();
    let with_timeouts = |url: &str| {
        Gateway::with(url, |v| {
            v["providers"]["sim"]["timeouts"] =
                json!({"connectMs": 300, "firstTokenMs": 200, "idleMs": 200, "totalMs": 400});
        })
    };
    let refused = with_timeouts("http://127.0.0.1:1/v1");
    let answer = refused.chat(&chat("any")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (502, "the provider could not be connected")
    );
    let gateway = with_timeouts(&sim.url());
    for (fault, stream, status, message) in [
        ("reset", false, 502, "closed the connection"),
        ("hang", false, 504, "in the time that a request may take"),
        ("hang", true, 504, "did not begin its answer in time"),
        ("hang;after=0", true, 504, "did not begin its answer in time"),
    ] {
        let mut body = chat("any");
        body["stream"] = json!(stream);
        let mut request: Request<Full<Bytes>> = gateway.request("/v1/chat/completions", &body);
        request.headers_mut().insert("x-sim-fault", fault.parse().unwrap());
        let answer = gateway.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{fault} {}", answer.text());
        assert!(answer.error().contains(message), "{fault}: {}", answer.text());
    }
    until("the provider is left", || sim.stats().active == 0).await;
}

#[tokio::test]
async fn a_service_without_ready_endpoints_is_unavailable_for_now() {
    let gateway = Gateway::with("http://127.0.0.1:1/v1", |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
    });
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert!(answer.error().contains("no endpoint"), "{}", answer.text());
}

#[tokio::test]
async fn a_provider_does_not_speak_for_the_gateway() {
    let script = Script::start().await;
    let gateway = Gateway::start(&script.url());
    for (status, body) in [
        (200, r#"{"object":"chat.completion","choices":[]}"#),
        (400, r#"{"error":{"message":"no"}}"#),
    ] {
        script.send(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
             x-tokenweir-provider: another\r\nx-tokenweir-attempts: 7\r\nX-Tokenweir-Dropped: user\r\nx-tokenweir-new: 1\r\n\
             x-kept: kept\r\n\r\n{body}",
            body.len()
        ));
        script.close();
        let answer = gateway.chat(&chat("any")).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert_eq!(answer.header("x-kept"), Some("kept"));
        let own: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-tokenweir-"))
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(own, [("x-tokenweir-provider", "sim")]);
    }
}
