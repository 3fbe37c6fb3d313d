//! Gemini and Vertex AI.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokenweir_sim::{GoogleAccount, Sim, SimConfig, SimHandle};

use crate::client::{post, send, start};

const GENERATE: &str = "/v1beta/models/g:generateContent";
const STREAM: &str = "/v1beta/models/g:streamGenerateContent?alt=sse";
const KEY: &str = include_str!("../fixtures/service-account.pem");

fn ask(text: &str, more: Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    let Value::Object(more) = more else {
        panic!("more fields come as an object, not as {more}")
    };
    for (key, value) in more {
        body[key] = value;
    }
    body
}

fn tools() -> Value {
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]});
    json!({"tools": [{"functionDeclarations": [{"name": "weather", "parameters": schema}]}]})
}

#[tokio::test]
async fn streams_say_what_whole_answers_say() {
    let sim = start(|_| ());
    for (text, more) in [
        (
            "hello",
            json!({"generationConfig": {"candidateCount": 2, "thinkingConfig": {"thinkingBudget": -1}}}),
        ),
        ("[[sim:calls=2;tokens=3]]", tools()),
    ] {
        let whole = post(&sim, GENERATE, &[], ask(text, more.clone())).await.json();
        let chunks = post(&sim, STREAM, &[], ask(text, more.clone())).await.chunks();
        let as_list = post(&sim, "/v1beta/models/g:streamGenerateContent", &[], ask(text, more)).await;
        assert_eq!(
            as_list.json(),
            Value::from(chunks.clone()),
            "without alt=sse the stream is one list"
        );
        for (index, candidate) in whole["candidates"].as_array().unwrap().iter().enumerate() {
            let mut parts: Vec<Value> = Vec::new();
            let pieces = chunks.iter().flat_map(|chunk| chunk["candidates"].as_array().unwrap());
            for piece in pieces.filter(|piece| piece["index"] == index) {
                for part in piece["content"]["parts"].as_array().unwrap() {
                    let more = part["text"].as_str();
                    match (parts.last_mut(), more) {
                        (_, Some("")) => {}
                        (Some(last), Some(more)) if last["text"].is_string() && last["thought"] == part["thought"] => {
                            last["text"] = format!("{}{more}", last["text"].as_str().unwrap()).into();
                        }
                        _ => parts.push(part.clone()),
                    }
                }
            }
            assert_eq!(Value::from(parts), candidate["content"]["parts"]);
        }
        assert_eq!(chunks.last().unwrap()["usageMetadata"], whole["usageMetadata"]);
        assert_eq!(chunks.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    }
}

#[tokio::test]
async fn thoughts_are_marked_and_not_counted_as_candidates() {
    let sim = start(|_| ());
    let config = json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 5, "includeThoughts": true}}});
    let answer = post(&sim, GENERATE, &[], ask("x", config)).await.json();
    assert_eq!(answer["candidates"][0]["content"]["parts"][0]["thought"], true);
    let usage = &answer["usageMetadata"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(count("thoughtsTokenCount"), 5);
    let sum = count("promptTokenCount") + count("candidatesTokenCount") + count("thoughtsTokenCount");
    assert_eq!(count("totalTokenCount"), sum);
    let counted = post(&sim, "/v1beta/models/g:countTokens", &[], ask("x", json!({})))
        .await
        .json();
    assert_eq!(counted["totalTokens"], usage["promptTokenCount"]);
}

#[tokio::test]
async fn what_google_refuses_is_refused() {
    let sim = start(|_| ());
    let user = json!({"role": "user", "parts": [{"text": "hi"}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}}}]});
    let result = |name: &str| json!({"role": "user", "parts": [{"functionResponse": {"name": name, "response": {}}}]});
    let declared = |schema: Value| json!({"tools": [{"functionDeclarations": [{"name": "a", "parameters": schema}]}]});
    for (more, part) in [
        (json!({"messages": []}), "Unknown name \"messages\""),
        (
            json!({"generationConfig": {"max_tokens": 3}}),
            "Unknown name \"max_tokens\" at 'generationConfig'",
        ),
        (json!({"contents": []}), "contents is not specified"),
        (
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "valid role",
        ),
        (
            json!({"contents": [{"role": "user", "parts": []}]}),
            "at least one part",
        ),
        (json!({"contents": [{"role": "user", "parts": [{}]}]}), "oneof field"),
        (
            json!({"contents": [user, call, user]}),
            "number of function response parts",
        ),
        (
            json!({"contents": [user, call, result("other")]}),
            "no call of the function",
        ),
        (json!({"contents": [user, call]}), "every function call"),
        (
            json!({"contents": [call, result("weather")]}),
            "immediately after a user turn",
        ),
        (
            declared(json!({"type": "object", "additionalProperties": false})),
            "Unknown name \"additionalProperties\"",
        ),
        (declared(json!({"type": "array"})), "missing field"),
        (
            json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
            "without function_declarations",
        ),
        (json!({"generationConfig": {"temperature": 3}}), "range"),
        (
            json!({"generationConfig": {"responseSchema": {"type": "STRING"}}}),
            "response_mime_type",
        ),
        (
            json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}),
            "only one of",
        ),
    ] {
        let reply = post(&sim, GENERATE, &[], ask("hi", more.clone())).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{more}");
        let error = reply.json();
        assert_eq!(error["error"]["status"], "INVALID_ARGUMENT");
        assert!(
            error["error"]["message"].as_str().unwrap().contains(part),
            "{more}: {error}"
        );
    }
    let answer = post(&sim, GENERATE, &[], ask("[[sim:calls=1]]", tools())).await.json();
    let model = answer["candidates"][0]["content"].clone();
    let back = |model: Value| json!({"contents": [user, model, result("weather")]});
    assert_eq!(
        post(&sim, GENERATE, &[], ask("", back(model.clone()))).await.status,
        StatusCode::OK
    );
    let mut changed = model;
    changed["parts"][0]["thoughtSignature"] = "b3RoZXI=".into();
    let refused = post(&sim, GENERATE, &[], ask("", back(changed))).await.json();
    assert_eq!(refused["error"]["message"], "Thought signature is not valid.");
}

