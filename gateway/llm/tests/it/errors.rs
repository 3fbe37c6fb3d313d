use tokenweir_llm::{ErrorKind, OpenAiError};

#[test]
fn every_kind_has_the_body_that_clients_of_openai_know() {
    let kinds = [
        ErrorKind::InvalidRequest,
        ErrorKind::Unauthenticated,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::ModelNotFound,
        ErrorKind::MethodNotAllowed,
        ErrorKind::RequestTimeout,
        ErrorKind::TooLarge,
        ErrorKind::RateLimited,
        ErrorKind::Internal,
        ErrorKind::BadUpstream,
        ErrorKind::Unavailable,
        ErrorKind::UpstreamTimeout,
    ];
    let lines: Vec<String> = kinds
        .iter()
        .map(|kind| {
            let error = OpenAiError::new(*kind, "why");
            format!("{} {}", error.status(), String::from_utf8_lossy(&error.to_body()))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_stream_event_holds_the_same_object_in_one_line() {
    let error = OpenAiError::new(ErrorKind::BadUpstream, "broke\noff")
        .with_param("x")
        .with_code("upstream_reset");
    insta::assert_snapshot!(String::from_utf8_lossy(&error.to_sse_event()), @r#"
    data: {"error":{"message":"broke\noff","type":"server_error","param":"x","code":"upstream_reset"}}

    "#);
}
