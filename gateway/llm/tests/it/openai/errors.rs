//! Errors of OpenAI, Azure and the servers that are compatible with them.

use tokenweir_llm::ErrorKind;
use tokenweir_llm::dialect::{ChatCompletions, ClientDialect, ProviderError, ProviderWire};

fn read(status: u16, body: &str) -> ProviderError {
    ChatCompletions::read_error(status, body.as_bytes())
}

#[test]
fn every_form_of_error_is_understood() {
    let read: Vec<String> = [
        (400, r#"{"error":{"message":"Unsupported value","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#),
        (401, r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#),
        (404, r#"{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#),
        (429, r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#),
        (500, r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#),
        // Azure.
        (404, r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#),
        (400, r#"{"error":{"inner_error":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true}}},"code":"content_filter","message":"The response was filtered","param":"prompt","type":null}}"#),
        (401, r#"{"statusCode":401,"message":"Unauthorized. Access token is missing, invalid, audience is incorrect"}"#),
        // vLLM, old and new.
        (400, r#"{"object":"error","message":"max_tokens must be at least 1","type":"BadRequestError","param":null,"code":400}"#),
        (404, r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}}"#),
        // Ollama, in OpenAI's form and its own.
        (404, r#"{"error":{"message":"model 'x' not found","type":"not_found_error","param":null,"code":null}}"#),
        (404, r#"{"error":"model 'x' not found"}"#),
        // TGI.
        (422, r#"{"error":"Input validation error: `temperature` must be strictly positive","error_type":"validation"}"#),
        // FastAPI.
        (422, r#"{"detail":[{"loc":["body"],"msg":"field required","type":"value_error"}]}"#),
        (503, r#"{"detail":"loading"}"#),
        // No error object at all.
        (502, "<html><body>Bad Gateway</body></html>"),
        (503, "upstream connect error"),
        (529, ""),
        (400, r#"{"error":{}}"#),
        (500, "[1,2]"),
    ]
    .into_iter()
    .map(|(status, body)| format!("{status} {body}\n  {:?}", read(status, body)))
    .collect();
    insta::assert_snapshot!(read.join("\n"));
}

#[test]
fn a_context_that_is_too_long_is_known_by_word_or_sentence() {
    for body in [
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
        r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","code":400}"#,
        r#"{"error":{"message":"The decoder prompt (length 9) is longer than the maximum model length of 8.","code":400}}"#,
        r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_ctx":4096}}"#,
        r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000","error_type":"validation"}"#,
    ] {
        let error = read(400, body);
        assert!(error.context_overflow, "{body}");
        let told = String::from_utf8(ChatCompletions::write_error(&error)).unwrap();
        assert!(told.contains(r#""code":"context_length_exceeded""#), "{told}");
    }
    assert!(!read(400, r#"{"error":{"message":"temperature is too high"}}"#).context_overflow);
    // A server that fails while it speaks of contexts is not helped by a longer one.
    assert!(!read(500, r#"{"error":{"code":"context_length_exceeded"}}"#).context_overflow);
}

#[test]
fn an_error_is_told_with_the_providers_code_or_the_kinds_own() {
    let error = |code: Option<&str>| ProviderError {
        kind: ErrorKind::Unavailable,
        message: "Overloaded".to_owned(),
        code: code.map(ToOwned::to_owned),
        context_overflow: false,
    };
    let told = |error: ProviderError| String::from_utf8(ChatCompletions::write_error(&error)).unwrap();
    insta::assert_snapshot!(
        [told(error(Some("overloaded_error"))), told(error(None))].join("\n"),
        @r#"
    {"error":{"message":"Overloaded","type":"server_error","param":null,"code":"overloaded_error"}}
    {"error":{"message":"Overloaded","type":"server_error","param":null,"code":"service_unavailable"}}
    "#
    );
}
