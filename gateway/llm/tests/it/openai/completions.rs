//! A client of Completions in front of a provider of Chat Completions.

use std::sync::Arc;

use tokenweir_llm::conversation::Request;
use tokenweir_llm::dialect::{ChatFlavor, Client, Context, Target, Wire};
use tokenweir_llm::translate::{Progress, Translation, read_request};
use tokenweir_llm::{RequestError, Usage};

fn translation() -> Translation {
    Translation::new(Client::Completions, Wire::ChatCompletions).unwrap()
}

fn read(body: &str) -> Request {
    read_request(Client::Completions, body.as_bytes()).unwrap()
}

fn context(request: Request) -> Context {
    Context {
        id: "r1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(request),
    }
}

fn written(body: &str, drop_unsupported: bool) -> Result<String, String> {
    let target = Target {
        model: "gpt-4o",
        chat: ChatFlavor::Compatible,
        ..Target::default()
    };
    (translation().request(&read(body), &target, drop_unsupported))
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .map_err(|unsupported| unsupported.to_string())
}

#[test]
fn a_prompt_becomes_a_message_of_the_user_and_options_keep_their_meaning() {
    let body = r#"{"model":"m","prompt":["Say this is a test"],"max_tokens":7,"temperature":0,"stop":"\n","n":2,
        "seed":-3,"logit_bias":{"50256":-100},"user":"u","echo":false,"best_of":1,"stream":true}"#;
    insta::assert_snapshot!(written(body, false).unwrap());
}

#[test]
fn what_only_completions_have_is_refused_by_name() {
    let body = r#"{"model":"m","prompt":[[1,2],[3]],"echo":true,"suffix":"!","best_of":2,"logprobs":3}"#;
    insta::assert_snapshot!(written(body, false).unwrap_err());
    assert!(written(body, true).unwrap().contains(r#""messages":[]"#));
    let missing = read_request(Client::Completions, br#"{"model":"m"}"#).unwrap_err();
    assert_eq!(missing, RequestError::Missing { field: "prompt" });
}

#[test]
fn an_answer_is_told_as_text_with_its_usage() {
    let answer = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000001,"model":"gpt-4o-2024",
        "choices":[{"index":0,"message":{"role":"assistant","content":"This is a test"},"finish_reason":"length"}],
        "usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
    let (body, usage) = translation()
        .answer(answer, &context(read(r#"{"model":"m","prompt":"x"}"#)))
        .unwrap();
    insta::assert_snapshot!(String::from_utf8(body).unwrap());
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(5), Some(7)));
}

#[test]
fn a_stream_is_told_as_text_and_says_what_it_costs() {
    let chunks = concat!(
        r#"data: {"id":"c","created":9,"model":"g","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        "\n\n",
        r#"data: {"id":"c","created":9,"model":"g","choices":[{"index":0,"delta":{"content":"Hello world"}}]}"#,
        "\n\n",
        r#"data: {"id":"c","created":9,"model":"g","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "\n\n",
        r#"data: {"id":"c","created":9,"model":"g","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0}}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let asked = r#"{"model":"m","prompt":"x","stream":true,"stream_options":{"include_usage":true}}"#;
    let mut stream = translation().stream(context(read(asked)));
    let mut out = Vec::new();
    let progress = stream.push(chunks.as_bytes(), &mut out);
    let usage = Usage {
        prompt_tokens: Some(3),
        completion_tokens: Some(0),
        ..Usage::default()
    };
    assert_eq!(
        progress,
        Progress {
            tokens: 2,
            usage: Some(usage),
            finished: true,
            error: false,
            ended: true,
        }
    );
    assert!(stream.is_over());
    assert_eq!(stream.finish(&mut out), Progress::default());
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn errors_are_told_in_the_clients_dialect() {
    let body = br#"{"error":{"message":"This model's maximum context length is 10 tokens","type":"x","code":400}}"#;
    let (error, body) = translation().error(400, body);
    assert!(error.context_overflow);
    insta::assert_snapshot!(String::from_utf8(body).unwrap());
}
