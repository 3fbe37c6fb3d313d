use tokenweir_llm::{ErrorForm, ErrorKind, OpenAiError, Operation};

#[test]
fn every_kind_has_the_bodies_that_clients_of_openai_and_anthropic_know() {
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
            let anthropic = error.to_body_in(ErrorForm::Anthropic, Some("req_1"));
            format!(
                "{} {}\n    {}",
                error.status(),
                String::from_utf8_lossy(&error.to_body()),
                String::from_utf8_lossy(&anthropic)
            )
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

#[test]
fn each_client_gets_the_error_event_of_its_own_stream() {
    let error = OpenAiError::new(ErrorKind::BadUpstream, "broke off");
    let events: Vec<String> = Operation::ALL
        .iter()
        .map(|operation| {
            let event = error.to_event_of(*operation, 7);
            format!("{}\n{}", operation.name(), String::from_utf8_lossy(&event))
        })
        .collect();
    insta::assert_snapshot!(events.join(""));
}