#[tokio::test]
async fn limits_come_with_the_time_to_wait() {
    let sim = start(|_| ());
    let reply = post(
        &sim,
        GENERATE,
        &[("x-sim-fault", "429;retry-after=7")],
        ask("x", json!({})),
    )
    .await;
    let error = reply.json();
    assert_eq!(error["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(error["error"]["details"][0]["retryDelay"], "7s");
}

#[tokio::test]
async fn embeddings_come_in_googles_three_forms() {
    let sim = start(|_| ());
    let content = json!({"parts": [{"text": "hello"}]});
    let request = json!({"model": "models/g", "content": content, "outputDimensionality": 8});
    let batch = post(
        &sim,
        "/v1beta/models/g:batchEmbedContents",
        &[],
        json!({"requests": [request, request]}),
    )
    .await
    .json();
    assert_eq!(batch["embeddings"].as_array().unwrap().len(), 2);
    let values = &batch["embeddings"][0]["values"];
    assert_eq!(values.as_array().unwrap().len(), 8);
    let one = json!({"content": content, "outputDimensionality": 8});
    let one = post(&sim, "/v1beta/models/g:embedContent", &[], one).await.json();
    assert_eq!(&one["embedding"]["values"], values);
    let predict = json!({"instances": [{"content": "hello"}], "parameters": {"outputDimensionality": 8}});
    let vertex = "/v1/projects/p/locations/l/publishers/google/models/g:predict";
    let predicted = post(&sim, vertex, &[], predict).await.json();
    assert_eq!(&predicted["predictions"][0]["embeddings"]["values"], values);
    assert_eq!(
        predicted["predictions"][0]["embeddings"]["statistics"]["token_count"],
        1
    );
    let wrong = json!({"requests": [{"model": "models/other", "content": content}]});
    assert_eq!(
        post(&sim, "/v1beta/models/g:batchEmbedContents", &[], wrong)
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

fn assertion(change: impl FnOnce(&mut Value)) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": "me@example.com", "aud": "http://here/token", "scope": "cloud", "iat": now, "exp": now + 3600,
    });
    change(&mut claims);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        encode(&json!({"alg": "RS256", "typ": "JWT", "kid": "k1"})),
        encode(&claims)
    );
    let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap() else {
        panic!("the key is in PKCS#8")
    };
    let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let mut proof = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut proof)
        .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(proof))
}

async fn token(sim: &SimHandle, assertion: &str) -> (StatusCode, Value) {
    let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = send(sim, Method::POST, "/token", &headers, form).await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn vertex_takes_tokens_that_were_given_for_a_signed_assertion() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("account.json");
    let account = json!({
        "client_email": "me@example.com", "private_key": KEY, "private_key_id": "k1", "token_uri": "http://here/token",
    });
    std::fs::write(&key_file, account.to_string()).unwrap();
    let sim = Sim::start(SimConfig {
        google: Some(GoogleAccount {
            key_file,
            token_seconds: 60,
        }),
        ..SimConfig::default()
    })
    .unwrap();
    let vertex = "/v1/projects/p/locations/l/publishers/google/models/g:generateContent";
    let with = async |token: &str| {
        let bearer = format!("Bearer {token}");
        post(&sim, vertex, &[("authorization", &bearer)], ask("x", json!({})))
            .await
            .status
    };
    let (status, given) = token(&sim, &assertion(|_| ())).await;
    assert_eq!((status, given["expires_in"].clone()), (StatusCode::OK, json!(60)));
    assert_eq!(with(given["access_token"].as_str().unwrap()).await, StatusCode::OK);
    assert_eq!(with("ya29.other").await, StatusCode::UNAUTHORIZED);
    for (change, error) in [
        (
            Box::new(|claims: &mut Value| claims["iss"] = "you".into()) as Box<dyn FnOnce(&mut Value)>,
            "invalid_grant",
        ),
        (
            Box::new(|claims| claims["aud"] = "http://there/token".into()),
            "invalid_grant",
        ),
        (Box::new(|claims| claims["scope"] = "".into()), "invalid_scope"),
        (Box::new(|claims| claims["exp"] = 5.into()), "invalid_grant"),
    ] {
        let (status, refused) = token(&sim, &assertion(change)).await;
        assert_eq!(
            (status, refused["error"].clone()),
            (StatusCode::BAD_REQUEST, json!(error))
        );
    }
    let forged = assertion(|_| ());
    let (signed, _) = forged.rsplit_once('.').unwrap();
    assert_eq!(token(&sim, &format!("{signed}.AAAA")).await.1["error"], "invalid_grant");
}
