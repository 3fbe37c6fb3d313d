//! Clients of OpenAI and Anthropic in front of Bedrock, Gemini and Vertex AI: what these are sent, and what comes back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokenweir_config::AwsCredential;
use tokenweir_gateway::upstream::credential::AwsSigner;
use tokenweir_llm::dialect::converse::eventstream::encode;

use super::harness::{Answer, Gateway, chat, events, provider, route, streamed, until};

/// A key made for tests alone.
const PEM: &str = include_str!("../../../config/testdata/service-account.pem");

/// A request as a provider got it.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// What a provider answers: status, type and body.
type Reply = (u16, &'static str, Vec<u8>);

/// A provider that keeps what it was sent and answers all of it in one way, but for the paths of token servers.
struct Cloud {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<Mutex<Reply>>,
    token: Arc<Mutex<Reply>>,
}

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<Mutex<Reply>>,
    token: Arc<Mutex<Reply>>,
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().to_string();
    let reply = if path == "/token" { &shared.token } else { &shared.reply };
    let (status, content_type, body) = {
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let headers = head.headers;
        shared.seen.lock().unwrap().push(Seen { path, headers, body });
        reply.lock().unwrap().clone()
    };
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", content_type)
        .body(Body::from(body))
        .unwrap()
}

impl Cloud {
    async fn start(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let token = json!({"access_token": "t0ken", "expires_in": 3600}).to_string();
        let shared = Shared {
            seen: Arc::default(),
            reply: Arc::new(Mutex::new((200, content_type, body.into()))),
            token: Arc::new(Mutex::new((200, "application/json", token.into_bytes()))),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let Shared { seen, reply, token } = shared.clone();
        let router = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            seen,
            reply,
            token,
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The one request that is not to the token server.
    fn request(&self) -> Seen {
        let mut seen = self.seen();
        seen.retain(|seen| seen.path != "/token");
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// A gateway in front of this provider as one of a kind.
    fn gateway(&self, kind: &str, prefix: &str, credential: &Value) -> Gateway {
        let url = format!("http://{}{prefix}", self.address);
        Gateway::with(&url, |config| {
            let entry = &mut config["providers"]["sim"];
            entry["kind"] = json!(kind);
            entry["upstream"] = json!({"endpoint": {"url": url}});
            entry["credential"] = credential.clone();
        })
    }

    fn gemini(&self) -> Gateway {
        let key = json!({"header": {"name": "x-goog-api-key", "value": "provider-secret"}});
        self.gateway("Gemini", "/v1beta", &key)
    }

    fn bedrock(&self) -> Gateway {
        let keys = json!({"aws": {
            "accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "s3cret", "sessionToken": "session", "region": "eu-central-1",
        }});
        self.gateway("Bedrock", "", &keys)
    }

    fn vertex(&self) -> Gateway {
        let key = json!({
            "client_email": "gateway@p", "private_key": PEM, "token_uri": format!("http://{}/token", self.address),
        });
        let credential = json!({"serviceAccount": key.to_string()});
        self.gateway("Vertex", "/v1beta1/projects/p/locations/eu", &credential)
    }
}

const GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi."}]},"finishReason":"STOP"}],
  "usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash","responseId":"r1"}"#;

const CONVERSE: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi."}]}},"stopReason":"end_turn",
  "usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9}}"#;

fn assert_hi(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["object"], "chat.completion", "{json}");
    assert_eq!(json["choices"][0]["message"]["content"], "Hi.");
    assert_eq!(json["usage"]["prompt_tokens"], 7);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

async fn embed(gateway: &Gateway, body: &Value) -> Answer {
    gateway.send(gateway.request("/v1/embeddings", body)).await
}

#[tokio::test]
async fn gemini_is_asked_at_its_path_with_its_key_and_nothing_that_a_client_says_to_clouds() {
    let cloud = Cloud::start("application/json; charset=UTF-8", GEMINI).await;
    let gateway = cloud.gemini();
    let mut request = gateway.request("/v1/chat/completions?alt=json", &chat("gemini-2.5-flash"));
    let headers = request.headers_mut();
    headers.insert("x-goog-user-project", "someone-elses".parse().unwrap());
    headers.insert("x-goog-api-key", "of-the-client".parse().unwrap());
    assert_hi(&gateway.send(request).await);
    let seen = cloud.request();
    assert_eq!(seen.path, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!(seen.header("x-goog-api-key"), "provider-secret");
    assert!(!seen.headers.contains_key("x-goog-user-project") && !seen.headers.contains_key("authorization"));
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(
        seen.json(),
        json!({
            "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
            "generationConfig": {"maxOutputTokens": 8},
        })
    );
    until("it was counted", || gateway.ended(200) == 1).await;
    let counted = gateway.counted("chat").unwrap();
    assert_eq!((counted.input_tokens, counted.output_tokens), (7, 2));
}

#[tokio::test]
async fn a_stream_of_gemini_reads_as_one_of_openai() {
    let event = GEMINI.replace('\n', "");
    let cloud = Cloud::start("text/event-stream", format!("data: {event}\r\n\r\n")).await;
    let gateway = cloud.gemini();
    let answer = gateway.chat(&streamed("gemini-2.5-flash")).await;
    assert_eq!(
        cloud.request().path,
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    let events = events(answer.text());
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{}", answer.text());
    assert!(
        events.iter().any(|event| event.contains(r#""content":"Hi.""#)),
        "{events:?}"
    );
    until("it was counted", || gateway.ended(200) == 1).await;
    assert_eq!(gateway.counted("chat").unwrap().input_tokens, 7);
}

/// That the signature is one over what was sent: made again, with the time in it, from what arrived.
fn assert_signed(seen: &Seen) {
    let (date, time) = seen.header("x-amz-date").split_once('T').unwrap();
    let number = |text: &str| text.parse::<i64>().unwrap();
    let days = days_from_civil(number(&date[..4]), number(&date[4..6]), number(&date[6..8]));
    let seconds = number(&time[..2]) * 3600 + number(&time[2..4]) * 60 + number(&time[4..6]);
    let unix = Duration::from_secs(u64::try_from(days * 86_400 + seconds).unwrap());
    let signer = AwsSigner::new(&AwsCredential {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "s3cret".into(),
        session_token: Some("session".into()),
        region: "eu-central-1".into(),
    });
    let mut again = HeaderMap::new();
    signer
        .apply(seen.header("host"), &seen.path, &seen.body, unix, &mut again)
        .unwrap();
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        assert_eq!(seen.headers.get(name), again.get(name), "{name}");
    }
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[tokio::test]
async fn bedrock_is_sent_a_signature_over_what_it_gets() {
    let cloud = Cloud::start("application/json", CONVERSE).await;
    let mut gateway = cloud.bedrock();
    gateway.reconfigure(|config| {
        config["routes"]["chat"]["requestHeaders"] = json!({"add": [{"name": "x-team", "value": "edge"}]});
    });
    let mut request = gateway.request("/v1/chat/completions", &chat("amazon.nova-lite-v1:0"));
    request
        .headers_mut()
        .insert("x-amz-date", "19700101T000000Z".parse().unwrap());
    assert_hi(&gateway.send(request).await);
    let seen = cloud.request();
    assert_eq!(seen.path, "/model/amazon.nova-lite-v1%3A0/converse");
    assert_eq!(seen.headers.get_all("x-amz-date").iter().count(), 1);
    assert_eq!(seen.header("x-team"), "edge");
    assert_signed(&seen);
    assert_eq!(
        seen.json(),
        json!({"messages": [{"role": "user", "content": [{"text": "Hello"}]}], "inferenceConfig": {"maxTokens": 8}})
    );
}

fn frames(events: &[(&str, &str, &str)]) -> Vec<u8> {
    let frame = |(kind, name, payload): &(&str, &str, &str)| {
        let of_kind = if *kind == "event" {
            ":event-type"
        } else {
            ":exception-type"
        };
        encode(&[(":message-type", kind), (of_kind, name)], payload.as_bytes())
    };
    events.iter().flat_map(frame).collect()
}

const BEGUN: [(&str, &str, &str); 2] = [
    ("event", "messageStart", r#"{"role":"assistant"}"#),
    (
        "event",
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"text":"Hi."}}"#,
    ),
];
const ENDED: [(&str, &str, &str); 3] = [
    ("event", "contentBlockStop", r#"{"contentBlockIndex":0}"#),
    ("event", "messageStop", r#"{"stopReason":"end_turn"}"#),
    (
        "event",
        "metadata",
        r#"{"usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9}}"#,
    ),
];
const FRAMES: &str = "application/vnd.amazon.eventstream";

#[tokio::test]
async fn a_stream_of_bedrock_reads_as_one_of_openai_and_of_anthropic() {
    let cloud = Cloud::start(FRAMES, frames(&[&BEGUN[..], &ENDED[..]].concat())).await;
    let gateway = cloud.bedrock();
    let answer = gateway.chat(&streamed("amazon.nova-lite-v1:0")).await;
    let seen = cloud.request();
    assert_eq!(seen.path, "/model/amazon.nova-lite-v1%3A0/converse-stream");
    assert_signed(&seen);
    let of_openai = events(answer.text());
    assert_eq!(
        of_openai.last().map(String::as_str),
        Some("[DONE]"),
        "{}",
        answer.text()
    );
    assert!(of_openai.iter().any(|event| event.contains(r#""content":"Hi.""#)));
    let answer = gateway
        .send(gateway.request("/v1/messages", &streamed("amazon.nova-lite-v1:0")))
        .await;
    assert!(answer.text().starts_with("event: message_start\n"), "{}", answer.text());
    assert!(answer.text().contains("event: message_stop\n"), "{}", answer.text());
}

#[tokio::test]
async fn an_exception_in_a_stream_of_bedrock_is_an_error_event() {
    let broken = ("exception", "throttlingException", r#"{"message":"Too many tokens."}"#);
    let cloud = Cloud::start(FRAMES, frames(&[&BEGUN[..], &[broken]].concat())).await;
    let gateway = cloud.bedrock();
    let answer = gateway.chat(&streamed("amazon.nova-lite-v1:0")).await;
    let events = events(answer.text());
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["message"], "Too many tokens.", "{}", answer.text());
}

#[tokio::test]
async fn vertex_is_asked_with_a_token_that_many_requests_share() {
    let cloud = Cloud::start("application/json", GEMINI).await;
    let gateway = cloud.vertex();
    for _ in 0..3 {
        assert_hi(&gateway.chat(&chat("gemini-2.5-flash")).await);
    }
    let seen = cloud.seen();
    let (tokens, requests): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.path == "/token");
    assert_eq!((tokens.len(), requests.len()), (1, 3));
    for request in requests {
        assert_eq!(
            request.path,
            "/v1beta1/projects/p/locations/eu/publishers/google/models/gemini-2.5-flash:generateContent"
        );
        assert_eq!(request.header("authorization"), "Bearer t0ken");
    }
}

#[tokio::test]
async fn without_a_token_the_request_goes_to_the_fallback_or_fails_as_the_gateways_fault() {
    let cloud = Cloud::start("application/json", GEMINI).await;
    *cloud.token.lock().unwrap() = (400, "application/json", br#"{"error":"invalid_grant"}"#.to_vec());
    let mut gateway = cloud.vertex();
    let answer = gateway.chat(&chat("gemini-2.5-flash")).await;
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("cannot prove itself"), "{}", answer.text());
    assert!(!answer.text().contains("invalid_grant"));
    until("it was counted", || {
        gateway.upstream_errors().contains_key("sim credential")
    })
    .await;
    let sim = super::harness::sim();
    gateway.reconfigure(|config| {
        config["providers"]["other"] = provider(&sim.url());
        let mut with_fallback = route("*", "sim");
        with_fallback["fallbacks"] = json!([{"provider": "other", "weight": 0}]);
        config["routes"]["chat"] = with_fallback;
    });
    let answer = gateway.chat(&chat("gemini-2.5-flash")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-tokenweir-provider"), Some("other"));
    assert!(cloud.seen().iter().all(|seen| seen.path == "/token"));
}

#[tokio::test]
async fn an_error_of_google_keeps_its_status_and_says_when_to_come_back() {
    let body = json!({"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"},
    ]}});
    let cloud = Cloud::start("application/json", GEMINI).await;
    *cloud.reply.lock().unwrap() = (429, "application/json", body.to_string().into_bytes());
    let gateway = cloud.gemini();
    let answer = gateway.chat(&chat("gemini-2.5-flash")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (429, "Quota exceeded.".to_owned())
    );
    assert_eq!(answer.header("retry-after"), Some("35"));
    let answer = gateway
        .send(gateway.request("/v1/messages", &chat("gemini-2.5-flash")))
        .await;
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error", "{}", answer.text());
}

#[tokio::test]
async fn embeddings_come_from_each_cloud_as_openais_packages_ask_for_them() {
    let cloud = Cloud::start(
        "application/json",
        r#"{"embeddings":[{"values":[1,0.5]},{"values":[0,2]}]}"#,
    )
    .await;
    let gateway = cloud.gemini();
    let answer = embed(&gateway, &json!({"model": "gemini-embedding-001", "input": ["a", "b"]})).await;
    assert_eq!(
        answer.json()["data"][1]["embedding"],
        json!([0, 2]),
        "{}",
        answer.text()
    );
    assert_eq!(
        cloud.request().path,
        "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    );

    let titan = br#"{"embedding":[1,0.5],"inputTextTokenCount":3}"#;
    let cloud = Cloud::start("application/json", titan.to_vec()).await;
    let gateway = cloud.bedrock();
    let body = json!({"model": "amazon.titan-embed-text-v2:0", "input": "a", "encoding_format": "base64"});
    let answer = embed(&gateway, &body).await;
    assert_eq!(
        answer.json()["data"][0]["embedding"],
        "AACAPwAAAD8=",
        "{}",
        answer.text()
    );
    let seen = cloud.request();
    assert_eq!(seen.path, "/model/amazon.titan-embed-text-v2%3A0/invoke");
    assert_signed(&seen);
    assert_eq!(seen.json(), json!({"inputText": "a"}));
    let tokens = json!({"model": "amazon.titan-embed-text-v2:0", "input": [[1], [2]]});
    let answer = embed(&gateway, &tokens).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "input");

    let predictions = r#"{"predictions":[{"embeddings":{"values":[1],"statistics":{"token_count":4}}}]}"#;
    let cloud = Cloud::start("application/json", predictions).await;
    let gateway = cloud.vertex();
    let answer = embed(&gateway, &json!({"model": "text-embedding-005", "input": "a"})).await;
    assert_eq!(answer.json()["usage"]["prompt_tokens"], 4, "{}", answer.text());
    until("it was counted", || gateway.ended(200) == 1).await;
}

#[tokio::test]
async fn what_bedrock_has_no_words_for_is_refused_by_name_and_never_sent() {
    let cloud = Cloud::start("application/json", CONVERSE).await;
    let gateway = cloud.bedrock();
    let mut body = chat("amazon.nova-lite-v1:0");
    body["seed"] = json!(7);
    let answer = gateway.chat(&body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "seed", "{}", answer.text());
    assert!(cloud.seen().is_empty());
}
